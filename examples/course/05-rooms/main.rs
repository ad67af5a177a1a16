//! Step 5: rooms. News of a town, for those who follow a topic.

use std::collections::BTreeMap;
use std::error::Error;

use fanfare::{Data, EventError, Namespace, Socket, SocketIo};
use serde::{Deserialize, Serialize};

/// Topics that can be followed. Each is a room.
const TOPICS: [&str; 3] = ["harbour", "market", "theatre"];

/// Longest text of news, in characters.
const MAX_TEXT: usize = 200;

#[derive(Debug, Deserialize, Serialize)]
struct News {
    topic: String,
    text: String,
}

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/")
        .on_connect(async |socket: Socket| followers(&socket))
        .on("follow", follow)
        .on("unfollow", unfollow)
        .on("news", news)
        .on_disconnect(async |socket: Socket| followers(&socket));
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .build()?;
    course::serve(io, include_str!("index.html")).await
}
// ANCHOR_END: main

// ANCHOR: join
async fn follow(socket: Socket, Data(topic): Data<String>) -> Result<(), EventError> {
    check(&topic)?;
    socket.join(topic)?;
    followers(&socket)
}

async fn unfollow(socket: Socket, Data(topic): Data<String>) -> Result<(), EventError> {
    socket.leave(topic);
    followers(&socket)
}

/// Refuses topics that do not exist: a visitor could fill the memory with rooms.
fn check(topic: &str) -> Result<(), EventError> {
    if TOPICS.contains(&topic) {
        Ok(())
    } else {
        Err(EventError::new(format!("there is no topic {topic:?}")))
    }
}
// ANCHOR_END: join

// ANCHOR: news
async fn news(io: SocketIo, Data(news): Data<News>) -> Result<(), EventError> {
    check(&news.topic)?;
    if news.text.chars().count() > MAX_TEXT {
        return Err(EventError::new(format!(
            "news has at most {MAX_TEXT} characters"
        )));
    }
    let report = io.to(&news.topic).emit("news", &news)?;
    println!("{}: sent to {}", news.topic, report.recipients);
    Ok(())
}
// ANCHOR_END: news

// ANCHOR: followers
/// Tells everyone how many visitors follow each topic.
fn followers(socket: &Socket) -> Result<(), EventError> {
    let all = socket.namespace();
    let counts: BTreeMap<&str, usize> = TOPICS
        .into_iter()
        .map(|topic| (topic, all.to(topic).sockets().len()))
        .collect();
    all.emit("followers", &counts)?;
    Ok(())
}
// ANCHOR_END: followers
