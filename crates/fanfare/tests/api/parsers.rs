//! Encodings of packets other than JSON.

use bytes::Bytes;
use fanfare::parser::{Messages, MsgpackParser, Parser, ParserDecoder, ParserError, RawPacket};
use fanfare::{Ack, Data, Limits, Namespace, Socket, SocketIo, Value};
use fanfare_protocol::msgpack;
use fanfare_protocol::socket::Packet;
use fanfare_testing::Received;

use crate::support::{Peer, Server};

fn namespace() -> Namespace {
    Namespace::new("/chat")
        .middleware(async |Data(auth): Data<Option<serde_json::Value>>| {
            match auth.and_then(|auth| auth["token"].as_str().map(str::to_owned)) {
                Some(token) if token == "good" => Ok(()),
                _ => Err(fanfare::ConnectError::new("who are you?").with_data(7)),
            }
        })
        .on("echo", async |Data((n, data)): Data<(u32, Bytes)>| {
            Ack((n + 1, data))
        })
        .on("ask", async |socket: Socket| {
            let answer: String = socket.emit_with_ack("question", ()).await.unwrap();
            socket
                .namespace()
                .emit("answer", (answer, Bytes::from_static(b"\0\x01")))
                .unwrap();
        })
        .on("leave", async |socket: Socket| socket.disconnect(false))
}

async fn binary(peer: &mut Peer) -> Bytes {
    match peer.next().await {
        Received::Binary(data) => data,
        seen => panic!("expected a binary message, not {seen:?}"),
    }
}

/// Checks packets in the msgpack encoding, with our codec on the client's side.
#[tokio::test]
async fn msgpack() {
    conversation(SocketIo::builder().parser(MsgpackParser)).await;
}

/// A parser that the server does not know, with the same encoding: all packets pass through `RawPacket`.
#[tokio::test]
async fn a_parser_of_the_application() {
    struct Own;

    impl Parser for Own {
        fn encode(&self, packet: &RawPacket, out: &mut Messages) -> Result<(), ParserError> {
            MsgpackParser.encode(packet, out)
        }

        fn decoder(&self) -> Box<dyn ParserDecoder> {
            MsgpackParser.decoder()
        }
    }

    conversation(SocketIo::builder().parser(Own)).await;
}

async fn conversation(builder: fanfare::SocketIoBuilder) {
    let limits = Limits::default();
    let server = Server::start(builder.namespace(namespace())).await;
    let mut peer = server.peer().await;
    let mut out = Vec::new();

    msgpack::encode_connect::<()>(&mut out, "/chat", None).unwrap();
    peer.send_binary(&out).await;
    let data = binary(&mut peer).await;
    let Packet::ConnectError(error) = msgpack::decode(&data, &limits).unwrap() else {
        panic!("not refused")
    };
    let body = error.body();
    assert_eq!(
        (body.message.as_str(), body.data.as_deref()),
        ("who are you?", Some("7"))
    );

    out.clear();
    let auth = serde_json::json!({ "token": "good" });
    msgpack::encode_connect(&mut out, "/chat", Some(&auth)).unwrap();
    peer.send_binary(&out).await;
    let data = binary(&mut peer).await;
    let Packet::Connect(connect) = msgpack::decode(&data, &limits).unwrap() else {
        panic!("not connected")
    };
    assert!(connect.payload.unwrap().starts_with(r#"{"sid":""#));

    out.clear();
    let args = (41, Bytes::from_static(b"bytes"));
    msgpack::encode_event(&mut out, "/chat", Some(3), "echo", &args).unwrap();
    peer.send_binary(&out).await;
    let data = binary(&mut peer).await;
    let Packet::Ack(ack) = msgpack::decode(&data, &limits).unwrap() else {
        panic!("no acknowledgement")
    };
    assert_eq!((ack.namespace, ack.id), ("/chat", 3));
    let echoed: (u32, Bytes) = ack.args.decode().unwrap();
    assert_eq!(echoed, (42, Bytes::from_static(b"bytes")));

    out.clear();
    msgpack::encode_event(&mut out, "/chat", None, "ask", &()).unwrap();
    peer.send_binary(&out).await;
    let data = binary(&mut peer).await;
    let Packet::Event(question) = msgpack::decode(&data, &limits).unwrap() else {
        panic!("no question")
    };
    assert_eq!(question.name, "question");
    out.clear();
    msgpack::encode_ack(&mut out, "/chat", question.ack.unwrap(), &"because").unwrap();
    peer.send_binary(&out).await;
    let data = binary(&mut peer).await;
    let Packet::Event(answer) = msgpack::decode(&data, &limits).unwrap() else {
        panic!("no answer")
    };
    let answer: (String, Value) = answer.args.decode().unwrap();
    assert_eq!(
        answer,
        (
            "because".into(),
            Value::Binary(Bytes::from_static(b"\0\x01"))
        )
    );

    out.clear();
    msgpack::encode_event(&mut out, "/chat", None, "leave", &()).unwrap();
    peer.send_binary(&out).await;
    let data = binary(&mut peer).await;
    assert!(matches!(
        msgpack::decode(&data, &limits).unwrap(),
        Packet::Disconnect("/chat")
    ));

    // A message that the encoding does not allow ends the connection.
    peer.send("0").await;
    assert_eq!(peer.until_closed().await, []);
    assert_eq!(server.io.stats().rejected, 2);
}
