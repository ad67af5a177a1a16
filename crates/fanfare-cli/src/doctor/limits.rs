//! Payload limit, compression, cookies.

use bytes::Bytes;
use http::header::SET_COOKIE;

use super::advice::{Proxy, both};
use super::probe::{Answer, Probe, Session};
use super::report::Finding;
use crate::net;

/// Largest body that is tried, in bytes.
const MAX_PROBED_BYTES: usize = 16 << 20;

pub(super) async fn check(probe: &Probe, session: &Session, broken: bool) -> Vec<Finding> {
    let payload = if broken {
        Finding::skipped(
            "payload",
            "needs requests that reach the server of their session: see affinity",
        )
    } else {
        payload(probe, session).await
    };
    let mut findings = vec![payload, compression(probe).await];
    findings.extend(cookies(probe, session));
    findings
}

/// Sends a body of `bytes` bytes: a packet without meaning. Returns `None` if the result is inconclusive.
async fn accepts(probe: &Probe, bytes: usize) -> Option<(bool, u16, String)> {
    let Ok(Answer::Session(session)) = probe.open().await else {
        return None;
    };
    let mut body = vec![b'x'; bytes.max(1)];
    body[0] = b'6';
    let response = match probe
        .post(&session.opened.sid, &session.cookies, Bytes::from(body))
        .await
    {
        Ok(response) => response,
        // A proxy may answer and close before the whole body has been sent.
        Err(error) => return Some((false, 0, net::no_response(&error))),
    };
    Some((
        response.status == 200,
        response.status.as_u16(),
        response.text().into_owned(),
    ))
}

async fn payload(probe: &Probe, session: &Session) -> Finding {
    let Some(limit) = session.opened.max_payload else {
        return Finding::skipped(
            "payload",
            "the server does not say how long a message may be",
        );
    };
    let proxy = Proxy::from_header(session.response.header("server"));
    let tried = limit.min(MAX_PROBED_BYTES);
    match accepts(probe, tried).await {
        None => return Finding::warning("payload", "cannot be told: no session"),
        Some((true, ..)) => {
            return Finding::ok(
                "payload",
                format!("bodies of {} pass, as the server promises", size(tried)),
            );
        }
        Some((false, status, text)) if !matches!(status, 0 | 413) => {
            return Finding::warning(
                "payload",
                format!("a body of {} is answered {status}", size(tried)),
            )
            .because(text.trim().to_owned());
        }
        Some(_) => {}
    }
    let (mut passes, mut fails) = (1, tried);
    // Five per cent are exact enough to recognise a configured limit.
    while fails - passes > passes / 20 + 64 {
        let middle = if fails > passes * 4 {
            passes * 4
        } else {
            passes + (fails - passes) / 2
        };
        match accepts(probe, middle).await {
            Some((true, ..)) => passes = middle,
            Some(_) => fails = middle,
            None => break,
        }
    }
    Finding::problem("payload", format!("bodies over about {} are refused, but the server promises {}", size(passes), size(limit)))
        .because("a limit of the proxy is smaller than maxHttpBufferSize: bigger messages close the connection")
        .fix(proxy.body(limit))
}

fn size(bytes: usize) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} bytes"),
        10_000..=999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

async fn compression(probe: &Probe) -> Finding {
    let websocket = match probe.websocket(None, None, true).await {
        Ok(socket) if socket.is_compressed() => "on",
        Ok(_) => "off",
        Err(_) => "unknown",
    };
    let polling = match probe
        .get("EIO=4&transport=polling", &[("accept-encoding", "gzip")])
        .await
    {
        Ok(response) if response.header("content-encoding").is_empty() => "off for short answers",
        Ok(_) => "on",
        Err(_) => "unknown",
    };
    let finding = Finding::note(
        "compression",
        format!("WebSocket {websocket}, polling {polling}"),
    );
    if websocket == "on" {
        finding.because(
            "permessage-deflate costs memory per connection; worth it for big messages only",
        )
    } else {
        finding
    }
}

fn cookies(probe: &Probe, session: &Session) -> Vec<Finding> {
    let cookies: Vec<&str> = session
        .response
        .headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok())
        .collect();
    if cookies.is_empty() {
        return vec![Finding::note("cookies", "none are set")];
    }
    cookies
        .into_iter()
        .map(|cookie| {
            let name = cookie.split('=').next().unwrap_or_default();
            let lower = cookie.to_ascii_lowercase();
            let cross_site = lower.contains("samesite=none");
            if cross_site && !lower.contains("secure") {
                return Finding::problem("cookies", format!("browsers refuse the cookie `{name}`"))
                    .because("SameSite=None needs Secure")
                    .fix(format!(
                        "over https:\n{}",
                        both(
                            "cookie: { name: \"io\", sameSite: \"none\", secure: true }",
                            r#".cookie(Cookie::new("io").same_site(SameSite::None).secure(true))"#,
                        )
                    ));
            }
            if probe.target.address.secure && !lower.contains("secure") {
                return Finding::warning("cookies", format!("the cookie `{name}` lacks Secure"))
                    .because("it would also travel unencrypted")
                    .fix(format!(
                        "the balancer's setting, or the server's:\n{}",
                        both(
                            "cookie: { name: \"io\", secure: true }",
                            r#".cookie(Cookie::new("io").secure(true))"#,
                        )
                    ));
            }
            let text = if cross_site {
                "also for pages of other sites"
            } else {
                "only for pages of the same site"
            };
            Finding::ok("cookies", format!("`{name}` is sent back {text}"))
        })
        .collect()
}
