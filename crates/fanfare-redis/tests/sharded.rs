//! Sharded publish and subscribe through a real Redis.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod support;

use fanfare_redis::{Sharded, SubscriptionMode};
use fanfare_testing::cluster::exercise;
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
