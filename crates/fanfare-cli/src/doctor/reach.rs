//! Reachability, scheme, redirects, TLS.

use ::http::Method;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::probe::Probe;
use super::report::Finding;
use crate::net::http;
use crate::net::{CertificateProblem, DialError, Tls};

/// What was found, and whether the server answers HTTP.
pub(super) async fn check(probe: &Probe, tls: &Tls, insecure: bool) -> (Vec<Finding>, bool) {
    let target = &probe.target;
    let stream = match probe.dialer.tcp().await {
        Ok(stream) => stream,
        Err(error) => {
            let fix = match &error {
                DialError::Name(host, _) => {
                    format!("check the spelling of `{host}` and its DNS entry")
                }
                DialError::Timeout(_) => {
                    format!(
                        "a firewall drops packets, or the host is down; open port {}",
                        target.port
                    )
                }
                _ if matches!(target.host.as_str(), "localhost" | "127.0.0.1" | "::1") => {
                    format!(
                        "start the server, or check the port: {} is asked here",
                        target.port
                    )
                }
                _ => format!(
                    "start the server, let it listen on port {} (not only on 127.0.0.1), open the firewall",
                    target.port
                ),
            };
            let what = format!("{}:{} cannot be reached", target.host, target.port);
            return (
                vec![
                    Finding::problem("reach", what)
                        .because(error.to_string())
                        .fix(fix),
                ],
                false,
            );
        }
    };
    let address = stream
        .peer_addr()
        .map(|address| address.to_string())
        .unwrap_or_default();
    drop(stream);
    let request = http::request(target, Method::GET, "EIO=4&transport=polling", Bytes::new());
    let response = match http::once(&probe.dialer, request, probe.patience).await {
        Ok(response) => response,
        Err(error) => return (vec![no_http(probe, &error).await], false),
    };
    let mut findings = Vec::new();
    let wrong_scheme = response.status == 400
        && response
            .text()
            .contains("plain HTTP request was sent to HTTPS port");
    if wrong_scheme {
        let finding = Finding::problem(
            "reach",
            format!("port {} speaks HTTPS, not HTTP", target.port),
        )
        .because(
            response
                .text()
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        )
        .fix(format!("use https://{}", target.authority()));
        return (vec![finding], false);
    }
    if response.status.is_redirection() {
        let to = response.header("location").to_owned();
        let origin = to
            .split("/socket.io")
            .next()
            .unwrap_or(&to)
            .trim_end_matches('/')
            .to_owned();
        findings.push(
            Finding::problem("reach", format!("{} redirects to {to}", target.origin()))
                .because("WebSocket connections do not follow redirects, nor do preflight requests of browsers")
                .fix(format!("connect to {origin} in the clients: io(\"{origin}\")")),
        );
        return (findings, true);
    }
    let took = response.took.as_millis();
    findings.push(Finding::ok(
        "reach",
        format!("{address} answers ({took} ms)"),
    ));
    if target.tls {
        findings.push(certificate(probe, tls, insecure));
    } else if !is_local(&target.host) {
        findings.push(
            Finding::warning("tls", "the connection is not encrypted")
                .because("pages served by https may not connect to http; some networks break plain WebSocket connections")
                .fix("put the server behind a proxy with a certificate, and use https"),
        );
    }
    (findings, true)
}

async fn no_http(probe: &Probe, error: &http::Error) -> Finding {
    let target = &probe.target;
    let authority = target.authority();
    if let (true, http::Error::Dial(DialError::Tls(_))) = (target.tls, error)
        && speaks_http(probe).await
    {
        return Finding::problem(
            "reach",
            format!("port {} speaks plain HTTP, not HTTPS", target.port),
        )
        .because("it answered a TLS handshake with plain text")
        .fix(format!(
            "use http://{authority}, or let the proxy listen with `ssl` on this port"
        ));
    }
    if !target.tls && speaks_tls(probe).await {
        return Finding::problem(
            "reach",
            format!("port {} speaks HTTPS, not HTTP", target.port),
        )
        .because(error.to_string())
        .fix(format!("use https://{authority}"));
    }
    Finding::problem("reach", format!("{authority} accepts connections, but gives no answer by HTTP"))
        .because(error.to_string())
        .fix("check that it is the port of the Socket.IO server or of its proxy, and that the server is not stuck")
}

async fn speaks_http(probe: &Probe) -> bool {
    exchange(probe, b"GET / HTTP/1.0\r\n\r\n")
        .await
        .starts_with(b"HTTP/")
}

/// Whether something that is no TLS is answered with an alert.
async fn speaks_tls(probe: &Probe) -> bool {
    const ALERT: u8 = 21;
    exchange(probe, b"GET / HTTP/1.0\r\n\r\n").await.first() == Some(&ALERT)
}

async fn exchange(probe: &Probe, bytes: &[u8]) -> Vec<u8> {
    let exchange = async {
        let mut tcp = probe.dialer.tcp().await.ok()?;
        tcp.write_all(bytes).await.ok()?;
        let mut answer = vec![0; 16];
        let n = tcp.read(&mut answer).await.ok()?;
        answer.truncate(n);
        Some(answer)
    };
    timeout(probe.patience, exchange)
        .await
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "::1"
}

fn certificate(probe: &Probe, tls: &Tls, insecure: bool) -> Finding {
    let seen = tls.seen();
    let host = &probe.target.host;
    let version = seen.version.unwrap_or_default().replace("TLSv1_", "TLS 1.");
    let Some(problem) = seen.problem else {
        return if seen.expires_soon {
            Finding::warning("tls", "the certificate expires within two weeks")
                .fix("renew it now; automate it: certbot renew, or a proxy that does it itself")
        } else {
            Finding::ok("tls", format!("the certificate is valid, {version}"))
        };
    };
    let (what, fix) = match problem {
        CertificateProblem::Expired => (
            "the certificate has expired".to_owned(),
            "renew it, and reload the proxy".to_owned(),
        ),
        CertificateProblem::NotYet => (
            "the certificate is not valid yet".to_owned(),
            "check the clocks of the server and of this machine".to_owned(),
        ),
        CertificateProblem::Name => (
            format!("the certificate is not for {host}"),
            format!("get one that names {host}, or connect with the name it has"),
        ),
        CertificateProblem::Issuer => (
            "the certificate is signed by nobody who is trusted".to_owned(),
            "nginx: ssl_certificate must be the file with the whole chain (fullchain.pem)\n\
             self-signed, for tests: --ca FILE here, `ca` in Node's clients"
                .to_owned(),
        ),
        CertificateProblem::Other(why) => (
            format!("the certificate is wrong: {why}"),
            "replace it".to_owned(),
        ),
    };
    let finding = if insecure {
        Finding::warning("tls", what)
    } else {
        Finding::problem("tls", what)
    };
    finding
        .because("browsers and other clients refuse to connect")
        .fix(fix)
}
