//! Requests of the doctor, the load generator and the detections, over the client's network stack.

use bytes::Bytes;
use fanfare_client::net::{DialError, HttpError};
use fanfare_client::options::Tls;
use fanfare_protocol::engine::{PacketType, v3};
use http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue};
use http::{Method, Request};

use crate::exit::Failure;
use crate::target::{Server, Target};

pub(crate) use fanfare_client::net::{Dialer, HttpConnection, HttpResponse, Stream};

/// Suggests a fix for a failure to connect whose text is `why`, instead of the general one, where the cause is known.
pub(crate) fn fix(why: &str, origin: &str) -> String {
    if why.contains("the server's certificate is not for") {
        return "connect with a name that the certificate has; -k accepts any certificate, for tests"
            .to_owned();
    }
    if why.contains("the server's certificate") {
        return "--ca FILE trusts the certificate in a PEM file, also a self-signed one; -k accepts any, for tests"
            .to_owned();
    }
    format!("`fanfare doctor {origin}` finds out what is wrong")
}

/// Returns the trust in the server that its options describe.
pub(crate) fn tls(server: &Server) -> Result<Tls, Failure> {
    let mut tls = Tls::new();
    if let Some(file) = &server.ca {
        let pem = std::fs::read(file).map_err(|error| {
            Failure::usage(format!("cannot read {}", file.display())).because(error)
        })?;
        tls = tls.root_certificate(pem);
    }
    if server.insecure {
        tls = tls.danger_accept_any_certificate();
    }
    Ok(tls)
}

/// Returns a dialer for the target.
pub(crate) fn dialer(target: &Target, tls: &Tls) -> Result<Dialer, Failure> {
    Dialer::new(&target.address, tls)
        .map_err(|error| Failure::usage("TLS cannot be set up").because(error))
}

/// Explains why there is no connection.
pub(crate) fn no_connection(error: &DialError) -> String {
    match error {
        DialError::Name { host, error } => format!("the name {host} cannot be resolved: {error}"),
        DialError::Tcp(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused: nothing listens there, or a firewall says no".to_owned()
        }
        // EMFILE, on every Unix.
        DialError::Tcp(error) if cfg!(unix) && error.raw_os_error() == Some(24) => {
            "too many open files: `ulimit -n 100000` in this shell raises the limit".to_owned()
        }
        DialError::Tcp(error) => format!("no TCP connection: {error}"),
        error => error.to_string(),
    }
}

/// Explains why there is no response.
pub(crate) fn no_response(error: &HttpError) -> String {
    match error {
        HttpError::Dial(error) => no_connection(error),
        error => error.to_string(),
    }
}

/// Builds a request to the engine with this query.
pub(crate) fn request(
    target: &Target,
    method: Method,
    query: &str,
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    request_path(target, method, &target.request(query), body)
}

/// Builds a long-polling request, whose body is text, with these cookies.
pub(crate) fn polling_request(
    target: &Target,
    method: Method,
    query: &str,
    body: impl Into<Bytes>,
    cookies: &str,
) -> Request<Bytes> {
    let mut request = request(target, method, query, body);
    let headers = request.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain;charset=UTF-8"),
    );
    add_cookies(headers, cookies);
    request
}

/// Builds a request to any path.
pub(crate) fn request_path(
    target: &Target,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    let mut request = Request::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.headers_mut() = target.headers.clone();
    if let Ok(host) = target.address.authority().parse() {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    request
}

/// Adds cookies.
pub(crate) fn add_cookies(headers: &mut HeaderMap, cookies: &str) {
    if let (false, Ok(value)) = (cookies.is_empty(), HeaderValue::from_str(cookies)) {
        headers.append(COOKIE, value);
    }
}

/// Returns whether the response to a handshake is one of Engine.IO 3: `97:0{"sid":…`, a payload whose packets begin
/// with their length.
pub(crate) fn is_of_old_server(response: &HttpResponse) -> bool {
    let text = response.text();
    let first = v3::decode_text_payload(&text).next();
    matches!(first, Some(Ok(packet)) if packet.kind == PacketType::Open)
}
