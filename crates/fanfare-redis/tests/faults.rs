//! Faults of Redis: the servers continue with their own clients, report the fault, and recover without help.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod support;

use std::time::Duration;

use fanfare::adapter::PublishOutcome;
use fanfare_redis::{Classic, Health, QueueLimits, RedisAdapter, Sharded, Streams};
use fanfare_testing::within;
use support::{Node, Redis};

async fn both_ways(a: &mut Node, b: &mut Node) {
    a.reaches(b).await;
    b.reaches(a).await;
}

async fn two(make: impl Fn() -> RedisAdapter) -> (Node, Node) {
    let (mut a, mut b) = (Node::start(make()).await, Node::start(make()).await);
    both_ways(&mut a, &mut b).await;
    (a, b)
}

type Make = fn(&str) -> RedisAdapter;

/// Each engine, with its default options.
const ENGINES: [(&str, Make); 3] = [
    ("classic", |url| Classic::new(url).adapter().unwrap()),
    ("sharded", |url| Sharded::new(url).adapter().unwrap()),
    ("streams", |url| Streams::new(url).adapter().unwrap()),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_refused_at_the_start_joins_later() {
    for (engine, make) in ENGINES {
        let Some(mut redis) = Redis::start().await else {
            return;
        };
        redis.kill();
        let url = redis.url();
        let (mut a, mut b) = (Node::start(make(&url)).await, Node::start(make(&url)).await);
        let refused = |health: &Health| matches!(health, Health::Down { .. });
        a.health(engine, refused).await;
        redis.run().await;
        both_ways(&mut a, &mut b).await;
        assert!(a.adapter.health().is_ready());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_come_back_with_their_subscriptions() {
    for (_, make) in ENGINES {
        let Some(redis) = Redis::start().await else {
            return;
        };
        let (mut a, mut b) = two(|| make(&redis.url())).await;
        for _ in 0..3 {
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
            both_ways(&mut a, &mut b).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_empty_state_is_survived() {
    for (engine, make) in ENGINES {
        let Some(mut redis) = Redis::start().await else {
            return;
        };
        let (mut a, mut b) = two(|| make(&redis.url())).await;
        redis.kill();
        let down = |health: &Health| matches!(health, Health::Down { .. });
        a.health(engine, down).await;
        b.health(engine, down).await;
        redis.run().await;
        both_ways(&mut a, &mut b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_delays_and_is_said_to_be_slow() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let url = redis.url();
    let queue = QueueLimits::default().max_messages(10);
    let (mut a, mut b) = two(|| Classic::new(&*url).queue(queue).adapter().unwrap()).await;
    redis.signal("STOP");
    let mut queued = Vec::new();
    // One batch may be on the way, beside the ten that wait.
    let full = loop {
        let (event, outcome) = a.emit("frozen");
        a.gets(&event).await;
        match outcome {
            PublishOutcome::Queued => queued.push(event),
            outcome => break outcome,
        }
    };
    assert_eq!(full, PublishOutcome::Full);
    let slow = |health: &Health| matches!(health, Health::Degraded { .. });
    a.health("the state says so", slow).await;
    redis.signal("CONT");
    for event in &queued {
        b.gets(event).await;
    }
    both_ways(&mut a, &mut b).await;
    assert_eq!(a.adapter.health(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_while_without_redis_emit_says_that_it_is_down() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let url = redis.url();
    let outage = Duration::from_millis(100);
    let (mut a, mut b) = two(|| Classic::new(&*url).max_outage(outage).adapter().unwrap()).await;
    redis.kill();
    within("the outcome Down", async {
        loop {
            let (event, outcome) = a.emit("down");
            a.gets(&event).await;
            if outcome == PublishOutcome::Down {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    redis.run().await;
    both_ways(&mut a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_is_full_is_said_and_survived() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let (mut a, mut b) = two(|| Streams::new(redis.url()).adapter().unwrap()).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let (event, _) = a.emit("full");
    a.gets(&event).await;
    let rejected = |health: &Health| matches!(health, Health::Degraded { reason, .. } if reason.contains("OOM"));
    a.health("the state names the reason", rejected).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    both_ways(&mut a, &mut b).await;
    a.health("the state is up", |health| *health == Health::Up)
        .await;
    assert!(!b.seen.contains(&event), "it was not in the stream");
}
