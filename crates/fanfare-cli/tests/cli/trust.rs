//! Self-signed certificates.

use std::path::PathBuf;
use std::process::Command;

use super::support::{Node, run};

/// Key and certificate made by `openssl req -x509`, in a folder of this test alone; removed when dropped.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Makes a certificate; returns `None`, with the reason printed, if openssl is not installed.
    fn make(name: &str, names: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("fanfare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = Self { folder };
        let ran = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=localhost",
            ])
            .args(["-addext", &format!("subjectAltName={names}")])
            .args([
                "-keyout",
                &made.file("key.pem"),
                "-out",
                &made.file("cert.pem"),
            ])
            .output();
        if !ran.is_ok_and(|ran| ran.status.success()) {
            println!("skipped: openssl is missing");
            return None;
        }
        Some(made)
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn node(&self) -> Option<Node> {
        let files =
            serde_json::json!({ "key": self.file("key.pem"), "cert": self.file("cert.pem") });
        let options = serde_json::json!({ "tls": files, "bare": true, "pingInterval": 1000 });
        Node::start("4", &options.to_string())
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_given() {
    let (Some(own), Some(other)) = (
        Certificate::make("self", "DNS:localhost"),
        Certificate::make("other", "DNS:localhost"),
    ) else {
        return;
    };
    let Some(node) = own.node() else { return };
    let url = format!("https://localhost:{}", node.port);
    let (ca, foreign) = (own.file("cert.pem"), other.file("cert.pem"));
    for transport in ["websocket", "polling"] {
        let emit = [
            "emit",
            &url,
            "echo",
            "hi",
            "--ack",
            "--transport",
            transport,
        ];
        let ran = run(&[&emit[..], &["--ca", &ca]].concat()).expect(0);
        assert_eq!(ran.out, "\"hi\"\n");
        run(&[&emit[..], &["-k"]].concat()).expect(0);
        for wrong in [&[][..], &["--ca", &foreign]] {
            let ran = run(&[&emit[..], wrong].concat()).expect(3);
            for part in ["certificate", "--ca", "-k"] {
                assert!(ran.err.contains(part), "{part} is not in {ran:#?}");
            }
            assert!(!ran.err.contains("UnknownIssuer"), "{ran:#?}");
            assert!(!ran.err.contains("OtherError"), "{ran:#?}");
        }
    }
    let report = run(&["doctor", &url, "--quick", "--json", "--ca", &ca])
        .expect(0)
        .json();
    assert_eq!(report["healthy"], true, "{report:#}");
    let bench = [
        "bench", &url, "echo", "-q", "-c", "2", "-d", "200ms", "--warmup", "0",
    ];
    run(&[&bench[..], &["--ca", &ca]].concat()).expect(0);
    let ran = run(&bench).expect(3);
    assert!(
        ran.err.contains("--ca") && !ran.err.contains("Issuer"),
        "{ran:#?}"
    );
}

#[test]
fn a_self_signed_certificate_is_good_for_its_own_names_only() {
    let Some(own) = Certificate::make("names", "DNS:elsewhere.example") else {
        return;
    };
    let Some(node) = own.node() else { return };
    let url = format!("https://localhost:{}", node.port);
    let ca = own.file("cert.pem");
    let ran = run(&["emit", &url, "echo", "hi", "--ack", "--ca", &ca]).expect(3);
    assert!(ran.err.contains("not for localhost"), "{ran:#?}");
    let report = run(&["doctor", &url, "--quick", "--json", "--ca", &ca])
        .expect(1)
        .json();
    assert!(
        report.to_string().contains("not for localhost"),
        "{report:#}"
    );
}
