//! Node of the cluster tests (`tests/cluster`), over NATS. The environment: `PORT`, `ADAPTER` (`nats` or
//! `nats-jetstream`), `BROKER_URL`, `PREFIX`, `NAME`, and `RECOVERY` for connection state recovery.

#[path = "../../fanfare-redis/examples/cluster_node/control.rs"]
mod control;

use std::error::Error;

use fanfare_nats::{JetStream, Nats};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let nats = Nats::new(variable("BROKER_URL")?).prefix(variable("PREFIX")?);
    let adapter = match variable("ADAPTER")?.as_str() {
        "nats" => nats.adapter()?,
        _ => nats.jetstream(JetStream::new()).adapter()?,
    };
    let io = control::node(&variable("NAME")?, adapter.clone(), None).build()?;
    adapter.ready().await;
    let port: u16 = variable("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    Ok(fanfare::serve(io).listener(listener).await?)
}
