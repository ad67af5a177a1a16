//! Events as types: the server and a client of one contract, which the compiler checks on both sides.
//!
//! In a browser it is as ever: `io("http://127.0.0.1:3000/chat").emitWithAck("say", { room: "lobby", text: "hello" })`.

use std::time::Duration;

use fanfare::{Namespace, SocketIo, Typed};

/// What both sides know. In an application this is a crate of its own.
mod contract {
    use fanfare::{Contract, TypedEvent};
    use serde::{Deserialize, Serialize};

    /// `say`, with one argument, an object; acknowledged by a number.
    #[derive(Serialize, Deserialize, TypedEvent)]
    #[event(ack = u64)]
    pub(crate) struct Say {
        pub(crate) room: String,
        pub(crate) text: String,
    }

    /// `said`, with two arguments, and not acknowledged.
    #[derive(Serialize, Deserialize, TypedEvent)]
    pub(crate) struct Said(pub(crate) u64, pub(crate) String);

    /// `still there?`, without arguments; acknowledged by the name of whoever is.
    #[derive(Serialize, Deserialize, TypedEvent)]
    #[event(name = "still there?", ack = String)]
    pub(crate) struct StillThere;

    /// The namespace `/chat`: what clients send there, and what the server.
    #[derive(Contract)]
    #[contract(namespace = "/chat", from_clients(Say), from_server(Said, StillThere))]
    pub(crate) struct Chat;
}
use contract::{Chat, Said, Say, StillThere};

mod server {
    use fanfare::typed::TypedSocket;
    use fanfare::{Ack, EmitError, Typed};

    use super::{Chat, Said, Say};

    /// Which event it is, the parameter says; with what it is acknowledged, the event does.
    pub(crate) async fn say(
        socket: TypedSocket<Chat>,
        Typed(say): Typed<Say>,
    ) -> Result<Ack<u64>, EmitError> {
        let id = 1;
        socket.nsp().to(&say.room).emit(&Said(id, say.text))?;
        Ok(Ack(id))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Namespace::typed::<Chat>()
        .on_connect(async |socket: fanfare::Socket| socket.join("lobby"))
        .on_event(server::say);
    let io = SocketIo::builder().namespace(chat).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let serving = tokio::spawn(fanfare::serve_listener(listener, io.clone()));
    println!("listening on http://127.0.0.1:3000");

    let client = fanfare_client::connect("http://127.0.0.1:3000")
        .typed::<Chat>()
        .on(async |Typed(Said(id, text)): Typed<Said>| println!("client: {id} is {text:?}"))
        .on(async |_: Typed<StillThere>| fanfare_client::Ack("a client in Rust".to_owned()))
        .await?;
    let hello = Say {
        room: "lobby".into(),
        text: "hello".into(),
    };
    let answer = client.emit_with_ack(&hello);
    let id: u64 = answer.timeout(Duration::from_secs(5)).await?;
    println!("client: what was said has the number {id}");

    let everyone = io.typed::<Chat>().timeout(Duration::from_secs(5));
    let names: Vec<String> = everyone.emit_with_ack(&StillThere).await?;
    println!("server: {names:?}");

    Ok(serving.await??)
}
