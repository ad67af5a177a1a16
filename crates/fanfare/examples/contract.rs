//! TypeScript declarations of a contract with validation rules; with
//! `cargo run --example contract --features export,macros,validation -- asyncapi`, an AsyncAPI document.
//!
//! In an application, a test writes the files and compares them, with `assert_current`.

use fanfare::typed::export::{AsyncApi, Binary, TypeScript};
use fanfare::typed::{Contract, TypedEvent};
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Says something in a room.
#[derive(Serialize, Deserialize, JsonSchema, TypedEvent, Validate)]
#[event(ack = MessageId)]
struct Say {
    /// The room; clients need not be in it.
    #[garde(length(chars, min = 1, max = 32))]
    room: String,
    #[garde(length(chars, min = 1, max = 2000))]
    text: String,
    /// Whether phones should ring.
    #[garde(skip)]
    #[serde(default)]
    urgent: bool,
    #[garde(skip)]
    #[schemars(with = "Option<Binary>")]
    picture: Option<bytes::Bytes>,
}

#[derive(Serialize, Deserialize, JsonSchema, Validate)]
struct MessageId {
    #[garde(range(min = 1))]
    id: u64,
}

/// Another client has said something.
#[derive(Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(arguments(id, text))]
struct Said(u64, String);

/// The `auth` of clients.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Auth {
    token: String,
}

#[derive(Contract)]
#[contract(namespace = "/chat", auth = Auth, from_clients(Say), from_server(Said))]
struct Chat;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("asyncapi") => print!("{}", AsyncApi::new("Chat", "1.0.0").contract::<Chat>()),
        _ => print!("{}", TypeScript::of::<Chat>()),
    }
}
