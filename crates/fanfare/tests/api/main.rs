//! The public API, tested with a client that speaks the protocol by hand: one file per topic.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod acks;
mod arguments;
mod binary;
mod building;
mod bus;
mod client_files;
mod cluster;
mod cluster_events;
mod cluster_log;
mod cluster_recovery;
mod connect;
mod disconnect;
mod dynamic;
mod errors;
mod events;
mod exits;
mod guards;
mod handlers;
mod hooks;
mod http;
mod http2;
mod listeners;
mod logs;
mod metrics;
mod mount;
#[cfg(feature = "operations")]
mod operations;
mod parsers;
mod peer_recovery;
mod recorder;
mod recovery;
mod recovery_faults;
mod requests;
mod rooms;
#[cfg(all(feature = "macros", feature = "validation"))]
mod rules;
mod serve;
mod shares;
mod support;
mod time;
mod turns;
#[cfg(feature = "macros")]
mod typed;
