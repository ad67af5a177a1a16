//! Inside an axum application: the routes are axum's, `/socket.io/` is Fanfare's, and handlers of one can use the
//! other.

use axum::extract::State;
use axum::routing::{get, post};
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
    let io = SocketIo::builder().namespace(main).build()?;

    let app = axum::Router::new()
        .route(
            "/",
            get(|| async { "try: curl -d 'dinner is ready' localhost:3000/notify\n" }),
        )
        .route("/notify", post(notify))
        .layer(io.layer())
        .with_state(io);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://127.0.0.1:3000");
    axum::serve(listener, app).await?;
    Ok(())
}
