//! Servers of PostgreSQL that are absent, die or stop.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use fanfare::adapter::PublishOutcome;
use fanfare_cluster::QueueLimits;
use fanfare_testing::{until, within};
use support::{Node, Postgres};

/// Time in which deliveries resume when PostgreSQL is back. On an idle machine it is a second.
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
async fn a_server_may_start_without_postgresql() {
    let Some(mut postgres) = Postgres::prepare() else {
        return;
    };
    let builder = || postgres.builder().max_outage(Duration::ZERO);
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    until("the state", || one.adapter.health().label() == "down").await;
    assert!(one.adapter.health().to_string().contains("refused"));
    until("nothing is queued", || one.send() == PublishOutcome::Down).await;
    for number in 1..=one.sent() {
        assert_eq!(one.number().await, number);
    }
    let error = one.server.io().fetch_sockets().await.unwrap_err();
    assert_eq!(error.into_sockets().len(), 1, "the own, and an error");
    postgres.run().await;
    let start = Instant::now();
    first_that_arrives(&mut one, &mut two).await;
    let time = start.elapsed();
    assert!(time < RESUMES_WITHIN, "{time:?}");
    eprintln!("resumed after {time:?}");
    one.sees(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_resume_after_a_restart() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let builder = || postgres.builder();
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    one.sees(2).await;
    let mut last = first_that_arrives(&mut one, &mut two).await;
    for _ in 0..3 {
        postgres.kill();
        until("the loss", || {
            !one.adapter.health().is_ready() && !two.adapter.health().is_ready()
        })
        .await;
        postgres.run().await;
        let start = Instant::now();
        let first = first_that_arrives(&mut one, &mut two).await;
        let time = start.elapsed();
        assert!(first > last, "nothing twice");
        assert!(time < RESUMES_WITHIN, "{time:?}");
        eprintln!("resumed after {time:?}");
        expect_rest(&one, &mut two, first).await;
        last = one.sent();
        one.sees(2).await;
        let found = one.server.io().fetch_sockets().await.unwrap();
        assert_eq!(found.len(), 2);
    }
}

/// Both connections of a node are closed, as by an administrator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_resume_after_a_cut() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let builder = || postgres.builder();
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    one.sees(2).await;
    let client = postgres.client().await;
    for _ in 0..3 {
        first_that_arrives(&mut one, &mut two).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fanfare'";
        client.execute(cut, &[]).await.unwrap();
        until("the loss", || !one.adapter.health().is_ready()).await;
        let start = Instant::now();
        let first = first_that_arrives(&mut one, &mut two).await;
        eprintln!("resumed after {:?}", start.elapsed());
        assert!(start.elapsed() < RESUMES_WITHIN);
        expect_rest(&one, &mut two, first).await;
    }
}

/// A server that neither reads nor answers: the queue for it is bounded, and clients are not affected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_a_bounded_amount() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let limits = QueueLimits::default().max_bytes(1 << 20);
    let outage = Duration::from_millis(500);
    let builder = || postgres.builder().queue(limits).max_outage(outage);
    let (mut one, mut two) = (Node::start(builder()).await, Node::start(builder()).await);
    one.sees(2).await;
    first_that_arrives(&mut one, &mut two).await;
    postgres.signal("STOP");
    let text = "x".repeat(100_000);
    let mut full = false;
    for _ in 0..200 {
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
    postgres.signal("CONT");
    let start = Instant::now();
    let first = first_that_arrives(&mut one, &mut two).await;
    let time = start.elapsed();
    assert!(first > last, "nothing twice");
    assert!(time < RESUMES_WITHIN, "{time:?}");
    eprintln!("resumed after {time:?}");
    expect_rest(&one, &mut two, first).await;
}
