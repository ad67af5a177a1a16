//! A plain Engine.IO server that echoes every message: `PORT=3000 cargo run --example echo`.

use std::sync::Arc;

use fanfare_engine::serve::EngineServer;
use fanfare_engine::{
    CloseReason, Connection, EncodedMessage, Engine, EngineConfig, Handler, HandshakeRequest, serve,
};

struct Echo;

impl Handler for Echo {
    type State = ();

    fn accept(&self, _: &HandshakeRequest) {}

    fn open(&self, conn: &Arc<Connection<()>>) {
        println!(
            "open {:?} {}",
            conn.handshake().address(),
            conn.transport().name()
        );
    }

    fn text(&self, conn: &Arc<Connection<()>>, data: &str) {
        let _ = conn.send_with(|buf| buf.text(|out| out.extend_from_slice(data.as_bytes())));
    }

    fn binary(&self, conn: &Arc<Connection<()>>, data: &[u8]) {
        let _ = conn.send(&EncodedMessage::binary(data));
    }

    fn close(&self, _: &Arc<Connection<()>>, reason: CloseReason) {
        println!("close {reason}");
    }

    fn upgraded(&self, _: &Arc<Connection<()>>) {
        println!("upgrade");
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000);
    let mut config = EngineConfig::default();
    config.path = "/engine.io/".to_owned();
    config.allow_eio3 = true;
    let engine = Engine::new(Echo, config);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(EngineServer::new(engine)).listener(listener).await
}
