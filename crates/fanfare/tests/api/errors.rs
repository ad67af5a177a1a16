//! Errors as clients see them.

use std::io;

use fanfare::limits::{RateLimitAction, RateLimits};
use fanfare::{Ack, Data, EventError, Extension, Namespace, Params, Socket, SocketIo};
use serde::Deserialize;

use crate::support::Server;

const INTERNAL: &str = r#"{"error":{"message":"internal error"}}"#;

fn secret() -> io::Result<()> {
    Err(io::Error::other("password of db-7.internal is wrong"))
}

#[tokio::test]
async fn an_error_of_the_application_is_not_told_to_the_client() {
    let namespace = Namespace::new("/")
        .on("returned", async || secret())
        .on("later", async || {
            tokio::task::yield_now().await;
            secret()
        });
    let server = Server::with(namespace).await;
    let mut peer = server.joined().await;
    for event in ["returned", "later"] {
        peer.send(&format!(r#"21["{event}"]"#)).await;
        peer.expect(&format!("31[{INTERNAL}]")).await;
    }
}

#[tokio::test]
async fn an_error_of_a_packet_middleware_is_not_told_to_the_client() {
    let namespace = Namespace::new("/")
        .packet_middleware(async || secret())
        .on("e", async || ());
    let mut peer = Server::with(namespace).await.joined().await;
    peer.send(r#"21["e"]"#).await;
    peer.expect(&format!("31[{INTERNAL}]")).await;
}

#[tokio::test]
async fn an_error_of_a_middleware_is_not_told_to_who_is_not_let_in() {
    #[derive(Debug, Deserialize)]
    struct Credentials {
        #[allow(dead_code, reason = "never there")]
        token: String,
    }
    let builder = SocketIo::builder()
        .namespace(Namespace::new("/secret").middleware(async || secret()))
        .namespace(Namespace::new("/typed").middleware(async |_: Data<Credentials>| ()));
    let mut peer = Server::start(builder).await.peer().await;
    peer.send("0/secret,").await;
    peer.expect(r#"4/secret,{"message":"internal error"}"#)
        .await;
    for auth in ["", "7", r#"{"token":1}"#, r#"{"other":1}"#] {
        peer.send(&format!("0/typed,{auth}")).await;
        peer.expect(r#"4/typed,{"message":"invalid auth"}"#).await;
    }
}

#[tokio::test]
async fn a_client_learns_which_argument_is_wrong_but_no_type_of_the_server() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "never there")]
    struct ChatMessage {
        text: String,
        tags: Vec<Tag>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "never there")]
    enum Tag {
        Urgent,
    }
    let namespace = Namespace::new("/").on("say", async |_: Data<(u8, ChatMessage)>| ());
    let mut peer = Server::with(namespace).await.joined().await;
    for (args, expected) in [
        (r#""x""#, "argument 0 does not fit"),
        ("1", "argument 1 does not fit"),
        (r#"1,"x""#, "argument 1 does not fit"),
        ("1,{}", "argument 1 does not fit: missing field `text`"),
        (
            r#"1,{"text":"x","tags":["Urgent",7]}"#,
            "argument 1 does not fit at tags[1]",
        ),
        (r#"1,{"text":7}"#, "argument 1 does not fit at text"),
    ] {
        peer.send(&format!(r#"21["say",{args}]"#)).await;
        let expected = format!(r#"31[{{"error":{{"message":"{expected}"}}}}]"#);
        peer.expect(&expected).await;
    }
}

#[tokio::test]
async fn a_namespace_gives_its_errors_a_shape() {
    let handlers = |namespace: Namespace| {
        namespace
            .packet_middleware(
                async |fanfare::extract::EventName(name): fanfare::extract::EventName| match name
                    == "refused"
                {
                    true => Err(EventError::new("refused").with_data(3)),
                    false => Ok(()),
                },
            )
            .on("refused", async || ())
            .on("typed", async |_: Data<u8>| ())
            .on("told", async || {
                Err::<(), _>(EventError::new("told").with_data(1))
            })
            .on("hidden", async || secret())
            .on("good", async || Ack((None::<()>, 7)))
    };
    let builder = SocketIo::builder()
        .rate_limits(
            RateLimits::new()
                .events_per_second(1)
                .burst(std::time::Duration::from_secs(6))
                .excess(RateLimitAction::Drop),
        )
        .namespace(
            handlers(Namespace::new("/"))
                .ack_errors(|error| (error.message().to_owned(), error.data().cloned())),
        );
    let mut peer = Server::start(builder).await.joined().await;
    for (event, answer) in [
        ("told", r#"["told",1]"#),
        ("hidden", r#"["internal error",null]"#),
        ("typed", r#"["argument 0 does not fit",null]"#),
        ("refused", r#"["refused",3]"#),
        ("good", "[null,7]"),
        ("good", "[null,7]"),
        ("good", r#"["too many events",null]"#),
    ] {
        peer.send(&format!(r#"21["{event}"]"#)).await;
        peer.expect(&format!("31{answer}")).await;
    }
}

#[tokio::test]
async fn a_shape_of_errors_that_panics_costs_only_the_answer() {
    let namespace = Namespace::new("/")
        .ack_errors(|error| match error.message() {
            "shapeless" => panic_quietly(),
            message => message.to_owned(),
        })
        .on("fails", async |Data(text): Data<String>| {
            Err::<(), _>(EventError::new(text))
        });
    let mut peer = Server::with(namespace).await.joined().await;
    peer.send(r#"21["fails","shapeless"]"#).await;
    peer.send(r#"22["fails","well"]"#).await;
    peer.expect(&format!("31[{INTERNAL}]")).await;
    peer.expect(r#"32["well"]"#).await;
}

fn panic_quietly() -> String {
    std::panic::resume_unwind(Box::new("as expected")) // without the message
}

#[tokio::test]
async fn a_value_of_the_extensions_is_a_parameter() {
    #[derive(Clone)]
    struct User(&'static str);
    let namespace = Namespace::new("/")
        .on("who", async |Extension(User(name)): Extension<User>| {
            Ack(name)
        })
        .on("maybe", async |user: Option<Extension<User>>| {
            Ack(user.is_some())
        })
        .on("log in", async |socket: Socket| {
            socket.extensions().insert(User("ada"));
            Ack(())
        });
    let mut peer = Server::with(namespace).await.joined().await;
    for (event, answer) in [
        ("who", format!("[{INTERNAL}]")),
        ("maybe", "[false]".to_owned()),
        ("log in", "[]".to_owned()),
        ("who", r#"["ada"]"#.to_owned()),
        ("maybe", "[true]".to_owned()),
    ] {
        peer.send(&format!(r#"21["{event}"]"#)).await;
        peer.expect(&format!("31{answer}")).await;
    }
}

#[tokio::test]
async fn parameters_of_a_pattern_are_a_parameter() {
    #[derive(Deserialize)]
    struct Document {
        team: String,
        number: u32,
    }
    let namespace = Namespace::pattern("/{team}/docs-{number}")
        .middleware(async |_: Params<Document>| ())
        .on("named", async |Params(document): Params<Document>| {
            Ack((document.number + 1, document.team))
        })
        .on(
            "in order",
            async |Params((team, number)): Params<(String, String)>| Ack((team, number)),
        )
        .on(
            "optional",
            async |params: Option<Params<(String, String)>>| Ack(params.is_some()),
        );
    let only =
        Namespace::pattern("/only-{n}").on("only", async |Params(n): Params<u64>| Ack(n * 2));
    let builder = SocketIo::builder().namespace(namespace).namespace(only);
    let mut peer = Server::start(builder).await.peer().await;
    peer.join("/red/docs-7").await;
    for (event, answer) in [
        ("named", r#"[8,"red"]"#),
        ("in order", r#"["red","7"]"#),
        ("optional", "[true]"),
    ] {
        peer.send(&format!(r#"2/red/docs-7,1["{event}"]"#)).await;
        peer.expect(&format!("3/red/docs-7,1{answer}")).await;
    }
    peer.join("/only-21").await;
    peer.send(r#"2/only-21,1["only"]"#).await;
    peer.expect("3/only-21,1[42]").await;
    peer.send("0/red/docs-x,").await;
    peer.expect(r#"4/red/docs-x,{"message":"invalid namespace"}"#)
        .await;
}
