//! Cost of arguments, and handling of those that do not fit.

use bytes::Bytes;
use fanfare::extract::{Attachments, Event};
use fanfare::parser::MsgpackParser;
use fanfare::{
    Ack, AllArgs, Data, Limits, Namespace, Socket, SocketIo, SocketIoBuilder, State, Value,
};
use fanfare_protocol::msgpack;

use fanfare_testing::Received;
use std::time::Instant;

use crate::support::{DEADLINE, Server};

/// Returns a namespace that reports the number of an event's arguments.
fn counting() -> Namespace {
    Namespace::new("/").on_any(
        async |socket: Socket, event: Event, Attachments(attachments): Attachments| {
            socket.emit("count", (event.args.len(), attachments.len()))
        },
    )
}

fn with_many_arguments() -> SocketIoBuilder {
    let mut limits = Limits::default();
    limits.max_arguments = 40_000;
    SocketIo::builder().namespace(counting()).limits(limits)
}

#[tokio::test]
async fn an_event_of_many_arguments_is_read_once() {
    let server = Server::start(with_many_arguments()).await;
    let mut peer = server.joined().await;
    let begun = Instant::now();
    let numbers = vec!["0"; 30_000].join(",");
    peer.send(&format!(
        r#"51-["e",{{"_placeholder":true,"num":0}},{numbers}]"#
    ))
    .await;
    peer.send_binary(b"x").await;
    peer.expect(r#"2["count",30001,1]"#).await;
    peer.send(&format!(r#"2["e","\ud800",{numbers}]"#)).await;
    peer.expect(r#"2["count",30001,0]"#).await;
    let texts = vec![format!("\"{}\"", "x".repeat(30)); 30_000].join(",");
    peer.send(&format!(r#"2["e",{texts}]"#)).await;
    peer.expect(r#"2["count",30000,0]"#).await;
    // A former version took minutes; the current one takes milliseconds.
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_event_of_many_arguments_in_messagepack_is_read_once() {
    let server = Server::start(with_many_arguments().parser(MsgpackParser)).await;
    let mut peer = server.peer().await;
    let mut message = Vec::new();
    msgpack::encode_connect(&mut message, "/", None::<&()>).unwrap();
    peer.send_binary(&message).await;
    assert!(matches!(peer.next().await, Received::Binary(_)));
    message.clear();
    let args = AllArgs(vec![0; 30_000]);
    msgpack::encode_event(&mut message, "/", None, "e", &args).unwrap();
    let begun = Instant::now();
    peer.send_binary(&message).await;
    let mut expected = Vec::new();
    msgpack::encode_event(&mut expected, "/", None, "count", &(30_000, 0)).unwrap();
    assert_eq!(peer.next().await, Received::Binary(Bytes::from(expected)));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn too_many_arguments_close_the_connection() {
    let server = Server::with(counting()).await;
    let limit = Limits::default().max_arguments;
    let event = |len: usize| format!(r#"2["e",{}]"#, vec!["0"; len].join(","));
    let mut peer = server.joined().await;
    peer.send(&event(limit)).await;
    peer.expect(&format!(r#"2["count",{limit},0]"#)).await;
    peer.send(&event(limit + 1)).await;
    assert_eq!(peer.until_closed().await, []);
}

#[tokio::test]
async fn an_attachment_used_twice_closes_the_connection() {
    let server = Server::with(counting()).await;
    let mut peer = server.joined().await;
    let hole = r#"{"_placeholder":true,"num":0}"#;
    peer.send(&format!(r#"51-["e",{hole},{hole}]"#)).await;
    assert_eq!(peer.until_closed().await, []);
}

/// The arguments without types have their binary parts in place, and are sent as they arrived.
#[tokio::test]
async fn a_whole_event_keeps_its_binary_parts() {
    let forward = async |socket: Socket, Event { name, args, .. }: Event| {
        assert!(matches!(&args[1], Value::Object(entries) if entries[0].0 == "z"));
        socket.emit(format!("{name}!"), AllArgs(args))
    };
    let server = Server::with(Namespace::new("/").on_any(forward)).await;
    let mut peer = server.joined().await;
    let args = r#"1,{"z":{"_placeholder":true,"num":0},"a":null},{"_placeholder":true,"num":1}"#;
    peer.send(&format!(r#"52-["e",{args}]"#)).await;
    peer.send_binary(b"one").await;
    peer.send_binary(b"").await;
    peer.expect(&format!(r#"52-["e!",{args}]"#)).await;
    assert_eq!(peer.next().await, Received::Binary(Bytes::from("one")));
    assert_eq!(peer.next().await, Received::Binary(Bytes::new()));
}

#[tokio::test]
async fn an_acknowledgement_of_null_is_one_argument() {
    let server = Server::with(
        Namespace::new("/")
            .on("json", async || Ack(serde_json::Value::Null))
            .on("value", async || Ack(Value::Null))
            .on("option", async || Ack(None::<u8>))
            .on("unit", async || Ack(()))
            .on("emit", async |socket: Socket| {
                socket.emit("json", serde_json::Value::Null)?;
                socket.emit("value", Value::Null)?;
                socket.emit("reference", &Value::Null)?;
                socket.emit("unit", ())
            }),
    )
    .await;
    let mut peer = server.joined().await;
    for (packet, answer) in [
        (r#"21["json"]"#, "31[null]"),
        (r#"22["value"]"#, "32[null]"),
        (r#"23["option"]"#, "33[null]"),
        (r#"24["unit"]"#, "34[]"),
    ] {
        peer.send(packet).await;
        peer.expect(answer).await;
    }
    peer.send(r#"2["emit"]"#).await;
    for event in ["json", "value", "reference"] {
        peer.expect(&format!(r#"2["{event}",null]"#)).await;
    }
    peer.expect(r#"2["unit"]"#).await;
}

#[tokio::test]
async fn optional_data_is_none_only_without_arguments() {
    let server = Server::with(
        Namespace::new("/")
            .on("one", async |data: Option<Data<u8>>| {
                Ack(data.map(|Data(n)| n))
            })
            .on("state", async |state: Option<State<u8>>| {
                Ack(state.is_none())
            }),
    )
    .await;
    let mut peer = server.joined().await;
    for (packet, answer) in [
        (r#"21["one"]"#, "31[null]"),
        (r#"22["one",7]"#, "32[7]"),
        (r#"25["state"]"#, "35[true]"),
    ] {
        peer.send(packet).await;
        peer.expect(answer).await;
    }
    for packet in [r#"23["one","seven"]"#, r#"24["one",null]"#] {
        peer.send(packet).await;
        let answer = peer.text().await;
        assert!(answer.contains("error"), "{answer}");
    }
}

#[tokio::test]
async fn optional_data_of_a_connection_is_none_only_without_auth() {
    let server = Server::with(Namespace::new("/").middleware(
        async |auth: Option<Data<std::collections::HashMap<String, u8>>>| match auth {
            Some(_) => Ok(()),
            None => Err(fanfare::ConnectError::new("log in")),
        },
    ))
    .await;
    let mut peer = server.peer().await;
    peer.send("0").await;
    peer.expect(r#"4{"message":"log in"}"#).await;
    peer.send(r#"0{"a":"b"}"#).await;
    let refusal = peer.text().await;
    assert!(!refusal.contains("log in"), "{refusal}");
    peer.send(r#"0{"a":1}"#).await;
    assert!(peer.text().await.starts_with(r#"0{"sid""#));
}

#[test]
fn what_is_said_of_wrong_auth_does_not_quote_it() {
    let error = fanfare_protocol::socket::decode_value::<u8>(r#""hunter2\n""#).unwrap_err();
    let rejection = fanfare::extract::Rejection::Auth(error);
    assert_eq!(
        rejection.to_string(),
        "invalid auth: invalid type: string of 8 bytes, expected u8"
    );
}
