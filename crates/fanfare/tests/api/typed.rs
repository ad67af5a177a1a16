//! Typed events, and namespaces with a contract.

use std::time::Duration;

use fanfare::broadcast::BroadcastReport;
use fanfare::extract::Rejection;
use fanfare::typed::{Contract, Typed, TypedEvent, TypedNamespace, TypedOperator, TypedSocket};
use fanfare::{
    Ack, AckError, BroadcastOperator, BuildError, EmitError, EventError, Namespace, Socket,
    SocketIo, State,
};
use fanfare_testing::Received;
use serde::{Deserialize, Serialize};

use crate::support::{Server, within};

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
#[event(ack = MessageId)]
struct Message {
    room: String,
    text: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct MessageId {
    id: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
#[event(ack = (i64, bool))]
struct Add(i64, i64);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Typing;

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
#[event(name = "user joined", ack = ())]
struct UserJoined<'a>(&'a str);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
#[event(name = "vote?", ack = bool)]
struct Vote;

#[derive(Contract)]
#[contract(
    namespace = "/chat",
    from_clients(Message, Add, Typing),
    from_server(Message, Typing, Vote, UserJoined<'_>),
    data = MessageId
)]
struct Chat;

#[tokio::test]
async fn a_handler_takes_and_acknowledges_what_the_type_says() {
    async fn message(Typed(message): Typed<Message>) -> Result<Ack<MessageId>, EventError> {
        if message.text.is_empty() {
            return Err(EventError::new("nothing to say"));
        }
        let id = message.text.len() as u64;
        Ok(Ack(MessageId { id }))
    }
    let server = Server::start(
        SocketIo::builder().state(10i64).namespace(
            Namespace::new("/")
                .on_event(message)
                // The event may be any of the parameters.
                .on_event(
                    async |_: Socket, Typed(Add(a, b)): Typed<Add>, State(base): State<i64>| {
                        Ack((base + a + b, true))
                    },
                )
                .on_event(async |socket: Socket, _: Typed<Typing>| socket.emit_event(&Typing)),
        ),
    )
    .await;
    let mut peer = server.joined().await;
    for (packet, answer) in [
        (
            r#"21["message",{"room":"a","text":"hello"}]"#,
            r#"31[{"id":5}]"#,
        ),
        (
            r#"22["message",{"room":"a","text":""}]"#,
            r#"32[{"error":{"message":"nothing to say"}}]"#,
        ),
        (r#"23["add",1,2]"#, "33[13,true]"),
        (r#"2["typing"]"#, r#"2["typing"]"#),
        (r#"2["typing",1,2]"#, r#"2["typing"]"#),
    ] {
        peer.send(packet).await;
        peer.expect(answer).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_the_type_is_answered_with_the_reason() {
    let server = Server::with(
        Namespace::new("/")
            .on_event(async |Typed(Add(a, b)): Typed<Add>| Ack((a + b, true)))
            // Added by name, and still typed.
            .on(
                Message::NAME,
                async |message: Result<Typed<Message>, Rejection>| Ack(message.is_err()),
            ),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"21["add",1,"two"]"#).await;
    peer.expect(r#"31[{"error":{"message":"argument 1 does not fit"}}]"#)
        .await;
    peer.send(r#"22["add",[1,2]]"#).await;
    peer.expect(r#"32[{"error":{"message":"argument 0 does not fit"}}]"#)
        .await;
    peer.send(r#"23["message",{"room":1}]"#).await;
    peer.expect("33[true]").await;
}

#[tokio::test]
async fn events_of_any_origin_carry_their_name() {
    let server = Server::with(Namespace::new("/")).await;
    let mut peer = server.joined().await;
    let io = &server.io;
    let socket = io.of("/").socket(peer.sid()).unwrap();
    let message = Message {
        room: "a".into(),
        text: "b".into(),
    };
    let text = r#"2["message",{"room":"a","text":"b"}]"#;
    assert_eq!(io.emit_event(&message).unwrap().recipients, 1);
    peer.expect(text).await;
    io.of("/").emit_event(&message).unwrap();
    peer.expect(text).await;
    io.to(peer.sid()).emit_event(&message).unwrap();
    peer.expect(text).await;
    socket.emit_event(&Add(1, 2)).unwrap();
    peer.expect(r#"2["add",1,2]"#).await;
    socket
        .compress(false)
        .emit_event(&UserJoined("Ada"))
        .unwrap();
    peer.expect(r#"2["user joined","Ada"]"#).await;
}

#[tokio::test]
async fn what_is_sent_elsewhere_has_types_as_well() {
    let orders = Namespace::pattern("/orders-{id}").on_connect(async |socket: Socket| {
        if socket.namespace_name() == "/orders-1" {
            socket.join("staff").unwrap();
        }
    });
    let server = Server::start(SocketIo::builder().namespace(orders)).await;
    let mut peer = server.joined().await;
    let remote = server.io.fetch_sockets().await.unwrap().pop().unwrap();
    assert_eq!(remote.emit_event(&Add(1, 2)).unwrap().recipients, 1);
    peer.expect(r#"2["add",1,2]"#).await;
    let asked = tokio::spawn(async move {
        let remote = remote.timeout(Duration::from_secs(60));
        remote.emit_event_with_ack(&Add(3, 4)).await
    });
    peer.expect(r#"20["add",3,4]"#).await;
    peer.send("30[7,true]").await;
    let answer = within("the answer", asked).await.unwrap();
    assert_eq!(answer.unwrap(), (7, true));

    let parent = server.io.parent("/orders-{id}").unwrap();
    peer.join("/orders-1").await;
    peer.join("/orders-2").await;
    let staff = |everyone: BroadcastOperator| everyone.to("staff").compress(false);
    let report = parent.emit_event_with(staff, &Typing).unwrap();
    assert_eq!(report.recipients, 1);
    peer.expect(r#"2/orders-1,["typing"]"#).await;
    assert_eq!(parent.emit_event(&Add(5, 6)).unwrap().recipients, 2);
    let mut got = [peer.text().await, peer.text().await];
    got.sort();
    let expected = [1, 2].map(|n| format!(r#"2/orders-{n},["add",5,6]"#));
    assert_eq!(got, expected);
}

#[tokio::test]
async fn acknowledgements_are_of_the_type_of_the_event() {
    let server = Server::with(Namespace::new("/")).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();

    let sum = socket.emit_event_with_ack(&Add(1, 2));
    peer.expect(r#"20["add",1,2]"#).await;
    peer.send("30[3,true]").await;
    assert_eq!(within("the answer", sum).await.unwrap(), (3, true));

    let joined = socket
        .timeout(Duration::from_secs(60))
        .emit_event_with_ack(&UserJoined("Ada"));
    peer.expect(r#"21["user joined","Ada"]"#).await;
    peer.send("31[]").await;
    within("the answer", joined).await.unwrap();

    let votes = server.io.to(peer.sid()).emit_event_with_ack(&Vote);
    peer.expect(r#"22["vote?"]"#).await;
    peer.send("32[true]").await;
    assert_eq!(within("the answers", votes).await.unwrap(), [true]);

    let wrong = socket.emit_event_with_ack(&Vote);
    peer.expect(r#"23["vote?"]"#).await;
    peer.send(r#"33["perhaps"]"#).await;
    let error = within("the answer", wrong).await.unwrap_err();
    assert!(matches!(error, AckError::Args(_)), "{error}");
}

#[tokio::test]
async fn one_socket_listens() {
    let server = Server::with(Namespace::new("/").on("echo", async || Ack(()))).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    socket.once_event(async |Typed(Add(a, b)): Typed<Add>| Ack((a * b, false)));
    let listener = socket.on_event(async |socket: Socket, Typed(Typing): Typed<Typing>| {
        socket.emit("once more", ())
    });
    peer.send(r#"21["add",3,4]"#).await;
    peer.expect("31[12,false]").await;
    peer.send(r#"22["add",3,4]"#).await;
    peer.send(r#"2["typing"]"#).await;
    peer.expect(r#"2["once more"]"#).await;
    assert!(socket.off(listener));
    peer.send(r#"2["typing"]"#).await;
    peer.quiet().await;
}

#[tokio::test]
async fn a_contract_is_the_whole_namespace() {
    async fn message(
        socket: TypedSocket<Chat>,
        Typed(message): Typed<Message>,
    ) -> Result<Ack<MessageId>, EmitError> {
        socket.join(&*message.room).unwrap();
        socket.namespace().to(&message.room).emit(&message)?;
        Ok(Ack(MessageId { id: 1 }))
    }
    async fn typing(
        socket: TypedSocket<Chat>,
        _: Typed<Typing>,
    ) -> Result<BroadcastReport, EmitError> {
        socket.broadcast().emit(&Typing)
    }
    let chat = Namespace::typed::<Chat>()
        .on_connect(async |socket: TypedSocket<Chat>| {
            socket.set_data(&MessageId { id: 7 })?;
            socket.on(async |Typed(Add(a, b)): Typed<Add>| Ack((a + b, true)));
            socket.emit(&UserJoined("you"))?;
            Ok::<_, EventError>(())
        })
        .on_event(message)
        .on_event(typing);
    let server = Server::start(SocketIo::builder().namespace(chat)).await;
    let mut ada = server.peer().await;
    ada.join("/chat").await;
    ada.expect(r#"2/chat,["user joined","you"]"#).await;
    let mut bob = server.peer().await;
    bob.join("/chat").await;
    bob.expect(r#"2/chat,["user joined","you"]"#).await;

    ada.send(r#"2/chat,1["message",{"room":"r","text":"t"}]"#)
        .await;
    ada.expect(r#"2/chat,["message",{"room":"r","text":"t"}]"#)
        .await;
    ada.expect(r#"3/chat,1[{"id":1}]"#).await;
    bob.send(r#"2/chat,2["add",1,1]"#).await;
    bob.expect("3/chat,2[2,true]").await;
    bob.send(r#"2/chat,["typing"]"#).await;
    ada.expect(r#"2/chat,["typing"]"#).await;

    let chat: TypedNamespace<Chat> = server.io.typed::<Chat>();
    let room: TypedOperator<Chat> = chat.to("r").except("nobody").compress(false).local();
    let votes = room.timeout(Duration::from_secs(60)).emit_with_ack(&Vote);
    assert_eq!(ada.text().await, r#"2/chat,0["vote?"]"#);
    ada.send("3/chat,0[false]").await;
    assert_eq!(within("the answers", votes).await.unwrap(), [false]);
    assert_eq!(chat.emit(&Typing).unwrap().recipients, 2);

    let ada_here: TypedSocket<Chat> = chat.socket(ada.sid()).unwrap();
    assert_eq!(ada_here.data().unwrap(), MessageId { id: 7 });
    let vote = ada_here.volatile().timeout(Duration::from_secs(60));
    ada.expect(r#"2/chat,["typing"]"#).await;
    let vote = vote.emit_with_ack(&Vote);
    ada.expect(r#"2/chat,1["vote?"]"#).await;
    ada.send("3/chat,1[true]").await;
    assert!(within("the answer", vote).await.unwrap());
    ada_here.disconnect(true); // all other methods are the socket's
    assert_eq!(ada.next().await, Received::Text("1/chat,".into()));
}

#[tokio::test]
async fn a_pattern_has_a_contract_too() {
    let rooms = Namespace::pattern("/room-{id}")
        .contract::<Chat>()
        .on_event(async |socket: TypedSocket<Chat>, _: Typed<Typing>| socket.emit(&Typing));
    let server = Server::start(SocketIo::builder().namespace(rooms)).await;
    let mut peer = server.peer().await;
    peer.join("/room-1").await;
    peer.send(r#"2/room-1,["typing"]"#).await;
    peer.expect(r#"2/room-1,["typing"]"#).await;
    let room = server.io.namespace("/room-1").unwrap().typed::<Chat>();
    room.emit(&UserJoined("Ada")).unwrap();
    peer.expect(r#"2/room-1,["user joined","Ada"]"#).await;
}

#[test]
fn a_handler_of_another_contract_is_found_when_the_server_is_built() {
    #[derive(Contract)]
    #[contract(from_clients(Typing))]
    struct Other;

    async fn typing(_: TypedSocket<Other>, _: Typed<Typing>) {}

    let build = |namespace| SocketIo::builder().namespace(namespace).build().map(drop);
    let error = build(Namespace::new("/").contract::<Chat>().on_event(typing)).unwrap_err();
    assert!(
        matches!(&error, BuildError::OtherContract { namespace, .. } if namespace == "/"),
        "{error}"
    );
    let error = error.to_string();
    assert!(
        error.contains("Other>, but the namespace has the contract api::typed::Chat"),
        "{error}"
    );
    let build = |namespace| SocketIo::builder().namespace(namespace).build().map(drop);
    build(Namespace::new("/").on_event(typing)).unwrap();
}

#[test]
fn reserved_names_are_refused() {
    #[derive(Serialize, Deserialize)]
    struct Own;
    impl TypedEvent for Own {
        const NAME: &'static str = "disconnect";
        type Ack = fanfare::typed::NoAck;
    }
    let io = SocketIo::builder()
        .namespace(Namespace::new("/").on_event(async |_: Typed<Own>| {}))
        .build();
    assert!(matches!(io, Err(BuildError::ReservedEvent(name)) if name == "disconnect"));
    let io = SocketIo::builder().build().unwrap();
    assert!(matches!(
        io.emit_event(&Own),
        Err(EmitError::NotSerializable(_))
    ));
}
