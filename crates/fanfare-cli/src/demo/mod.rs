//! `fanfare demo`: apps for browsers, on one port.
//!
//! The front ends are in `examples/`, where `README.md` describes the events.

mod assets;
mod chat;
mod cluster;
mod folder;
mod http;
mod nodes;
mod notifications;
mod others;
mod problem;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use fanfare::typed::{Contract, Typed, TypedEvent};
use fanfare::{Ack, BuildError, Namespace, SocketIo, SocketIoBuilder, State};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, text};
use folder::Folder;
use problem::Problem;

/// Interval of heartbeats, and their timeout. Node's defaults (25 s and 20 s) suit production; in a demo, a tab that
/// vanished should leave the list of users soon.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of nodes with a broker, unless told otherwise.
const DEFAULT_NODES: u8 = 3;

/// Time after which the process ends even if the shutdown has not finished.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Options of `fanfare demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fanfare demo
  fanfare demo --port 8080 --host 0.0.0.0
  fanfare demo --nodes 3
  fanfare demo --nodes 3 --engine redis://127.0.0.1:6379
  curl -d '{\"title\":\"Lunch is ready\"}' localhost:3000/api/notify

The environment variable RUST_LOG sets what is logged, for example RUST_LOG=fanfare=debug.")]
pub(crate) struct Demo {
    /// The port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// The address to listen on; 0.0.0.0 or :: lets other machines in.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = host)]
    host: IpAddr,

    /// The book, as `cargo xtask book` builds it, to serve at /book/.
    #[arg(long, value_name = "FOLDER")]
    book: Option<PathBuf>,

    /// The API documentation, as `cargo doc` builds it, to serve at /doc/.
    #[arg(long, value_name = "FOLDER")]
    doc: Option<PathBuf>,

    /// Start this number of servers, each a process of its own, behind a balancer.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=i64::from(nodes::MAX_NODES)))]
    nodes: Option<u8>,

    /// Connect the servers over a broker: redis://…, nats://… or postgres://…. Without one, the demo passes their messages on.
    #[arg(long, value_name = "URL", value_parser = engine)]
    engine: Option<String>,

    /// Be the node with this id. The demo starts its nodes with it.
    #[arg(long, value_name = "ID", hide = true)]
    node: Option<String>,
}

fn engine(text: &str) -> Result<String, String> {
    match nodes::engine_kind(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("write an address such as redis://127.0.0.1:6379, nats://127.0.0.1:4222 or postgres://user:password@127.0.0.1/database".to_owned()),
    }
}

impl Demo {
    fn folders(&self) -> Folders {
        Folders {
            book: Folder::new("/book", self.book.clone(), "en", "cargo xtask book"),
            doc: Folder::new(
                "/doc",
                self.doc.clone(),
                "fanfare",
                "cargo doc --workspace --no-deps",
            ),
        }
    }
}

/// Documentation that the demo serves when it is built.
#[derive(Debug, Clone)]
struct Folders {
    book: Folder,
    doc: Folder,
}

fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(std::net::Ipv4Addr::LOCALHOST.into()),
        _ => text
            .parse()
            .map_err(|_| "write an address of this machine, or 0.0.0.0 for all of them".to_owned()),
    }
}

/// Contract of the main namespace, which the index page uses.
#[derive(Contract)]
#[contract(from_clients(GetStatus))]
struct Index;

/// Requests the status of the server.
#[derive(Debug, Deserialize, TypedEvent)]
#[event(name = "status", ack = Status)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GetStatus;

/// Status shown by the index page and by `GET /api/status`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Status {
    version: &'static str,
    /// Time since the start, in seconds.
    uptime: f64,
    /// Number of connected clients.
    connections: usize,
    /// Whether the book is at `/book/`.
    book: bool,
    /// Whether the API documentation is at `/doc/`.
    doc: bool,
}

/// Start of the server and folders that it serves, for its status.
#[derive(Debug, Clone)]
struct Started {
    at: Instant,
    folders: Folders,
}

impl Started {
    fn now(folders: Folders) -> Self {
        Self {
            at: Instant::now(),
            folders,
        }
    }

    fn status(&self, io: &SocketIo) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime: self.at.elapsed().as_secs_f64(),
            connections: io.clients_count(),
            book: self.folders.book.is_built(),
            doc: self.folders.doc.is_built(),
        }
    }
}

/// Serves the demo until SIGINT or SIGTERM.
pub(crate) fn run(args: &Demo) -> Outcome {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(out::error_style().is_on())
        .with_writer(out::logs)
        .init();
    if let Some(id) = &args.node {
        // Its standard input is read until the end, for which a runtime of the library would wait.
        let run = nodes::run_node(id, args.engine.as_deref(), args.folders());
        return crate::asynchronous(run);
    }
    fanfare::runtime::block_on(serve(args)).map_err(failed("the runtime cannot be started"))?
}

/// Turns an error of the operating system into a failure.
fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |why| Failure::new(Code::Failed, what).because(why)
}

/// Builds the Socket.IO server of the demo; `in_cluster` makes it a node.
fn server(
    started: Started,
    board: notifications::Board,
    site: cluster::Site,
    in_cluster: impl FnOnce(SocketIoBuilder) -> SocketIoBuilder,
) -> Result<SocketIo, BuildError> {
    let index = Namespace::typed::<Index>().on_event(
        async |_: Typed<GetStatus>, State(started): State<Started>, io: SocketIo| {
            Ack(started.status(&io))
        },
    );
    let builder = SocketIo::builder()
        .namespace(index)
        .namespace(chat::namespace(&site.hall))
        .namespace(cluster::namespace(&site))
        .namespace(notifications::namespace(&board))
        .state(started)
        .state(site.hall.clone())
        .state(board)
        .state(site)
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT);
    in_cluster(builder).build()
}

async fn serve(args: &Demo) -> Outcome {
    let address = SocketAddr::new(args.host, args.port);
    let listener = fanfare::serve::bind(address)
        .await
        .map_err(|error| explain(address, &error))?;
    if args.nodes.is_some() || args.engine.is_some() {
        return serve_nodes(args, listener).await;
    }
    let started = Started::now(args.folders());
    let board = notifications::Board::default();
    let site = cluster::Site::default();
    let io = server(started.clone(), board.clone(), site, |builder| builder)
        .map_err(failed("the server cannot be built"))?;
    let app = http::router(&io, started, board);
    let stop = signals().map_err(failed("signals cannot be received"))?;

    announce(
        listener
            .local_addr()
            .map_err(failed("the address cannot be known"))?,
    );
    let listener = listener.tap_io(|stream| {
        // Small packets must not wait for each other. If the option cannot be set, only latency suffers.
        let _ = stream.set_nodelay(true);
    });
    let closing = {
        let io = io.clone();
        async move {
            stop.await;
            io.close().await;
        }
    };
    let (closed, was_closed) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        closing.await;
        let _ = closed.send(());
    });
    tokio::select! {
        result = serving => result.map_err(failed("the server failed"))?,
        // A client that keeps a request open must not keep the process alive.
        () = async { let _ = was_closed.await; tokio::time::sleep(SHUTDOWN_TIMEOUT).await } => {}
    }
    Ok(Code::Ok)
}

/// Serves the demo with several nodes.
async fn serve_nodes(args: &Demo, listener: tokio::net::TcpListener) -> Outcome {
    let stop = signals().map_err(failed("signals cannot be received"))?;
    announce(
        listener
            .local_addr()
            .map_err(failed("the address cannot be known"))?,
    );
    let nodes = args.nodes.unwrap_or(DEFAULT_NODES);
    let folders = [("--book", &args.book), ("--doc", &args.doc)].into_iter();
    let folders = folders.filter_map(|(option, folder)| Some((option, folder.clone()?)));
    let folders = folders.collect();
    tokio::select! {
        ended = nodes::run(listener, nodes, args.engine.clone(), folders) => ended?,
        () = stop => {}
    }
    Ok(Code::Ok)
}

/// Explains why the address cannot be used, and how to fix it.
fn explain(address: SocketAddr, error: &std::io::Error) -> Failure {
    let port = address.port();
    let failure = Failure::new(Code::Failed, format!("the demo cannot listen on {address}"));
    match error.kind() {
        ErrorKind::AddrInUse => {
            let next = port.checked_add(1).unwrap_or(0);
            failure
                .because(format!("another program uses port {port}"))
                .fix(format!("stop that program, or choose another port: fanfare demo --port {next} (0: any free one)"))
        }
        ErrorKind::PermissionDenied => failure
            .because(format!("this user may not use port {port}"))
            .fix("choose a port above 1023: fanfare demo --port 3000"),
        ErrorKind::AddrNotAvailable => failure
            .because(format!(
                "this machine does not have the address {}",
                address.ip()
            ))
            .fix("choose one that it has, or 0.0.0.0 for all: fanfare demo --host 0.0.0.0"),
        _ => failure.because(error),
    }
}

/// Prints the addresses of the demo.
fn announce(address: SocketAddr) {
    let everywhere = address.ip().is_unspecified();
    let host = match address.ip() {
        _ if everywhere => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{}", address.port());
    out::line(&text!("Fanfare demo    {}/", url));
    out::line(&text!("Chat            {}/chat/", url));
    out::line(&text!("Notifications   {}/notifications/", url));
    out::line(&text!("Cluster         {}/cluster/", url));
    if everywhere {
        out::line(&text!(
            "Other machines reach it under this machine's address."
        ));
    }
    if !assets::built() {
        out::line(&text!("\nThe pages are not built: {}", assets::NOT_BUILT));
    }
    out::line(&text!("\nCtrl-C stops it."));
}

/// Completes when the process receives SIGINT or SIGTERM.
#[cfg(unix)]
fn signals() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes when the process receives Ctrl-C.
#[cfg(not(unix))]
fn signals() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Returns milliseconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Generator of ids that are unique across restarts of the server, and across nodes.
#[derive(Debug)]
struct Ids {
    run: String,
    last: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self {
            run: format!("{:x}-{}", now(), std::process::id()),
            last: 0,
        }
    }
}

impl Ids {
    fn next(&mut self) -> String {
        self.last += 1;
        format!("{}-{}", self.run, self.last)
    }
}

/// Validates a name: trimmed, 1 to `max` characters, without control characters.
fn name<'a>(what: &str, name: &'a str, max: usize) -> Result<&'a str, Problem> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 {
        return Err(Problem::invalid(format!("{what} is empty.")));
    }
    if length > max {
        return Err(Problem::invalid(format!(
            "{what} has {length} characters; the limit is {max}."
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid(format!(
            "{what} contains control characters."
        )));
    }
    Ok(name)
}

/// Returns what tests start a server with: no folder is there.
#[cfg(test)]
fn tests_started() -> Started {
    let folder = |path| Folder::new(path, None, "en", "a command");
    Started::now(Folders {
        book: folder("/book"),
        doc: folder("/doc"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name("The name", "  Ada ", 24).unwrap(), "Ada");
        assert_eq!(name("The name", "ñandú", 5).unwrap(), "ñandú");
        let long = name("The name", "abcdef", 5).unwrap_err();
        assert_eq!(long.message(), "The name has 6 characters; the limit is 5.");
        assert!(name("The name", " \t ", 5).is_err());
        assert!(name("The name", "a\u{7}b", 5).is_err());
    }

    #[test]
    fn a_taken_port_is_explained() {
        let explained = |port: u16| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            format!("{:?}", explain(address, &ErrorKind::AddrInUse.into()))
        };
        let text = explained(3000);
        for part in [
            "127.0.0.1:3000",
            "another program uses port 3000",
            "--port 3001",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(explained(65535).contains("--port 0 "));
    }

    #[test]
    fn ids_differ() {
        let mut ids = Ids::default();
        assert_ne!(ids.next(), ids.next());
    }

    /// Declarations against which the front ends are checked, and the AsyncAPI document.
    #[test]
    fn the_front_ends_have_the_contracts() {
        use fanfare::typed::export::{AsyncApi, TypeScript, assert_current};
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/");
        let file = |name| format!("{examples}{name}");
        let (chat, notifications) = (
            TypeScript::of::<chat::Chat>(),
            TypeScript::of::<notifications::Notifications>(),
        );
        let cluster = TypeScript::of::<cluster::ClusterPage>();
        assert_current(file("cluster/events.d.ts"), &cluster);
        assert_current(file("events.d.ts"), &TypeScript::of::<Index>());
        assert_current(file("chat/events.d.ts"), &chat);
        assert_current(file("notifications/events.d.ts"), &notifications);
        let document = AsyncApi::new("Fanfare demo", "1.0.0")
            .description("The events of `fanfare demo`, see `examples/README.md`.")
            .contract::<Index>()
            .contract::<chat::Chat>()
            .contract::<cluster::ClusterPage>()
            .contract::<notifications::Notifications>();
        assert_current(file("asyncapi.json"), &document);
    }

    #[test]
    fn the_server_can_be_built() {
        let (started, board) = (tests_started(), notifications::Board::default());
        server(started, board, cluster::Site::default(), |builder| builder).unwrap();
    }
}
