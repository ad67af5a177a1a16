//! Node of the cluster tests with Node's socket.io (`tests/cluster`). The environment: `PORT`, `ADAPTER`, `BROKER_URL`,
//! `PREFIX`, `NAME`.

mod control;

use std::error::Error;

use fanfare_redis::{Classic, Emitter, RedisAdapter};
use tokio::net::TcpListener;

type Connections = (RedisAdapter, Emitter);

fn connect(kind: &str, url: &str, prefix: &str) -> Result<Connections, Box<dyn Error>> {
    let classic = Classic::new(url).key(prefix);
    Ok(match kind {
        "redis" => (classic.clone().adapter()?, classic.emitter()?),
        "redis-specific" => {
            let specific = classic.publish_on_specific_response_channel(true);
            (specific.clone().adapter()?, specific.emitter()?)
        }
        other => return Err(format!("no adapter {other}").into()),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let url = variable("BROKER_URL")?;
    let (adapter, emitter) = connect(&variable("ADAPTER")?, &url, &variable("PREFIX")?)?;
    let io = control::node(&variable("NAME")?, adapter.clone(), Some(emitter)).build()?;
    adapter.ready().await;
    let port: u16 = variable("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    Ok(fanfare::serve(io).listener(listener).await?)
}
