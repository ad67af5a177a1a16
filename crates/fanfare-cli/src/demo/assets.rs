//! Web pages of the demo: built by `web/`, embedded in the binary.

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// Instruction printed when the pages were not built.
pub(crate) const NOT_BUILT: &str =
    "run `cargo xtask demo`, or `npm ci && npm run build` in web/ and build again";

/// Page for unknown paths.
const NOT_FOUND: &str = "404.html";

#[derive(Debug, RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Files;

/// Content security policy: scripts, styles and connections come from this origin only; pictures of the chat are
/// `blob:` URLs.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Returns whether the pages are embedded.
pub(crate) fn built() -> bool {
    Files::get("index.html").is_some()
}

/// Answers requests for pages and assets.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if let Some(rejection) = only_reading(&method) {
        return rejection;
    }
    let head = method == Method::HEAD;
    let path = uri.path().trim_start_matches('/');
    let name = match path {
        "" => "index.html".to_owned(),
        folder if folder.ends_with('/') => format!("{folder}index.html"),
        file => file.to_owned(),
    };
    let Some(plain) = Files::get(&name) else {
        return missing(path, uri.query(), &headers, head);
    };
    let (file, encoding) = negotiate(&name, plain, &headers);
    let mut response = answer(&name, &file, encoding, &headers);
    let length = HeaderValue::from(file.data.len());
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_LENGTH, length);
        if !head {
            *response.body_mut() = Body::from(file.data);
        }
    }
    response
}

/// Returns the rejection of a request that is neither `GET` nor `HEAD`.
pub(crate) fn only_reading(method: &Method) -> Option<Response> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let allow = (ALLOW, HeaderValue::from_static("GET, HEAD"));
    let text = "Only GET and HEAD are possible here.\n";
    Some((StatusCode::METHOD_NOT_ALLOWED, [allow], text).into_response())
}

/// Builds a response without its body.
fn answer(
    name: &str,
    file: &EmbeddedFile,
    encoding: Option<&'static str>,
    asked: &HeaderMap,
) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let hash = file.metadata.sha256_hash();
    let tag: String = hash[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    // Names of files in `assets/` contain a hash of their content.
    let cache = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    let known = asked
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| {
        known
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
    }) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn missing(path: &str, query: Option<&str>, headers: &HeaderMap, head: bool) -> Response {
    if !built() {
        let text = format!("The pages of the demo are not built: {NOT_BUILT}.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    if Files::get(&format!("{path}/index.html")).is_some() {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(location) = HeaderValue::from_str(&format!("/{path}/{query}")) {
            return (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response();
        }
    }
    let page = headers.get_all(ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/html"))
    });
    let Some(plain) = Files::get(NOT_FOUND).filter(|_| page) else {
        let text = "There is nothing here. Start at /\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let (file, encoding) = negotiate(NOT_FOUND, plain, headers);
    // Without the request's headers: a browser can have no cached copy of this page.
    let mut response = answer(NOT_FOUND, &file, encoding, &HeaderMap::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    if !head {
        *response.body_mut() = Body::from(file.data);
    }
    response
}

/// Chooses the smallest encoding of a file that the client accepts.
fn negotiate(
    name: &str,
    plain: EmbeddedFile,
    headers: &HeaderMap,
) -> (EmbeddedFile, Option<&'static str>) {
    for (encoding, extension) in [("br", "br"), ("gzip", "gz")] {
        if accepts(headers, encoding)
            && let Some(file) = Files::get(&format!("{name}.{extension}"))
        {
            return (file, Some(encoding));
        }
    }
    (plain, None)
}

/// Returns whether `Accept-Encoding` names `encoding` and does not exclude it with `q=0` (RFC 9110, 12.5.3).
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let mut items = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    items.any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.any(|part| {
            let value = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            value
                .and_then(|value| value.parse::<f32>().ok())
                .is_some_and(|quality| quality <= 0.0)
        });
        named && !refused
    })
}

pub(crate) fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
        };
        assert!(accepts(&headers("gzip, deflate, br, zstd"), "br"));
        assert!(accepts(&headers("GZIP;q=0.5"), "gzip"));
        assert!(!accepts(&headers("gzip;q=0"), "gzip"));
        assert!(!accepts(&headers("br; q=0.000, gzip"), "br"));
        assert!(!accepts(&headers("identity"), "gzip"));
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }

    #[tokio::test]
    async fn only_reading() {
        let answer = serve(Method::DELETE, Uri::from_static("/"), HeaderMap::new()).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn nothing_outside_the_folder() {
        for path in [
            "/../package.json",
            "/assets/../../package.json",
            "/%2e%2e/package.json",
            "/..%5cpackage.json",
        ] {
            let answer = serve(Method::GET, path.parse().unwrap(), HeaderMap::new()).await;
            assert_ne!(answer.status(), StatusCode::OK, "{path}");
        }
    }
}
