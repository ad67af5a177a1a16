//! Hostile and broken peers: each costs a known amount, is counted by its cause, and nobody else notices.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "not every test file needs all of it"
)]
#[path = "../api/support.rs"]
mod support;

mod http;
mod packets;
mod readers;

use std::time::{Duration, Instant};

use fanfare::{Ack, Namespace};
use support::Peer;

/// What the others talk to.
fn echo() -> Namespace {
    Namespace::new("/").on("echo", async || Ack(()))
}

/// Somebody else is served as if nothing were.
async fn assert_served(peer: &mut Peer) {
    for _ in 0..20 {
        let asked = Instant::now();
        peer.send(r#"21["echo"]"#).await;
        peer.expect("31[]").await;
        // A bound for a machine that does ten other things; a server that waits for the hostile peer takes for ever.
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
    }
}

/// Memory of this process, clients and all.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
