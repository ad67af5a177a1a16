//! The smallest server: `cargo run -p fanfare --example hello`, then connect any Socket.IO client to port 3000.

use fanfare::{Ack, Data, Namespace, Socket, SocketIo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hello = Namespace::new("/")
        .on_connect(async |socket: Socket| {
            println!("{} connected by {}", socket.id(), socket.transport());
            socket.emit("welcome", "make yourself at home")
        })
        .on("hello", async |Data(name): Data<String>| {
            Ack(format!("hello {name}"))
        });

    let io = SocketIo::builder().namespace(hello).build()?;
    println!("listening on http://127.0.0.1:3000");
    fanfare::serve(io).bind("127.0.0.1:3000").await?;
    Ok(())
}
