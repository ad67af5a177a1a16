//! Three servers, each request of a session at another one.

#![allow(clippy::unwrap_used, reason = "a broken test ends")]

use std::net::SocketAddr;
use std::time::Duration;

use fanfare::engine::Transports;
use fanfare::http::{Cors, CorsOrigin};
use fanfare::{Ack, Data, Namespace, SocketIo};
use fanfare_relay::Relay;
use fanfare_websocket::{Message, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on its own port.
struct Node {
    address: SocketAddr,
    io: SocketIo,
    serving: tokio::task::JoinHandle<()>,
}

/// Starts servers that know each other.
async fn cluster(count: usize) -> Vec<Node> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    let addresses: Vec<String> = listeners.iter().map(|l| address(l).to_string()).collect();
    let nodes = listeners.into_iter().map(|listener| {
        let own = address(&listener);
        let relay = Relay::new(KEY, own.to_string()).unwrap();
        node(listener, relay.peers(&addresses).unwrap())
    });
    nodes.collect()
}

fn node(listener: TcpListener, relay: Relay) -> Node {
    let cors = Cors::new().origin(CorsOrigin::List(vec!["https://example.org".into()]));
    let address = listener.local_addr().unwrap();
    let echo = async |Data(text): Data<String>| Ack(text);
    let io = SocketIo::builder()
        .relay(relay)
        .cors(cors)
        .namespace(Namespace::new("/").on("echo", echo))
        .build()
        .unwrap();
    let server = fanfare::serve(io.clone()).listener(listener);
    let serving = tokio::spawn(async move {
        let _ = server.await;
    });
    Node {
        address,
        io,
        serving,
    }
}

/// An HTTP response: status, header block and body.
#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

/// Sends one request on a separate connection.
async fn request(to: SocketAddr, method: &str, query: &str, body: &str) -> Response {
    let request = format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Origin: https://example.org\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::time::timeout(PATIENCE, exchange(to, &request))
        .await
        .expect("a response in time")
}

async fn exchange(to: SocketAddr, request: &str) -> Response {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Response {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Opens a long-polling session and returns the parameter with its id.
async fn open(at: &Node) -> String {
    let open = request(at.address, "GET", "", "").await;
    let (_, sid) = open.body.split_once("\"sid\":\"").expect("a session id");
    let (sid, _) = sid.split_once('"').unwrap();
    assert_eq!(sid.len(), 20, "{sid}");
    format!("&sid={sid}")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_may_come_to_another_server() {
    let nodes = cluster(3).await;
    for first in 0..3 {
        let at = |n: usize| nodes[(first + n) % 3].address;
        let sid = open(&nodes[first]).await;
        let joined = request(at(1), "POST", &sid, "40").await;
        assert_eq!((joined.status, joined.body.as_str()), (200, "ok"));
        let welcome = request(at(2), "GET", &sid, "").await;
        assert!(welcome.body.starts_with("40{\"sid\":"), "{welcome:?}");
        for n in 0..6 {
            let event = format!("427[\"echo\",\"{n} é\"]");
            assert_eq!(request(at(n), "POST", &sid, &event).await.body, "ok");
            let answer = request(at(n + 1), "GET", &sid, "").await;
            assert_eq!(answer.body, format!("437[\"{n} é\"]"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_the_headers_of_the_server_that_made_it_once() {
    let nodes = cluster(2).await;
    let sid = open(&nodes[0]).await;
    let direct = request(nodes[0].address, "POST", &sid, "40").await;
    let relayed = request(nodes[1].address, "POST", &sid, "41").await;
    for response in [direct, relayed] {
        let allowed = response.head.matches("access-control-allow-origin").count();
        assert_eq!((response.status, allowed), (200, 1), "{}", response.head);
    }
    // A request that this server rejects has its own answer.
    let unknown = request(nodes[1].address, "GET", "&sid=AAAAAAAAAAAAAAAAAAAA", "").await;
    assert_eq!(
        unknown.head.matches("access-control-allow-origin").count(),
        1
    );
    assert_eq!(unknown.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_upgrades_through_another_server() {
    let nodes = cluster(2).await;
    let sid = open(&nodes[0]).await;
    request(nodes[1].address, "POST", &sid, "40").await;
    request(nodes[1].address, "GET", &sid, "").await;
    let uri = format!(
        "ws://{}/socket.io/?EIO=4&transport=websocket{sid}",
        nodes[1].address
    );
    let mut socket = fanfare_websocket::connect(&uri).await.unwrap();
    socket.send("2probe").await.unwrap();
    assert_eq!(text(&mut socket).await, "3probe");
    socket.send("5").await.unwrap();
    socket.send("427[\"echo\",\"over\"]").await.unwrap();
    assert_eq!(text(&mut socket).await, "437[\"over\"]");
    // The end of the tunnel is that of the session.
    drop(socket);
    tokio::time::timeout(PATIENCE, async {
        while nodes[0].io.clients_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the session ends with its tunnel");
}

async fn text(socket: &mut WebSocket<TcpStream>) -> String {
    let message = tokio::time::timeout(PATIENCE, socket.recv()).await;
    match message.expect("a message in time") {
        Some(Ok(Message::Text(text))) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_servers_that_are_gone_are_unknown_at_once() {
    let nodes = cluster(2).await;
    let sid = open(&nodes[0]).await;
    nodes[0].io.close().await;
    nodes[0].serving.abort();
    let began = std::time::Instant::now();
    let unknown = request(nodes[1].address, "GET", &sid, "").await;
    assert_eq!(unknown.body, r#"{"code":1,"message":"Session ID unknown"}"#);
    assert_eq!(unknown.status, 400);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_may_come_from_a_function() {
    let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = there.local_addr().unwrap().to_string();
    let there = node(there, Relay::new(KEY, address.clone()).unwrap());
    let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::new(KEY, here.local_addr().unwrap().to_string()).unwrap();
    let here = node(here, relay.clone());
    let (list, addresses) = tokio::sync::watch::channel(None);
    let (calls, mut called) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(relay.follow(move || {
        let addresses = addresses.borrow().clone();
        let _ = calls.send(addresses.clone());
        std::future::ready(addresses)
    }));
    let sid = open(&there).await;
    let status = async || request(here.address, "POST", &sid, "40").await.status;
    assert_eq!(status().await, 400);
    let until = async |expected: u16| {
        let reached = async { while status().await != expected {} };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.unwrap_or_else(|_| panic!("no response {expected}"));
    };
    list.send_replace(Some(vec![address]));
    until(200).await;
    // Without an answer of the function, and with one that is no list, the list stays.
    for unusable in [None, Some(vec!["nonsense".to_owned()])] {
        list.send_replace(unusable.clone());
        // It was returned twice, so the first time has had its effect.
        for _ in 0..2 {
            while called.recv().await.unwrap() != unusable {}
        }
        assert_eq!(request(here.address, "POST", &sid, "3").await.status, 200);
    }
    // A server that has left: its sessions are unknown, although it answers.
    list.send_replace(Some(Vec::new()));
    until(400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_waited_for_only_so_long() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Relay::new(KEY, silent.local_addr().unwrap().to_string()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::new(KEY, listener.local_addr().unwrap().to_string()).unwrap();
    let relay = relay.peers([peer.address()]).unwrap();
    let node = node(listener, relay.response_timeout(Duration::from_millis(100)));
    let unknown = request(node.address, "GET", &format!("&sid={}", sid_of(&peer)), "").await;
    assert_eq!(unknown.status, 400, "{unknown:?}");
}

/// Creates a session id as a server with this relay does.
fn sid_of(relay: &Relay) -> String {
    use base64::Engine as _;
    use fanfare::engine::relay::SessionRelay as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(relay.session_id([7; 15]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_relayed_twice() {
    // Two servers, each of which takes the other for the third address.
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [one, two] = [&first, &second].map(|l| l.local_addr().unwrap().to_string());
    let elsewhere = Relay::new(KEY, two.clone()).unwrap();
    let a = Relay::new(KEY, one).unwrap().peers([&two]).unwrap();
    // The second is not at the address that the first expects, and would relay the request to itself.
    let b = Relay::new(KEY, "127.0.0.1:9")
        .unwrap()
        .peers([&two])
        .unwrap();
    let nodes = [node(first, a), node(second, b)];
    let unknown = request(
        nodes[0].address,
        "GET",
        &format!("&sid={}", sid_of(&elsewhere)),
        "",
    )
    .await;
    assert_eq!(unknown.status, 400, "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_server_learns_the_address_of_the_client_and_nothing_of_one_connection() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Relay::new(KEY, peer.local_addr().unwrap().to_string()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::new(KEY, listener.local_addr().unwrap().to_string()).unwrap();
    let node = node(listener, relay.peers([other.address()]).unwrap());
    let sent = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nHost: chat.example\r\nConnection: close, x-hop\r\n\
         X-Hop: 1\r\nX-Forwarded-For: 192.0.2.1\r\nFanfare-Relay: forged\r\nContent-Length: 2\r\n\r\n40",
        sid_of(&other)
    );
    let answering = async {
        let (mut stream, _) = peer.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n40") {
            stream.read_buf(&mut seen).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: 5\r\nX-Own: 1\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(seen).unwrap().to_ascii_lowercase()
    };
    let (seen, response) = tokio::time::timeout(PATIENCE, async {
        tokio::join!(answering, exchange(node.address, &sent))
    })
    .await
    .unwrap();
    assert!(seen.contains("\r\nhost: chat.example\r\n"), "{seen}");
    assert!(
        seen.contains("\r\nx-forwarded-for: 192.0.2.1, 127.0.0.1\r\n"),
        "{seen}"
    );
    assert!(
        !seen.contains("x-hop") && !seen.contains("forged"),
        "{seen}"
    );
    assert_eq!(seen.matches("\r\nfanfare-relay: ").count(), 1, "{seen}");
    assert!(response.head.contains("x-own: 1") && !response.head.contains("keep-alive: 5"));
    assert_eq!((response.status, response.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn options_that_cannot_work_are_rejected() {
    let short = Relay::new("short", "10.0.0.1:3000").unwrap_err();
    assert_eq!(
        short.to_string(),
        "a key of 5 bytes is too short: it needs at least 16"
    );
    for bad in ["10.0.0.1", "", "a b:1", "http://x:1", "user@10.0.0.1:3000"] {
        let error = Relay::new(KEY, bad).unwrap_err().to_string();
        assert!(error.contains("write a host and a port"), "{error}");
    }
    let relay = Relay::new(KEY, "10.0.0.1:3000").unwrap();
    let many = (0..4097).map(|n| format!("h{n}:1"));
    let error = relay.set_peers(many).unwrap_err().to_string();
    assert!(error.starts_with("4097 servers are more"), "{error}");
    let both = SocketIo::builder()
        .relay(relay)
        .transports(Transports::default())
        .generate_id(async |_: fanfare::engine::HandshakeRequest| Ok::<_, String>("x".repeat(20)))
        .build();
    let error = both.unwrap_err().to_string();
    assert!(
        error.contains("the option `relay` cannot be used"),
        "{error}"
    );
}
