//! Servers of one process in one cluster, through a real Redis.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod support;

use fanfare_redis::Classic;
use fanfare_testing::cluster::exercise;
use support::Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_reaches_all_nodes() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let classic = Classic::new(redis.url()).key("test");
    exercise(async || classic.clone().adapter().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_may_go_to_the_node_that_asked_only() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let classic = Classic::new(redis.url()).publish_on_specific_response_channel(true);
    exercise(async || classic.clone().adapter().unwrap()).await;
}
