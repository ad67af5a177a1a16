//! Servers for the tests, and the command itself.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare::{
    Ack, ConnectError, Data, EventError, Namespace, Socket, SocketIo, SocketIoBuilder, State,
};
use serde_json::Value;

/// Time within which everything expected happens, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Fanfare server in this process; stopped when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::on_port(0)
    }

    pub(crate) fn on_port(port: u16) -> Self {
        Self::with(port, |builder| builder)
    }

    /// Starts a server with other options.
    pub(crate) fn with(
        port: u16,
        options: impl FnOnce(SocketIoBuilder) -> SocketIoBuilder,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let io = io(options);
        let port = runtime.block_on(async move {
            // The port of a server that has just stopped may not be free at once.
            let begin = Instant::now();
            let listener = loop {
                match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
                    Ok(listener) => break listener,
                    Err(error) => assert!(begin.elapsed() < DEADLINE, "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(fanfare::serve(io).listener(listener));
            port
        });
        Self {
            port,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counter of numbers that arrive in order, from 0.
#[derive(Clone, Debug, Default)]
struct Count(Arc<AtomicU64>);

async fn hello(socket: Socket) -> Result<(), EventError> {
    socket.emit(
        "hello",
        (
            serde_json::json!({ "from": "fanfare" }),
            Bytes::from_static(&[1, 2, 3]),
        ),
    )?;
    Ok(())
}

async fn ask(socket: Socket) -> Result<(), EventError> {
    let answer: String = socket.emit_with_ack("question", "red?").await?;
    socket.emit("answered", answer)?;
    Ok(())
}

async fn authenticate(Data(auth): Data<Option<Value>>) -> Result<(), ConnectError> {
    match auth {
        Some(auth) if auth["token"] == "abc" => Ok(()),
        _ => Err(ConnectError::new("bad token").with_data("hint")),
    }
}

/// Builds a server with the events of the tests, and those that `fanfare bench` needs.
fn io(options: impl FnOnce(SocketIoBuilder) -> SocketIoBuilder) -> SocketIo {
    let main = Namespace::new("/")
        .on_connect(hello)
        .on("echo", async |Data(value): Data<Value>| Ack(value))
        .on("bytes", async |Data(bytes): Data<Bytes>| Ack(bytes))
        .on("shout", async |io: SocketIo, Data(text): Data<String>| {
            io.emit("shouted", &text)
        })
        .on("ask", ask)
        // An event whose name and arguments the client chooses.
        .on(
            "repeat",
            async |socket: Socket, Data(text): Data<String>| {
                let value = serde_json::json!({ text.clone(): [text] });
                socket.emit(&text, &value)
            },
        )
        .on(
            "repeat-to-all",
            async |io: SocketIo, Data(text): Data<String>| io.emit(&text, &text),
        )
        .on(
            "count",
            async |State(count): State<Count>, Data(n): Data<u64>| {
                let _ = count.0.compare_exchange(n, n + 1, Relaxed, Relaxed);
            },
        )
        .on("counted", async |State(count): State<Count>| {
            Ack(count.0.load(Relaxed))
        })
        .on("kick", async |socket: Socket| {
            socket.disconnect(true);
        })
        .on(
            "broadcast",
            async |io: SocketIo, Data(text): Data<String>| io.emit("msg", &text),
        )
        .on(
            "broadcast-binary",
            async |io: SocketIo, Data(bytes): Data<Bytes>| io.emit("msg", &bytes),
        )
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room).unwrap();
            Ack(())
        })
        .on(
            "toroom",
            async |io: SocketIo, Data((room, text)): Data<(String, String)>| {
                io.to(room).emit("msg", &text)
            },
        );
    let secret = Namespace::new("/secret").middleware(authenticate);
    let bare = Namespace::new("/bare");
    // It rejects with the client's `auth`.
    let echoes = Namespace::new("/refuses").middleware(async |Data(auth): Data<Value>| {
        let text = auth["text"].as_str().unwrap_or_default();
        Err::<(), _>(ConnectError::new(text).with_data(text))
    });
    let silent = Namespace::new("/silent").middleware(async || {
        std::future::pending::<()>().await;
        Ok::<_, ConnectError>(())
    });
    let builder = SocketIo::builder()
        .namespace(main)
        .namespace(secret)
        .namespace(bare)
        .namespace(echoes)
        .namespace(silent)
        .state(Count::default())
        .ping_interval(Duration::from_secs(2))
        .ping_timeout(Duration::from_secs(20));
    options(builder).build().unwrap()
}

/// Returns the command, without colours and history of the environment.
pub(crate) fn fanfare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command
        .args(args)
        .env_remove("NO_COLOR")
        .env("FANFARE_HISTORY", "")
        .stdin(Stdio::null());
    command
}

/// Output and exit code of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    run_with(args, "")
}

/// Runs the command with standard input.
pub(crate) fn run_with(args: &[&str], input: &str) -> Ran {
    let mut child = fanfare(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may have ended by now.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (sender, done) = mpsc::channel();
    let id = child.id();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = done.recv_timeout(DEADLINE * 2) else {
        let _ = Command::new("kill").arg(id.to_string()).status();
        panic!("`fanfare {}` does not end", args.join(" "));
    };
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Running process whose output lines are awaited; killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let other = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        std::thread::spawn(move || {
            BufReader::new(err)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| other.send(line))
        });
        Self { child, lines }
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Takes the standard input, if that is a pipe.
    pub(crate) fn input(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Returns whether the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Returns the lines that nothing has waited for, once the process has ended.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Waits for the process to end, and returns its exit code.
    pub(crate) fn code(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Waits for a line that contains this text.
    #[track_caller]
    pub(crate) fn wait(&self, text: &str) -> String {
        let mut seen = Vec::new();
        let begin = Instant::now();
        while let Ok(line) = self
            .lines
            .recv_timeout(DEADLINE.saturating_sub(begin.elapsed()))
        {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {text:?}, but {seen:#?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Node server of v2, v3 or v4; killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) port: u16,
}

impl Node {
    /// Starts it; returns `None`, with the reason printed, if Node.js or its packages are missing.
    pub(crate) fn start(version: &str, options: &str) -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/node");
        let missing = |why: &str| {
            println!(
                "skipped: {why}; install Node.js 20 or newer, then: cd {} && npm ci",
                folder.display()
            );
        };
        if !folder
            .join("node_modules/socket.io-v3/package.json")
            .is_file()
        {
            missing("the Node packages of the test servers are missing");
            return None;
        }
        let spawned = Command::new("node")
            .args(["server.js", version, options])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = spawned else {
            missing("`node` cannot be run");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("the Node server said {line:?}"));
        Some(Self { child, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
