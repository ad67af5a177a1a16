//! socketioxide on axum.

use axum::serve::ListenerExt;
use bytes::Bytes;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;

#[cfg(feature = "fast")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn connected(socket: SocketRef) {
    socket.on("echo", async |Data::<String>(data), ack: AckSender| {
        ack.send(&data).ok();
    });
    socket.on("broadcast", async |Data::<String>(data), io: SocketIo| {
        io.emit("msg", &data).await.ok();
    });
    socket.on("broadcast-binary", async |Data::<Bytes>(data), io: SocketIo| {
        io.emit("msg", &data).await.ok();
    });
    socket.on(
        "join",
        async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
            socket.join(room);
            ack.send(&Value::Null).ok();
        },
    );
    socket.on(
        "toroom",
        async |Data::<(String, String)>((room, data)), io: SocketIo| {
            io.to(room).emit("msg", &data).await.ok();
        },
    );
}

#[cfg_attr(feature = "fast", tokio::main(flavor = "current_thread"))]
#[cfg_attr(not(feature = "fast"), tokio::main)]
async fn main() {
    let port: u16 = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .expect("PORT is the port to listen on");
    let (layer, io) = SocketIo::builder().build_layer();
    io.ns("/", connected);
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("the port is free")
        .tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
    let app = axum::Router::new().layer(layer);
    axum::serve(listener, app).await.expect("the server runs");
}
