//! Packets of every malformed kind.

use fanfare::parser::MsgpackParser;
use fanfare::{Ack, Data, SocketIo};
use serde_json::Value;

use crate::recorder::Sums;
use crate::support::{Server, until};
use crate::{assert_served, echo};

#[tokio::test]
async fn each_ends_only_the_connection_that_sent_it() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    let mut other = server.joined().await;
    let deep = format!(r#"2["a",{}{}]"#, "[".repeat(500), "]".repeat(500));
    let endless = format!(r#"2["a",{}"#, "[".repeat(100_000));
    let objects = format!(r#"2["a",{}1{}]"#, r#"{"a":"#.repeat(200), "}".repeat(200));
    let long = format!(r#"2["{}"]"#, "e".repeat(5000));
    let namespace = format!("2/{},[\"a\"]", "n".repeat(5000));
    let auth = format!(r#"0/other,{{"a":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let packets = [
        "",
        "7",
        "x",
        "2",
        "2{}",
        "2[",
        "2[]",
        "2[null]",
        "2[{}]",
        r#"2["a""#,
        r#"2["a"]x"#,
        r#"2["a",]"#,
        r#"2["a",01]"#,
        r#"2["a",nul]"#,
        r#"2["a","\x"]"#,
        "2[\"a\",\"\n\"]",
        r#"2["connect"]"#,
        r#"2["disconnecting"]"#,
        "3[]",
        "3",
        "31{}",
        r#"299999999999999999999["a"]"#,
        "1{}",
        "1[]",
        "5",
        r#"5["a"]"#,
        r#"51["a"]"#,
        r#"5x-["a"]"#,
        r#"5-1-["a"]"#,
        r#"511-["a"]"#,
        r#"599999999999999999999-["a"]"#,
        r#"61-["a"]"#,
        "0{",
        "0[]",
        "0\"x\"",
        "4",
        "4{}",
        deep.as_str(),
        endless.as_str(),
        objects.as_str(),
        long.as_str(),
        namespace.as_str(),
        auth.as_str(),
    ];
    for (n, packet) in packets.iter().enumerate() {
        let mut peer = server.joined().await;
        peer.send(packet).await;
        assert_eq!(peer.until_closed().await, [], "{packet:.60}");
        until("it is counted", || {
            server.io.stats().rejected == n as u64 + 1
        })
        .await;
    }
    assert_served(&mut other).await;
}

/// `{type: 2, nsp: "/", data: …}` up to the data.
const EVENT: &[u8] = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data";

#[tokio::test]
async fn msgpack_that_lies_about_its_lengths() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let builder = SocketIo::builder().namespace(echo()).parser(MsgpackParser);
    let server = Server::start(builder).await;
    let event = |data: &[u8]| [EVENT, data].concat();
    let most = u32::MAX.to_be_bytes();
    let long = |prefix: u8| event(&[&[0x92, 0xa1, b'a', prefix], &most[..]].concat());
    let packets = [
        vec![],
        vec![0xc1],
        vec![0xdf, 0xff, 0xff, 0xff, 0xff],
        vec![0x90],
        EVENT.to_vec(),
        event(b"\x90"),
        event(b"\xa1a"),
        event(b"\xdd\xff\xff\xff\xff\xa1a"),
        event(b"\x92\xa1a"),
        event(b"\x91\xa1a\x00"),
        event(&[&b"\x92\xa1a"[..], &[0x91; 500], b"\xc0"].concat()),
        event(&[&b"\x92\xa1a"[..], &[0x81; 500]].concat()),
        long(0xc6), // binary
        long(0xc9), // extension
        long(0xdb), // text
        long(0xdd), // array
        long(0xdf), // map
        b"\x83\xa4type\x09\xa3nsp\xa1/\xa4data\x91\xa1a".to_vec(),
        b"\x83\xa4type\x02\xa3nsp\x01\xa4data\x91\xa1a".to_vec(),
        b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1a\xa2id\xff".to_vec(),
        b"\x83\xa4type\x92\x02\x02\xa3nsp\xa1/\xa4data\x91\xa1a".to_vec(),
    ];
    for (n, packet) in packets.iter().enumerate() {
        let mut peer = server.peer().await;
        peer.send_binary(packet).await;
        assert_eq!(peer.until_closed().await, [], "{packet:.60x?}");
        let refused = "fanfare_rejected_total{cause=malformed}";
        until("it is counted", || sums.get(refused) == (n + 1) as f64).await;
    }
}

#[tokio::test]
async fn lying_attachment_counts() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    let mut other = server.joined().await;
    let placeholder = |num: &str| format!(r#"["echo",{{"_placeholder":true,"num":{num}}}]"#);

    // Binary where none is expected, and text where binary is.
    let mut peer = server.joined().await;
    peer.send_binary(b"?").await;
    assert_eq!(peer.until_closed().await, []);
    let mut peer = server.joined().await;
    peer.send(&format!("52-{}", placeholder("0"))).await;
    peer.send_binary(b"one").await;
    peer.send(r#"2["echo"]"#).await;
    assert_eq!(peer.until_closed().await, []);

    // Numbers that refer to nothing reach the handler's types, not memory.
    for num in ["1", "-1", "1e9", "\"0\"", "null", "18446744073709551615"] {
        let mut peer = server.joined().await;
        peer.send(&format!("51-7{}", placeholder(num))).await;
        peer.send_binary(b"x").await;
        let answer = peer.text().await; // the handler takes no arguments, so there is no error
        assert_eq!(answer, "37[]", "{num}");
    }
    assert_served(&mut other).await;
    assert_eq!(server.io.stats().rejected, 2);
}

#[tokio::test]
async fn names_that_are_poison_elsewhere() {
    let namespace = echo().on("keep", async |Data(value): Data<Value>| Ack(value));
    let server = Server::start(SocketIo::builder().namespace(namespace)).await;
    let mut peer = server.joined().await;
    for name in [
        "__proto__",
        "constructor",
        "toString",
        "hasOwnProperty",
        "prototype",
    ] {
        peer.send(&format!(r#"21["keep",{{"{name}":{{"x":1}}}}]"#))
            .await;
        peer.expect(&format!(r#"31[{{"{name}":{{"x":1}}}}]"#)).await;
        peer.send(&format!(r#"2["{name}"]"#)).await; // an event without a handler
    }
    peer.send("0/__proto__,").await;
    peer.expect(r#"4/__proto__,{"message":"Invalid namespace"}"#)
        .await;
    assert_served(&mut peer).await;
}
