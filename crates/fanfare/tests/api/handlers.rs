//! Building a server: states, duplicate names.

use fanfare::{Ack, BuildError, Namespace, SocketIo, State};

use crate::support::Server;

#[tokio::test]
async fn states_are_shared_and_checked_at_build_time() {
    #[derive(Clone)]
    struct Greeting(&'static str);
    let namespace = || {
        Namespace::new("/").on("greet", async |State(greeting): State<Greeting>| {
            Ack(greeting.0)
        })
    };
    let error = SocketIo::builder()
        .namespace(namespace())
        .build()
        .unwrap_err();
    assert!(
        matches!(&error, BuildError::MissingState { namespace, .. } if namespace == "/"),
        "{error}"
    );
    assert!(error.to_string().contains("Greeting"), "{error}");
    let server = Server::start(
        SocketIo::builder()
            .namespace(namespace())
            .state(Greeting("hello")),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"20["greet"]"#).await;
    peer.expect(r#"30["hello"]"#).await;
}

#[test]
fn a_namespace_is_added_once() {
    let twice = SocketIo::builder()
        .namespace(Namespace::new("a"))
        .namespace(Namespace::new("/a"))
        .build();
    assert_eq!(
        twice.unwrap_err().to_string(),
        "namespace \"/a\" was added twice"
    );
}
