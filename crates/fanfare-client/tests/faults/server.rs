//! Fanfare's server as a process: this test binary started again, with the test that is otherwise ignored.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, Data, Namespace, Socket, SocketIo, State};
use serde_json::Value;

const OPTIONS: &str = "FANFARE_FAULT_SERVER";

/// Returns the command; the options are those of `tests/node/server.js`, as far as they matter here.
pub(crate) fn command(options: &Value) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "server::run", "--ignored", "--nocapture"])
        .env(OPTIONS, options.to_string());
    command
}

#[derive(Clone)]
struct Log {
    file: Arc<File>,
    connections: Arc<AtomicU64>,
}

/// Number of the connection; a recovered socket has a new one, too.
#[derive(Clone, Copy)]
struct Connection(u64);

async fn connected(socket: Socket, State(log): State<Log>) {
    let number = log.connections.fetch_add(1, Ordering::SeqCst);
    socket.extensions().insert(Connection(number));
}

async fn number(
    socket: Socket,
    State(log): State<Log>,
    Data((name, n)): Data<(String, u64)>,
) -> Ack<u64> {
    let Connection(connection) = socket.extensions().get().unwrap();
    let process = std::process::id();
    // Written before the acknowledgement, so that not even SIGKILL can intervene.
    (&*log.file)
        .write_all(format!("{name} {process}-{connection} {n}\n").as_bytes())
        .unwrap();
    Ack(n)
}

fn namespace(name: &str) -> Namespace {
    Namespace::new(name)
        .on_connect(connected)
        .on("number", number)
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room).unwrap();
            Ack(true)
        })
}

#[test]
#[ignore = "not a test but the server of the others, in a process of its own"]
fn run() {
    let options: Value = serde_json::from_str(&std::env::var(OPTIONS).unwrap()).unwrap();
    let millis = |name: &str| Duration::from_millis(options[name].as_u64().unwrap());
    let log = Log {
        file: Arc::new(
            File::options()
                .append(true)
                .create(true)
                .open(options["log"].as_str().unwrap())
                .unwrap(),
        ),
        connections: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let io = SocketIo::builder()
            .namespace(namespace("/"))
            .namespace(namespace("/chat"))
            .state(log)
            .ping_interval(millis("pingInterval"))
            .ping_timeout(millis("pingTimeout"))
            .connection_state_recovery(
                ConnectionStateRecovery::new().max_disconnection_duration(millis("recovery")),
            )
            .build()
            .unwrap();
        let mut ticks = tokio::time::interval(millis("ticks"));
        let ticking = io.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                ticks.tick().await;
                ticking.to("ticks").emit("tick", n).unwrap();
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The test harness has started a line.
        println!("\n{}", listener.local_addr().unwrap().port());
        tokio::spawn(fanfare::serve(io).listener(listener));
        // The other end of standard input is closed when the test ends, even by a crash.
        let mut rest = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut tokio::io::stdin(), &mut rest).await;
    });
    std::process::exit(0);
}
