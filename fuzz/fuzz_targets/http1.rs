//! Input of the HTTP/1 side of `serve`, split at a place that the first byte selects, with hyper as the oracle of
//! framing: both see the same requests, with the same targets and bodies; where `serve` rejects a request, hyper may
//! accept it.
#![no_main]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_engine::http::EngineBody;
use fanfare_engine::serve;
use fanfare_engine::serve::ServeBody;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Runtime;

/// Method, target and body of each request whose body is complete.
type Seen = Arc<Mutex<Vec<(String, String, Bytes)>>>;

fn note<B>(seen: &Seen, parts: &Request<B>) -> usize {
    let mut seen = seen.lock().unwrap();
    let target = parts.uri().path_and_query().map_or("", |target| target.as_str());
    seen.push((parts.method().to_string(), target.to_owned(), Bytes::new()));
    seen.len() - 1
}

#[derive(Clone)]
struct Ours(Seen);

impl tower_service::Service<Request<ServeBody>> for Ours {
    type Response = Response<EngineBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<EngineBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ServeBody>) -> Self::Future {
        let seen = self.0.clone();
        Box::pin(async move {
            let at = note(&seen, &request);
            if let Ok(body) = request.into_body().collect().await {
                seen.lock().unwrap()[at].2 = body.to_bytes();
            }
            Ok(Response::new(EngineBody::default()))
        })
    }
}

async fn send(mut client: DuplexStream, bytes: &[u8], cut: usize) {
    let (first, rest) = bytes.split_at(cut.min(bytes.len()));
    for part in [first, rest] {
        if client.write_all(part).await.is_err() {
            break;
        }
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    let _ = client.shutdown().await;
    let _ = client.read_to_end(&mut Vec::new()).await;
}

async fn ours(bytes: &[u8], cut: usize) -> Seen {
    let (seen, (client, server)) = (Seen::default(), duplex(1 << 16));
    let served = serve(Ours(seen.clone())).connection(server, None);
    tokio::join!(served, send(client, bytes, cut));
    seen
}

async fn hypers(bytes: &[u8]) -> Seen {
    let (seen, (client, server)) = (Seen::default(), duplex(1 << 16));
    let noted = seen.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let seen = noted.clone();
        async move {
            let at = note(&seen, &request);
            if let Ok(body) = request.into_body().collect().await {
                seen.lock().unwrap()[at].2 = body.to_bytes();
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .max_headers(5000)
        .serve_connection(TokioIo::new(server), service);
    let _ = tokio::join!(served, send(client, bytes, bytes.len()));
    seen
}

fuzz_target!(|bytes: &[u8]| {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    // Hyper does not speak HTTP/2 here, and `serve` rejects longer input.
    if bytes.starts_with(b"PRI") || bytes.len() > 8192 {
        return;
    }
    runtime.block_on(async {
        let (ours, hypers) = (ours(bytes, cut.into()).await, hypers(bytes).await);
        let (ours, hypers) = (ours.lock().unwrap(), hypers.lock().unwrap());
        for (n, request) in ours.iter().enumerate() {
            let Some(other) = hypers.get(n) else {
                // A target that hyper rejects because it is not escaped.
                assert!(request.1.contains('%'), "hyper sees no request {request:?}");
                return;
            };
            assert_eq!(request, other, "request {n}");
        }
    });
});
