//! Commands against Node's `socket.io` 4, 3 and 2.

use super::support::{Node, Process, fanfare, run, run_with};

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
        let path = ["--path", "/no", "--transport", "websocket"];
        let closed = run(&[&["emit", &node.url(), "x"], &path[..]].concat()).expect(3);
        assert!(closed.err.contains("is this the path"), "{closed:#?}");
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
    let script = "ack echo {\"a\":\"€\"}\nack echo hex:0aff\nemit ask\nexpect question\nreply 1 blue\nexpect answered\n\
                  emit shout before\nexpect shouted\ninfo\nack echo 1\n";
    for eio in ["auto", "3"] {
        for (transport, used) in [
            ("auto", "-- transport: websocket"),
            ("websocket", "-- transport: websocket"),
            ("polling", "-- transport: polling"),
            ("upgrade", "-- upgraded to websocket"),
        ] {
            let url = node.url();
            let args = ["connect", &url, "--transport", transport, "--eio", eio];
            let ran = run_with(&args, script).expect(0);
            for line in [
                "<- hello {\"version\":\"2\"} <3 bytes: 01 02 03>",
                "-> echo {\"a\":\"€\"}",
                "-> echo <2 bytes: 0a ff>",
                "<- answered \"blue\"",
                "<- shouted \"before\"",
                "Engine.IO 3",
                "-- state: connected",
                used,
                "-> echo 1",
            ] {
                assert!(
                    ran.out.contains(line),
                    "{line} is not in {transport}, {eio}: {ran:#?}"
                );
            }
        }
    }
    let answer = run(&["emit", &node.url(), "echo", "hi", "--ack"]).expect(0);
    assert_eq!(answer.out, "\"hi\"\n");
    let first = run(&["listen", &node.url(), "hello", "--json", "--count", "1"]).expect(0);
    assert_eq!(first.json()["args"][0]["version"], "2", "{first:#?}");
}

#[test]
fn namespaces_of_a_v2_server_get_their_credentials() {
    let Some(node) = Node::start("2", "{}") else {
        return;
    };
    let secret = format!("{}/secret", node.url());
    for transport in ["auto", "polling", "upgrade"] {
        let auth = ["--auth", "{\"token\":\"abc\"}", "--count", "1"];
        let args = [&["listen", &secret, "--transport", transport], &auth[..]].concat();
        let welcome = run(&args).expect(0);
        assert_eq!(welcome.out, "welcome \"/secret\"\n");
        let refused = run(&["emit", &secret, "x", "--transport", transport]).expect(4);
        assert!(refused.err.contains("hint"), "{refused:#?}");
    }
    let nothing = run(&["emit", &format!("{}/nothing", node.url()), "x"]).expect(4);
    assert!(nothing.err.contains("Invalid namespace"), "{nothing:#?}");
}

#[test]
fn a_v2_server_with_one_transport_only() {
    let Some(node) = Node::start("2", r#"{"transports":["polling"]}"#) else {
        return;
    };
    for transport in ["auto", "polling", "upgrade"] {
        let args = ["emit", &node.url(), "echo", "hi", "--ack", "--transport"];
        let ran = run(&[&args[..], &[transport]].concat()).expect(0);
        assert_eq!(ran.out, "\"hi\"\n", "{transport}: {ran:#?}");
    }
    let args = ["emit", &node.url(), "x", "--eio", "3", "--transport"];
    run(&[&args[..], &["websocket"]].concat()).expect(3);
    let Some(node) = Node::start("2", r#"{"transports":["websocket"]}"#) else {
        return;
    };
    let url = node.url();
    let answer = run(&["emit", &url, "echo", "hi", "--ack"]).expect(0);
    assert_eq!(answer.out, "\"hi\"\n");
    let polling = ["emit", &url, "x", "--eio", "3", "--transport", "polling"];
    let ran = run(&polling).expect(3);
    assert!(ran.err.contains("400 Bad Request"), "{ran:#?}");
}

#[test]
fn long_polling_with_a_v2_server_takes_many_and_long_messages_and_a_heartbeat() {
    let options = r#"{"pingInterval":300,"pingTimeout":20000}"#;
    let Some(node) = Node::start("2", options) else {
        return;
    };
    let long = "x".repeat(300_000);
    let lines: String = (0..3000).map(|n| format!("{n}\n")).collect();
    for transport in ["polling", "upgrade"] {
        let url = node.url();
        let args = ["listen", &url, "shouted", "--transport", transport];
        let listening = Process::start(fanfare(&args));
        listening.wait("# connected");
        let args = ["emit", &url, "shout", "--lines", "--transport", transport];
        run_with(&args, &format!("{lines}{long}\n")).expect(0);
        for n in 0..3000 {
            listening.wait(&format!("shouted {n}"));
        }
        listening.wait(&long);

        let args = ["connect", &url, "--transport", transport];
        let script = "sleep 2s\nack echo 1\ninfo\n";
        let ran = run_with(&args, script).expect(0);
        assert!(ran.out.contains("-> echo 1 "), "{transport}: {ran:#?}");
        assert!(!ran.out.contains("disconnected"), "{transport}: {ran:#?}");
    }
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
    let report = run(&["doctor", &old.url(), "--quick"]).expect(1);
    for line in [
        "the server speaks only Engine.IO 3",
        "ok      websocket    works\n",
        "skipped affinity     needs a session of Engine.IO 4",
        "\n1 problem\n",
    ] {
        assert!(report.out.contains(line), "{line} is not in {report:#?}");
    }
    let bench = run(&["bench", &old.url(), "echo"]).expect(3);
    assert!(bench.err.contains("only Engine.IO 3"), "{bench:#?}");
}
