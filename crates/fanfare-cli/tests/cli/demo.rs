//! The demo, from a client's side.

use std::net::TcpStream;
use std::time::Instant;

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

/// Several nodes: a message that one gets reaches the clients of all; a killed node is gone, and comes back.
#[test]
fn nodes_are_one_server() {
    let demo = Process::start(fanfare(&["demo", "--port", "0", "--nodes", "3"]));
    let line = demo.wait("Chat  ");
    let url = line
        .rsplit_once(' ')
        .unwrap()
        .1
        .trim_end_matches("/chat/")
        .to_owned();
    let cluster = format!("{url}/cluster");
    let watch = fanfare(&["listen", &cluster, "state", "--json", "--retry"]);
    let watching = Process::start(watch);
    let ready = |count: usize| {
        let begin = Instant::now();
        while watching.wait("\"state\"").matches("\"ready\"").count() != count {
            assert!(begin.elapsed() < DEADLINE, "{count} nodes are not ready");
        }
    };
    ready(3);
    // Six connections, two at each node.
    let counting = |name: &str| {
        let auth = format!(r#"{{"count":"{name}"}}"#);
        Process::start(fanfare(&[
            "listen", &cluster, "number", "--retry", "--auth", &auth,
        ]))
    };
    let listeners: Vec<Process> = (0..6).map(|_| counting("a")).collect();
    listeners
        .iter()
        .for_each(|listener| drop(listener.wait("# connected")));
    let count = |number: u64| {
        let request = format!(r#"{{"count":"a","number":{number}}}"#);
        run(&["emit", &cluster, "count", &request, "--ack"])
            .expect(0)
            .json()
    };
    assert_eq!(count(1)["stored"], 3);
    listeners
        .iter()
        .for_each(|listener| drop(listener.wait("number 1")));
    let control = |node: u8, action: &str| {
        let request = format!(r#"{{"node":{node},"action":"{action}"}}"#);
        run(&["emit", &cluster, "control", &request]).expect(0);
    };
    control(2, "kill");
    ready(2);
    assert_eq!(count(2)["stored"], 2);
    listeners
        .iter()
        .for_each(|listener| drop(listener.wait("number 2")));
    control(2, "start");
    ready(3);
    assert_eq!(
        count(2)["stored"],
        3,
        "the same number again, which nobody gets twice"
    );
    assert_eq!(count(3)["stored"], 3);
    for listener in &listeners {
        let mut line = listener.wait("number");
        while !line.contains("number 3") {
            // What a client that came back had received before.
            assert!(
                line.contains("number 1") || line.contains("number 2"),
                "{line}"
            );
            line = listener.wait("number");
        }
    }
}
