//! Messages of a command when the server answers, but does not do what was requested.

use std::io::Write;
use std::process::Stdio;

use super::support::{Process, Server, fanfare, run, run_with};

#[test]
fn a_namespace_that_never_answers_is_not_a_server_that_does_not_answer() {
    let server = Server::start();
    let url = format!("{}/silent", server.url());
    for transport in ["auto", "polling"] {
        let args = [
            "emit",
            &url,
            "x",
            "--connect-timeout",
            "2s",
            "--transport",
            transport,
        ];
        let ran = run(&args).expect(5);
        for part in ["the namespace /silent", "did not answer", "middleware"] {
            assert!(ran.err.contains(part), "{part} is not in {ran:#?}");
        }
    }
}

#[test]
fn another_parser_is_not_a_server_that_does_not_answer() {
    let server = Server::with(0, |builder| builder.parser(fanfare::parser::MsgpackParser));
    let url = server.url();
    for transport in ["websocket", "polling"] {
        let args = [
            "emit",
            &url,
            "echo",
            "hi",
            "--ack",
            "--transport",
            transport,
        ];
        let ran = run(&args).expect(6);
        for part in ["is connected to", "the namespace /", "--parser msgpack"] {
            assert!(ran.err.contains(part), "{part} is not in {ran:#?}");
        }
        let ran = run(&[&args[..], &["--parser", "msgpack"]].concat()).expect(0);
        assert_eq!(ran.out, "\"hi\"\n");
    }
}

#[test]
fn a_script_that_emits_after_the_server_has_disconnected_it_fails() {
    let server = Server::start();
    for late in ["emit echo 1", "ack echo 1"] {
        let mut command = fanfare(&["connect", &server.url()]);
        command.stdin(Stdio::piped());
        let mut process = Process::start(command);
        let mut input = process.input();
        input.write_all(b"emit kick\n").unwrap();
        process.wait("disconnected: io server disconnect");
        // `connect` would make sending possible.
        writeln!(input, "{late}").unwrap();
        drop(input);
        process.wait("not connected");
        assert_eq!(process.code(), 6, "{late}");
    }
    // The command may run before or after the disconnection is noticed, and must fail in both cases.
    let script = "emit kick\nexpect nothing 1ms\n";
    let code = run_with(&["connect", &server.url()], script).code;
    assert!([5, 6].contains(&code), "{code}");
    let script = "emit kick\nsleep 300ms\nconnect\nack echo 1\n";
    run_with(&["connect", &server.url()], script).expect(0);
}

#[test]
fn negative_numbers_are_arguments() {
    let server = Server::start();
    for number in ["-5", "-0.5", "-1e3"] {
        let ran = run(&["emit", &server.url(), "echo", number, "--ack"]).expect(0);
        let value: f64 = ran.json().as_f64().unwrap();
        assert_eq!(value, number.parse::<f64>().unwrap());
    }
    let listen = [
        "listen",
        &server.url(),
        "hello",
        "--count",
        "1",
        "--reply",
        "-5",
    ];
    run(&listen).expect(0);
}

#[test]
fn bytes_that_are_no_base64_are_not_sent() {
    let server = Server::start();
    for wrong in [
        r#"{"$binary":"%%%"}"#,
        r#"{"a":[{"$binary":"AAE"}]}"#,
        r#"{"$binary":5}"#,
        "hex:+1",
    ] {
        let ran = run(&["emit", &server.url(), "echo", wrong, "--ack"]).expect(2);
        assert!(
            ran.err.contains("base64") || ran.err.contains("hexadecimal"),
            "{ran:#?}"
        );
        let script = format!("ack echo {wrong}\n");
        run_with(&["connect", &server.url()], &script).expect(2);
    }
    let whole = r#"{"$binary":"AAEC","more":1}"#;
    let ran = run(&["emit", &server.url(), "echo", whole, "--ack"]).expect(0);
    assert_eq!(ran.json()["more"], 1, "an object with other members is one");
}

#[test]
fn a_message_above_the_limit_of_the_server_names_the_limit() {
    let server = Server::start();
    let file = std::env::temp_dir().join(format!("fanfare-big-{}", std::process::id()));
    std::fs::write(&file, vec![b'x'; 2_000_000]).unwrap();
    let big = format!("@{}", file.display());
    for transport in ["websocket", "polling", "upgrade"] {
        let args = [
            "emit",
            &server.url(),
            "bytes",
            &big,
            "--ack",
            "--transport",
            transport,
        ];
        let ran = run(&args).expect(6);
        for part in ["1000000", "maxPayload"] {
            assert!(ran.err.contains(part), "{part} is not in {ran:#?}");
        }
    }
    let script = format!("ack bytes {big}\n");
    let ran = run_with(&["connect", &server.url()], &script).expect(6);
    assert!(ran.err.contains("maxPayload"), "{ran:#?}");
    std::fs::remove_file(file).unwrap();
}
