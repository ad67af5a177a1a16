//! Server for the benchmarks of clusters. The environment: `PORT`, `ADAPTER` (`redis`, `redis-sharded`, `redis-streams`,
//! `postgres`, `nats`), `BROKER_URL`, `PREFIX`.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use fanfare::adapter::{Adapter, FetchSocketsError};
use fanfare::{Ack, Data, EmitError, JoinError, Namespace, Socket, SocketIo};
use fanfare_nats::Nats;
use fanfare_postgres::Postgres;
use fanfare_redis::{Classic, RedisAdapter, Sharded, Streams};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

async fn to_room(
    io: SocketIo,
    Data((room, text)): Data<(String, String)>,
) -> Result<(), EmitError> {
    io.to(room).emit("msg", &text)?;
    Ok(())
}

async fn to_room_ack(
    io: SocketIo,
    Data((room, text)): Data<(String, String)>,
) -> Ack<(bool, usize, i64)> {
    let asked = io.timeout(Duration::from_secs(5)).to(room);
    match asked.emit_with_ack::<i64>("msg", &text).await {
        Ok(answers) => Ack((true, answers.len(), answers.iter().sum())),
        Err(_) => Ack((false, 0, 0)),
    }
}

async fn fetch(io: SocketIo) -> Result<Ack<(usize, usize)>, FetchSocketsError> {
    let sockets = io.fetch_sockets().await?;
    let good = sockets.iter().filter(|socket| {
        let in_own_room = socket.rooms().iter().any(|room| room == socket.id());
        in_own_room && socket.handshake().url().starts_with("/socket.io/")
    });
    let ids: HashSet<&str> = good.map(|socket| socket.id()).collect();
    Ok(Ack((sockets.len(), ids.len())))
}

async fn join_all(
    io: SocketIo,
    Data((room, text)): Data<(String, String)>,
) -> Result<(), EmitError> {
    io.sockets_join(&room);
    io.to(room).emit("msg", &text)?;
    Ok(())
}

async fn leave_all(io: SocketIo, Data(room): Data<String>) -> Ack {
    io.sockets_leave(room);
    Ack(())
}

async fn serve(
    adapter: impl Adapter,
    ready: impl Future<Output = ()>,
) -> Result<(), Box<dyn Error>> {
    let bench = Namespace::new("/")
        .on("broadcast", broadcast)
        .on("broadcast-binary", broadcast_binary)
        .on("join", join)
        .on("toroom", to_room)
        .on("toroom-ack", to_room_ack)
        .on("fetch", fetch)
        .on("joinall", join_all)
        .on("leaveall", leave_all);
    let io = SocketIo::builder()
        .namespace(bench)
        .adapter(adapter)
        .build()?;
    ready.await;
    let port: u16 = variable("PORT")?.parse()?;
    Ok(fanfare::serve(io).bind(("127.0.0.1", port)).await?)
}

async fn redis(adapter: RedisAdapter) -> Result<(), Box<dyn Error>> {
    serve(adapter.clone(), async { adapter.ready().await }).await
}

fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    fanfare::runtime::block_on(start())?
}

async fn start() -> Result<(), Box<dyn Error>> {
    let (url, prefix) = (variable("BROKER_URL")?, variable("PREFIX")?);
    match &*variable("ADAPTER")? {
        "redis" => redis(Classic::new(url).key(prefix).adapter()?).await,
        "redis-sharded" => redis(Sharded::new(url).channel_prefix(prefix).adapter()?).await,
        "redis-streams" => {
            let streams = Streams::new(url)
                .stream_name(&prefix)
                .channel_prefix(&prefix)
                .session_key_prefix(format!("{prefix}:session:"));
            redis(streams.adapter()?).await
        }
        "postgres" => {
            let postgres = Postgres::new(url)
                .channel_prefix(&prefix)
                .table(format!("{prefix}_attachments"));
            let adapter = postgres.adapter()?;
            serve(adapter.clone(), async { adapter.ready().await }).await
        }
        "nats" => {
            let adapter = Nats::new(url).prefix(prefix).adapter()?;
            serve(adapter.clone(), async { adapter.ready().await }).await
        }
        other => Err(format!("no adapter {other}").into()),
    }
}
