//! Redis Streams through a real Redis.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod support;

use fanfare_redis::Streams;
use fanfare_testing::cluster::exercise;
use support::Redis;

async fn operations(options: impl FnOnce(Streams) -> Streams) {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let streams = options(Streams::new(redis.url()));
    exercise(async || streams.clone().adapter().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_reaches_all_nodes() {
    operations(|streams| streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_with_several_streams_and_sharded_requests() {
    operations(|streams| streams.stream_count(4).use_sharded_pubsub(true)).await;
}
