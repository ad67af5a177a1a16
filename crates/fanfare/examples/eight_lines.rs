//! The server that the start page of the demo shows: `cargo run -p fanfare --example eight_lines`.

use fanfare::{Ack, Data, Namespace, SocketIo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let greet = async |Data(name): Data<String>| Ack(format!("hello {name}"));
    let main = Namespace::new("/").on("greet", greet);
    let io = SocketIo::builder().namespace(main).build()?;
    Ok(fanfare::serve(io).bind("127.0.0.1:3000").await?)
}
