//! Requests of open sessions are answered in the same way whether the engine is asked first or a service gets them all.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Event, Server, sid_of};
use fanfare_engine::http::{Cookie, Cors, CorsOrigin, HttpCompression};
use fanfare_engine::{EncodedMessage, EngineConfig, Transport};
use fanfare_testing::wire::Http;

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";

/// Ends the connection behind a request.
const LAST: &str = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {POLLING}&sid=SID HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
}

/// Requests; `SID` stands for the id of a session for which a packet waits.
fn requests() -> Vec<String> {
    let session = format!("{POLLING}&sid=SID");
    let mut requests: Vec<String> = [
        "&sid=SID",
        "&sid=SID&t=abc&b64=1",
        "&sid=SID#fragment",
        "&sid=x#&sid=SID",
        "&sid=SID&x=\"<>{|}^`",
        "&sid=x&sid=SID",
        "&sid=SID&sid=x",
        "&sid=SID&sid=",
        "&sid=",
        "&sid=x",
        "&sid=SIDx",
        "&sid=%53ID",
        "&SID=SID",
        "&sid=SID&j=0",
        "&sid=SID&EIO=3",
        "&sid=SID&EIO=%34",
        "&sid=SID&EIO",
        "&sid=SID&transport=websocket",
        "&sid=SID&transport=poll%69ng",
        "&sid=SID&transport",
        "#&sid=SID",
        "?&sid=SID",
    ]
    .map(|end| get(&format!("{POLLING}{end}"), ""))
    .into();
    requests.extend(
        [
            "/engine.io?EIO=4&transport=polling&sid=SID",
            "/engine.io/x?EIO=4&transport=polling&sid=SID",
            "/engine.io/#?EIO=4&transport=polling&sid=SID",
            "/engine%2Eio/?EIO=4&transport=polling&sid=SID",
            "//engine.io/?EIO=4&transport=polling&sid=SID",
            "/Engine.io/?EIO=4&transport=polling&sid=SID",
            "http://x/engine.io/?EIO=4&transport=polling&sid=SID",
            "/engine.io/\u{e9}?EIO=4&transport=polling&sid=SID",
            "/engine.io/",
            "/engine.io/?sid=SID&transport=polling&EIO=4",
        ]
        .map(|target| get(target, "")),
    );
    requests.extend(
        [
            "Origin: https://good.example\r\n",
            "Origin: https://bad.example\r\n",
            "Origin: https://good.example\r\nOrigin: https://bad.example\r\n",
            "Origin: \u{e9}\r\n",
            "Origin: \r\n",
            "origin: https://good.example\r\n",
            "User-Agent: Mozilla/4.0 (compatible;MSIE 8.0)\r\n",
            "User-Agent: Trident/7.0\r\nUser-Agent: x\r\n",
            "User-Agent: x\r\nUser-Agent: Trident/7.0\r\n",
            "Accept-Encoding: gzip, deflate\r\n",
            "Accept-Encoding: br;q=0\r\nAccept-Encoding: deflate\r\n",
            "Accept-Encoding: \u{e9}, gzip\r\n",
            "Connection: close\r\n",
            "Connection: upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            "Connection: upgrade\r\nUpgrade: h2c\r\n",
            "Expect: 100-continue\r\n",
            "Expect: 100-continue\r\nContent-Length: 3\r\n",
            "Expect: x\r\n",
            "Host: y\r\n",
            "Content-Length: 5\r\n\r\n4body",
            "Content-Length: 1\r\nContent-Length: 1\r\n\r\n4",
            "Transfer-Encoding: chunked\r\n\r\n1\r\n4\r\n0\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "X-A: b\n",
        ]
        .map(|fields| get(&session, fields)),
    );
    requests.extend(
        ["HEAD", "OPTIONS", "PUT", "DELETE", "get", "CONNECT"].map(|method| {
            let fields = "Origin: https://good.example\r\nAccess-Control-Request-Headers: x-a\r\n";
            format!("{method} {session} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
        }),
    );
    requests.extend(
        [
            "",
            "Connection: keep-alive\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
        ]
        .map(|fields| format!("GET {session} HTTP/1.0\r\n{fields}\r\n")),
    );
    requests.extend([
        post("", "4event"),
        post("Content-Type: text/plain;charset=UTF-8\r\n", "4one\x1e4two"),
        post("Content-Type: application/octet-stream\r\n", "4event"),
        post("Content-Type: APPLICATION/octet-stream\r\n", "4event"),
        post("Content-Type: x\r\nContent-Type: application/octet-stream\r\n", "4event"),
        post("Content-Length: 1\r\n", "4event"),
        post("Expect: 100-continue\r\n", "4event"),
        post("User-Agent: Trident/7.0\r\nOrigin: https://good.example\r\n", "4event"),
        post("", ""),
        post("", "x"),
        post("", "4\u{e9}"),
        post("", &format!("4{}", "x".repeat(2000))),
        post("", "4event") + &post("", "4another") + &get(&session, ""),
        post("Connection: close\r\n", "4event") + &get(&session, ""),
        get(&session, "") + &post("", "4event"),
        format!("POST {session} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4a\r\n1;x=y\r\nb\r\n0\r\nt: u\r\n\r\n"),
        format!("POST {session} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4a\r\nbad"),
        format!("POST {session} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]);
    requests
}

type Configure = Box<dyn Fn(&mut EngineConfig)>;

fn configurations() -> Vec<Configure> {
    let good = || vec!["https://good.example".to_owned()];
    let cors = |origin: CorsOrigin| {
        move |config: &mut EngineConfig| {
            config.cors = Some(Cors::new().origin(origin.clone()).credentials(true));
        }
    };
    let panics = Arc::new(|origin: &str| match origin {
        "https://bad.example" => panic!("no"),
        _ => true,
    });
    vec![
        Box::new(|_| {}),
        Box::new(cors(CorsOrigin::Any)),
        Box::new(cors(CorsOrigin::List(good()))),
        Box::new(cors(CorsOrigin::Predicate(panics))),
        Box::new(move |config| config.origins = Some(good())),
        Box::new(|config| config.limits.max_payload = 1000),
        Box::new(|config| {
            config.http_compression = Some(HttpCompression::new().threshold(0));
            config.cookie = Some(Cookie::default());
            config.allow_eio3 = true;
        }),
        Box::new(|config| config.transports = [Transport::WebSocket].into()),
    ]
}

/// Response without its variable parts, and the calls of the handler.
async fn answers(server: &mut Server, address: SocketAddr, request: &str) -> (String, Vec<String>) {
    let open = server
        .request("GET", "EIO=4&transport=polling", "", "")
        .await;
    let sid = match open.status {
        200 => {
            let conn = server.opened().await;
            conn.send(&EncodedMessage::text(&"waiting ".repeat(100)))
                .unwrap();
            sid_of(open.text())
        }
        _ => "none".to_owned(),
    };
    let mut http = Http::new(common::tcp(address).await);
    let request = request.replace("SID", &sid) + LAST;
    http.send(request.as_bytes()).await;
    let answers = http.read_to_end().await;
    let mut answers = String::from_utf8_lossy(&answers).replace(&sid, "SID");
    server.engine.close();
    server.engine.reported().await;
    let (mut told, mut closed) = (Vec::new(), Vec::new());
    for event in server.events_so_far() {
        match event {
            Event::Open(conn) => {
                answers = answers.replace(conn.sid(), "NEW");
                told.push("open".to_owned());
            }
            // A request may have opened another session: which one is closed first is chance.
            Event::Close(reason) => closed.push(format!("{reason:?}")),
            event => told.push(format!("{event:?}")),
        }
    }
    closed.sort();
    told.extend(closed);
    let lines = answers.split_inclusive("\r\n");
    let undated = lines.filter(|line| !line.starts_with("date: "));
    (undated.collect(), told)
}

#[tokio::test]
async fn both_ways_lead_to_the_same_answers() {
    let answered = AtomicUsize::new(0);
    for (number, configure) in configurations().into_iter().enumerate() {
        let mut server = Server::with(configure).await;
        let usual = server.serve_usually().await;
        let direct = server.address();
        for request in requests() {
            let on_usual_way = answers(&mut server, usual, &request).await;
            let on_short_way = answers(&mut server, direct, &request).await;
            assert_eq!(
                on_short_way, on_usual_way,
                "configuration {number}, {request}"
            );
            let is_answered = on_usual_way.0.starts_with("HTTP/1.1 200");
            answered.fetch_add(usize::from(is_answered), Ordering::Relaxed);
        }
    }
    assert!(answered.into_inner() > 100, "most are in order");
}
