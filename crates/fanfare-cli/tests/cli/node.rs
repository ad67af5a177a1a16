//! Against Node's socket.io, of today, of v3 and of v2.

use super::support::{Node, run, run_with};

#[test]
fn scripts_against_node_v3_and_v4() {
    for version in ["3", "4"] {
        let Some(node) = Node::start(version, "{}") else {
            return;
        };
        for transport in ["auto", "websocket", "polling", "upgrade"] {
            let script =
                "ack echo {\"a\":1}\nemit ask\nexpect question\nreply 1 blue\nexpect answered\n";
            let args = ["connect", &node.url(), "--transport", transport];
            let ran = run_with(&args, script).expect(0);
            let hello = format!("<- hello {{\"version\":\"{version}\"}} <3 bytes: 01 02 03>");
            for line in [hello.as_str(), "<- answered \"blue\""] {
                assert!(ran.out.contains(line), "{transport}: {ran:#?}");
            }
        }
        let secret = format!("{}/secret", node.url());
        run(&["emit", &secret, "x"]).expect(4);
        let auth = ["--auth", "{\"token\":\"abc\"}", "--count", "1"];
        run(&[&["listen", &secret], &auth[..]].concat()).expect(0);
        let answer = run(&["emit", &node.url(), "echo", "hi", "--ack"]).expect(0);
        assert_eq!(answer.out, "\"hi\"\n");
    }
}

#[test]
fn a_server_of_v2_is_found_out_and_spoken_to() {
    let Some(node) = Node::start("2", "{}") else {
        return;
    };
    let script = "ack echo {\"a\":1}\nack echo hex:0aff\nemit ask\nexpect question\nreply 1 blue\nexpect answered\ninfo\n";
    let ran = run_with(&["connect", &node.url()], script).expect(0);
    for line in [
        "<- hello {\"version\":\"2\"} <3 bytes: 01 02 03>",
        "-> echo {\"a\":1}",
        "-> echo <2 bytes: 0a ff>",
        "<- answered \"blue\"",
        "Engine.IO 3",
    ] {
        assert!(ran.out.contains(line), "{line} is not in {ran:#?}");
    }
    let secret = format!("{}/secret", node.url());
    let welcome = run(&[
        "listen",
        &secret,
        "--auth",
        "{\"token\":\"abc\"}",
        "--eio",
        "3",
        "--count",
        "1",
    ])
    .expect(0);
    assert_eq!(welcome.out, "welcome \"/secret\"\n");
    let refused = run(&["emit", &secret, "x", "--eio", "3"]).expect(4);
    assert!(refused.err.contains("hint"), "{refused:#?}");
    let answer = run(&["emit", &node.url(), "echo", "hi", "--ack"]).expect(0);
    assert_eq!(answer.out, "\"hi\"\n");
    let first = run(&["listen", &node.url(), "hello", "--json", "--count", "1"]).expect(0);
    assert_eq!(first.json()["args"][0]["version"], "2", "{first:#?}");
    let polling = run(&["emit", &node.url(), "echo", "hi", "--transport", "polling"]).expect(3);
    assert!(
        polling.err.contains("Engine.IO 3") && polling.err.contains("--transport"),
        "{polling:#?}"
    );
}

#[test]
fn the_load_generator_and_the_doctor_on_node() {
    for version in ["3", "4"] {
        let Some(node) = Node::start(version, r#"{"pingInterval":1000,"pingTimeout":20000}"#)
        else {
            return;
        };
        for scenario in ["connect", "idle", "echo", "fanout", "rooms", "polling"] {
            let url = node.url();
            let mut args = vec!["bench", &url, scenario, "-q", "--timeout", "30s"];
            args.extend_from_slice(&["-c", "5", "-d", "500ms", "--warmup", "100ms"]);
            let ran = run(&args).expect(0);
            assert!(ran.out.contains("nothing missing"), "{ran:#?}");
        }
        let report = run(&["doctor", &node.url(), "--json", "--timeout", "30s"])
            .expect(0)
            .json();
        assert_eq!(report["healthy"], true, "{report:#}");
        assert_eq!(report["server"]["pingInterval"], 1000);
    }
    let Some(old) = Node::start("2", "{}") else {
        return;
    };
    let report = run(&["doctor", &old.url(), "--json", "--quick"]).expect(1);
    assert!(
        report.out.contains("the server speaks only Engine.IO 3"),
        "{report:#?}"
    );
}
