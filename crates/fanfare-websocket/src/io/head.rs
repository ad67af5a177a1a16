//! Heads of HTTP/1.1 requests and responses: just enough for an opening handshake.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};

use super::HeadError;

/// Maximum number of headers in a head.
const MAX_HEADERS: usize = 100;

/// Parses the request at the beginning of `bytes` and returns it with its length; `None` if it is not complete.
pub(super) fn parse_request(bytes: &[u8]) -> Result<Option<(Request<()>, usize)>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = parsed.parse(bytes).map_err(malformed)? else {
        return Ok(None);
    };
    let mut request = Request::new(());
    *request.method_mut() =
        Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(malformed)?;
    *request.uri_mut() = parsed
        .path
        .unwrap_or_default()
        .parse::<Uri>()
        .map_err(malformed)?;
    *request.version_mut() = version(parsed.version);
    *request.headers_mut() = collect(parsed.headers)?;
    Ok(Some((request, end)))
}

/// As [`parse_request`], for a response.
pub(super) fn parse_response(bytes: &[u8]) -> Result<Option<(Response<()>, usize)>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = parsed.parse(bytes).map_err(malformed)? else {
        return Ok(None);
    };
    let mut response = Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(malformed)?;
    *response.version_mut() = version(parsed.version);
    *response.headers_mut() = collect(parsed.headers)?;
    Ok(Some((response, end)))
}

/// Encodes a request for the wire.
pub(super) fn write_request(request: &Request<()>) -> Vec<u8> {
    let mut out = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    write_headers(&mut out, request.headers());
    out
}

/// Encodes a response with its body, after which the connection ends unless it is a 101.
pub(super) fn write_response<B>(response: &Response<B>, body: &str) -> Vec<u8> {
    let status = response.status();
    let mut out = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or("-")
    )
    .into_bytes();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        if !response.headers().contains_key(http::header::CONNECTION) {
            out.extend_from_slice(b"connection: close\r\n");
        }
    }
    write_headers(&mut out, response.headers());
    out.extend_from_slice(body.as_bytes());
    out
}

fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn collect(parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(malformed)?;
        headers.append(
            name,
            HeaderValue::from_bytes(header.value).map_err(malformed)?,
        );
    }
    Ok(headers)
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(1) {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    }
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn malformed(error: impl ToString) -> HeadError {
    HeadError::Malformed(error.to_string())
}
