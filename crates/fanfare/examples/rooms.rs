//! Rooms: join, leave, send to some and not to others, and see who is where.

use std::time::Duration;

use fanfare::{Ack, Data, EmitError, EventError, Namespace, Socket, SocketIo};

async fn join(socket: Socket, Data(room): Data<String>) -> Result<Ack<Vec<String>>, EventError> {
    socket.join(&room)?;
    socket.to(&room).emit("joined", (&room, socket.id()))?;
    Ok(Ack(socket.rooms()))
}

async fn leave(socket: Socket, Data(room): Data<String>) -> Ack<Vec<String>> {
    socket.leave(&room);
    Ack(socket.rooms())
}

async fn say(socket: Socket, Data((room, text)): Data<(String, String)>) -> Result<(), EmitError> {
    // Those in the room but not those who muted it; the sender is left out by `socket.to`.
    socket
        .to(&room)
        .except(format!("{room}:muted"))
        .emit("said", (room, text))?;
    Ok(())
}

async fn leaving(socket: Socket) -> Result<(), EmitError> {
    // The rooms are still there in `on_disconnecting`.
    socket.to(socket.rooms()).emit("left", socket.id())?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rooms = Namespace::new("/")
        .on("join", join)
        .on("leave", leave)
        .on("say", say)
        .on_disconnecting(leaving);
    let io = SocketIo::builder().namespace(rooms).build()?;

    let clock = io.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        for n in 0u64.. {
            ticks.tick().await;
            // Whoever cannot take it now gets the next one.
            if let Err(error) = clock.to("clock").volatile().emit("tick", n) {
                eprintln!("no tick: {error}");
            }
        }
    });

    println!("listening on http://127.0.0.1:3000");
    fanfare::serve("127.0.0.1:3000", io).await?;
    Ok(())
}
