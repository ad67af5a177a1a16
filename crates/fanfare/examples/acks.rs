//! Acknowledgements in both directions: from the server, from one client, from all clients of a room.

use std::time::Duration;

use fanfare::ack::{AckSender, BroadcastAckError};
use fanfare::{Ack, AckError, Data, EventError, Namespace, Socket, SocketIo};

/// Acknowledges with its return value; `Err` reaches the client as `{"error": {"message": "…"}}`.
async fn divide(Data((a, b)): Data<(i64, i64)>) -> Result<Ack<i64>, EventError> {
    a.checked_div(b)
        .map(Ack)
        .ok_or_else(|| EventError::new(format!("cannot divide {a} by {b}")))
}

/// Answers with an `AckSender` before the handler has returned.
async fn slow(Data(text): Data<String>, ack: AckSender) -> Result<(), EventError> {
    ack.send((true, text.len()))?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Asks one client. Every acknowledgement has a deadline and fails when the client disconnects.
async fn greet(socket: Socket) -> Result<(), EventError> {
    match socket
        .timeout(Duration::from_secs(5))
        .emit_with_ack::<String>("your name?", ())
        .await
    {
        Ok(name) => socket.emit("greeting", format!("hello {name}"))?,
        Err(AckError::Timeout(after)) => println!("{} said nothing for {after:?}", socket.id()),
        Err(error) => println!("{}: {error}", socket.id()),
    }
    Ok(())
}

/// Asks all sockets in a room and counts the votes; at the deadline, those that have arrived.
async fn vote(
    socket: Socket,
    Data(question): Data<String>,
) -> Result<Ack<(usize, usize)>, EventError> {
    let jury = socket
        .namespace()
        .to("jury")
        .timeout(Duration::from_secs(10));
    let votes = match jury.emit_with_ack::<bool>("vote", &question).await {
        Ok(votes) => votes,
        Err(BroadcastAckError::Timeout { responses, .. }) => responses,
        Err(error) => return Err(error.into()),
    };
    Ok(Ack((votes.iter().filter(|yes| **yes).count(), votes.len())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let acks = Namespace::new("/")
        .on_connect(greet)
        .on("divide", divide)
        .on("slow", slow)
        .on("join jury", async |socket: Socket| socket.join("jury"))
        .on("vote", vote);
    let io = SocketIo::builder()
        .namespace(acks)
        .ack_timeout(Duration::from_secs(20))
        .build()?;
    println!("listening on http://127.0.0.1:3000");
    fanfare::serve(io).bind("127.0.0.1:3000").await?;
    Ok(())
}
