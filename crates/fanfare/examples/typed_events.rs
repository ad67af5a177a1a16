//! Typed events: the server and a client of one contract, which the compiler checks on both sides.
//!
//! Browsers use the ordinary API: `io("http://127.0.0.1:3000/chat").emitWithAck("say", { room: "lobby", text: "hello"
//! })`.

use std::time::Duration;

use fanfare::typed::Typed;
use fanfare::{Namespace, SocketIo};

/// Types that both sides share. In an application this is a separate crate.
mod contract {
    use fanfare::typed::{Contract, TypedEvent};
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

    /// `still there?`, without arguments; acknowledged with the name of the user.
    #[derive(Serialize, Deserialize, TypedEvent)]
    #[event(name = "still there?", ack = String)]
    pub(crate) struct StillThere;

    /// The namespace `/chat`, with the events of clients and of the server.
    #[derive(Contract)]
    #[contract(namespace = "/chat", from_clients(Say), from_server(Said, StillThere))]
    pub(crate) struct Chat;
}
use contract::{Chat, Said, Say, StillThere};

mod server {
    use fanfare::typed::{Typed, TypedSocket};
    use fanfare::{Ack, EmitError};

    use super::{Chat, Said, Say};

    /// Handles the event of its parameter; the event's type determines the acknowledgement.
    pub(crate) async fn say(
        socket: TypedSocket<Chat>,
        Typed(say): Typed<Say>,
    ) -> Result<Ack<u64>, EmitError> {
        let id = 1;
        socket.namespace().to(&say.room).emit(&Said(id, say.text))?;
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
    let serving = tokio::spawn(fanfare::serve(io.clone()).listener(listener));
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
    let patient = client.timeout(Duration::from_secs(5));
    let id: u64 = patient.emit_with_ack(&hello).await?;
    println!("client: what was said has the number {id}");

    let everyone = io.typed::<Chat>().timeout(Duration::from_secs(5));
    let names: Vec<String> = everyone.emit_with_ack(&StillThere).await?;
    println!("server: {names:?}");

    Ok(serving.await??)
}
