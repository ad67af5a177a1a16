//! Cross-origin requests, with the options of the `cors` package that Node's server uses.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Origins that may use the server from a browser.
#[derive(Clone)]
#[non_exhaustive]
pub enum CorsOrigin {
    /// Any origin: `*`. Browsers do not send credentials then.
    Any,
    /// The origin of each request, which the response names (`origin: true`).
    Mirror,
    /// This origin, which the response names for every request.
    Exact(String),
    /// The origins of this list.
    List(Vec<String>),
    /// The origins for which the function returns `true`.
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for CorsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CorsOrigin::Any => f.write_str("Any"),
            CorsOrigin::Mirror => f.write_str("Mirror"),
            CorsOrigin::Exact(origin) => f.debug_tuple("Exact").field(origin).finish(),
            CorsOrigin::List(origins) => f.debug_tuple("List").field(origins).finish(),
            CorsOrigin::Predicate(_) => f.write_str("Predicate(..)"),
        }
    }
}

/// Permissions of browsers on other origins. They protect long-polling, not WebSocket, for which browsers do not ask.
///
/// The options are those of the `cors` package. Where that takes a regular expression or an asynchronous function, use
/// a [`CorsOrigin::Predicate`], or a layer of `tower-http` in place of this.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_engine::http::{Cors, CorsOrigin};
///
/// let cors = Cors::new()
///     .origin(CorsOrigin::List(vec!["https://example.org".into(), "https://www.example.org".into()]))
///     .credentials(true)
///     .max_age(Duration::from_secs(600));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cors {
    /// Origins that are allowed. Default: any.
    pub origin: CorsOrigin,
    /// `Access-Control-Allow-Methods`. Default `GET,HEAD,PUT,PATCH,POST,DELETE`.
    pub methods: String,
    /// `Access-Control-Allow-Headers`. Default: the headers that the browser asks for.
    pub allowed_headers: Option<String>,
    /// `Access-Control-Expose-Headers`. Default: none.
    pub exposed_headers: Option<String>,
    /// `Access-Control-Allow-Credentials`. Default: no.
    pub credentials: bool,
    /// `Access-Control-Max-Age`, in whole seconds. Default: none.
    pub max_age: Option<Duration>,
    /// Whether a preflight request gets the headers, and then the response that it would get without CORS. Default: no.
    pub preflight_continue: bool,
    /// Status of the response to a preflight request. Default 204.
    pub options_success_status: u16,
}

impl Default for Cors {
    fn default() -> Self {
        Cors {
            origin: CorsOrigin::Any,
            methods: "GET,HEAD,PUT,PATCH,POST,DELETE".to_owned(),
            allowed_headers: None,
            exposed_headers: None,
            credentials: false,
            max_age: None,
            preflight_continue: false,
            options_success_status: 204,
        }
    }
}

impl Cors {
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fanfare_protocol::setters! {
        origin: CorsOrigin,
        methods: into String,
        allowed_headers: some into String,
        exposed_headers: some into String,
        credentials: bool,
        max_age: some Duration,
        preflight_continue: bool,
        options_success_status: u16,
    }

    /// Returns a configured text that is not valid in a header (RFC 9110, section 5.5), if there is one.
    pub fn unsound(&self) -> Option<&str> {
        let origins: &[String] = match &self.origin {
            CorsOrigin::Exact(origin) => std::slice::from_ref(origin),
            CorsOrigin::List(origins) => origins,
            _ => &[],
        };
        let others = [&self.allowed_headers, &self.exposed_headers];
        origins
            .iter()
            .chain([&self.methods])
            .chain(others.into_iter().flatten())
            .map(String::as_str)
            .find(|text| HeaderValue::from_str(text).is_err())
    }

    /// Adds the headers for the response to a request, as the `cors` package does: for other parts of a server that
    /// answer under the same rules.
    pub fn apply(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        add(answer, self.headers(request, false));
    }

    /// Returns the headers for the response to a request with these headers.
    pub(crate) fn headers(&self, request: &HeaderMap, preflight: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.write_origin(request, &mut headers);
        if self.credentials {
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
        if preflight {
            put(&mut headers, ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
            match &self.allowed_headers {
                Some(allowed) => put(&mut headers, ACCESS_CONTROL_ALLOW_HEADERS, allowed),
                None => {
                    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                    }
                    headers.append(
                        VARY,
                        HeaderValue::from_static("Access-Control-Request-Headers"),
                    );
                }
            }
            if let Some(max_age) = self.max_age {
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age.as_secs()));
            }
        }
        if let Some(exposed) = &self.exposed_headers {
            put(&mut headers, ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        headers
    }

    fn write_origin(&self, request: &HeaderMap, headers: &mut HeaderMap) {
        let asking = request.get(ORIGIN);
        let text = asking.and_then(|origin| origin.to_str().ok());
        let allowed = match &self.origin {
            CorsOrigin::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                return;
            }
            CorsOrigin::Exact(origin) => {
                put(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.append(VARY, HeaderValue::from_static("Origin"));
                return;
            }
            CorsOrigin::Mirror => true,
            CorsOrigin::List(origins) => {
                text.is_some_and(|text| origins.iter().any(|origin| origin == text))
            }
            CorsOrigin::Predicate(allows) => text.is_some_and(|text| allows(text)),
        };
        if allowed && let Some(origin) = asking {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

/// Adds headers to a response that may have a `Vary` already.
pub(crate) fn add(answer: &mut HeaderMap, headers: HeaderMap) {
    let mut last = None;
    for (name, value) in headers {
        last = name.or(last);
        match &last {
            Some(name) if *name == VARY => {
                answer.append(VARY, value);
            }
            Some(name) => {
                answer.insert(name, value);
            }
            None => {}
        }
    }
}

/// Sets a header from a configured text; a text that is not valid in a header is left out.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
