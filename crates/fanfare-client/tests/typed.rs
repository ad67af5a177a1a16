//! Tests of typed events: one contract, the server and both kinds of clients.

#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fanfare::{Namespace, SocketIo};
use fanfare_client::AckError;
use fanfare_client::typed::Typed;
use fanfare_testing::TestServer;

/// Stands for a shared crate of the application.
mod contract {
    use fanfare_client::typed::{Contract, TypedEvent};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
    #[event(ack = MessageId)]
    pub(crate) struct Say {
        pub(crate) room: String,
        pub(crate) text: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct MessageId(pub(crate) u64);

    #[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
    pub(crate) struct Said(pub(crate) String, pub(crate) bytes::Bytes);

    #[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
    #[event(name = "vote?", ack = Vote)]
    pub(crate) struct AskVote(pub(crate) String);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Vote {
        pub(crate) yes: bool,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
    #[event(ack = (u8, u8))]
    pub(crate) struct Swap(pub(crate) u8, pub(crate) u8);

    #[derive(Contract)]
    #[contract(
        namespace = "/chat",
        from_clients(Say, Swap),
        from_server(Said, AskVote, Swap)
    )]
    pub(crate) struct Chat;
}

use contract::{AskVote, Chat, MessageId, Said, Say, Swap, Vote};

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    fanfare_testing::within("what a test waits for", future).await
}

fn server() -> TestServer {
    use fanfare::typed::TypedSocket;
    use fanfare::{Ack, EmitError};

    async fn say(
        socket: TypedSocket<Chat>,
        Typed(say): Typed<Say>,
    ) -> Result<Ack<MessageId>, EmitError> {
        socket.emit(&Said(say.text, "!".into()))?;
        Ok(Ack(MessageId(say.room.len() as u64)))
    }
    let chat = Namespace::typed::<Chat>()
        .on_event(say)
        .on_event(async |Typed(Swap(a, b)): Typed<Swap>| Ack((b, a)));
    TestServer::start(SocketIo::builder().namespace(chat).build().unwrap())
}

fn hello() -> Say {
    Say {
        room: "lobby".into(),
        text: "hello".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_contract() {
    let server = server();
    let io = server.io();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let chat = server
        .client()
        .typed::<Chat>()
        .on(move |Typed(said): Typed<Said>| {
            let tell = tell.clone();
            async move { tell.send(said).unwrap() }
        })
        .on(async |Typed(AskVote(question)): Typed<AskVote>| {
            let yes = question.ends_with('?');
            fanfare_client::Ack(Vote { yes })
        });
    let chat = soon(chat).await.unwrap();
    assert_eq!(chat.namespace_name(), "/chat");

    let id = soon(chat.emit_with_ack(&hello())).await.unwrap();
    assert_eq!(id, MessageId(5));
    let said = Said("hello".into(), "!".into());
    assert_eq!(soon(told.recv()).await.unwrap(), said);
    assert_eq!(
        soon(
            chat.timeout(Duration::from_secs(60))
                .emit_with_ack(&Swap(1, 2))
        )
        .await
        .unwrap(),
        (2, 1)
    );

    let everyone = io.typed::<Chat>().timeout(Duration::from_secs(60));
    let votes = everyone.emit_with_ack(&AskVote("coffee?".into()));
    assert_eq!(soon(votes).await.unwrap(), [Vote { yes: true }]);

    chat.once(async |Typed(Swap(a, b)): Typed<Swap>| fanfare_client::Ack((b, a)));
    let swapped = soon(everyone.emit_with_ack(&Swap(3, 4))).await.unwrap();
    assert_eq!(swapped, [(4, 3)]);

    let mut stream = chat.listen::<Said>();
    chat.emit(&hello()).unwrap();
    assert_eq!(soon(stream.next()).await.unwrap().unwrap(), Typed(said));
    soon(chat.disconnect()).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_contract_and_over_a_shared_connection() {
    let server = server();
    let io = server.io();
    let manager = server.manager().build().unwrap();
    let chat = manager
        .socket("/chat")
        .on_event(async |Typed(Swap(a, b)): Typed<Swap>| fanfare_client::Ack((b, a)));
    let chat = soon(chat).await.unwrap();
    let mut said = chat.listen_event::<Said>();
    chat.emit_event(&hello()).unwrap();
    assert_eq!(soon(said.next()).await.unwrap().unwrap().0.0, "hello");
    let swapped = soon(chat.emit_event_with_ack(&Swap(1, 2))).await.unwrap();
    assert_eq!(swapped, (2, 1));
    let everyone = io.typed::<Chat>();
    let swapped = soon(everyone.everyone().emit_with_ack(&Swap(3, 4))).await;
    assert_eq!(swapped.unwrap(), [(4, 3)]);

    // Arguments that do not fit are an error, not a wrong value.
    let listener = chat.on_event(async |Typed(AskVote(_)): Typed<AskVote>| {
        fanfare_client::Ack(Vote { yes: true })
    });
    let socket = io.of("/chat").sockets().pop().unwrap();
    let answer = socket.emit_with_ack::<serde_json::Value>("vote?", (1, 2));
    let answer = soon(answer).await.unwrap().to_string();
    assert_eq!(answer, r#"{"error":{"message":"argument 0 does not fit"}}"#);
    chat.off(listener);

    let typed = chat.typed::<Chat>();
    assert!(soon(typed.volatile().emit_with_ack(&hello())).await.is_ok());
    typed.volatile().emit(&hello()).unwrap();
    soon(chat.disconnect()).await;
    let lost = soon(typed.volatile().emit_with_ack(&hello())).await;
    assert!(matches!(lost, Err(AckError::Dropped)), "{lost:?}");
}

#[cfg(feature = "blocking")]
#[tokio::test]
async fn without_async() {
    let server = server();
    let call = move || {
        let client = server.client().namespace("/chat");
        let socket = fanfare_client::blocking::connect(client).unwrap();
        socket.call_event(&Swap(1, 2), Duration::from_secs(60))
    };
    let swapped = tokio::task::spawn_blocking(call).await.unwrap();
    assert_eq!(swapped.unwrap(), (2, 1));
}
