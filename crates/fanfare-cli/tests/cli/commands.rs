//! emit, listen, connect in a pipe, help, completions, manual pages, exit codes.

use std::io::Write;
use std::time::Instant;

use super::support::{DEADLINE, Process, Server, fanfare, run, run_with};

#[test]
fn emit_prints_the_acknowledgement_and_has_documented_exit_codes() {
    let server = Server::start();
    let url = server.url();
    let secret = format!("{url}/secret");
    assert_eq!(
        run(&["emit", &url, "echo", r#"{"a":[1,"b"]}"#, "--ack"])
            .expect(0)
            .out,
        "{\"a\":[1,\"b\"]}\n"
    );
    assert_eq!(
        run(&["emit", &url, "echo", "plain words", "--ack"])
            .expect(0)
            .out,
        "\"plain words\"\n"
    );
    assert_eq!(
        run(&["emit", &url, "bytes", "hex:00ff", "--ack"])
            .expect(0)
            .out,
        "{\"$binary\":\"AP8=\"}\n"
    );
    assert_eq!(run(&["emit", &url, "shout", "hi"]).expect(0).out, "");

    let late = run(&["emit", &url, "nobody handles this", "--ack", "-t", "300ms"]).expect(5);
    assert!(
        late.err.contains("was not acknowledged within 300ms") && late.err.contains("do:"),
        "{late:?}"
    );
    let refused = run(&["emit", &secret, "x"]).expect(4);
    assert!(
        refused.err.contains("bad token") && refused.err.contains("--auth"),
        "{refused:?}"
    );
    run(&["emit", &secret, "x", "--auth", r#"{"token":"abc"}"#]).expect(0);
    let invalid = run(&["emit", &format!("{url}/nothing"), "x"]).expect(4);
    assert!(invalid.err.contains("Invalid namespace"), "{invalid:?}");
    let unreachable = run(&["emit", "http://127.0.0.1:1", "x"]).expect(3);
    assert!(
        unreachable
            .err
            .contains("fanfare doctor http://127.0.0.1:1"),
        "{unreachable:?}"
    );
    run(&["emit", &url, "echo", "@/no/such/file"]).expect(2);
    run(&["emit", &url, "echo", "--auth", "[1]"]).expect(2);
    run(&["emit", "ftp://example.com", "echo"]).expect(2);
    run(&["emit", &url]).expect(2);
}

#[test]
fn emit_takes_bytes_and_auth_from_files_and_lines_from_a_pipe() {
    let server = Server::start();
    let folder = std::env::temp_dir().join(format!("fanfare-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (bytes, auth) = (folder.join("bytes"), folder.join("auth.json"));
    std::fs::write(&bytes, [0, 1, 2]).unwrap();
    std::fs::write(&auth, r#"{"token":"abc"}"#).unwrap();
    let at = |file: &std::path::Path| format!("@{}", file.display());
    assert_eq!(
        run(&["emit", &server.url(), "bytes", &at(&bytes), "--ack"])
            .expect(0)
            .out,
        "{\"$binary\":\"AAEC\"}\n"
    );
    assert_eq!(
        run_with(&["emit", &server.url(), "bytes", "@-", "--ack"], "hi")
            .expect(0)
            .out,
        "{\"$binary\":\"aGk=\"}\n"
    );
    run(&[
        "emit",
        &format!("{}/secret", server.url()),
        "x",
        "--auth",
        &at(&auth),
    ])
    .expect(0);
    let lines = run_with(
        &["emit", &server.url(), "echo", "--lines", "--ack"],
        "1\n\n{\"two\": 2}\nthree\n",
    )
    .expect(0);
    assert_eq!(lines.out, "1\n{\"two\":2}\n\"three\"\n");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn emit_takes_more_lines_than_any_buffer_holds() {
    let server = Server::start();
    let lines: String = (0..30_000).map(|n| format!("{n}\n")).collect();
    run_with(&["emit", &server.url(), "count", "--lines"], &lines).expect(0);
    // It counts events in their order; the last ones may arrive after the sender has ended.
    let begin = Instant::now();
    loop {
        let counted = run(&["emit", &server.url(), "counted", "--ack"]).expect(0);
        if counted.json() == 30_000 {
            return;
        }
        assert!(begin.elapsed() < DEADLINE, "{counted:#?}");
    }
}

#[test]
fn emit_tells_a_lost_connection_and_a_wrong_line() {
    let server = Server::start();
    let mut command = fanfare(&["emit", &server.url(), "shout", "--lines"]);
    command.stdin(std::process::Stdio::piped());
    let listening = Process::start(fanfare(&["listen", &server.url(), "shouted"]));
    listening.wait("# connected");
    let mut emitting = Process::start(command);
    let mut input = emitting.input();
    input.write_all(b"before\n").unwrap();
    listening.wait("before");
    drop(server);
    emitting.wait("error: the connection was lost before everything was sent");
    assert_eq!(emitting.code(), 6);

    let server = Server::start();
    let wrong = run_with(&["emit", &server.url(), "shout", "--lines"], "fine\n{\n").expect(2);
    assert!(wrong.err.contains("line 2: `{` is not JSON"), "{wrong:#?}");
}

#[test]
fn listen_prints_events_counts_them_and_answers() {
    let server = Server::start();
    let url = server.url();
    let first = run(&["listen", &url, "--json", "--count", "1"]).expect(0);
    let line = first.json();
    assert_eq!(line["event"], "hello");
    assert_eq!(
        line["args"],
        serde_json::json!([{ "from": "fanfare" }, { "$binary": "AQID" }])
    );
    assert!(line["time"].as_f64().unwrap() > 1.6e9, "{line}");
    let plain = run(&[
        "listen",
        &url,
        "hello",
        "--count",
        "1",
        "--transport",
        "polling",
    ])
    .expect(0);
    assert_eq!(
        plain.out,
        "hello {\"from\":\"fanfare\"} <3 bytes: 01 02 03>\n"
    );
    run(&[
        "listen",
        &format!("{url}/bare"),
        "--count",
        "1",
        "--timeout",
        "200ms",
    ])
    .expect(5);
    run(&["listen", &format!("{url}/bare"), "--timeout", "200ms"]).expect(0);
    run(&["listen", "http://127.0.0.1:1"]).expect(3);
}

#[test]
fn listen_survives_a_restart_of_the_server() {
    let server = Server::start();
    let (url, port) = (server.url(), server.port);
    let listening = Process::start(fanfare(&["listen", &url, "hello", "shouted"]));
    listening.wait("hello");
    drop(server);
    listening.wait("# disconnected: transport");
    let _server = Server::on_port(port);
    listening.wait("# connected");
    run(&["emit", &url, "shout", "once more"]).expect(0);
    assert_eq!(listening.wait("shouted"), "shouted \"once more\"");
}

#[test]
fn a_closed_pipe_ends_listen_quietly() {
    let server = Server::start();
    let url = server.url();
    let script = format!(
        "'{}' listen {url} --json | head -n 1",
        env!("CARGO_BIN_EXE_fanfare"),
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]);
    let mut pipe = Process::start(shell);
    pipe.wait("hello");
    // The shell ends when both programs have; `listen` notices the closed pipe when it prints the next event.
    let begin = Instant::now();
    while pipe.is_running() {
        assert!(begin.elapsed() < DEADLINE, "`listen` goes on");
        run(&["emit", &url, "shout", "more"]).expect(0);
    }
    assert_eq!(pipe.code(), 0);
    let rest = pipe.rest();
    assert!(!rest.iter().any(|line| line.contains("error")), "{rest:?}");
}

#[test]
fn connect_runs_a_script_from_standard_input() {
    let server = Server::start();
    let script = "# comments are skipped\nexpect hello\nack echo {\"a\": [1, 2]}\nemit ask\nexpect question 20s\nreply 1 blue\nexpect answered\ninfo\nsleep 10ms\nquit\nnot reached\n";
    let ran = run_with(&["connect", &server.url()], script).expect(0);
    for line in [
        "<- hello {\"from\":\"fanfare\"} <3 bytes: 01 02 03>",
        "-> echo {\"a\":[1,2]} (",
        "<- question \"red?\" (wants an answer: reply 1 …)",
        "<- answered \"blue\"",
        "-- transport: websocket",
    ] {
        assert!(ran.out.contains(line), "{line} is not in {ran:#?}");
    }
    let wrong = run_with(&["connect", &server.url()], "emit hello 1\nhello\n").expect(2);
    assert!(
        wrong
            .err
            .contains("line 2 `hello`: unknown command `hello`"),
        "{wrong:?}"
    );
    let late = run_with(&["connect", &server.url(), "-t", "200ms"], "expect never\n").expect(5);
    assert!(late.err.contains("did not come within 200ms"), "{late:?}");
    run_with(&["connect", "http://127.0.0.1:1"], "").expect(3);
    run_with(&["connect", &format!("{}/secret", server.url())], "").expect(4);
}

#[test]
fn every_command_has_help_with_examples_a_manual_page_and_completions() {
    for command in [
        "connect",
        "emit",
        "listen",
        "bench",
        "cluster",
        "doctor",
        "completions",
        "man",
    ] {
        let help = run(&[command, "--help"]).expect(0);
        assert!(
            help.out
                .contains(&format!("Examples:\n  fanfare {command}"))
                || help.out.contains("Examples:"),
            "{help:?}"
        );
    }
    assert!(run(&["man"]).expect(0).out.contains(".TH fanfare 1"));
    let folder = std::env::temp_dir().join(format!("fanfare-man-{}", std::process::id()));
    run(&["man", "--dir", folder.to_str().unwrap()]).expect(0);
    let page = std::fs::read_to_string(folder.join("fanfare-doctor.1")).unwrap();
    assert!(page.contains("round") || page.contains("origin"), "{page}");
    std::fs::remove_dir_all(folder).unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).expect(0).out;
        assert!(
            script.contains("doctor") && script.contains("listen"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn colours_come_only_when_wanted() {
    let server = Server::start();
    let listen = |color: &str| {
        run(&["listen", &server.url(), "--count", "1", "--color", color])
            .expect(0)
            .out
    };
    assert!(!listen("auto").contains('\x1b'), "a pipe is no terminal");
    assert!(!listen("never").contains('\x1b'));
    assert!(listen("always").contains("\x1b[36mhello\x1b[0m"));
}

/// Runs a command that must fail with this exit code and these texts on standard error.
#[track_caller]
fn fails(args: &[&str], code: i32, says: &[&str]) {
    let ran = run(args).expect(code);
    for text in says {
        assert!(ran.err.contains(text), "{text:?} is not in {ran:#?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_plain_words() {
    let server = Server::start();
    let url = server.url();
    for port in ["99999", "+80", "x"] {
        let why = format!("the port \"{port}\" is not in 0..=65535");
        fails(&["emit", &format!("localhost:{port}"), "x"], 2, &[&why]);
    }
    fails(
        &["emit", &url, "x", "--path", "/a?b=c"],
        2,
        &["`path`", "`query`"],
    );
    fails(&["emit", &url, "x", "-n", "/a,b"], 2, &["comma"]);
    fails(
        &["emit", "http://127.0.0.1:1", "x"],
        3,
        &["connection refused: nothing listens there"],
    );
    fails(
        &["emit", "no.such.host.invalid", "x"],
        3,
        &["no.such.host.invalid", "fanfare doctor"],
    );
    for transport in ["auto", "websocket", "polling"] {
        fails(
            &["emit", &url, "x", "--path", "/no", "--transport", transport],
            3,
            &["handshake is answered 404 Not Found"],
        );
    }
    let https = url.replace("http", "https");
    fails(&["emit", &https, "x"], 3, &["does not speak TLS"]);
    fails(
        &["emit", &format!("{url}/socket.io/"), "x"],
        4,
        &["leave the endpoint's path out of the URL"],
    );
    fails(
        &["emit", &url, "echo", "{a:1}"],
        2,
        &["`{a:1}` is not JSON", "'\"{a:1}\"'"],
    );
    fails(
        &["emit", &url, "connect"],
        2,
        &["\"connect\" is a reserved event name"],
    );
    fails(&["listen", &url, "-c", "0"], 2, &["0 is not in 1.."]);
    fails(
        &["demo", "--host", "example.com"],
        2,
        &["write an address of this machine"],
    );
}

#[test]
fn a_script_does_not_wait_for_what_cannot_come() {
    let server = Server::start();
    let script = "emit kick\nexpect never 60s\n";
    let ran = run_with(&["connect", &server.url()], script).expect(6);
    assert!(
        ran.err.contains("`never` will not come any more")
            && ran.err.contains("io server disconnect"),
        "{ran:#?}"
    );
    let script = "disconnect\nconnect\nexpect hello\nexpect hello\n";
    run_with(&["connect", &server.url()], script).expect(0);
}

#[test]
fn examples_fit_into_80_columns() {
    for command in [
        "connect", "cluster", "emit", "listen", "bench", "doctor", "demo", "man",
    ] {
        for flag in ["-h", "--help"] {
            let output = fanfare(&[command, flag])
                .env("COLUMNS", "80")
                .output()
                .unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            assert!(
                help.lines().all(|line| line.chars().count() <= 80),
                "{help}"
            );
            let examples = help.split("Examples:\n").nth(1).unwrap();
            let examples = examples.split("\n\n").next().unwrap();
            for line in examples.lines() {
                assert!(line.starts_with("  "), "{line:?} is torn off in {help}");
            }
        }
    }
}
