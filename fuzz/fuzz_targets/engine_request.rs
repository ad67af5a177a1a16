//! Requests to the engine's service: a line `METHOD /path?query`, header lines, an empty line, the body. `SID` stands
//! for the id of an open session. Every request is answered or is a GET that waits, and no session remains.
#![no_main]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use bytes::Bytes;
use fanfare_engine::http::Cors;
use fanfare_engine::proxy::RemoteAddr;
use fanfare_engine::{
    CloseMode, CloseReason, EngineConfig, Connection, Engine, Handler, HandshakeRequest, EncodedMessage,
};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tower_service::Service;

struct Echo;

impl Handler for Echo {
    type State = ();

    fn accept(&self, handshake: &HandshakeRequest) {
        assert!(handshake.headers().all(|(name, _)| !name.is_empty()));
        let _ = handshake.query_params().count();
    }

    fn open(&self, _: &Arc<Connection<()>>) {}

    fn text(&self, conn: &Arc<Connection<()>>, data: &str) {
        let _ = conn.send(&EncodedMessage::text(data));
    }

    fn binary(&self, conn: &Arc<Connection<()>>, data: &[u8]) {
        let _ = conn.send(&EncodedMessage::binary(data));
    }

    fn close(&self, _: &Arc<Connection<()>>, _: CloseReason) {}
}

fn engine() -> &'static (Runtime, Arc<Engine<Echo>>) {
    static ENGINE: OnceLock<(Runtime, Arc<Engine<Echo>>)> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = EngineConfig::default();
        config.allow_eio3 = true;
        config.cors = Some(Cors::default());
        config.limits.max_payload = 4096;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        (runtime, Engine::new(Echo, config))
    })
}

/// Returns the body of the answer, unless the request waits for something that never happens.
async fn answer(engine: &Arc<Engine<Echo>>, request: Request<Full<Bytes>>) -> Option<Bytes> {
    let mut answer = pin!(engine.service().call(request));
    let mut polls = 0;
    let response = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(Ok(response)) => Poll::Ready(Some(response)),
        Poll::Pending => {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls > 3 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await?;
    Some(response.into_body().collect().await.unwrap().to_bytes())
}

fuzz_target!(|text: &str| {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
    let (runtime, engine) = engine();
    runtime.block_on(async {
        let version = if target.contains("EIO=4") { 4 } else { 3 };
        let open = Request::get(format!("/socket.io/?EIO={version}&transport=polling")).body(Full::default());
        let open = answer(engine, open.unwrap()).await.unwrap();
        let open = String::from_utf8(open.to_vec()).unwrap();
        let (_, sid) = open.split_once("\"sid\":\"").unwrap();
        let mut request = Request::builder().method(method).uri(target.replace("SID", &sid[..20]));
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value.trim_start());
            if let (Ok(name), Ok(value)) = (name, value) {
                request = request.header(name, value);
            }
        }
        let address = RemoteAddr("192.0.2.1:5".parse().unwrap());
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        if let Ok(request) = request.extension(address).body(body) {
            answer(engine, request).await;
        }
        engine.for_each(|conn| conn.close(CloseMode::Discard, CloseReason::TransportClose));
        assert_eq!(engine.connections(), 0);
        tokio::task::yield_now().await; // the handler is told by a task
    });
});
