//! Chat whose servers share their clients through NATS, with recovery of clients on any of them. Start NATS with JetStream
//! (`nats-server -js`) and several servers, each with its own port:
//! `cargo run -p fanfare-nats --example cluster_nats -- 3001`, and the same with 3002.

use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Data, EmitError, Namespace, Socket, SocketIo};
use fanfare_nats::{JetStream, Nats};

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
    let url = std::env::var("NATS_URL");
    let url = url.unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());

    let nats = Nats::new(url).prefix("chat").jetstream(JetStream::new());
    let adapter = nats.name(format!("port {port}")).adapter()?;
    let io = SocketIo::builder()
        .connection_state_recovery(ConnectionStateRecovery::default())
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
