//! The client crate `rust_socketio`, which shares no code with the official clients, against the fixture server that
//! `FIXTURE_BIN` names (`../CONTRACT.md`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Event, Payload, RawClient, TransportType};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(10);

struct Fixture {
    process: Child,
    url: String,
}

impl Fixture {
    fn start() -> Self {
        let program = std::env::var("FIXTURE_BIN").expect("FIXTURE_BIN names the fixture server");
        let mut process = Command::new(program).env("PORT", "0").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        // The pipe must be drained, or the server blocks when it is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://127.0.0.1:{}", first["port"]) }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const TRANSPORTS: [TransportType; 3] =
    [TransportType::Polling, TransportType::Websocket, TransportType::WebsocketUpgrade];

fn arguments(payload: Payload) -> Vec<Value> {
    match payload {
        Payload::Text(values) => values,
        Payload::Binary(bytes) => vec![json!(bytes.to_vec())],
        #[allow(deprecated)]
        Payload::String(text) => vec![json!(text)],
    }
}

/// Returns a connected client, and the arguments of the events `echo`, `welcome`, `error` and `close` that it receives.
fn connect(builder: ClientBuilder, transport: &TransportType) -> (Client, Receiver<(String, Vec<Value>)>) {
    let (send, events) = channel();
    let mut builder = builder.transport_type(transport.clone()).reconnect(false);
    let (connected, ready) = channel();
    builder = builder.on(Event::Connect, move |_, _| connected.send(()).unwrap());
    for name in ["echo", "welcome", "error", "close"] {
        let send = send.clone();
        builder = builder.on(name, move |payload: Payload, _: RawClient| {
            let _ = send.send((name.to_owned(), arguments(payload)));
        });
    }
    let client = builder.connect().unwrap();
    ready.recv_timeout(DEADLINE).expect("connected");
    (client, events)
}

fn call(client: &Client, event: &str, data: Value) -> Vec<Value> {
    let (send, answer) = channel();
    client
        .emit_with_ack(event, data, DEADLINE, move |payload: Payload, _: RawClient| {
            let _ = send.send(arguments(payload));
        })
        .unwrap();
    answer.recv_timeout(DEADLINE).expect("an acknowledgement")
}

#[test]
fn events_and_acknowledgements() {
    let fixture = Fixture::start();
    for transport in &TRANSPORTS {
        let (client, events) = connect(ClientBuilder::new(&fixture.url), transport);
        let value = json!({ "text": "aé€😀", "list": [1, null, { "deep": true }] });
        client.emit("echo", value.clone()).unwrap();
        assert_eq!(events.recv_timeout(DEADLINE).unwrap(), ("echo".to_owned(), vec![value]));
        // This client passes all arguments of an acknowledgement as one list.
        assert_eq!(call(&client, "echo-ack", json!("here")), [json!(["here"])]);
        client.disconnect().unwrap();
    }
}

#[test]
fn binary_comes_back() {
    let fixture = Fixture::start();
    for transport in &TRANSPORTS {
        let (client, events) = connect(ClientBuilder::new(&fixture.url), transport);
        client.emit("echo", Payload::Binary(vec![0, 1, 254, 255].into())).unwrap();
        assert_eq!(events.recv_timeout(DEADLINE).unwrap(), ("echo".to_owned(), vec![json!([0, 1, 254, 255])]));
        client.disconnect().unwrap();
    }
}

#[test]
fn namespaces_and_auth() {
    let fixture = Fixture::start();
    for transport in &TRANSPORTS {
        let (client, events) = connect(ClientBuilder::new(&fixture.url).namespace("/chat"), transport);
        let (name, args) = events.recv_timeout(DEADLINE).unwrap();
        assert_eq!((name.as_str(), &args[0]["nsp"]), ("welcome", &json!("/chat")));
        client.disconnect().unwrap();

        let builder = ClientBuilder::new(&fixture.url).namespace("/auth").auth(json!({ "token": "secret" }));
        let (client, _events) = connect(builder, transport);
        assert_eq!(call(&client, "echo-ack", json!("in")), [json!(["in"])]);
        client.disconnect().unwrap();
    }
}

#[test]
fn refused_auth() {
    let fixture = Fixture::start();
    for transport in &TRANSPORTS {
        let (send, errors) = channel();
        let client = ClientBuilder::new(&fixture.url)
            .namespace("/auth")
            .transport_type(transport.clone())
            .reconnect(false)
            .on(Event::Error, move |payload: Payload, _: RawClient| {
                let _ = send.send(format!("{:?}", arguments(payload)));
            })
            .connect();
        // The client's timing decides which of the two happens.
        match client {
            Ok(client) => {
                let error = errors.recv_timeout(DEADLINE).expect("an error");
                assert!(error.contains("not authorized"), "{error}");
                let _ = client.disconnect();
            }
            Err(error) => assert!(format!("{error:?}").contains("not authorized"), "{error:?}"),
        }
    }
}
