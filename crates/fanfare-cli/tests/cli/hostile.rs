//! Text from a server is shown, but never obeyed by the terminal nor mistaken for output of the command.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::support::{Ran, Server, run, run_with};

/// Text that sets a title, clears the screen in two ways, changes the direction of text, hides a character and forges
/// lines.
const HOSTILE: &str = "x\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\u{202e}\u{2066}\u{200b}\u{7f}\r\n<- forged\n-- forged\nerror: forged\nok      forged";

/// Returns whether a terminal could do anything with the character but show it.
fn acts(char: char) -> bool {
    (char.is_control() && char != '\n')
        || matches!(char, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

#[track_caller]
fn assert_harmless(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        let found: Vec<char> = text.chars().filter(|char| acts(*char)).collect();
        assert!(found.is_empty(), "{found:?} in {text:?}");
        for line in text.lines() {
            for forged in ["<- forged", "-- forged", "error: forged", "ok      forged"] {
                assert!(
                    !line.trim_start().starts_with(forged),
                    "{line:?} in {text:?}"
                );
            }
        }
    }
    assert!(
        format!("{}{}", ran.out, ran.err).contains("owned"),
        "it is shown: {ran:#?}"
    );
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[test]
fn events_of_a_server_cannot_control_the_terminal() {
    let server = Server::start();
    let (url, hostile) = (server.url(), json(HOSTILE));
    let script = format!("emit repeat {hostile}\nexpect {hostile}\nack echo {hostile}\n");
    assert_harmless(&run_with(&["connect", &url], &script).expect(0));
    let again = run(&["emit", &url, "echo", &hostile, "--ack"]).expect(0);
    assert_harmless(&again);
    assert_eq!(again.json(), HOSTILE, "as JSON it is the same value");

    for format in [&[][..], &["--json"]] {
        let args = [&["listen", &url, HOSTILE, "--count", "1"], format].concat();
        let listening = std::thread::spawn({
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            move || run(&args.iter().map(String::as_str).collect::<Vec<_>>())
        });
        // Repeated until the listener has it; an event before it listens is missed.
        while !listening.is_finished() {
            run(&["emit", &url, "repeat-to-all", &hostile]).expect(0);
        }
        let listened = listening.join().unwrap().expect(0);
        assert_harmless(&listened);
        if !format.is_empty() {
            assert_eq!(listened.json()["event"], HOSTILE);
        }
    }
}

#[test]
fn refusals_of_a_server_cannot_control_the_terminal() {
    let server = Server::start();
    let url = format!("{}/refuses", server.url());
    let auth = serde_json::json!({ "text": HOSTILE }).to_string();
    for command in [
        &["emit", &url, "x"][..],
        &["listen", &url],
        &["bench", &url, "idle"],
    ] {
        let ran = run(&[command, &["--auth", &auth]].concat()).expect(4);
        assert_harmless(&ran);
    }
    assert_harmless(&run_with(&["connect", &url, "--auth", &auth], "").expect(4));
}

#[test]
fn http_bodies_of_a_server_cannot_control_the_terminal() {
    for status in ["418 Teapot", "400 Bad Request", "403 Forbidden", "200 OK"] {
        let url = answering(status);
        for transport in ["websocket", "polling"] {
            for eio in ["auto", "3"] {
                let args = ["emit", &url, "x", "--transport", transport, "--eio", eio];
                let ran = run(&args).expect(3);
                // Some commands show the text, others only that it is wrong.
                if ran.err.contains("owned") {
                    assert_harmless(&ran);
                }
                let text = ran.err.replace('\n', "");
                assert!(!text.chars().any(acts), "{text:?}");
            }
        }
        let ran = run(&["doctor", &url, "--quick", "--timeout", "30s"]).expect(1);
        assert!(!ran.out.chars().any(acts), "{ran:#?}");
        assert!(!ran.out.contains("\nok      forged"), "{ran:#?}");
        let report = run(&["doctor", &url, "--quick", "--json", "--timeout", "30s"]).expect(1);
        assert!(!report.out.chars().any(acts), "{report:#?}");
    }
}

/// Starts an HTTP server that answers every request with this status and a hostile body.
fn answering(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
            }
            let length = HOSTILE.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream
                .get_mut()
                .write_all(format!("{head}{HOSTILE}").as_bytes());
        }
    });
    url
}
