//! Operations over HTTP.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_engine::http::EngineBody;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use tower_service::Service;

use super::{DEFAULT_WITHIN, Operations, OperationsError};

/// Longest time that a request may ask for.
const MAX_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The HTTP service of [`Operations`], see [`Operations::service`].
#[derive(Debug, Clone)]
pub struct OperationsService(Operations);

/// Future of a response of [`OperationsService`].
pub struct OperationsFuture(Pin<Box<dyn Future<Output = Response<EngineBody>> + Send>>);

impl OperationsService {
    pub(super) fn new(operations: Operations) -> Self {
        Self(operations)
    }
}

impl<B> Service<Request<B>> for OperationsService {
    type Response = Response<EngineBody>;
    type Error = Infallible;
    type Future = OperationsFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> OperationsFuture {
        // The body is not read: parameters are in the query.
        let (parts, _) = request.into_parts();
        let operations = self.0.clone();
        OperationsFuture(Box::pin(async move {
            let answer = answer(&operations, &parts).await;
            answer.unwrap_or_else(Problem::response)
        }))
    }
}

impl Future for OperationsFuture {
    type Output = Result<Response<EngineBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for OperationsFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationsFuture").finish_non_exhaustive()
    }
}

async fn answer(
    operations: &Operations,
    request: &http::request::Parts,
) -> Result<Response<EngineBody>, Problem> {
    let path = request.uri.path().trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    let expected = match name {
        "status" | "healthz" | "readyz" => Method::GET,
        "drain" | "rebalance" => Method::POST,
        _ => {
            let detail = "there are /status, /drain, /rebalance, /healthz and /readyz";
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
    };
    let is_head = request.method == Method::HEAD && expected == Method::GET;
    if request.method != expected && !is_head {
        return Err(Problem::method(name, &expected));
    }
    match name {
        "healthz" => return Ok(text(StatusCode::OK, "ok\n")),
        "readyz" => return Ok(readiness(operations)),
        _ => {}
    }
    authorize(operations, &request.headers)?;
    let mut query = Query::read(request.uri.query().unwrap_or_default(), name)?;
    match name {
        "status" => Ok(json(StatusCode::OK, &operations.status().await)),
        "drain" => {
            let within = query.within()?;
            let drained = operations.drain(query.node.take().as_deref(), within).await;
            Ok(json(StatusCode::ACCEPTED, &drained.map_err(Problem::of)?))
        }
        _ => {
            let (share, within) = (query.share()?, query.within()?);
            let report = operations.rebalance(share, within).await;
            Ok(json(StatusCode::ACCEPTED, &report.map_err(Problem::of)?))
        }
    }
}

fn readiness(operations: &Operations) -> Response<EngineBody> {
    let io = &operations.io;
    if !io.is_ready() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the server drains\n");
    }
    match io.cluster().map(|cluster| cluster.health()) {
        Some(health) if !health.is_ready() => {
            let why = format!("the broker is {health}\n");
            text(StatusCode::SERVICE_UNAVAILABLE, why)
        }
        _ => text(StatusCode::OK, "ready\n"),
    }
}

fn authorize(operations: &Operations, headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some((scheme, key)) = value.and_then(|value| value.split_at_checked("Bearer ".len()))
    else {
        let detail = "the request has no key: send `Authorization: Bearer <key>`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    };
    if !scheme.eq_ignore_ascii_case(b"Bearer ") || !operations.node.key.is(key.trim_ascii()) {
        let detail = "the key is not that of the server";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    }
    Ok(())
}

/// Parameters of a request.
#[derive(Debug, Default)]
struct Query {
    node: Option<String>,
    within: Option<String>,
    share: Option<String>,
}

impl Query {
    /// Reads the parameters that a request has. Values need no percent-encoding.
    fn read(query: &str, name: &str) -> Result<Self, Problem> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match (name, key) {
                ("drain", "node") => &mut read.node,
                ("drain" | "rebalance", "within") => &mut read.within,
                ("rebalance", "share") => &mut read.share,
                _ => {
                    let key: String = key.chars().take(64).collect();
                    return Err(Problem::bad(format!("/{name} has no parameter {key:?}")));
                }
            };
            *field = Some(value.to_owned());
        }
        Ok(read)
    }

    fn within(&self) -> Result<Duration, Problem> {
        let Some(text) = &self.within else {
            return Ok(DEFAULT_WITHIN);
        };
        let wrong = || {
            let shown: String = text.chars().take(64).collect();
            Problem::bad(format!(
                "within={shown}: write a number with ms, s or m, at most 24 hours, such as 30s"
            ))
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let millis = match text.get(digits.len()..) {
            Some("ms") => Some(number),
            Some("s") => number.checked_mul(1_000),
            Some("m") => number.checked_mul(60_000),
            _ => None,
        };
        let within = millis.map(Duration::from_millis).ok_or_else(wrong)?;
        (within <= MAX_WITHIN).then_some(within).ok_or_else(wrong)
    }

    fn share(&self) -> Result<f64, Problem> {
        let Some(text) = &self.share else {
            return Ok(1.0);
        };
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            Problem::bad(format!("share={shown}: write a number such as 0.5"))
        })
    }
}

/// Problem document (RFC 9457).
#[derive(Debug, Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip)]
    allow: Option<Method>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            allow: None,
        }
    }

    fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    fn method(name: &str, allowed: &Method) -> Self {
        let detail = format!("/{name} is for {allowed}");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, detail);
        problem.allow = Some(allowed.clone());
        problem
    }

    fn of(error: OperationsError) -> Self {
        let status = match error {
            OperationsError::UnknownNode { .. } => StatusCode::NOT_FOUND,
            OperationsError::AmbiguousNode { .. } => StatusCode::CONFLICT,
            OperationsError::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }

    fn response(self) -> Response<EngineBody> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = json(status, &self);
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let allow = self.allow.as_ref().map(|method| method.as_str().parse());
        if let Some(Ok(allow)) = allow {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<EngineBody> {
    let Ok(mut json) = serde_json::to_string(value) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "");
    };
    json.push('\n'); // for terminals
    let mut response = text(status, json);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<EngineBody> {
    let mut response = Response::new(EngineBody::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
