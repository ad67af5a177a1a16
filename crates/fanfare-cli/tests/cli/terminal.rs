//! The interactive session, in a pseudo-terminal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

use super::support::{DEADLINE, Node, Server, run};

fn open(args: &[&str], history: &str) -> PtySession {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(args);
    command.env("TERM", "xterm").env("FANFARE_HISTORY", history);
    command.env_remove("NO_COLOR");
    spawn_command(command, Some(DEADLINE.as_millis() as u64)).unwrap()
}

fn session(url: &str, history: &str) -> PtySession {
    open(&["connect", url, "--color", "never"], history)
}

/// Ends the session with Ctrl-D. Before the first prompt and between two of them the terminal swallows the key, so it is
/// pressed until the session has ended.
fn quit(terminal: &mut PtySession) {
    let begin = Instant::now();
    while terminal.process().status() == Some(WaitStatus::StillAlive) {
        assert!(begin.elapsed() < DEADLINE, "the session goes on");
        let _ = terminal.send_control('d'); // fails once the session has ended
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.exp_eof().unwrap();
}

/// Returns a folder for this test alone.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fanfare-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_session_in_a_terminal() {
    let server = Server::start();
    let folder = folder("tty");
    let history = folder.join("history");
    let mut terminal = session(&server.url(), history.to_str().unwrap());
    terminal.exp_string("-- connected as ").unwrap();
    terminal
        .exp_string("<- hello {\"from\":\"fanfare\"} <3 bytes: 01 02 03>")
        .unwrap();

    // Events of other clients, while a line is typed.
    terminal.send("ack ec").unwrap();
    terminal.flush().unwrap();
    run(&["emit", &server.url(), "shout", "from elsewhere"]).expect(0);
    terminal
        .exp_string("<- shouted \"from elsewhere\"")
        .unwrap();
    terminal.send_line("ho {\"a\": 1}").unwrap();
    terminal.exp_string("-> echo {\"a\":1}").unwrap();

    // Completion of a command and of an event that was seen.
    terminal.send("vol\tech\t7\r").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("> volatile echo ").unwrap();

    terminal.send_line("emit ask").unwrap();
    terminal.exp_string("wants an answer: reply 1").unwrap();
    terminal.send_line("reply 1 green").unwrap();
    terminal.exp_string("<- answered \"green\"").unwrap();

    // The last line but one, from the history.
    terminal.send("\x1b[A\x1b[A\r").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("wants an answer: reply 2").unwrap();
    terminal.send_line("nonsense").unwrap();
    terminal
        .exp_string("!! unknown command `nonsense`")
        .unwrap();

    terminal.send_line("info").unwrap();
    terminal.exp_string("-- state: connected").unwrap();
    terminal.send_line("quit").unwrap();
    terminal.exp_eof().unwrap();
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.contains("reply 1 green"), "{kept}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn ctrl_c_gives_up_a_line_before_it_gives_up_the_session() {
    let server = Server::start();
    let mut terminal = session(&server.url(), "");
    terminal.exp_string("-- connected as ").unwrap();
    terminal.send("emit half").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("emit half").unwrap();
    terminal.send_control('c').unwrap();
    // Characters typed before the next prompt are lost.
    terminal.exp_string("> ").unwrap();
    terminal.send_line("ack echo whole").unwrap();
    terminal.exp_string("-> echo \"whole\"").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_eof().unwrap();
}

#[test]
fn events_of_a_server_are_escaped_in_a_terminal() {
    let server = Server::start();
    let mut terminal = session(&server.url(), "");
    terminal.exp_string("-- connected as ").unwrap();
    terminal
        .send_line(r#"emit repeat "\u001b]0;owned\u0007\n<- forged""#)
        .unwrap();
    terminal
        .exp_string(r#"<- \u{1b}]0;owned\u{7}\n<- forged {"\u001b]0;owned\u0007\n<- forged":"#)
        .unwrap();
    terminal.send_line("quit").unwrap();
    terminal.exp_eof().unwrap();
}

#[test]
fn rows_of_a_bench_fit_into_a_narrow_terminal() {
    let server = Server::start();
    let bench = format!(
        "stty cols 50 rows 40 && exec {} bench {} echo -c 2 -d 1s --warmup 0 --color never",
        env!("CARGO_BIN_EXE_fanfare"),
        server.url()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &bench]).env("TERM", "xterm");
    let mut terminal = spawn_command(command, Some(DEADLINE.as_millis() as u64)).unwrap();
    let shown = terminal.exp_eof().unwrap();
    assert!(shown.contains("verified"), "{shown}");
    // The progress bar redraws within a line, which does not matter here.
    for line in shown.lines().filter(|line| !line.contains('\u{1b}')) {
        let width = line.trim_end().chars().count();
        let url = line.contains("http://");
        assert!(width <= 50 || url, "{width} columns: {line:?} in {shown}");
    }
    assert!(
        shown.contains("deliveries/s") && shown.contains("p99 ms"),
        "{shown}"
    );
}

#[test]
fn a_history_is_there_in_the_next_session() {
    let server = Server::start();
    let folder = folder("history");
    let history = folder.join("history");
    std::fs::write(&history, "#V2\nack echo \"of yesterday\"\n").unwrap();
    let mut terminal = session(&server.url(), history.to_str().unwrap());
    terminal.exp_string("-- connected as ").unwrap();
    terminal.send("\x1b[A\r").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("-> echo \"of yesterday\"").unwrap();
    quit(&mut terminal);

    let mut terminal = open(
        &["connect", &server.url(), "--color", "never", "--no-history"],
        history.to_str().unwrap(),
    );
    terminal.exp_string("-- connected as ").unwrap();
    terminal.send_line("ack echo secret").unwrap();
    terminal.exp_string("-> echo \"secret\"").unwrap();
    quit(&mut terminal);
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(!kept.contains("secret"), "{kept}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_terminal_gets_colours() {
    let server = Server::start();
    let mut terminal = open(&["connect", &server.url()], "");
    terminal.exp_string("\x1b[32mconnected\x1b[0m as ").unwrap();
    terminal.exp_string("\x1b[36mhello\x1b[0m").unwrap();
    quit(&mut terminal);
}

#[test]
fn reconnection_is_shown() {
    let server = Server::start();
    let port = server.port;
    let mut terminal = session(&server.url(), "");
    terminal.exp_string("-- connected as ").unwrap();
    drop(server);
    terminal.exp_string("-- disconnected: transport").unwrap();
    terminal.exp_string("-- attempt 1 in ").unwrap();
    let server = Server::on_port(port);
    terminal.exp_string("-- connected as ").unwrap();
    // Disconnected by the server for good, and connected again by hand.
    terminal.send_line("emit kick").unwrap();
    terminal
        .exp_string("-- disconnected: io server disconnect (`connect` connects again)")
        .unwrap();
    terminal.send_line("connect").unwrap();
    terminal.exp_string("-- connected as ").unwrap();
    quit(&mut terminal);
    drop(server);
}

#[test]
fn node_servers_of_every_version() {
    for version in ["2", "3", "4"] {
        let Some(node) = Node::start(version, "{}") else {
            return;
        };
        let mut terminal = session(&node.url(), "");
        terminal.exp_string("-- connected as ").unwrap();
        terminal
            .exp_string(&format!(
                "<- hello {{\"version\":\"{version}\"}} <3 bytes: 01 02 03>"
            ))
            .unwrap();
        terminal.send_line("ack echo {\"a\": [1, \"b\"]}").unwrap();
        terminal.exp_string("-> echo {\"a\":[1,\"b\"]}").unwrap();
        terminal.send_line("emit ask").unwrap();
        terminal.exp_string("wants an answer: reply 1").unwrap();
        terminal.send_line("reply 1 green").unwrap();
        terminal.exp_string("<- answered \"green\"").unwrap();

        // By the client and by the server, with a reconnection each time.
        terminal.send_line("disconnect").unwrap();
        terminal
            .exp_string("-- disconnected: io client disconnect")
            .unwrap();
        terminal.send_line("connect").unwrap();
        terminal.exp_string("-- connected as ").unwrap();
        terminal.send_line("emit kick").unwrap();
        terminal
            .exp_string("-- disconnected: io server disconnect (`connect` connects again)")
            .unwrap();
        terminal.send_line("connect").unwrap();
        terminal.exp_string("-- connected as ").unwrap();

        // The server is stopped and started again.
        let port = node.port;
        drop(node);
        terminal.exp_string("-- disconnected: transport").unwrap();
        terminal.exp_string("-- attempt 1 in ").unwrap();
        terminal.send_line("emit shout \"from before\"").unwrap();
        let _node = Node::start(version, &format!("{{\"port\":{port}}}")).unwrap();
        terminal.exp_string("-- connected as ").unwrap();
        terminal.exp_string("<- shouted \"from before\"").unwrap();
        terminal.send_line("quit").unwrap();
        terminal.exp_eof().unwrap();
    }
}

#[test]
fn the_load_generator_draws_a_bar_and_a_table() {
    let server = Server::start();
    let url = server.url();
    let args = ["bench", &url, "echo", "-c", "3", "-d", "2s"];
    let mut terminal = open(&[&args[..], &["--color", "never"]].concat(), "");
    terminal.exp_string("p99 ms").unwrap();
    terminal.exp_regex(r"warmup +\[[=> ]+\]").unwrap();
    terminal.exp_regex(r"\d measure +3 ").unwrap();
    terminal.exp_regex(r"measure +\[=+").unwrap();
    terminal.exp_string("verified    nothing missing").unwrap();
    terminal.exp_eof().unwrap();
}

#[test]
fn a_refusal_says_what_can_be_done() {
    let server = Server::start();
    let mut terminal = session(&format!("{}/secret", server.url()), "");
    terminal
        .exp_string("-- refused by the server: bad token \"hint\" (`connect` tries again)")
        .unwrap();
    terminal.send_line("quit").unwrap();
    terminal.exp_eof().unwrap();
    let mut terminal = session(&format!("{}/nothing", server.url()), "");
    terminal
        .exp_string("Invalid namespace (the namespace is the URL's path, or -n NAME)")
        .unwrap();
    terminal.send_line("quit").unwrap();
    terminal.exp_eof().unwrap();
}

#[test]
fn the_doctor_wraps_its_text_in_a_terminal() {
    let server = Server::start();
    let script = format!(
        "stty rows 40 cols 80; exec '{}' doctor {} --quick --color never",
        env!("CARGO_BIN_EXE_fanfare"),
        server.url()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]);
    let mut terminal = spawn_command(command, Some(DEADLINE.as_millis() as u64)).unwrap();
    let text = terminal.exp_eof().unwrap();
    assert!(
        text.lines()
            .all(|line| line.trim_end().chars().count() <= 80),
        "{text}"
    );
    assert!(text.contains("everything is as it should be"), "{text}");
}

#[test]
fn the_doctor_has_colours_in_a_terminal() {
    let server = Server::start();
    let mut terminal = open(&["doctor", &server.url(), "--quick"], "");
    terminal.exp_string("\x1b[32mok     \x1b[0m").unwrap();
    terminal
        .exp_string("everything is as it should be")
        .unwrap();
    terminal.exp_eof().unwrap();
}
