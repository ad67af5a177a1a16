//! Connections that hyper serves.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::Request;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower_service::Service;

use super::connection::identify;
use super::stop::Seat;
use super::{HttpStream, ServeBody, Served, Shared};

/// Has hyper serve a connection to its end.
pub(super) async fn serve<S: Served>(
    shared: Arc<Shared>,
    service: S,
    stream: HttpStream,
    address: Option<SocketAddr>,
    mut seat: Seat,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let service = TowerToHyperService::new(Adapter {
        service,
        address,
        secure: shared.options.secure,
        asked: asked.clone(),
    });
    let mut serving = pin!(shared.http.serve_connection_with_upgrades(stream, service));
    // Hyper's own timeout begins when it knows the version of HTTP, and not at all with HTTP/2.
    let unasked = async {
        tokio::time::sleep(shared.options.header_timeout).await;
        if asked.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    let result = tokio::select! {
        result = &mut serving => result,
        () = seat.stopping() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = unasked => {
            tracing::debug!(address = address.map(display), "a connection without a request");
            return;
        }
    };
    if let Err(error) = result {
        tracing::debug!(address = address.map(display), %error, "a connection failed");
    }
}

/// Makes our requests of hyper's, and notes that there was one.
#[derive(Clone, Debug)]
struct Adapter<S> {
    service: S,
    address: Option<SocketAddr>,
    secure: bool,
    asked: Arc<AtomicBool>,
}

impl<S: Service<Request<ServeBody>>> Service<Request<Incoming>> for Adapter<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        identify(request.extensions_mut(), self.address, self.secure);
        self.service.call(request.map(ServeBody::streamed))
    }
}
