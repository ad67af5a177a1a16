//! More than can be handled.

use std::future::pending;

use fanfare::{Ack, DisconnectReason, Limits, Namespace, SocketIo};

use crate::recorder::Sums;
use crate::support::Server;
use crate::{assert_served, echo, raw, text_frame, write_until_cut};

fn few_handlers() -> Limits {
    let mut limits = Limits::default();
    limits.handler_bytes = 1 << 20;
    limits
}

#[tokio::test]
async fn events_whose_handlers_wait_are_bounded_in_bytes() {
    let (sums, (left, mut reasons)) = (Sums::default(), tokio::sync::mpsc::unbounded_channel());
    let _local = metrics::set_default_local_recorder(&sums);
    let namespace = echo()
        .on("wait", async || pending::<()>().await)
        .on_disconnect(move |reason: DisconnectReason| {
            left.send(reason).unwrap();
            std::future::ready(())
        });
    let server = Server::start(
        SocketIo::builder()
            .namespace(namespace)
            .limits(few_handlers()),
    )
    .await;
    let mut other = server.joined().await;
    let mut flood = raw(server.addr).await;
    let frames = text_frame(r#"42["wait"]"#).repeat(1000);
    write_until_cut(&mut flood, &frames).await;
    assert_eq!(
        reasons.recv().await,
        Some(DisconnectReason::ForcedServerClose)
    );
    assert_eq!(sums.get("fanfare_refused_total{cause=handlers}"), 1.0);
    server.io.publish_metrics();
    let running = sums.get("fanfare_handlers_running{}");
    assert!((1000.0..=1025.0).contains(&running), "{running}");
    assert_served(&mut other).await;
}

#[tokio::test]
async fn events_whose_middlewares_wait_are_bounded_as_well() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let namespace = Namespace::new("/").packet_middleware(async || {
        pending::<()>().await;
        Ok::<_, fanfare::EventError>(())
    });
    let server = Server::start(
        SocketIo::builder()
            .namespace(namespace)
            .limits(few_handlers()),
    )
    .await;
    let mut flood = raw(server.addr).await;
    // Big ones: their bytes count.
    let frame = text_frame(&format!(r#"42["wait","{}"]"#, "x".repeat(60_000)));
    write_until_cut(&mut flood, &frame).await;
    assert_eq!(sums.get("fanfare_refused_total{cause=handlers}"), 1.0);
    server.io.publish_metrics();
    let running = sums.get("fanfare_handlers_running{}");
    assert!((16.0..=18.0).contains(&running), "{running}");
}

#[tokio::test]
async fn handlers_that_finish_make_room() {
    let namespace = Namespace::new("/").on("soon", async || {
        tokio::task::yield_now().await;
        Ack(())
    });
    let mut limits = Limits::default();
    limits.handler_bytes = Limits::EVENT_OVERHEAD + 100;
    let server = Server::start(SocketIo::builder().namespace(namespace).limits(limits)).await;
    let mut peer = server.joined().await;
    for _ in 0..100 {
        peer.send(r#"21["soon","and with an argument"]"#).await;
        peer.expect("31[]").await;
    }
    // One that is too big for the bound passes alone.
    peer.send(&format!(r#"22["soon","{}"]"#, "x".repeat(5000)))
        .await;
    peer.expect("32[]").await;
}
