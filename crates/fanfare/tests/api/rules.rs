//! Validation rules of types: the receiver rejects a value that breaks one and tells the sender which.

use std::time::Duration;

use fanfare::ack::BroadcastAckError;
use fanfare::adapter::ServerSideEmitError;
use fanfare::extract::Valid;
use fanfare::typed::{Contract, Typed, TypedEvent, TypedServerEvent};
use fanfare::{Ack, AckError, Extension, Namespace, Socket, SocketIo};
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::bus::Bus;
use crate::recorder::Sums;
use crate::support::{Peer, Server, within};

#[derive(Debug, Clone, Serialize, Deserialize, TypedEvent, Validate)]
#[event(ack = Name)]
struct Say {
    #[garde(length(chars, min = 1, max = 5))]
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
struct Name {
    #[garde(length(chars, max = 3))]
    name: String,
}

#[derive(Debug, Serialize, Deserialize, TypedEvent, Validate)]
#[event(ack = (Name, u8))]
struct Move(#[garde(range(max = 9))] u8, #[garde(range(max = 9))] u8);

#[derive(Contract)]
#[contract(from_clients(Say, Move), from_server(Say, Move), between_servers(Say))]
struct Rules;

async fn server() -> (Server, Peer) {
    let namespace = Namespace::new("/")
        .on("echo", async || Ack(()))
        .contract::<Rules>()
        .on_event(async |Typed(say): Typed<Say>| Ack(Name { name: say.text }))
        .on_event(async |Typed(Move(a, b)): Typed<Move>| Ack((Name { name: "x".into() }, a + b)));
    let server = Server::start(SocketIo::builder().namespace(namespace)).await;
    let peer = server.joined().await;
    (server, peer)
}

#[tokio::test]
async fn a_broken_rule_is_acknowledged_and_counted() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let (_server, mut peer) = server().await;
    for (packet, answer) in [
        (r#"21["say",{"text":"hello"}]"#, r#"31[{"name":"hello"}]"#),
        (
            r#"22["say",{"text":"SECRET"}]"#,
            r#"32[{"error":{"message":"argument 0 is not valid at text: length is greater than 5"}}]"#,
        ),
        (r#"23["move",1,9]"#, r#"33[{"name":"x"},10]"#),
        (
            r#"24["move",1,10]"#,
            r#"34[{"error":{"message":"argument 1 is not valid: greater than 9"}}]"#,
        ),
    ] {
        peer.send(packet).await;
        peer.expect(answer).await;
    }
    // Without an acknowledgement nothing is sent, and the handler does not run.
    peer.send(r#"2["say",{"text":""}]"#).await;
    peer.quiet().await;
    assert_eq!(sums.get("fanfare_events_rejected_total{reason=rule}"), 3.0);
}

#[tokio::test]
async fn data_and_auth_may_have_rules_too() {
    let namespace = Namespace::new("/")
        .middleware(async |socket: Socket, Valid(name): Valid<Name>| {
            socket.extensions().insert(name);
        })
        .on("rename", async |Valid(new): Valid<Name>| Ack(new.name))
        .on("maybe", async |new: Option<Valid<Name>>| Ack(new.is_some()))
        .on("name", async |Extension(name): Extension<Name>| Ack(name));
    let server = Server::with(namespace).await;
    let mut peer = server.peer().await;
    peer.send(r#"0{"name":"Grace"}"#).await;
    peer.expect(r#"4{"message":"invalid auth at name: length is greater than 3"}"#)
        .await;
    peer.send(r#"0{"name":5}"#).await;
    peer.expect(r#"4{"message":"invalid auth"}"#).await;
    peer.send(r#"0{"name":"Ada"}"#).await;
    assert!(peer.text().await.starts_with(r#"0{"sid""#));
    for (packet, answer) in [
        (r#"21["name"]"#, r#"31[{"name":"Ada"}]"#),
        (r#"22["rename",{"name":"Bob"},"ignored"]"#, r#"32["Bob"]"#),
        (
            r#"23["rename",{"name":"Grace"}]"#,
            r#"33[{"error":{"message":"argument 0 is not valid at name: length is greater than 3"}}]"#,
        ),
        (r#"24["maybe"]"#, "34[false]"),
        (r#"25["maybe",{"name":"Bob"}]"#, "35[true]"),
        (
            r#"26["maybe",{"name":"Grace"}]"#,
            r#"36[{"error":{"message":"argument 0 is not valid at name: length is greater than 3"}}]"#,
        ),
    ] {
        peer.send(packet).await;
        peer.expect(answer).await;
    }
}

#[tokio::test]
async fn acknowledgements_keep_the_rules_of_their_type() {
    let (server, mut peer) = server().await;
    let io = &server.io;
    let socket = io.of("/").socket(peer.sid()).unwrap().typed::<Rules>();
    let say = Say {
        text: "not checked when it leaves".into(),
    };
    let packet = |id: u8| format!(r#"2{id}["say",{{"text":"not checked when it leaves"}}]"#);

    let answer = socket.emit_with_ack(&say);
    peer.expect(&packet(0)).await;
    peer.send(r#"30[{"name":"Grace"}]"#).await;
    match within("the answer", answer).await {
        Err(AckError::Args(error)) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }

    let answer = socket.emit_with_ack(&say);
    peer.expect(&packet(1)).await;
    peer.send(r#"31[{"name":"Ada"}]"#).await;
    assert_eq!(within("the answer", answer).await.unwrap().name, "Ada");

    let answer = socket.timeout(Duration::from_secs(60));
    let answer = answer.emit_with_ack(&Move(10, 10));
    peer.expect(r#"22["move",10,10]"#).await;
    peer.send(r#"32[{"name":"Grace"},1]"#).await;
    let error = within("the answer", answer).await.unwrap_err();
    let told = "unexpected acknowledgement: argument 0 at name: length is greater than 3";
    assert_eq!(error.to_string(), told);

    let mut second = server.joined().await;
    let answers = io.typed::<Rules>().everyone().emit_with_ack(&say);
    peer.expect(&packet(3)).await;
    second.expect(&packet(3)).await;
    peer.send(r#"33[{"name":"Ada"}]"#).await;
    second.send(r#"33[{"name":"Grace"}]"#).await;
    match within("the answers", answers).await {
        Err(BroadcastAckError::Args(error)) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }

    let remote = io.to(peer.sid()).fetch_sockets().await.unwrap();
    let remote = remote.into_iter().next().unwrap();
    let asked = tokio::spawn(async move { remote.emit_event_with_ack(&say).await });
    peer.expect(&packet(4)).await;
    peer.send(r#"34[{"name":"Grace"}]"#).await;
    match within("the answer", asked).await.unwrap() {
        Err(AckError::Args(error)) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }
}

/// A timeout does not return answers that break a rule.
#[tokio::test]
async fn answers_that_came_in_time_keep_the_rules() {
    let (server, mut peer) = server().await;
    let _silent = server.joined().await;
    let everyone = server.io.typed::<Rules>();
    let answers = everyone
        .timeout(Duration::from_millis(200))
        .emit_with_ack(&Say { text: "?".into() });
    peer.expect(r#"20["say",{"text":"?"}]"#).await;
    peer.send(r#"30[{"name":"Grace"}]"#).await;
    peer.quiet().await; // the answer has arrived before the timeout starts
    match within("the answers", answers).await {
        Err(BroadcastAckError::Args(error)) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn servers_keep_the_rules_among_each_other() {
    let node = || {
        Namespace::new("/")
            .contract::<Rules>()
            .on_typed_server_event(async |event: TypedServerEvent<Say>| {
                let name = match event.data() {
                    Ok(say) => say.text,
                    Err(error) if error.is_rule() => "no!".to_owned(),
                    Err(error) => panic!("{error}"),
                };
                event.ack(&Name { name }).unwrap();
            })
    };
    let bus = Bus::default();
    let one = bus.node("one", node()).await;
    let _two = bus.node("two", node()).await;
    let rules = one.io.typed::<Rules>();
    let ask = async |text: &str| {
        let say = Say { text: text.into() };
        rules.server_side_emit_with_ack(&say).await
    };
    assert_eq!(ask("Ada").await.unwrap(), [Name { name: "Ada".into() }]);
    // Too long for an event, which its handler has answered.
    assert_eq!(
        ask("Ada Lovelace").await.unwrap(),
        [Name { name: "no!".into() }]
    );
    // Too long for an answer.
    match ask("Grace").await {
        Err(ServerSideEmitError::Args(error)) => assert!(error.is_rule(), "{error}"),
        other => panic!("{other:?}"),
    }
}
