//! CORS for the given origins, over polling and WebSocket.

use bytes::Bytes;
use http::Method;

use super::advice::both;
use super::probe::{NoWebSocket, Probe};
use super::report::Finding;
use crate::net::{self, HttpConnection, HttpResponse};

/// Checks each origin.
pub(super) async fn check(probe: &Probe, origins: &[String]) -> Vec<Finding> {
    if origins.is_empty() {
        return vec![Finding::skipped(
            "cors",
            "no --origin given: the origin of a page that connects, as https://app.example.com",
        )];
    }
    let mut findings = Vec::new();
    for origin in origins {
        findings.push(one(probe, origin).await);
    }
    findings
}

async fn one(probe: &Probe, origin: &str) -> Finding {
    if let Some(why) = malformed(origin) {
        return Finding::problem("cors", format!("{origin} is no origin"))
            .because(why)
            .fix("write it like https://app.example.com");
    }
    if *origin == probe.target.origin() {
        return Finding::ok("cors", format!("{origin} is the server's own origin"));
    }
    let get = match probe
        .get("EIO=4&transport=polling", &[("origin", origin)])
        .await
    {
        Ok(response) => response,
        Err(error) => {
            return Finding::problem("cors", format!("no answer for {origin}"))
                .because(net::no_response(&error));
        }
    };
    if let Some(finding) = judge(&get, origin) {
        return finding;
    }
    let mut preflight = net::request(
        &probe.target,
        Method::OPTIONS,
        "EIO=4&transport=polling",
        Bytes::new(),
    );
    for (name, value) in [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ] {
        if let Ok(value) = value.parse() {
            preflight.headers_mut().insert(name, value);
        }
    }
    match HttpConnection::once(&probe.dialer, preflight, probe.patience).await {
        Ok(response) if !response.status.is_success() => {
            return Finding::problem(
                "cors",
                format!(
                    "the preflight request of {origin} is answered {}",
                    response.status
                ),
            )
            .because("browsers ask with OPTIONS before requests with own headers")
            .fix("let the proxy pass OPTIONS on to the server, which answers it");
        }
        Ok(response) => {
            if let Some(finding) = judge(&response, origin) {
                return finding;
            }
        }
        Err(error) => {
            return Finding::problem("cors", "no answer to a preflight request")
                .because(net::no_response(&error));
        }
    }
    if let Err(NoWebSocket::Status { status: 403, .. }) =
        probe.websocket(None, Some(origin), false).await
    {
        return Finding::problem(
            "cors",
            format!("{origin} may poll, but its WebSocket is refused"),
        )
        .because("the check of WebSocket origins has another list")
        .fix(format!(
            "add the origin there, too (allowRequest, or the proxy's rules); with Fanfare \
             `.origins([\"{origin}\"])` is one list for both"
        ));
    }
    let credentials = get.header("access-control-allow-credentials") == "true";
    let more = if credentials {
        "with credentials"
    } else {
        "without credentials"
    };
    Finding::ok("cors", format!("{origin} may connect, {more}"))
}

fn malformed(origin: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some("it has no scheme");
    };
    if scheme.is_empty() || rest.is_empty() {
        return Some("it has no host");
    }
    rest.contains('/')
        .then_some("an origin has no path, nor a slash at its end: it would never match")
}

fn judge(response: &HttpResponse, origin: &str) -> Option<Finding> {
    let allowed: Vec<&str> = response
        .headers
        .get_all("access-control-allow-origin")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let credentials = response.header("access-control-allow-credentials") == "true";
    let fix = allow(origin, false);
    match allowed.as_slice() {
        [] => Some(
            Finding::problem("cors", format!("{origin} is not allowed"))
                .because("the answer has no header Access-Control-Allow-Origin: browsers hide it from the page")
                .fix(fix),
        ),
        [one] if one.contains(',') => Some(twice(one)),
        ["*"] if credentials => Some(
            Finding::problem("cors", format!("{origin} cannot use credentials"))
                .because("Access-Control-Allow-Origin is `*` together with credentials, which browsers refuse")
                .fix(allow(origin, true)),
        ),
        ["*"] => None,
        [one] if *one == origin => None,
        [one] => Some(
            Finding::problem("cors", format!("{origin} is not allowed"))
                .because(format!("only {one} is: scheme, host and port must be the same"))
                .fix(fix),
        ),
        several => Some(twice(&several.join(", "))),
    }
}

/// Returns the configuration lines that allow an origin.
fn allow(origin: &str, credentials: bool) -> String {
    let (node, fanfare) = match credentials {
        true => (
            ", credentials: true",
            ".cors(Cors::new().credentials(true))",
        ),
        false => ("", ""),
    };
    both(
        &format!("cors: {{ origin: [\"{origin}\"]{node} }}"),
        // For polling and WebSocket.
        &format!("{fanfare}.origins([\"{origin}\"])"),
    )
}

fn twice(values: &str) -> Finding {
    Finding::problem("cors", "the answer allows more than one origin")
        .because(format!("Access-Control-Allow-Origin came as `{values}`: browsers take exactly one value"))
        .fix("server and proxy both add it: remove `add_header Access-Control-Allow-Origin` from the proxy")
}
