//! Server for the benchmarks: ordinary handlers, the main namespace, `PORT` in the environment. With `TLS_CERT` and
//! `TLS_KEY`, names of PEM files, it speaks TLS.

mod tls;

use bytes::Bytes;
use fanfare::{Ack, Data, EmitError, JoinError, Namespace, Socket, SocketIo};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn echo(Data(text): Data<String>) -> Ack<String> {
    Ack(text)
}

async fn broadcast(io: SocketIo, Data(text): Data<String>) -> Result<(), EmitError> {
    io.emit("msg", &text)?;
    Ok(())
}

async fn broadcast_binary(io: SocketIo, Data(bytes): Data<Bytes>) -> Result<(), EmitError> {
    io.emit("msg", &bytes)?;
    Ok(())
}

async fn join(socket: Socket, Data(room): Data<String>) -> Result<Ack, JoinError> {
    socket.join(room)?;
    Ok(Ack(()))
}

async fn leave(socket: Socket, Data(room): Data<String>) -> Ack {
    socket.leave(room);
    Ack(())
}

async fn to_room(
    io: SocketIo,
    Data((room, text)): Data<(String, String)>,
) -> Result<(), EmitError> {
    io.to(room).emit("msg", &text)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    fanfare::runtime::block_on(serve())?
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let bench = Namespace::new("/")
        .on("echo", echo)
        .on("broadcast", broadcast)
        .on("broadcast-binary", broadcast_binary)
        .on("join", join)
        .on("leave", leave)
        .on("toroom", to_room);
    let io = SocketIo::builder().namespace(bench).build()?;
    match (std::env::var_os("TLS_CERT"), std::env::var_os("TLS_KEY")) {
        (Some(cert), Some(key)) => {
            tls::serve(("127.0.0.1", port), io, cert.as_ref(), key.as_ref()).await
        }
        _ => Ok(fanfare::serve(io).bind(("127.0.0.1", port)).await?),
    }
}
