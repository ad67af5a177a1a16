//! Operations of a cluster: status, drain and rebalancing of other servers, over the adapter and over HTTP.

use std::time::Duration;

use fanfare::operations::{
    ClusterStatus, NodeState, Operations, OperationsError, OperationsOptions, RebalanceReport,
};
use fanfare::{AllArgs, Namespace, SocketIo};
use fanfare_testing::Received;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::bus::Bus;
use crate::support::{Server, until, within};

const KEY: &str = "a secret of the operators";
const SOON: Duration = Duration::from_millis(500);

fn operations(io: &SocketIo, name: &str) -> Operations {
    let options = OperationsOptions::new(KEY).unwrap().name(name).unwrap();
    Operations::start(io, options).unwrap()
}

/// Starts servers with these names and operations.
async fn cluster(bus: &Bus, names: &[&str]) -> Vec<(Server, Operations)> {
    let mut nodes = Vec::new();
    for name in names {
        let server = bus.node(name, Namespace::new("/")).await;
        let operations = operations(&server.io, name);
        nodes.push((server, operations));
    }
    nodes
}

fn clients(status: &ClusterStatus) -> Vec<(&str, usize)> {
    let nodes = status.nodes.iter();
    nodes.map(|node| (&*node.name, node.clients)).collect()
}

#[tokio::test]
async fn every_server_reports_all() {
    let bus = Bus::default();
    let nodes = cluster(&bus, &["b", "a", "c"]).await;
    let _one = nodes[1].0.joined().await;
    let _two = (nodes[2].0.joined().await, nodes[2].0.joined().await);
    for (_, operations) in &nodes {
        let status = operations.status().await;
        assert_eq!(clients(&status), [("a", 1), ("b", 0), ("c", 2)]);
        assert_eq!((status.clients(), &*status.node), (3, operations.id()));
        assert!(
            status.missing.is_empty() && status.error.is_none(),
            "{status:?}"
        );
        let states = status.nodes.iter().map(|node| (node.state, &*node.broker));
        assert!(
            states
                .into_iter()
                .all(|state| state == (NodeState::Ready, "up"))
        );
    }
    let status = nodes[0].1.status().await;
    assert!(status.nodes.iter().all(|node| node.messages_in > 0));
    assert!(status.nodes.iter().all(|node| node.messages_out > 0));
}

/// A server of Node.js, one without operations, and one with another key.
#[tokio::test]
async fn servers_that_do_not_answer_are_missing() {
    let bus = Bus::default();
    let nodes = cluster(&bus, &["a"]).await;
    let _silent = bus.node("silent", Namespace::new("/")).await;
    let other = bus.node("other", Namespace::new("/")).await;
    let options = OperationsOptions::new("another secret of operators").unwrap();
    let foreign = Operations::start(&other.io, options).unwrap();
    let status = nodes[0].1.status().await;
    assert_eq!(clients(&status), [("a", 0)]);
    assert_eq!(status.missing, ["other", "silent"]);
    let unknown = nodes[0]
        .1
        .drain(Some(foreign.id()), SOON)
        .await
        .unwrap_err();
    let known = vec!["a".to_owned()];
    let node = foreign.id().to_owned();
    assert!(
        matches!(&unknown, OperationsError::UnknownNode { node: n, known: k, .. } if *n == node && *k == known),
        "{unknown}"
    );
    assert!(other.io.is_ready());
}

#[tokio::test]
async fn another_server_is_drained() {
    let bus = Bus::default();
    let nodes = cluster(&bus, &["a", "b"]).await;
    let mut client = nodes[1].0.joined().await;
    nodes[1].0.io.emit("last", "word").unwrap();
    let drained = nodes[0].1.drain(Some("b"), SOON).await.unwrap();
    assert_eq!((&*drained.name, drained.state), ("b", NodeState::Draining));
    client.expect(r#"2["last","word"]"#).await;
    assert_eq!(client.next().await, Received::Closed);
    assert!(!nodes[1].0.io.is_ready() && nodes[0].0.io.is_ready());
    within("the end", nodes[1].0.io.closed()).await;
    let again = nodes[0].1.drain(Some("b"), SOON).await.unwrap_err();
    assert!(again.to_string().contains("those that do: a"), "{again}");
    // Draining twice is harmless.
    nodes[0].1.drain(None, SOON).await.unwrap();
    nodes[0].1.drain(Some("a"), SOON).await.unwrap();
    within("the own end", nodes[0].0.io.closed()).await;
}

#[tokio::test]
async fn servers_with_too_many_connections_close_some() {
    let bus = Bus::default();
    let nodes = cluster(&bus, &["a", "b", "c"]).await;
    let mut clients = Vec::new();
    for _ in 0..9 {
        clients.push(nodes[1].0.joined().await);
    }
    let report = nodes[0].1.rebalance(1.0, SOON).await.unwrap();
    let moves: Vec<_> = report
        .moves
        .iter()
        .map(|m| (&*m.name, m.clients, m.closing))
        .collect();
    assert_eq!((report.part, &*moves), (3, &[("b", 9, 6)][..]));
    until("six have moved", || nodes[1].0.io.clients_count() == 3).await;
    assert!(nodes[1].0.io.is_ready());
    // The one that is asked closes its own, too.
    let report = nodes[1].1.rebalance(0.5, SOON).await.unwrap();
    assert_eq!((report.part, report.moves[0].closing), (1, 1));
    until("one has moved", || nodes[1].0.io.clients_count() == 2).await;
    for share in [0.0, 1.1, -1.0, f64::NAN] {
        let error = nodes[0].1.rebalance(share, SOON).await.unwrap_err();
        assert!(matches!(error, OperationsError::InvalidShare(_)), "{error}");
    }
}

/// A program that publishes to the broker and does not know the key can do nothing.
#[tokio::test]
async fn requests_without_the_key_or_repeated_do_nothing() {
    let bus = Bus::default();
    let nodes = cluster(&bus, &["a", "b"]).await;
    let spy = bus.node("spy", Namespace::new("/")).await;
    let id = nodes[0].1.id().to_owned();
    let order =
        json!({"id": "1", "command": {"drain": {"node": id, "within": {"secs": 0, "nanos": 0}}}});
    for forged in [
        json!([order.to_string(), "00".repeat(32)]),
        json!([order.to_string(), ""]),
        json!([order, 1]),
        json!(["x".repeat(100_000), "00"]),
        json!([]),
    ] {
        let args = AllArgs(forged.as_array().unwrap().clone());
        spy.io.server_side_emit("fanfare:operations", args).unwrap();
    }
    let _clients = (nodes[0].0.joined().await, nodes[0].0.joined().await);
    let _more = (nodes[0].0.joined().await, nodes[0].0.joined().await);
    // A request that the spy has seen, sent once more.
    nodes[1].1.rebalance(1.0, Duration::ZERO).await.unwrap();
    until("two have moved", || nodes[0].0.io.clients_count() == 2).await;
    let seen = bus.server_events();
    let seen = seen
        .iter()
        .map(|event| event.args().unwrap().decode::<AllArgs<Value>>());
    let repeated: Vec<AllArgs<Value>> = seen
        .map(Result::unwrap)
        .filter(|AllArgs(args)| {
            args.first()
                .and_then(Value::as_str)
                .is_some_and(|text| text.contains("rebalance"))
        })
        .collect();
    assert_eq!(repeated.len(), 1);
    for args in repeated {
        spy.io.server_side_emit("fanfare:operations", args).unwrap();
    }
    let status = nodes[1].1.status().await;
    assert_eq!(clients(&status), [("a", 2), ("b", 0)]);
    assert!(nodes.iter().all(|(server, _)| server.io.is_ready()));
}

async fn call(operations: &Operations, request: http::request::Builder) -> (StatusCode, String) {
    let response: Response<_> = operations
        .service()
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path).header("authorization", format!("Bearer {KEY}"))
}

fn post(path: &str) -> http::request::Builder {
    Request::post(path).header("authorization", format!("Bearer {KEY}"))
}

#[tokio::test]
async fn over_http() {
    let bus = Bus::default();
    let nodes = cluster(&bus, &["a", "b"]).await;
    let _clients = (nodes[0].0.joined().await, nodes[0].0.joined().await);
    let operations = &nodes[0].1;
    let (status, body) = call(operations, get("/any/prefix/status")).await;
    assert_eq!(status, StatusCode::OK);
    let read: ClusterStatus = serde_json::from_str(&body).unwrap();
    assert_eq!(clients(&read), [("a", 2), ("b", 0)]);
    let (status, body) = call(operations, post("/rebalance?share=0.5&within=1s")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let report: RebalanceReport = serde_json::from_str(&body).unwrap();
    assert_eq!((report.part, report.moves[0].closing), (1, 1));
    for path in ["/readyz", "/healthz"] {
        assert_eq!(call(operations, Request::get(path)).await.0, StatusCode::OK);
    }
    let (status, body) = call(operations, post("/drain?node=b&within=300ms")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    within("the end", nodes[1].0.io.closed()).await;
    let (status, why) = call(&nodes[1].1, Request::get("/readyz")).await;
    assert_eq!(
        (status, &*why),
        (StatusCode::SERVICE_UNAVAILABLE, "the server drains\n")
    );
}

#[tokio::test]
async fn mistakes_are_explained() {
    let server = Server::with(Namespace::new("/")).await;
    let operations = operations(&server.io, "a");
    let with_key = |key: &str| Request::get("/status").header("authorization", key);
    for (request, status, word) in [
        (Request::get("/status"), 401, "has no key"),
        (with_key("Bearer nonsense"), 401, "not that of the server"),
        (
            with_key(&format!("Basic  {KEY}")),
            401,
            "not that of the server",
        ),
        (with_key("B"), 401, "has no key"),
        (get("/nonsense"), 404, "/rebalance"),
        (get("/drain"), 405, "is for POST"),
        (post("/status"), 405, "is for GET"),
        (post("/drain?nod=a"), 400, "nod"),
        (post("/drain?within=5"), 400, "within=5"),
        (post("/drain?within=5h"), 400, "within=5h"),
        (post("/drain?within=1441m"), 400, "24 hours"),
        (post("/drain?within=99999999999999999999s"), 400, "24 hours"),
        (post("/drain?within=é"), 400, "such as 30s"),
        (post("/drain?node=b"), 404, "those that do: a"),
        (post("/rebalance?share=2"), 400, "at most 1"),
        (post("/rebalance?share=x"), 400, "share=x"),
    ] {
        let (found, body) = call(&operations, request).await;
        assert_eq!(found.as_u16(), status, "{body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(word), "{body}");
        assert_eq!(problem["status"], status);
        assert!(!body.contains(KEY));
    }
    assert!(server.io.is_ready());
}

#[tokio::test]
async fn options_are_checked() {
    let server = Server::with(Namespace::new("/")).await;
    let short = OperationsOptions::new("too short").unwrap_err();
    assert_eq!(short, OperationsError::ShortKey(9));
    let long = "x".repeat(65);
    for name in ["", "a b", "é", &long] {
        assert!(
            OperationsOptions::new(KEY).unwrap().name(name).is_err(),
            "{name}"
        );
    }
    let first = operations(&server.io, "a");
    let again = Operations::start(&server.io, OperationsOptions::new(KEY).unwrap());
    assert_eq!(again.unwrap_err(), OperationsError::AlreadyStarted);
    assert!(!format!("{first:?}").contains("secret"));
    // Alone, without an adapter.
    let status = first.status().await;
    assert_eq!((status.nodes.len(), &*status.nodes[0].broker), (1, "none"));
    first.rebalance(1.0, SOON).await.unwrap();
}

/// On an address of its own, until the server has drained.
#[tokio::test]
async fn served_alone() {
    let server = Server::with(Namespace::new("/")).await;
    let operations = operations(&server.io, "a");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(operations.serve().listener(listener));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /status HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    let (head, body) = crate::support::answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.contains(r#""name":"a""#), "{body}");
    drop(stream);
    operations.drain(None, SOON).await.unwrap();
    within("the end", serving).await.unwrap().unwrap();
}
