//! A server for any tower service: accepts connections and speaks HTTP/1.1 and HTTP/2 on them.

mod stream;

use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service;

use crate::proxy::read_header;
use crate::{Networks, RemoteAddr};

pub(crate) use stream::HttpStream;

/// How [`serve`] treats connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// How long a client may take to send the head of a request, and how long a connection without a request stays.
    /// Default 15 s.
    pub header_timeout: Duration,
    /// How long a client may take nothing of an answer that is being written to it. Then its connection is cut.
    /// Default 30 s.
    pub write_timeout: Duration,
    /// The longest head of a request, in bytes. At least 8 KiB. Default 16 KiB.
    pub max_header_bytes: usize,
    /// Load balancers that put a PROXY protocol header (version 1 or 2) in front of each connection. Connections from
    /// these networks must have one, all others are taken as they are. Default: none.
    pub proxy_protocol: Networks,
    /// How long requests under way may take to end once the server shuts down. Default 10 s.
    pub shutdown_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            header_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            max_header_bytes: 16 * 1024,
            proxy_protocol: Networks::none(),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves HTTP with `service` on `listener` until `shutdown` completes; then takes no more connections, lets requests
/// under way end, and returns. WebSockets are not waited for: closing them is the engine's business.
///
/// Each request carries its [`RemoteAddr`].
///
/// # Errors
///
/// An error of the listener itself. What goes wrong with one connection ends that connection, and running out of file
/// descriptors makes the server wait.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.max_header_bytes.max(8 * 1024));
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(options.write_timeout))
        .keep_alive_timeout(options.write_timeout)
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX));
    let http = Arc::new(http);
    let times = Times {
        header: options.header_timeout,
        write: options.write_timeout,
    };
    // Every connection holds a receiver: when they are gone, all requests have ended.
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_connection(&error) => continue,
                Err(error) => {
                    // Out of descriptors or memory: others have to end first.
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let (http, service, stopped) = (http.clone(), service.clone(), stopped.clone());
        if options.proxy_protocol.contains(address.ip()) {
            tokio::spawn(proxied(http, stream, address, service, stopped, times));
        } else {
            tokio::spawn(connection(http, stream, address, service, stopped, times));
        }
    }
    drop(listener);
    drop(stopped);
    stop.send_replace(());
    let _ = tokio::time::timeout(options.shutdown_timeout, stop.closed()).await;
    Ok(())
}

/// What a connection may take its time for.
#[derive(Clone, Copy)]
struct Times {
    header: Duration,
    write: Duration,
}

/// A connection that begins with a PROXY protocol header.
async fn proxied<S, B>(
    http: Arc<Builder<TokioExecutor>>,
    mut stream: TcpStream,
    address: SocketAddr,
    service: S,
    stopped: watch::Receiver<()>,
    times: Times,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let address = match tokio::time::timeout(times.header, read_header(&mut stream)).await {
        Ok(Ok(client)) => client.unwrap_or(address),
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a load balancer's connection was refused");
            return;
        }
        Err(_) => {
            tracing::debug!(%address, "no PROXY protocol header in time");
            return;
        }
    };
    connection(http, stream, address, service, stopped, times).await;
}

async fn connection<S, B>(
    http: Arc<Builder<TokioExecutor>>,
    stream: TcpStream,
    address: SocketAddr,
    service: S,
    mut stopped: watch::Receiver<()>,
    times: Times,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let asked = Arc::new(AtomicBool::new(false));
    let service = TowerToHyperService::new(Noted {
        service,
        address,
        asked: asked.clone(),
    });
    let stream = HttpStream::new(stream, times.write);
    let mut serving = pin!(http.serve_connection_with_upgrades(stream, service));
    // Hyper's own timeout begins when it knows the version of HTTP, and not at all with HTTP/2.
    let unasked = async {
        tokio::time::sleep(times.header).await;
        if asked.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    let result = tokio::select! {
        result = &mut serving => result,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = unasked => {
            tracing::debug!(%address, "a connection without a request");
            return;
        }
    };
    if let Err(error) = result {
        tracing::debug!(%address, %error, "a connection failed");
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// Adds the [`RemoteAddr`] to each request, and notes that there was one.
#[derive(Clone, Debug)]
struct Noted<S> {
    service: S,
    address: SocketAddr,
    asked: Arc<AtomicBool>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Noted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(RemoteAddr(self.address));
        self.service.call(request)
    }
}
