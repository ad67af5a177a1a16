//! HTTP client for requests to the other servers.

use std::time::Duration;

use bytes::Bytes;
use fanfare_engine::proxy::RemoteAddr;
use fanfare_engine::relay::{RelayBody, RelayUpgrade};
use http::header::{
    CONNECTION, HOST, HeaderName, SEC_WEBSOCKET_KEY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

/// Maximum number of bytes of a relayed response.
const MAX_RESPONSE_BYTES: usize = 16 << 20;
/// Maximum number of idle connections that are kept to each server.
const MAX_IDLE: usize = 256;
/// Time for which an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Number of bytes that are buffered in each direction of a relayed WebSocket.
const TUNNEL_BYTES: usize = 8 << 10;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Header fields that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Timeouts of requests to another server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(60),
        }
    }
}

/// Client that keeps its connections open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(HttpClient<HttpConnector, RelayBody>);

impl Client {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let client = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self(client)
    }

    /// Sends a request to another server and returns its response; `None` if the server is gone or does not answer in
    /// time.
    pub(crate) async fn send(
        &self,
        peer: &Authority,
        request: Request<RelayBody>,
        upgrade: Option<RelayUpgrade>,
        timeout: Duration,
    ) -> Option<Response<Bytes>> {
        let response = match outgoing(peer, request, upgrade.is_some()) {
            Some(request) => {
                let exchange = self.exchange(request, upgrade);
                match tokio::time::timeout(timeout, exchange).await {
                    Ok(response) => response,
                    Err(_) => Err("it did not answer in time".to_owned()),
                }
            }
            None => Err("the request cannot be relayed".to_owned()),
        };
        let result = if response.is_ok() { "ok" } else { "failed" };
        metrics::counter!("fanfare_relay_requests_total", "result" => result).increment(1);
        response
            .inspect_err(|error| {
                tracing::debug!(target: "fanfare::relay", %peer, %error, "a session of another server is unknown");
            })
            .ok()
    }

    async fn exchange(
        &self,
        request: Request<RelayBody>,
        upgrade: Option<RelayUpgrade>,
    ) -> Result<Response<Bytes>, String> {
        let response = self
            .0
            .request(request)
            .await
            .map_err(|error| chain(&error))?;
        match upgrade {
            Some(upgrade) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Ok(tunnelled(response, upgrade))
            }
            _ => whole(response).await,
        }
    }
}

/// Describes an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Converts the request of a client into one to another server.
fn outgoing(
    peer: &Authority,
    request: Request<RelayBody>,
    upgrade: bool,
) -> Option<Request<RelayBody>> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(peer.clone());
    uri.path_and_query = path.or_else(|| Some(PathAndQuery::from_static("/")));
    // HTTP/2 has the host in the URI.
    if !parts.headers.contains_key(HOST)
        && let Some(host) = parts.uri.authority()
    {
        let host = HeaderValue::from_str(host.as_str()).ok()?;
        parts.headers.insert(HOST, host);
    }
    let address = parts.extensions.get::<RemoteAddr>().copied();
    remove_hop_by_hop(&mut parts.headers);
    if let Some(RemoteAddr(address)) = address {
        forwarded_for(&mut parts.headers, &address.ip().to_string())?;
    }
    if upgrade {
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts
            .headers
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if parts.method == Method::CONNECT {
        // A WebSocket of HTTP/2 (RFC 8441) has no key.
        let key = HeaderValue::from_static("ZmFuZmFyZS1yZWxheWVkIQ==");
        parts.headers.insert(SEC_WEBSOCKET_KEY, key);
        parts.method = Method::GET;
    }
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = Uri::from_parts(uri).ok()?;
    *outgoing.version_mut() = Version::HTTP_11;
    *outgoing.headers_mut() = parts.headers;
    Some(outgoing)
}

/// Appends the address of the client, as proxies do.
fn forwarded_for(headers: &mut HeaderMap, address: &str) -> Option<()> {
    let before = headers.get_all(FORWARDED_FOR).iter();
    let mut list: Vec<&[u8]> = before.map(HeaderValue::as_bytes).collect();
    list.push(address.as_bytes());
    let list = HeaderValue::from_bytes(&list.join(&b", "[..])).ok()?;
    headers.insert(FORWARDED_FOR, list);
    Some(())
}

/// Removes the fields that concern one connection only, and those that `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter();
    let named: Vec<HeaderName> = named
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Reads a response to its end.
async fn whole(response: Response<Incoming>) -> Result<Response<Bytes>, String> {
    let (mut parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
    let body = body.map_err(|error| chain(&*error))?.to_bytes();
    remove_hop_by_hop(&mut parts.headers);
    Ok(Response::from_parts(parts, body))
}

/// Returns the response to an upgrade, and begins to copy in both directions.
fn tunnelled(mut response: Response<Incoming>, upgrade: RelayUpgrade) -> Response<Bytes> {
    let peer = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let (Ok(peer), Ok(mut client)) = (peer.await, upgrade.stream().await) else {
            return;
        };
        let mut peer = TokioIo::new(peer);
        let copied = tokio::io::copy_bidirectional_with_sizes(
            &mut client,
            &mut peer,
            TUNNEL_BYTES,
            TUNNEL_BYTES,
        );
        if let Err(error) = copied.await {
            tracing::debug!(target: "fanfare::relay", %error, "a relayed WebSocket ended");
        }
    });
    response.map(|_| Bytes::new())
}
