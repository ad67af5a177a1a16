//! Step 1: WebSockets, and how they differ from HTTP. The server reads and writes the bytes by hand.

use std::error::Error;
use std::time::Duration;

use fanfare_websocket::frame::{self, close_payload};
use fanfare_websocket::{
    CloseCode, Decoded, Decoder, DecoderConfig, Event, OpCode, Role, ServerHandshake,
};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Maximum length of a request, and of a message, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Time that a browser has for its request.
const REQUEST_TIME: Duration = Duration::from_secs(10);

// ANCHOR: main
#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let listener = course::listen().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = connection(stream).await {
                println!("!! {error}");
            }
        });
    }
}
// ANCHOR_END: main

// ANCHOR: connection
/// Reads one request, and answers it.
async fn connection(mut stream: TcpStream) -> Result<()> {
    let (head, rest) = timeout(REQUEST_TIME, read_head(&mut stream)).await??;
    let request = parse(&head)?;
    match request.uri().path() {
        "/" => {
            answer(
                &mut stream,
                "200 OK",
                "text/html",
                include_str!("index.html"),
            )
            .await
        }
        "/style.css" => answer(&mut stream, "200 OK", "text/css", course::STYLE).await,
        "/favicon.svg" => answer(&mut stream, "200 OK", "image/svg+xml", course::ICON).await,
        "/greeting" => {
            print!("\n{head}");
            answer(&mut stream, "200 OK", "text/plain", "hello").await
        }
        "/socket" => {
            print!("\n{head}");
            websocket(stream, &request, rest).await
        }
        _ => answer(&mut stream, "404 Not Found", "text/plain", "not here\n").await,
    }
}

/// Sends an HTTP response. After it, the conversation is over.
async fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
// ANCHOR_END: connection

// ANCHOR: handshake
/// Answers the handshake, then speaks WebSocket on the same connection.
async fn websocket(mut stream: TcpStream, request: &Request<()>, mut input: Vec<u8>) -> Result<()> {
    let accepted = match ServerHandshake::new().validate(request) {
        Ok(accepted) => accepted,
        Err(error) => {
            let status = error.status().to_string();
            return answer(&mut stream, &status, "text/plain", &format!("{error}\n")).await;
        }
    };
    let mut head = String::from("HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in accepted.response().headers() {
        head += &format!("{name}: {}\r\n", value.to_str()?);
    }
    head += "\r\n";
    print!("{head}");
    stream.write_all(head.as_bytes()).await?;
    // ANCHOR_END: handshake

    // ANCHOR: frames
    let mut decoder = Decoder::new(Role::Server, DecoderConfig::default());
    let mut seconds = interval(Duration::from_secs(1));
    let mut count = 0;
    loop {
        tokio::select! {
            // The browser has sent something.
            read = stream.read_buf(&mut input) => {
                if read? == 0 {
                    println!("-- the connection has ended");
                    return Ok(());
                }
                if input.len() > MAX_BYTES {
                    return Err(format!("a message is longer than {MAX_BYTES} bytes").into());
                }
                if !receive(&mut stream, &mut decoder, &mut input).await? {
                    return Ok(());
                }
            }
            // A second has passed: the server speaks without being asked.
            _ = seconds.tick() => {
                count += 1;
                send(&mut stream, OpCode::Text, format!("tick {count}").as_bytes()).await?;
            }
        }
    }
}

/// Handles the frames that have arrived, and returns whether the conversation goes on.
async fn receive(
    stream: &mut TcpStream,
    decoder: &mut Decoder,
    input: &mut Vec<u8>,
) -> Result<bool> {
    loop {
        let before = hex(input);
        let (consumed, goes_on) = match decoder.next(input)? {
            Decoded::Incomplete { .. } => return Ok(true),
            Decoded::Event { consumed, event } => {
                println!("<- {} {event:?}", &before[..consumed * 3 - 1]);
                let goes_on = match event {
                    Event::Text(text) => {
                        send(stream, OpCode::Text, text.to_uppercase().as_bytes()).await?;
                        true
                    }
                    Event::Ping(payload) => {
                        send(stream, OpCode::Pong, payload).await?;
                        true
                    }
                    Event::Close(_) => {
                        let payload = close_payload(CloseCode::NORMAL, "goodbye");
                        send(stream, OpCode::Close, &payload).await?;
                        false
                    }
                    Event::Binary(_) | Event::Pong(_) | Event::Fragment => true,
                };
                (consumed, goes_on)
            }
        };
        input.drain(..consumed);
        if !goes_on {
            return Ok(false);
        }
    }
}

/// Sends one frame.
async fn send(stream: &mut TcpStream, kind: OpCode, payload: &[u8]) -> Result<()> {
    let mut bytes = Vec::new();
    frame::encode_into(&mut bytes, kind, payload);
    println!("-> {} {:?}", hex(&bytes), String::from_utf8_lossy(payload));
    Ok(stream.write_all(&bytes).await?)
}
// ANCHOR_END: frames

/// Reads up to the empty line that ends the head of a request. Returns the head, and the bytes after it.
async fn read_head(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if bytes.len() > MAX_BYTES {
            return Err(format!("a request is longer than {MAX_BYTES} bytes").into());
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8(bytes)?, rest));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err("the connection ended before a request was complete".into());
        }
    }
}

/// Makes a request from the lines of its head.
fn parse(head: &str) -> Result<Request<()>> {
    let mut lines = head.lines();
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = first[..] else {
        return Err(format!("{first:?} is not the first line of a request in HTTP/1.1").into());
    };
    let mut request = Request::builder().method(method).uri(target);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("{line:?} is not a header: it has no colon"))?;
        request = request.header(name, value.trim());
    }
    Ok(request.body(())?)
}

/// Writes bytes as people read them: `81 05 48`.
fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}
