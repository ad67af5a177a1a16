//! The demo, from a client's side.

use std::net::TcpStream;

use super::support::{DEADLINE, Process, fanfare, run};

#[test]
fn wrong_requests_are_answered_in_words_for_people() {
    let demo = Process::start(fanfare(&["demo", "--port", "0"]));
    let line = demo.wait("Chat  ");
    let url = line.rsplit_once(' ').unwrap().1.trim_end_matches("/chat/");
    let (chat, notifications) = (format!("{url}/chat"), format!("{url}/notifications"));
    let names = ["struct", "enum", "tuple", "u32", "Vec", "invalid type"];
    let plain = |said: &str| {
        for name in names {
            assert!(!said.contains(name), "{name:?} is in {said}");
        }
    };
    for auth in [
        r#"{"name":5}"#,
        "{}",
        r#"{"name":"Ada","key":[]}"#,
        r#"{"user":5}"#,
    ] {
        for namespace in [&chat, &notifications] {
            let ran = run(&["emit", namespace, "x", "--auth", auth]).expect(4);
            let why = ran.err.lines().find(|line| line.contains("why:")).unwrap();
            assert!(why.contains("does not understand"), "{ran:#?}");
            plain(why);
        }
    }
    let ada = r#"{"name":"Ada","key":"0123456789abcdef","user":"Ada"}"#;
    for (namespace, event) in [
        (&chat, "join"),
        (&chat, "message"),
        (&chat, "picture"),
        (&notifications, "subscribe"),
        (&notifications, "notify"),
    ] {
        for wrong in [
            "5",
            "[]",
            "word",
            "{}",
            r#"{"id":5,"topics":5,"title":5}"#,
            "hex:00ff",
        ] {
            let ran = run(&["emit", namespace, event, wrong, "--ack", "--auth", ada]).expect(0);
            let answer = ran.json();
            assert_eq!(answer["error"]["data"]["code"], "invalid", "{ran:#?}");
            plain(answer["error"]["message"].as_str().unwrap());
        }
    }
    // A room's name of 33 characters has the right type and breaks a rule of the contract.
    let long = format!(r#"{{"room":"{}"}}"#, "x".repeat(33));
    let ran = run(&["emit", &chat, "join", &long, "--ack", "--auth", ada]).expect(0);
    let error = &ran.json()["error"];
    assert_eq!(error["data"]["code"], "invalid", "{ran:#?}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("not valid at room: length is greater than 32"),
        "{message}"
    );
}

/// Connections wait in the backlog while the server cannot accept any: a default listener has a backlog of 128.
#[test]
fn hundreds_of_clients_may_come_at_once() {
    let demo = Process::start(fanfare(&["demo", "--port", "0"]));
    let line = demo.wait("Chat  ");
    let url = line.rsplit_once("//").unwrap().1;
    let address = url
        .trim_end_matches("/chat/")
        .replace("localhost", "127.0.0.1");
    demo.signal("STOP");
    let connect = |n| {
        let connected = TcpStream::connect_timeout(&address.parse().unwrap(), DEADLINE / 6);
        connected.unwrap_or_else(|error| panic!("client {n}: {error}"))
    };
    let clients: Vec<TcpStream> = (0..400).map(connect).collect();
    drop(clients);
}
