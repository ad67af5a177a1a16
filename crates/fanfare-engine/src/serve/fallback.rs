//! Connections that hyper serves.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower_service::Service;

use super::connection::identify;
use super::seats::{Call, Occupant, Seat};
use super::{HttpStream, ServeBody, Served, Shared};
use crate::HttpRefusal;

/// Has hyper serve a connection to its end.
pub(super) async fn serve<S: Served>(
    shared: Arc<Shared>,
    service: S,
    stream: HttpStream,
    address: Option<SocketAddr>,
    mut seat: Seat,
) {
    let requests = Arc::new(Requests {
        occupant: seat.occupant().clone(),
        under_way: AtomicUsize::new(0),
        asked: AtomicBool::new(false),
    });
    let service = TowerToHyperService::new(Adapter {
        service,
        address,
        secure: shared.options.secure,
        requests: requests.clone(),
    });
    let mut serving = pin!(shared.http.serve_connection_with_upgrades(stream, service));
    let result = tokio::select! {
        result = &mut serving => result,
        call = seat.until_called() => {
            if call == Call::Cut {
                return shared.refused(address, HttpRefusal::IdleConnections);
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = requests.missing(shared.options.header_timeout) => {
            if !requests.asked() {
                return shared.refused(address, HttpRefusal::HeaderTimeout);
            }
            // HTTP/2: what is left of an answer may still be on its way.
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
    match refusal(&*error) {
        // Those that have had their requests go in peace.
        Some(HttpRefusal::HeaderTimeout) if requests.asked() => {}
        Some(refusal) => shared.refused(address, refusal),
        None => {
            let address = address.map(tracing::field::display);
            tracing::debug!(address, %error, "a connection failed");
        }
    }
}

/// Which of our bounds an error of hyper's comes from, or whether the peer does not speak HTTP.
fn refusal(error: &(dyn Error + 'static)) -> Option<HttpRefusal> {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_parse_too_large() {
            return Some(HttpRefusal::HeadTooLong);
        }
        if error.is_parse() {
            return Some(HttpRefusal::NotHttp);
        }
        if error.is_timeout() {
            return Some(HttpRefusal::HeaderTimeout);
        }
    }
    let mut source = Some(error);
    while let Some(error) = source {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Some(HttpRefusal::WriteTimeout);
        }
        source = error.source();
    }
    None
}

/// What a connection is asked for.
#[derive(Debug)]
struct Requests {
    occupant: Occupant,
    under_way: AtomicUsize,
    asked: AtomicBool,
}

impl Requests {
    /// Whether there has been one.
    fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits until there has been none for this long. Hyper's own timeout begins when it knows the version of HTTP, and
    /// not at all with HTTP/2.
    async fn missing(&self, timeout: Duration) {
        loop {
            let idle = self.occupant.idle_for().unwrap_or_default();
            let Some(left) = timeout.checked_sub(idle).filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::time::sleep(left).await;
        }
    }
}

/// Makes our requests of hyper's, and counts them.
#[derive(Clone, Debug)]
struct Adapter<S> {
    service: S,
    address: Option<SocketAddr>,
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
        identify(request.extensions_mut(), self.address, self.secure);
        Answering {
            answer: self.service.call(request.map(ServeBody::streamed)),
            _under_way: under_way,
        }
    }
}

/// A request under way. While there is one, the connection does not wait.
#[derive(Debug)]
struct UnderWay(Arc<Requests>);

impl UnderWay {
    fn new(requests: &Arc<Requests>) -> UnderWay {
        requests.asked.store(true, Ordering::Relaxed);
        if requests.under_way.fetch_add(1, Ordering::Relaxed) == 0 {
            requests.occupant.busy();
        }
        UnderWay(requests.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.occupant.idle();
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
