//! Node of the cluster tests with Node's socket.io (`tests/cluster`). The environment: `PORT`, `ADAPTER`, `BROKER_URL`,
//! `PREFIX`, `NAME`.

mod control;

use std::error::Error;

use fanfare::recovery::ConnectionStateRecovery;
use fanfare_redis::{
    Classic, Emitter, RedisAdapter, RedisServer, Sharded, Streams, SubscriptionMode,
};
use tokio::net::TcpListener;

/// Returns the deployment of an address. Several addresses, separated by commas, are those of a Redis Cluster.
fn server(urls: &str) -> RedisServer {
    match urls.contains(',') {
        true => RedisServer::cluster(urls.split(',')),
        false => RedisServer::single(urls),
    }
}

type Connections = (RedisAdapter, Emitter);

fn connect(kind: &str, url: &str, prefix: &str, name: &str) -> Result<Connections, Box<dyn Error>> {
    let classic = Classic::new(server(url)).key(prefix).name(name);
    Ok(match kind {
        "redis" => (classic.clone().adapter()?, classic.emitter()?),
        "redis-specific" => {
            let specific = classic.publish_on_specific_response_channel(true);
            (specific.clone().adapter()?, specific.emitter()?)
        }
        "redis-sharded" | "redis-sharded-static" | "redis-sharded-private" => {
            let mode = match kind {
                "redis-sharded" => SubscriptionMode::Dynamic,
                "redis-sharded-static" => SubscriptionMode::Static,
                _ => SubscriptionMode::DynamicPrivate,
            };
            let sharded = Sharded::new(server(url)).channel_prefix(prefix);
            let sharded = sharded.subscription_mode(mode).name(name);
            (sharded.clone().adapter()?, sharded.emitter()?)
        }
        "redis-streams" | "redis-streams-4" | "redis-streams-plain" => {
            let streams = Streams::new(server(url))
                .stream_name(prefix)
                .stream_count(if kind == "redis-streams-4" { 4 } else { 1 })
                .only_plaintext(kind == "redis-streams-plain")
                .channel_prefix(prefix)
                .name(name)
                .session_key_prefix(format!("{prefix}:session:"));
            (streams.clone().adapter()?, streams.emitter()?)
        }
        other => return Err(format!("no adapter {other}").into()),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let url = variable("BROKER_URL")?;
    let (adapter, emitter) = connect(
        &variable("ADAPTER")?,
        &url,
        &variable("PREFIX")?,
        &variable("NAME")?,
    )?;
    let mut server = control::node(&variable("NAME")?, adapter.clone(), Some(emitter));
    if variable("ADAPTER")?.contains("streams") {
        server = server.connection_state_recovery(ConnectionStateRecovery::default());
    }
    let io = server.build()?;
    adapter.ready().await;
    let port: u16 = variable("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    Ok(fanfare::serve(io).listener(listener).await?)
}
