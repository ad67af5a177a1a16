//! Inside an axum application: axum serves the routes, Fanfare serves `/socket.io/`, and handlers of one can use the
//! other.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::routing::{get, post};
use fanfare::proxy::Peer;
use fanfare::{Namespace, Socket, SocketIo};

async fn notify(State(io): State<SocketIo>, body: String) -> String {
    match io.emit("notification", &body) {
        Ok(report) => format!("sent to {}\n", report.recipients),
        Err(error) => format!("not sent: {error}\n"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let main = Namespace::new("/")
        .on_connect(async |socket: Socket| println!("{} connected", socket.id()));
    let io = SocketIo::builder()
        .namespace(main)
        // Axum provides the address of the client as an extension.
        .peer(|extensions| {
            let info = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(Peer::Address(info.0))
        })
        .build()?;

    let app = axum::Router::new()
        .route(
            "/",
            get(|| async { "try: curl -d 'dinner is ready' localhost:3000/notify\n" }),
        )
        .route("/notify", post(notify))
        .layer(io.layer())
        .with_state(io)
        .into_make_service_with_connect_info::<SocketAddr>();

    let listener = fanfare::serve::bind("127.0.0.1:3000").await?;
    println!("listening on http://127.0.0.1:3000");
    axum::serve(listener, app).await?;
    Ok(())
}
