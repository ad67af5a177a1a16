//! Validation rules of types, at the client.

#![cfg(all(feature = "macros", feature = "validation"))]
#![allow(clippy::unwrap_used)]

use fanfare::{Namespace, SocketIo};
use fanfare_client::event::ListenError;
use fanfare_client::extract::Valid;
use fanfare_client::typed::{Contract, Typed, TypedEvent};
use fanfare_client::{Ack, AckError};
use fanfare_testing::TestServer;
use garde::Validate;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent, Validate)]
#[event(ack = Length)]
struct Say(#[garde(length(chars, max = 5))] String);

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Length {
    #[garde(range(max = 3))]
    length: usize,
}

#[derive(Contract)]
#[contract(from_clients(Say), from_server(Say))]
struct Rules;

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    fanfare_testing::within("what a test waits for", future).await
}

#[tokio::test(start_paused = true)]
async fn a_client_rejects_events_and_answers_that_break_a_rule() {
    // The server answers without checking the rules.
    let namespace = Namespace::new("/").on("say", async |text: fanfare::Data<String>| {
        fanfare::Ack(Length {
            length: text.0.len(),
        })
    });
    let io = SocketIo::builder().namespace(namespace).build().unwrap();
    let server = TestServer::start(io.clone());

    let client = server
        .client()
        .on("rename", async |Valid(length): Valid<Length>| {
            Ack(length.length)
        })
        .typed::<Rules>()
        .on(async |Typed(Say(text)): Typed<Say>| Ack(Length { length: text.len() }));
    let client = soon(client).await.unwrap();
    let ask = async |text: &str| soon(client.emit_with_ack(&Say(text.to_owned()))).await;
    assert_eq!(ask("abc").await.unwrap(), Length { length: 3 });
    match ask("abcd").await {
        Err(AckError::Args(error)) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }

    let mut said = client.listen::<Say>();
    let socket = io.of("/").sockets().pop().unwrap();
    let ask = async |event: &str, value: serde_json::Value| {
        let answer = socket.emit_with_ack::<serde_json::Value>(event, &value);
        soon(answer).await.unwrap().to_string()
    };
    assert_eq!(ask("say", "abc".into()).await, r#"{"length":3}"#);
    assert_eq!(
        ask("say", "SECRET".into()).await,
        r#"{"error":{"message":"argument 0 is not valid: length is greater than 5"}}"#
    );
    assert_eq!(ask("rename", serde_json::json!({ "length": 3 })).await, "3");
    assert_eq!(
        ask("rename", serde_json::json!({ "length": 4 })).await,
        r#"{"error":{"message":"argument 0 is not valid at length: greater than 3"}}"#
    );
    assert_eq!(soon(said.next()).await.unwrap().unwrap().0.0, "abc");
    match soon(said.next()).await {
        Some(Err(ListenError::Args(error))) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }
    soon(client.disconnect()).await;
}
