//! Rooms: join, leave, send to some sockets and not to others, and list the members.

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
    // Recipients: members of the room except those who muted it; `socket.to` excludes the sender.
    socket
        .to(&room)
        .except(format!("{room}:muted"))
        .emit("said", (room, text))?;
    Ok(())
}

async fn leaving(socket: Socket) -> Result<(), EmitError> {
    // The socket is still in its rooms in `on_disconnecting`.
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
            // A recipient that cannot take it now gets the next one.
            if let Err(error) = clock.to("clock").volatile().emit("tick", n) {
                eprintln!("no tick: {error}");
            }
        }
    });

    println!("listening on http://127.0.0.1:3000");
    fanfare::serve(io).bind("127.0.0.1:3000").await?;
    Ok(())
}
