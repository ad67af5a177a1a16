//! TypeScript declarations and AsyncAPI documents of a contract (feature `export`).
//!
//! The contract stays in Rust: its types derive [`schemars::JsonSchema`] beside serde's traits, and a test compares the exported
//! files with it. If a field changes in Rust, that test fails until the files are written again, and then the compiler of
//! TypeScript reports the front ends that use the old field.
//!
//! ```
//! # #[cfg(feature = "macros")] {
//! use fanfare_protocol::typed::export::TypeScript;
//! use fanfare_protocol::typed::{Contract, TypedEvent};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema, TypedEvent)]
//! #[event(ack = u64)]
//! struct Say {
//!     /// The room; `lobby` if it is absent.
//!     room: Option<String>,
//!     text: String,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema, TypedEvent)]
//! #[event(arguments(id, text))]
//! struct Said(u64, String);
//!
//! #[derive(Contract)]
//! #[contract(namespace = "/chat", from_clients(Say), from_server(Said))]
//! struct Chat;
//!
//! // In a test: `assert_current("web/chat.d.ts", &TypeScript::of::<Chat>())`.
//! let declarations = TypeScript::of::<Chat>().to_string();
//! assert!(declarations.contains("said: (id: number, text: string) => void;"));
//! # }
//! ```
//!
//! In a browser or Node.js, with the official client:
//!
//! ```ts
//! import { io, type Socket } from "socket.io-client";
//! import type { ClientToServer, ServerToClient } from "./chat.d.ts";
//!
//! const socket: Socket<ServerToClient, ClientToServer> = io("/chat");
//! ```
//!
//! The form of a type on the wire follows from serde's attributes and the direction: a client may omit a field with
//! `#[serde(default)]`, but the server always sends it. If the two forms of a type differ, the name of the one that is sent to
//! the server ends with `Input`. Rules (`#[garde(length(chars, max = 5))]`, `#[garde(range(min = 1))]`,
//! `#[garde(pattern("…"))]`) become JSDoc tags and JSON Schema keywords; the feature `validation` enforces them.
//!
//! JSON Schema counts the length of a string in Unicode characters, as `length(chars, …)` does. `schemars` reads the limits of a
//! `length` but not its unit, so write `chars` wherever a text has one. `#[derive(TypedEvent)]` rejects lengths of texts without a
//! unit, which count bytes; for types inside an event the author must ensure it. Where another unit is meant,
//! `#[schemars(extend("maxLength" = 250))]` sets what is exported for `#[garde(length(bytes, max = 1000))]`: a limit in characters
//! that every permitted text keeps.
//!
//! Fields of bytes, which are sent as attachments, need `#[schemars(with = "Binary")]`.

mod asyncapi;
mod binary;
mod current;
mod jsdoc;
mod render;
mod schemas;
mod typescript;

pub use asyncapi::AsyncApi;
pub use binary::Binary;
pub use current::assert_current;
pub use schemas::SchemaCollector;
pub use typescript::TypeScript;
