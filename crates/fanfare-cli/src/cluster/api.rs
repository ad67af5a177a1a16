//! Requests to the operations of a server.

use std::time::Duration;

use bytes::Bytes;
use fanfare::operations::{ClusterStatus, NodeStatus, RebalanceReport};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Common;
use crate::exit::{Code, Failure};
use crate::net::{self, Dialer, HttpConnection, HttpResponse};
use crate::target::{Server, Target};

/// Environment variable with the key of the operators.
const KEY: &str = "FANFARE_OPERATIONS_KEY";
/// Timeout of a response: the server itself waits up to two seconds for each of two questions to the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// The operations of a server.
pub(super) struct Api {
    target: Target,
    dialer: Dialer,
    /// Path of the operations, without a slash at its end.
    path: String,
}

impl Api {
    pub(super) fn new(args: &Common) -> Result<Self, Failure> {
        let server = Server {
            url: args.url.clone(),
            namespace: None,
            auth: None,
            path: "/".to_owned(),
            headers: args.headers.clone(),
            ca: args.ca.clone(),
            insecure: args.insecure,
        };
        let mut target = server.target()?;
        let dialer = net::dialer(&target, &net::tls(&server)?)?;
        let path = target.namespace.trim_end_matches('/').to_owned();
        if let Some(key) = key(args)? {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_| {
                Failure::usage("the key of the operators has characters that a header cannot have")
            })?;
            value.set_sensitive(true);
            target.headers.insert(AUTHORIZATION, value);
        }
        Ok(Self {
            target,
            dialer,
            path,
        })
    }

    pub(super) async fn status(&self) -> Result<ClusterStatus, Failure> {
        self.request(Method::GET, "status").await
    }

    pub(super) async fn drain(
        &self,
        node: Option<&str>,
        within: Duration,
    ) -> Result<NodeStatus, Failure> {
        let within = within.as_millis();
        let node = match node {
            Some(node) if node.bytes().all(is_plain) => format!("&node={node}"),
            Some(node) => {
                return Err(Failure::usage(format!("`{node}` is no name of a server"))
                    .because("names have letters, digits, `.`, `_`, `:` and `-`"));
            }
            None => String::new(),
        };
        let request = format!("drain?within={within}ms{node}");
        self.request(Method::POST, &request).await
    }

    pub(super) async fn rebalance(
        &self,
        share: f64,
        within: Duration,
    ) -> Result<RebalanceReport, Failure> {
        let within = within.as_millis();
        let request = format!("rebalance?within={within}ms&share={share}");
        self.request(Method::POST, &request).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        request: &str,
    ) -> Result<T, Failure> {
        let path = format!("{}/{request}", self.path);
        let request = net::request_path(&self.target, method, &path, Bytes::new());
        let origin = self.target.origin();
        let response = HttpConnection::once(&self.dialer, request, PATIENCE).await;
        let response = response.map_err(|error| {
            let why = net::no_response(&error);
            let what = format!("cannot reach the operations at {origin}{}", self.path);
            Failure::new(Code::Unreachable, what).because(why).fix(
                "check the address: operations are off unless the program starts them, with an address or a path of their own",
            )
        })?;
        if !response.status.is_success() {
            return Err(self.rejection(&response));
        }
        serde_json::from_slice(&response.body).map_err(|error| {
            Failure::new(
                Code::Unreachable,
                format!("{origin}{} has no operations of Fanfare", self.path),
            )
            .because(format!("the answer is not the expected JSON: {error}"))
        })
    }

    fn rejection(&self, response: &HttpResponse) -> Failure {
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
        }
        let problem = serde_json::from_slice::<Problem>(&response.body).ok();
        let status = response.status;
        let why = problem.map(|problem| problem.detail);
        let Some(why) = why else {
            let what = format!(
                "{}{} has no operations of Fanfare",
                self.target.origin(),
                self.path
            );
            return Failure::new(Code::Unreachable, what)
                .because(format!("it answers {status}"))
                .fix("write the address of `Operations::serve`, or the path at which the service is mounted");
        };
        match status {
            StatusCode::UNAUTHORIZED => Failure::new(Code::Refused, "the server rejected the key")
                .because(why)
                .fix(format!("--key-file FILE, or the environment variable {KEY}, has the key of the operators")),
            StatusCode::BAD_REQUEST => Failure::usage("the server rejected the request").because(why),
            _ => Failure::new(Code::Failed, "the server rejected the request").because(why),
        }
    }
}

/// Whether a byte can be part of the name or id of a server.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)
}

/// Reads the key of the operators; `None` if there is none, for operations behind a proxy that adds it.
fn key(args: &Common) -> Result<Option<String>, Failure> {
    let key = match &args.key_file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("cannot read the key from {}", file.display())).because(error)
        })?),
        None => std::env::var(KEY).ok(),
    };
    let key = key.map(|key| key.trim().to_owned());
    Ok(key.filter(|key| !key.is_empty()))
}
