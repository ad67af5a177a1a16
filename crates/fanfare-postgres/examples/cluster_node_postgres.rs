//! Node of the cluster tests with Node's socket.io (`tests/cluster`), over PostgreSQL. The environment: `PORT`,
//! `BROKER_URL`, `PREFIX`, `NAME`.

#[path = "../../fanfare-redis/examples/cluster_node/control.rs"]
mod control;

use std::error::Error;

use fanfare_postgres::Postgres;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let postgres = Postgres::new(variable("BROKER_URL")?)
        .channel_prefix(variable("PREFIX")?)
        .name(variable("NAME")?);
    let (adapter, emitter) = (postgres.clone().adapter()?, postgres.emitter()?);
    let io = control::node(&variable("NAME")?, adapter.clone(), Some(emitter)).build()?;
    adapter.ready().await;
    let port: u16 = variable("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    Ok(fanfare::serve(io).listener(listener).await?)
}
