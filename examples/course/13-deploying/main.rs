//! Step 13: deploying. A server that is ready for the internet: settings, limits, logs, health, a polite end.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use fanfare::proxy::{Networks, Peer, TrustedProxies};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{BuildError, DisconnectReason, EmitError, Limits, Namespace, Socket, SocketIo};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

// ANCHOR: settings
/// Settings, from the environment.
struct Settings {
    /// Proxies in front of the server, `PROXIES`, such as `127.0.0.1`.
    proxies: Option<Networks>,
    /// Addresses of websites that may connect, `ORIGINS`, separated by commas. Without them: all.
    origins: Option<Vec<String>>,
    /// Time for visitors to leave when the server ends, `DRAIN`, in seconds.
    drain: Duration,
}

impl Settings {
    fn read() -> Result<Self, Box<dyn Error>> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            proxies: get("PROXIES").map(|value| value.parse()).transpose()?,
            origins: get("ORIGINS").map(|value| value.split(',').map(str::to_owned).collect()),
            drain: Duration::from_secs(get("DRAIN").as_deref().unwrap_or("20").parse()?),
        })
    }
}
// ANCHOR_END: settings

// ANCHOR: server
fn server(settings: &Settings) -> Result<SocketIo, BuildError> {
    let main = Namespace::new("/")
        .on_connect(connected)
        .on_disconnect(disconnected);
    let limits = Limits::new()
        .max_payload(64 * 1024) // bytes of one message
        .max_connections(10_000);
    let mut builder = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .limits(limits)
        .connection_state_recovery(ConnectionStateRecovery::new())
        // The address of the visitor, from axum.
        .peer(|extensions| {
            let info = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(Peer::Address(info.0))
        });
    if let Some(proxies) = &settings.proxies {
        builder = builder.trusted_proxies(TrustedProxies::new(proxies.clone()));
    }
    if let Some(origins) = &settings.origins {
        builder = builder.origins(origins.clone());
    }
    builder.build()
}
// ANCHOR_END: server

// ANCHOR: main
fn main() -> Result<(), Box<dyn Error>> {
    fanfare::runtime::block_on(run())?
}

async fn run() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .init();
    let settings = Settings::read()?;
    let io = server(&settings)?;
    let app = Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/health", get(health))
        .merge(course::files())
        .layer(io.layer())
        .with_state(io.clone())
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = course::listen().await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ending = async move {
        terminate.recv().await;
        info!("leaving: {} connections", io.clients_count());
        let report = io.drain(settings.drain).await;
        info!("left: {} connections closed", report.closed);
    };
    Ok(axum::serve(listener, app)
        .with_graceful_shutdown(ending)
        .await?)
}
// ANCHOR_END: main

// ANCHOR: health
/// Tells a load balancer whether to send new visitors here.
async fn health(State(io): State<SocketIo>) -> (StatusCode, &'static str) {
    if io.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "leaving\n")
    }
}
// ANCHOR_END: health

// ANCHOR: handlers
async fn connected(socket: Socket) -> Result<(), EmitError> {
    let handshake = socket.handshake();
    let address = handshake.address().map(|address| address.ip());
    info!(id = %socket.id(), ?address, secure = handshake.is_secure(), "connected");
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    socket.emit(
        "server",
        (std::process::id(), now.as_secs(), handshake.is_secure()),
    )
}

async fn disconnected(socket: Socket, reason: DisconnectReason) {
    info!(id = %socket.id(), reason = reason.as_str(), "disconnected");
}
// ANCHOR_END: handlers
