//! Binary anywhere in the arguments: `Bytes` fields become attachments and back.

use bytes::Bytes;
use fanfare::{Ack, Data, EmitError, Namespace, Socket, SocketIo};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Picture {
    name: String,
    thumbnail: Bytes,
    data: Bytes,
}

async fn picture(socket: Socket, Data(picture): Data<Picture>) -> Result<Ack<usize>, EmitError> {
    // Encoded once, attachments included, regardless of the number of recipients.
    socket.broadcast().emit("picture", &picture)?;
    Ok(Ack(picture.data.len()))
}

/// Takes bytes as an argument, and returns them in an acknowledgement.
async fn reverse(Data(bytes): Data<Bytes>) -> Ack<Bytes> {
    Ack(bytes.iter().rev().copied().collect())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pictures = Namespace::new("/")
        .on("picture", picture)
        .on("reverse", reverse);
    let io = SocketIo::builder()
        .namespace(pictures)
        .max_payload(5_000_000)
        .build()?;
    println!("listening on http://127.0.0.1:3000");
    fanfare::serve(io).bind("127.0.0.1:3000").await?;
    Ok(())
}
