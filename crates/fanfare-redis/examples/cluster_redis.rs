//! Chat whose servers share their clients through Redis. Start several, each with its own port:
//! `cargo run -p fanfare-redis --example cluster_redis -- 3001`, and the same with 3002.

use fanfare::{Data, EmitError, Namespace, Socket, SocketIo};
use fanfare_redis::Classic;

async fn message(socket: Socket, Data(text): Data<String>) -> Result<(), EmitError> {
    // To the clients of all servers.
    socket.namespace().emit("message", &text)?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args()
        .nth(1)
        .map_or(Ok(3001), |port| port.parse())?;
    let url = std::env::var("REDIS_URL");
    let url = url.unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());

    let adapter = Classic::new(url).adapter()?;
    let io = SocketIo::builder()
        .namespace(Namespace::new("/").on("message", message))
        .adapter(adapter.clone())
        .build()?;
    // Without this the server starts alone, and joins the cluster when it can.
    adapter.ready().await;
    println!(
        "listening on port {port}, {} servers",
        io.of("/").server_count().await?
    );
    Ok(fanfare::serve(io).bind(("127.0.0.1", port)).await?)
}
