//! Idle timeouts of proxies, compared with the server's ping interval.

use std::time::{Duration, Instant};

use fanfare_client::net::HttpError;
use fanfare_protocol::engine::Opened;
use fanfare_websocket::Message;
use tokio::time::timeout;

use super::advice::Proxy;
use super::probe::{Answer, Probe};
use super::report::Finding;
use crate::net;

/// Time by which a ping may be late.
const IDLE_SLACK: Duration = Duration::from_secs(5);

/// Longest ping interval that is waited for.
const MAX_IDLE_PROBE: Duration = Duration::from_secs(600);

/// End of a silence.
enum Silence {
    /// The server's ping arrived.
    Ping(Duration),
    /// The connection was closed before a ping.
    Cut(Duration, String),
    /// Nothing arrived.
    Nothing,
    /// The connection failed to open.
    NotOpened,
}

/// Waits on a WebSocket and on a long poll, sending nothing, for the server's ping.
pub(super) async fn check(probe: Probe, opened: Opened) -> Vec<Finding> {
    if opened.ping_interval > MAX_IDLE_PROBE {
        let seconds = opened.ping_interval.as_secs();
        let what = format!("the server pings only every {seconds} s, too long to wait for here");
        return vec![Finding::skipped("idle", what)];
    }
    let limit = opened.ping_interval + IDLE_SLACK;
    let (websocket, polling) = tokio::join!(by_websocket(&probe, limit), by_polling(&probe, limit));
    let server = match probe.open().await {
        Ok(Answer::Session(session)) => session.response.header("server").to_owned(),
        _ => String::new(),
    };
    let proxy = Proxy::from_header(&server);
    [("a silent WebSocket", websocket), ("a long poll", polling)]
        .into_iter()
        .filter_map(|(name, silence)| judge(name, silence, &opened, proxy))
        .collect()
}

fn judge(name: &str, silence: Silence, opened: &Opened, proxy: Proxy) -> Option<Finding> {
    let interval = opened.ping_interval.as_secs_f64();
    let wanted = (opened.ping_interval + opened.ping_timeout).as_secs() + 5;
    Some(match silence {
        Silence::NotOpened => return None,
        Silence::Ping(after) => Finding::ok(
            "idle",
            format!(
                "{name} lives until the server's ping ({:.1} s)",
                after.as_secs_f64()
            ),
        ),
        Silence::Cut(after, how) => {
            let after = after.as_secs_f64();
            Finding::problem(
                "idle",
                format!("{name} is cut after {after:.1} s, before the server's ping"),
            )
            .because(format!(
                "{how}; the server pings every {interval} s, something in between gives up earlier"
            ))
            .fix(proxy.idle(wanted))
        }
        Silence::Nothing => Finding::problem(
            "idle",
            format!("no ping came on {name} within {interval} s and 5 more"),
        )
        .because("something in between holds packets back (buffering), or the server is stuck")
        .fix("nginx: proxy_buffering off;"),
    })
}

async fn by_websocket(probe: &Probe, limit: Duration) -> Silence {
    let Ok(mut socket) = probe.websocket(None, None, false).await else {
        return Silence::NotOpened;
    };
    if probe.text(&mut socket).await.is_none() {
        return Silence::NotOpened;
    }
    let started = Instant::now();
    loop {
        let message = timeout(limit.saturating_sub(started.elapsed()), socket.recv()).await;
        return match message {
            Err(_) => Silence::Nothing,
            Ok(Some(Ok(Message::Text(text)))) if text == "2" => Silence::Ping(started.elapsed()),
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                Silence::Cut(started.elapsed(), "the connection was closed".to_owned())
            }
            Ok(Some(Ok(_))) => continue,
        };
    }
}

async fn by_polling(probe: &Probe, limit: Duration) -> Silence {
    let Ok(Answer::Session(session)) = probe.open().await else {
        return Silence::NotOpened;
    };
    let mut patient = probe.clone();
    patient.patience = limit;
    let started = Instant::now();
    let query = format!("EIO=4&transport=polling&sid={}", session.opened.sid);
    match patient
        .get(&query, &[("cookie", session.cookies.as_str())])
        .await
    {
        Ok(response) if response.status == 200 && response.text().starts_with('2') => {
            Silence::Ping(started.elapsed())
        }
        // A session that is unknown to another server is reported by the affinity check.
        Ok(response) if response.status == 400 => Silence::NotOpened,
        Ok(response) if response.status == 200 => Silence::Ping(started.elapsed()),
        Ok(response) => Silence::Cut(
            started.elapsed(),
            format!("the answer was {}", response.status),
        ),
        Err(HttpError::Timeout(_)) => Silence::Nothing,
        Err(error) => Silence::Cut(started.elapsed(), net::no_response(&error)),
    }
}
