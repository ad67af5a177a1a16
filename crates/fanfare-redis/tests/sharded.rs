//! Sharded publish and subscribe through a real Redis.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod support;

use fanfare::{Namespace, SocketIo};
use fanfare_redis::{Sharded, SubscriptionMode};
use fanfare_testing::cluster::exercise;
use fanfare_testing::{TestServer, until};
use support::Redis;

async fn operations(mode: SubscriptionMode) {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let sharded = Sharded::new(redis.url()).subscription_mode(mode);
    exercise(async || sharded.clone().adapter().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_in_the_mode_static() {
    operations(SubscriptionMode::Static).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_in_the_mode_dynamic() {
    operations(SubscriptionMode::Dynamic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_in_the_mode_dynamic_private() {
    operations(SubscriptionMode::DynamicPrivate).await;
}

/// Returns how often Redis has executed a command.
fn calls(redis: &Redis, command: &str) -> usize {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_open_and_close_quickly_cost_redis_nothing() {
    const TIMES: usize = 500;
    let Some(redis) = Redis::start().await else {
        return;
    };
    let adapter = Sharded::new(redis.url()).adapter().unwrap();
    let io = SocketIo::builder()
        .namespace(Namespace::new("/"))
        .adapter(adapter.clone());
    let server = TestServer::start(io.build().unwrap());
    let mut peer = server.peer().await;
    peer.join("/").await;
    adapter.ready().await;
    let socket = server.io().of("/").sockets().pop().unwrap();
    let before = calls(&redis, "ssubscribe");
    for n in 0..TIMES {
        socket.join("hot").unwrap();
        // Waits until what was queued is at Redis, so that opposite changes do not cancel in the queue.
        adapter.ready().await;
        socket.leave("hot");
        if n % 100 == 0 {
            adapter.ready().await;
        }
    }
    adapter.ready().await;
    let subscribed = calls(&redis, "ssubscribe") - before;
    let unsubscribed = calls(&redis, "sunsubscribe");
    println!("{TIMES} joins and leaves: SSUBSCRIBE {subscribed}, SUNSUBSCRIBE {unsubscribed}");
    assert!(subscribed <= 1 && unsubscribed == 0);
    until("the room is left at Redis, too", || {
        calls(&redis, "sunsubscribe") == 1
    })
    .await;
}
