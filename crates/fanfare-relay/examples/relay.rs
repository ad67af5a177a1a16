//! A server of a cluster without sticky sessions: its own address, then those of all servers.
//!
//! ```sh
//! export FANFARE_CLUSTER_KEY="a secret of at least 16 bytes"
//! cargo run -p fanfare-relay --example relay -- 127.0.0.1:3001 127.0.0.1:3001 127.0.0.1:3002
//! cargo run -p fanfare-relay --example relay -- 127.0.0.1:3002 127.0.0.1:3001 127.0.0.1:3002
//! ```

use fanfare::{Ack, Data, Namespace, Socket, SocketIo, Value};
use fanfare_relay::Relay;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("usage: relay ADDRESS [ADDRESS…]")?;
    let key = std::env::var("FANFARE_CLUSTER_KEY").map_err(|_| "set FANFARE_CLUSTER_KEY")?;
    let relay = Relay::new(key, &address)?.peers(args)?;
    let name = address.clone();
    let namespace = Namespace::new("/")
        .on_connect(move |socket: Socket| {
            let name = name.clone();
            async move {
                let _ = socket.emit("server", name);
            }
        })
        .on("echo", async |Data(value): Data<Value>| Ack(value));
    let io = SocketIo::builder()
        .relay(relay)
        .namespace(namespace)
        .build()?;
    println!("listening on http://{address}");
    fanfare::serve(io).bind(&address).await?;
    Ok(())
}
