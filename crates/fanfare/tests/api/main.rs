//! The public API, seen from a client that speaks the protocol by hand: one file per topic.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod acks;
mod binary;
mod client_files;
mod cluster;
mod connect;
mod disconnect;
mod dynamic;
mod events;
mod guards;
mod handlers;
mod http;
mod listeners;
mod logs;
mod metrics;
mod mount;
mod parsers;
mod recorder;
mod recovery;
mod rooms;
mod serve;
mod support;
#[cfg(feature = "macros")]
mod typed;
