//! Connections that hyper serves: those of HTTP/2.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_protocol::Escaped;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower_service::Service;

use super::connection_registry::{CloseSignal, ConnectionSlot, IdleHandle};
use super::request::identify;
use super::{HttpService, ServeBody, Shared};
use crate::handshake::Peer;
use crate::log_target;
use crate::rejection::HttpRejection;
use crate::stream::{HttpStream, KeepBusy};

/// Serves a connection with hyper until it ends.
pub(super) async fn serve<S: HttpService>(
    shared: Arc<Shared>,
    service: S,
    stream: HttpStream,
    peer: Option<Peer>,
    mut slot: ConnectionSlot,
) {
    let requests = Arc::new(Requests {
        handle: slot.handle().clone(),
        under_way: AtomicUsize::new(0),
        asked: AtomicBool::new(false),
    });
    let service = TowerToHyperService::new(Adapter {
        service,
        peer,
        secure: shared.options.secure,
        requests: requests.clone(),
    });
    let mut serving = pin!(shared.http2.serve_connection_with_upgrades(stream, service));
    let result = tokio::select! {
        result = &mut serving => result,
        call = slot.until_called() => {
            if call == CloseSignal::Cut {
                return shared.rejected(peer, HttpRejection::IdleConnections);
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = requests.missing(shared.options.header_timeout) => {
            if !requests.asked() {
                return shared.rejected(peer, HttpRejection::HeaderTimeout);
            }
            // HTTP/2: the rest of a response may still be in transit.
            serving.as_mut().graceful_shutdown();
            let Ok(result) = tokio::time::timeout(shared.options.write_timeout, serving).await else {
                return;
            };
            result
        }
    };
    let Err(error) = result else {
        return;
    };
    match rejection(&*error) {
        // A connection that had its requests ends without a rejection.
        Some(HttpRejection::HeaderTimeout) if requests.asked() => {}
        Some(rejection) => shared.rejected(peer, rejection),
        None => {
            let address = peer.and_then(Peer::address).map(tracing::field::display);
            tracing::debug!(target: log_target::SERVE, address, error = %Escaped(&error), "a connection failed");
        }
    }
}

/// Returns the limit of ours that caused an error of hyper, or that the peer does not speak HTTP.
fn rejection(error: &(dyn Error + 'static)) -> Option<HttpRejection> {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_parse_too_large() {
            return Some(HttpRejection::HeadTooLong);
        }
        if error.is_parse() {
            return Some(HttpRejection::NotHttp);
        }
        if error.is_timeout() {
            return Some(HttpRejection::HeaderTimeout);
        }
    }
    let mut source = Some(error);
    while let Some(error) = source {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Some(HttpRejection::WriteTimeout);
        }
        source = error.source();
    }
    None
}

/// Requests of a connection.
#[derive(Debug)]
struct Requests {
    handle: IdleHandle,
    under_way: AtomicUsize,
    asked: AtomicBool,
}

impl Requests {
    /// Whether there has been a request.
    fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits until there has been no request for this long. Hyper's own timeout begins when it knows the version of
    /// HTTP, and does not exist for HTTP/2.
    async fn missing(&self, timeout: Duration) {
        loop {
            let idle = self.handle.idle_for().unwrap_or_default();
            let Some(left) = timeout.checked_sub(idle).filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::time::sleep(left).await;
        }
    }
}

/// Service that converts hyper's requests into ours, and counts them.
#[derive(Clone, Debug)]
struct Adapter<S> {
    service: S,
    peer: Option<Peer>,
    secure: bool,
    requests: Arc<Requests>,
}

impl<S> Service<Request<Incoming>> for Adapter<S>
where
    S: Service<Request<ServeBody>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let under_way = UnderWay::new(&self.requests);
        identify(request.extensions_mut(), self.peer, self.secure);
        if request.method() == Method::CONNECT {
            let busy = KeepBusy::new(UnderWay::new(&self.requests));
            request.extensions_mut().insert(busy);
        }
        Answering {
            answer: self.service.call(request.map(ServeBody::streamed)),
            _under_way: under_way,
        }
    }
}

/// Guard of a request in progress. While there is one, the connection does not wait.
#[derive(Debug)]
struct UnderWay(Arc<Requests>);

impl UnderWay {
    fn new(requests: &Arc<Requests>) -> UnderWay {
        requests.asked.store(true, Ordering::Relaxed);
        if requests.under_way.fetch_add(1, Ordering::Relaxed) == 0 {
            requests.handle.busy();
        }
        UnderWay(requests.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.handle.idle();
        }
    }
}

#[derive(Debug)]
struct Answering<F> {
    answer: F,
    _under_way: UnderWay,
}

impl<F: Future + Unpin> Future for Answering<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.answer).poll(cx)
    }
}
