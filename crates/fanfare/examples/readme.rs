//! The server that the readme shows, word for word.

use fanfare::{Ack, Data, EmitError, Namespace, Socket, SocketIo};

async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<&'static str>, EmitError> {
    socket.broadcast().emit("said", (socket.id(), &text))?; // `&T` is one argument, a tuple is several
    Ok(Ack("delivered")) // what a handler returns acknowledges the event
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Namespace::new("/chat").on("say", say);
    let io = SocketIo::builder().namespace(chat).build()?;
    Ok(fanfare::serve(io).bind("127.0.0.1:3000").await?)
}
