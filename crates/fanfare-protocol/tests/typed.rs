//! Typed events, from the value to the wire and back.

#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use fanfare_protocol::socket::{Args, ArgsError, Decoder, Packet, encode_event};
use fanfare_protocol::typed::{BetweenServers, FromClients, FromServer};
use fanfare_protocol::typed::{Contract, NoAck, Typed, TypedEvent};
use fanfare_protocol::{Limits, msgpack};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TypedEvent)]
#[event(name = "chat message", ack = (bool, u64))]
#[serde(rename_all = "camelCase")]
struct Message {
    room_name: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct UserMoved(String, f64, Option<Message>);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Say(String);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Several((u8, u8));

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Ping;

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Empty {}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Left,
    Steps(u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Picture(String, Bytes, Bytes);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Pair<T>(T, T);

/// Event that is only sent, so it may borrow.
#[derive(Serialize, TypedEvent)]
struct Borrowed<'a> {
    text: &'a str,
}

fn encode<E: TypedEvent + Serialize>(event: &E) -> (String, Vec<Bytes>) {
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    encode_event(
        &mut out,
        "/",
        None,
        E::NAME,
        &Typed(event),
        &mut attachments,
    )
    .unwrap();
    (String::from_utf8(out).unwrap(), attachments)
}

fn decode<E: TypedEvent + DeserializeOwned>(json: &str) -> Result<E, ArgsError> {
    let Typed(event) = Args::from_json(json, 128).unwrap().decode()?;
    Ok(event)
}

#[track_caller]
fn there_and_back<E>(event: E, packet: &str)
where
    E: TypedEvent + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let (text, attachments) = encode(&event);
    assert_eq!(text, packet);
    let (mut decoder, limits) = (Decoder::new(), Limits::default());
    let check = |packet: Packet<'_>| {
        let Packet::Event(arrived) = packet else {
            panic!("no event: {packet:?}")
        };
        assert_eq!(arrived.name, E::NAME);
        assert_eq!(arrived.args.decode::<Typed<E>>().unwrap(), Typed(event));
    };
    match decoder.text(&text, &limits).unwrap() {
        Some(packet) => check(packet),
        None => {
            let mut attachments = attachments.into_iter();
            let assembled = loop {
                let next = attachments.next().unwrap();
                if let Some(assembled) = decoder.binary(&next, &limits).unwrap() {
                    break assembled;
                }
            };
            check(assembled.packet());
        }
    }
}

#[test]
fn the_shape_of_the_type_is_the_number_of_arguments() {
    let message = Message {
        room_name: "lobby".into(),
        tags: vec!["a".into()],
    };
    there_and_back(
        message.clone(),
        r#"2["chat message",{"roomName":"lobby","tags":["a"]}]"#,
    );
    there_and_back(
        UserMoved("ada".into(), 1.5, Some(message)),
        r#"2["user_moved","ada",1.5,{"roomName":"lobby","tags":["a"]}]"#,
    );
    there_and_back(
        UserMoved("ada".into(), -0.5, None),
        r#"2["user_moved","ada",-0.5,null]"#,
    );
    there_and_back(Say("\"ü".into()), r#"2["say","\"ü"]"#);
    there_and_back(Several((1, 2)), r#"2["several",[1,2]]"#);
    there_and_back(Ping, r#"2["ping"]"#);
    there_and_back(Empty {}, r#"2["empty",{}]"#);
    there_and_back(Direction::Left, r#"2["direction","left"]"#);
    there_and_back(Direction::Steps(3), r#"2["direction",{"steps":3}]"#);
    there_and_back(Pair(1, 2), r#"2["pair",1,2]"#);
    let (text, _) = encode(&Borrowed { text: "x" });
    assert_eq!(text, r#"2["borrowed",{"text":"x"}]"#);
}

#[test]
fn bytes_are_attachments() {
    there_and_back(
        Picture("cat".into(), Bytes::from_static(b"\0\x01"), Bytes::new()),
        r#"52-["picture","cat",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
    );
}

#[test]
fn msgpack_is_the_same() {
    let picture = Picture("cat".into(), Bytes::from_static(b"\0\x01"), Bytes::new());
    let mut out = Vec::new();
    msgpack::encode_event(&mut out, "/", None, Picture::NAME, &Typed(&picture)).unwrap();
    let limits = Limits::default();
    let Packet::Event(arrived) = msgpack::decode(&out, &limits).unwrap() else {
        panic!("no event")
    };
    assert_eq!((&*arrived.name, arrived.args.len()), ("picture", 3));
    assert_eq!(arrived.args.decode::<Typed<Picture>>().unwrap().0, picture);
    let error = arrived.args.decode::<Typed<UserMoved>>().unwrap_err();
    assert_eq!(error.argument, 1, "{error}");
}

#[test]
fn missing_arguments_are_null_and_additional_ones_ignored() {
    assert_eq!(
        decode::<UserMoved>(r#"["ada",1]"#).unwrap(),
        UserMoved("ada".into(), 1.0, None)
    );
    assert_eq!(decode::<Say>(r#"["a","b"]"#).unwrap(), Say("a".into()));
    assert_eq!(decode::<Ping>("[1,2]").unwrap(), Ping);
    assert_eq!(decode::<Pair<u8>>("[1,2,3]").unwrap(), Pair(1, 2));
}

#[test]
fn what_does_not_fit_is_found_in_its_argument() {
    let error = decode::<UserMoved>(r#"["ada","x"]"#).unwrap_err();
    assert_eq!((error.argument, error.path.as_str()), (1, ""), "{error}");
    let error = decode::<UserMoved>(r#"["ada",1,{"roomName":"a","tags":[1]}]"#).unwrap_err();
    assert_eq!(
        (error.argument, error.path.as_str()),
        (2, "tags[0]"),
        "{error}"
    );
    let error = decode::<Message>("[]").unwrap_err();
    assert_eq!(error.argument, 0, "{error}");
    let error = decode::<Pair<u8>>("[1]").unwrap_err();
    assert_eq!(error.argument, 1, "{error}");
}

#[derive(Contract)]
#[contract(
    namespace = "/chat",
    from_clients(Message, Ping),
    from_server(Message, Say)
)]
#[contract(between_servers(Empty), data = u8)]
struct Chat;

#[derive(Contract)]
struct Main;

#[test]
fn a_contract_says_who_sends_what() {
    fn clients<E: FromClients<C>, C>() -> &'static str {
        E::NAME
    }
    fn server<E: FromServer<C>, C>() -> &'static str {
        E::NAME
    }
    fn servers<E: BetweenServers<C>, C>() -> &'static str {
        E::NAME
    }
    fn acknowledged_by<E: TypedEvent<Ack = A>, A>() {}

    assert_eq!((Chat::NAMESPACE, Main::NAMESPACE), ("/chat", "/"));
    let _: <Chat as Contract>::SocketData = 7u8;
    assert_eq!(clients::<Message, Chat>(), "chat message");
    assert_eq!(clients::<Ping, Chat>(), "ping");
    assert_eq!(server::<Message, Chat>(), "chat message");
    assert_eq!(server::<Say, Chat>(), "say");
    assert_eq!(servers::<Empty, Chat>(), "empty");
    acknowledged_by::<Message, (bool, u64)>();
    acknowledged_by::<Ping, NoAck>();
}
