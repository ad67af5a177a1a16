//! Servers of NATS that are absent, die, stop or lose their data.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use fanfare::adapter::PublishOutcome;
use fanfare_cluster::QueueLimits;
use fanfare_nats::JetStream;
use fanfare_testing::{until, within};
use support::{Nats, Node};

/// Time in which deliveries resume when NATS is back. On an idle machine it is a second.
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

/// Sends numbers from one node until one of them arrives at the other, and returns it. All before it are lost.
async fn first_that_arrives(from: &mut Node, to: &mut Node) -> u64 {
    within("a delivery", async {
        loop {
            from.send();
            let sent = from.sent();
            assert_eq!(from.number().await, sent, "local clients go on");
            let arrived = tokio::time::timeout(Duration::from_millis(20), to.number()).await;
            if let Ok(number) = arrived {
                return number;
            }
        }
    })
    .await
}

/// Expects every number that was sent after this one.
async fn expect_rest(from: &Node, to: &mut Node, mut last: u64) {
    while last < from.sent() {
        let number = to.number().await;
        assert_eq!(number, last + 1, "each once, in order");
        last = number;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_start_without_nats() {
    let Some(mut nats) = Nats::prepare() else {
        return;
    };
    let builder = || nats.builder().max_outage(Duration::ZERO);
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    until("the state", || one.adapter.health().label() == "down").await;
    assert!(one.adapter.health().to_string().contains("refused"));
    until("nothing is queued", || one.send() == PublishOutcome::Down).await;
    for number in 1..=one.sent() {
        assert_eq!(one.number().await, number);
    }
    let error = one.server.io().fetch_sockets().await.unwrap_err();
    assert_eq!(error.into_sockets().len(), 1, "the own, and an error");
    nats.run().await;
    let start = Instant::now();
    first_that_arrives(&mut one, &mut two).await;
    let time = start.elapsed();
    assert!(time < RESUMES_WITHIN, "{time:?}");
    eprintln!("resumed after {time:?}");
    one.sees(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_resume_after_a_restart() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let (mut one, mut two) = (
        Node::start(nats.builder()).await,
        Node::start(nats.builder()).await,
    );
    one.sees(2).await;
    let mut last = first_that_arrives(&mut one, &mut two).await;
    for _ in 0..3 {
        nats.kill();
        until("the loss", || {
            !one.adapter.health().is_ready() && !two.adapter.health().is_ready()
        })
        .await;
        nats.run().await;
        let start = Instant::now();
        let first = first_that_arrives(&mut one, &mut two).await;
        let time = start.elapsed();
        assert!(first > last, "nothing twice");
        assert!(time < RESUMES_WITHIN, "{time:?}");
        eprintln!("resumed after {time:?}");
        expect_rest(&one, &mut two, first).await;
        last = one.sent();
        let found = one.server.io().fetch_sockets().await.unwrap();
        assert_eq!(found.len(), 2);
    }
}

/// Checks a server that neither reads nor answers: the queue for it is bounded, and clients are not affected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_a_bounded_amount() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let limits = QueueLimits::default().max_bytes(1 << 20);
    let builder = || {
        nats.builder()
            .queue(limits)
            .max_outage(Duration::from_millis(500))
    };
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    one.sees(2).await;
    first_that_arrives(&mut one, &mut two).await;
    nats.signal("STOP");
    let text = "x".repeat(100_000);
    let mut full = false;
    // More than the buffers of the kernel and the queue take.
    for _ in 0..400 {
        let report = one.server.io().to("none").emit("long", &text).unwrap();
        full |= report.cluster == Some(PublishOutcome::Full);
        tokio::task::yield_now().await;
    }
    assert!(full);
    until("the state", || one.adapter.health().label() == "down").await;
    until("nothing is queued", || {
        let report = one.server.io().to("none").emit("short", ()).unwrap();
        report.cluster == Some(PublishOutcome::Down)
    })
    .await;
    let last = one.sent();
    nats.signal("CONT");
    let start = Instant::now();
    let first = first_that_arrives(&mut one, &mut two).await;
    let time = start.elapsed();
    assert!(first > last, "nothing twice");
    assert!(time < RESUMES_WITHIN, "{time:?}");
    eprintln!("resumed after {time:?}");
    expect_rest(&one, &mut two, first).await;
}

/// With a log, no event is lost during a short outage, and all nodes deliver in the same order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_log_nothing_is_lost() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let builder = || {
        let outage = Duration::from_secs(60);
        nats.builder()
            .jetstream(JetStream::new())
            .max_outage(outage)
    };
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    one.sees(2).await;
    one.adapter.ready().await;
    two.adapter.ready().await;
    let mut last = 0;
    for round in 0..3 {
        for _ in 0..200 {
            assert_eq!(one.send(), PublishOutcome::Queued);
        }
        if round < 2 {
            nats.kill();
            for _ in 0..200 {
                assert_eq!(one.send(), PublishOutcome::Queued);
            }
            nats.run().await;
        } else {
            nats.signal("STOP");
            for _ in 0..200 {
                assert_eq!(one.send(), PublishOutcome::Queued);
            }
            until("the loss", || !one.adapter.health().is_ready()).await;
            nats.signal("CONT");
        }
        for node in [&mut one, &mut two] {
            for number in last + 1..=last + 400 {
                assert_eq!(node.number().await, number);
            }
        }
        last += 400;
    }
}

/// The nodes start again after NATS has lost all data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_may_be_lost() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let builder = || nats.builder().jetstream(JetStream::new());
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    one.sees(2).await;
    one.adapter.ready().await;
    two.adapter.ready().await;
    for number in 1..=10 {
        one.send();
        assert_eq!((one.number().await, two.number().await), (number, number));
    }
    nats.kill();
    nats.forget();
    nats.run().await;
    one.adapter.ready().await;
    two.adapter.ready().await;
    for number in 11..=20 {
        one.send();
        assert_eq!((one.number().await, two.number().await), (number, number));
    }
    assert_eq!(one.adapter.health().label(), "up");
}
