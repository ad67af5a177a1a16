//! The interactive session, in a pseudo-terminal.

use rexpect::session::{PtySession, spawn_command};

use super::support::{DEADLINE, Server, fanfare, run};

fn open(server: &Server, history: &str) -> PtySession {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(["connect", &server.url(), "--color", "never"]);
    command.env("TERM", "xterm").env("FANFARE_HISTORY", history);
    spawn_command(command, Some(DEADLINE.as_millis() as u64)).unwrap()
}

#[test]
fn a_session_in_a_terminal() {
    let server = Server::start();
    let folder = std::env::temp_dir().join(format!("fanfare-tty-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let history = folder.join("history");
    let mut terminal = open(&server, history.to_str().unwrap());
    terminal.exp_string("-- connected as ").unwrap();
    terminal
        .exp_string("<- hello {\"from\":\"fanfare\"} <3 bytes: 01 02 03>")
        .unwrap();

    // Events of others, while we type.
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
fn reconnection_is_shown() {
    let server = Server::start();
    let port = server.port;
    let mut terminal = open(&server, "");
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
    terminal.send_control('d').unwrap();
    terminal.exp_eof().unwrap();
    drop(server);
    // Nothing here needs a terminal of its own.
    let _ = fanfare(&["--version"]);
}
