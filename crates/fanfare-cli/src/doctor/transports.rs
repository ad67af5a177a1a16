//! Path, protocol, polling, WebSocket, upgrade.

use std::time::Duration;

use tokio::task::JoinSet;

use super::advice::{Proxy, both};
use super::probe::{Answer, NoWebSocket, Probe, Session};
use super::report::Finding;
use crate::net::{self, HttpResponse};

/// Usual paths of the endpoint, tried if it is not at the given one.
const OTHER_PATHS: &[&str] = &[
    "/socket.io/",
    "/api/socket.io/",
    "/ws/socket.io/",
    "/socket/socket.io/",
    "/engine.io/",
];

/// Timeout of each of these paths.
const OTHER_PATH_TIMEOUT: Duration = Duration::from_secs(3);

/// Reason for which there is no session by polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is no endpoint.
    Endpoint,
    /// The server speaks only Engine.IO 3.
    Old,
    /// Polling is rejected.
    Refused,
}

impl Missing {
    /// Returns the reason for which other checks are skipped.
    pub(super) fn needed(self) -> &'static str {
        match self {
            Self::Endpoint => "needs the endpoint",
            Self::Old => "needs a session of Engine.IO 4",
            Self::Refused => "needs a session by polling",
        }
    }
}

/// Searches for the endpoint, and opens two sessions.
pub(super) async fn polling(probe: &Probe) -> (Vec<Finding>, Result<Session, Missing>) {
    let path = &probe.target.path;
    let first = match probe.open().await {
        Ok(answer) => answer,
        Err(error) => {
            return (
                vec![
                    Finding::problem("polling", "no answer to a handshake")
                        .because(net::no_response(&error)),
                ],
                Err(Missing::Endpoint),
            );
        }
    };
    let mut findings = Vec::new();
    let session = match first {
        Answer::Session(session) => *session,
        Answer::Old => {
            findings.push(Finding::ok(
                "path",
                format!("{path} is a Socket.IO endpoint"),
            ));
            findings.push(
                Finding::problem("protocol", "the server speaks only Engine.IO 3 (Socket.IO v1 or v2)")
                    .because("clients of v3 and v4 cannot connect to it")
                    .fix(format!(
                        "upgrade the server to v4, or use a client of v2; what keeps the old clients:\n{}",
                        both("allowEIO3: true", ".allow_eio3(true)")
                    )),
            );
            return (findings, Err(Missing::Old));
        }
        Answer::Error {
            code,
            message,
            response,
        } => {
            findings.push(Finding::ok(
                "path",
                format!("{path} is a Socket.IO endpoint"),
            ));
            findings.push(refused(code, &message, &response));
            return (findings, Err(Missing::Refused));
        }
        Answer::Other(response) => {
            let finding = nothing_there(probe, Some(&response)).await;
            return (vec![finding], Err(Missing::Endpoint));
        }
    };
    findings.push(Finding::ok(
        "path",
        format!("{path} is a Socket.IO endpoint"),
    ));
    findings.push(protocol(probe, &session).await);
    findings.push(cached(probe, &session).await);
    findings.push(polling_works(probe, &session).await);
    (findings, Ok(session))
}

fn refused(code: i64, message: &str, response: &HttpResponse) -> Finding {
    let finding = Finding::problem("polling", format!("a handshake is refused: {message}"));
    match code {
        0 => finding
            .because("the server's option `transports` leaves polling out, and the clients of browsers begin with it")
            .fix(format!("clients: io(url, {{ transports: [\"websocket\"] }})\nor the server:\n{}", transports())),
        4 => finding.because("allowRequest, or a middleware, said no").fix("-H 'Authorization: …' or a cookie, if it wants credentials"),
        5 => finding
            .because("an old client was expected")
            .fix(format!(
                "check the versions of server and client, and what lets old ones in:\n{}",
                both("allowEIO3: true", ".allow_eio3(true)")
            )),
        _ => finding
            .because(format!("status {}, {}", response.status.as_u16(), response.text().trim()))
            .fix("look into the server's log"),
    }
}

/// Returns the configuration lines that enable both transports.
fn transports() -> String {
    both(
        "transports: [\"polling\", \"websocket\"]",
        ".transports([Transport::Polling, Transport::WebSocket])",
    )
}

/// Explains that there is no endpoint; `response` is the answer, if there was one.
pub(super) async fn nothing_there(probe: &Probe, response: Option<&HttpResponse>) -> Finding {
    let path = &probe.target.path;
    let status = response.map_or(0, |response| response.status.as_u16());
    let answered = response.map_or("nothing at all".to_owned(), |response| {
        response.status.to_string()
    });
    if matches!(status, 502..=504) {
        return Finding::problem("path", format!("the proxy cannot reach the server behind it: {answered}"))
            .because("the proxy itself answered")
            .fix("start the server; check address and port in the proxy (nginx: proxy_pass, upstream), and its error log");
    }
    if let Some(other) = elsewhere(probe).await {
        let bare = other.trim_end_matches('/');
        let what = format!("nothing at {path}, but {other} is a Socket.IO endpoint");
        return Finding::problem("path", what)
            .because(format!("{path} answers {answered}"))
            .fix(format!(
                "clients: io(url, {{ path: \"{bare}\" }})\nor the server: path: \"{}\"",
                path.trim_end_matches('/')
            ));
    }
    if matches!(status, 401 | 403) {
        return Finding::problem("path", format!("{path} is forbidden: {answered}"))
            .because("something in front of the server wants credentials, or blocks us")
            .fix("-H 'Authorization: …', or let the proxy pass the path on without asking");
    }
    let server = response.map_or("", |response| response.header("server"));
    let finding = Finding::problem("path", format!("no Socket.IO endpoint at {path}"));
    let other = "if the server has another path: --path PATH here, and `path` in the clients";
    let Some(response) = response else {
        return finding
            .because("the server speaks HTTP, and keeps silent there: a Node server without pages does so where it serves nothing")
            .fix(format!("{other}\nelse look whether the server is stuck"));
    };
    let finding = finding.fix(format!(
        "{}\n{other}",
        Proxy::from_header(server).location(path)
    ));
    if response.header("content-type").contains("html") && status == 200 {
        return finding
            .because("a web page answers: the path falls through to the site or its index.html");
    }
    let text = response.text();
    let start: String = text.trim().chars().take(60).collect();
    finding.because(format!("the answer is {answered} {start}"))
}

/// Searches for the endpoint at the usual paths.
async fn elsewhere(probe: &Probe) -> Option<&'static str> {
    let mut probe = probe.clone();
    probe.patience = probe.patience.min(OTHER_PATH_TIMEOUT);
    let mut asked = JoinSet::new();
    for (at, path) in OTHER_PATHS.iter().enumerate() {
        let probe = probe.clone();
        if *path != probe.target.path {
            asked.spawn(async move {
                let answer = probe.open_at(path).await;
                let found = matches!(
                    answer,
                    Ok(Answer::Session(_) | Answer::Old | Answer::Error { .. })
                );
                found.then_some((at, *path))
            });
        }
    }
    let found = asked.join_all().await.into_iter().flatten().min();
    found.map(|(_, path)| path)
}

async fn protocol(probe: &Probe, session: &Session) -> Finding {
    let opened = &session.opened;
    let numbers = format!(
        "ping every {} s, timeout {} s",
        opened.ping_interval.as_secs_f64(),
        opened.ping_timeout.as_secs_f64()
    );
    let old = match probe.get("EIO=3&transport=polling", &[]).await {
        Ok(response) => response.status == 200,
        Err(_) => false,
    };
    let old = if old {
        "and 3 (clients v1 and v2)"
    } else {
        "only: clients v1 and v2 are refused (allowEIO3, allow_eio3)"
    };
    Finding::ok("protocol", format!("Engine.IO 4 {old}; {numbers}"))
}

/// Checks that two handshakes differ: equal ones come from a cache.
async fn cached(probe: &Probe, session: &Session) -> Finding {
    match probe.open().await {
        Ok(Answer::Session(other)) if other.opened.sid == session.opened.sid => {
            Finding::problem("caching", "two handshakes gave the same session")
                .because("a cache between here and the server answers in its place")
                .fix(format!(
                    "do not cache {}: nginx `proxy_cache off;`, CDN: bypass the path",
                    probe.target.path
                ))
        }
        Ok(Answer::Session(_)) => Finding::ok("caching", "answers are not cached"),
        _ => Finding::warning("caching", "a second handshake failed")
            .because("some of the servers behind the proxy may be down, or a rate is limited"),
    }
}

async fn polling_works(probe: &Probe, session: &Session) -> Finding {
    // A packet without meaning: only the transport is tested.
    match probe.post(&session.opened.sid, &session.cookies, "6").await {
        Ok(response) if response.status == 200 => Finding::ok(
            "polling",
            match response.took.as_millis() {
                0 => "works (less than 1 ms per request)".to_owned(),
                ms => format!("works ({ms} ms per request)"),
            },
        ),
        Ok(response) if response.text().contains("\"code\":1") => Finding::problem(
            "polling",
            "the session is unknown to the server that got the next request",
        )
        .because("requests of one session land on different servers: see affinity"),
        Ok(response) => {
            Finding::problem("polling", format!("POST is answered {}", response.status))
                .because("a proxy or firewall lets only GET pass, or rewrites bodies")
                .fix("allow GET, POST and OPTIONS on the path")
        }
        Err(error) => {
            Finding::problem("polling", "POST is not answered").because(net::no_response(&error))
        }
    }
}

fn websocket_failed(probe: &Probe, error: NoWebSocket, server: &str) -> Finding {
    let proxy = Proxy::from_header(server);
    let fix = proxy.upgrade(&probe.target.path);
    match error {
        NoWebSocket::Status { status: 400, body } if body.contains("\"code\":3") || body.contains("Bad request") => {
            Finding::problem("websocket", "the proxy does not pass on the WebSocket upgrade")
                .because("the server got a plain request: the headers Upgrade and Connection were dropped on the way")
                .fix(fix)
        }
        NoWebSocket::Status { status: 400, body } if body.contains("Transport unknown") || body.contains("\"code\":0") => {
            Finding::problem("websocket", "the server refuses WebSocket")
                .because("its option `transports` leaves websocket out")
                .fix(transports())
        }
        NoWebSocket::Status { status: 400, body } if body.contains("Session ID unknown") => {
            Finding::problem("websocket", "the session is unknown to the server that got the upgrade")
                .because("the WebSocket landed on another server than the session: see affinity")
                .fix(proxy.affinity())
        }
        NoWebSocket::Status { status, body } => {
            let start: String = body.chars().take(60).collect();
            let finding = Finding::problem("websocket", format!("the WebSocket handshake is answered with {status}"));
            match status {
                200 => finding.because("the proxy answered as if it were a plain request").fix(fix),
                403 => finding
                    .because(format!("something refuses WebSocket: {start}"))
                    .fix("allow it in the firewall, or check allowRequest and the allowed origins of the server"),
                502..=504 => finding.because("the proxy got no answer from the server").fix(fix),
                _ => finding.because(start).fix(fix),
            }
        }
        NoWebSocket::Dial(error) => Finding::problem("websocket", "no connection")
            .because(net::no_connection(&error))
            .fix("other requests were answered: look whether connections are limited, or the server ended meanwhile"),
        NoWebSocket::Other(why) => {
            Finding::problem("websocket", "no WebSocket connection").because(why).fix(fix)
        }
    }
}

/// Checks WebSocket when there is no polling.
pub(super) async fn websocket_alone(probe: &Probe, missing: Missing) -> Finding {
    match probe.websocket(None, None, false).await {
        Ok(mut socket) => match probe.text(&mut socket).await {
            Some(text) if text.starts_with("0{") => match missing {
                Missing::Old => Finding::ok("websocket", "works"),
                _ => Finding::ok("websocket", "works, without polling"),
            },
            _ => Finding::problem("websocket", "the WebSocket opens, but no session does")
                .because("the server did not send the first packet of a session")
                .fix("check that it is a Socket.IO server of v3 or v4, and look into its log"),
        },
        // One cause is reported once.
        Err(_) if missing == Missing::Endpoint => Finding::skipped("websocket", missing.needed()),
        Err(error) => websocket_failed(probe, error, ""),
    }
}

/// Checks WebSocket from the start, and as upgrade of a session. `broken` means that there is no affinity.
pub(super) async fn websocket_and_upgrade(probe: &Probe, broken: bool) -> (Finding, Finding) {
    let server = match probe.open().await {
        Ok(Answer::Session(session)) => session.response.header("server").to_owned(),
        _ => String::new(),
    };
    let websocket = match probe.websocket(None, None, false).await {
        Ok(mut socket) => match probe.text(&mut socket).await {
            Some(text) if text.starts_with("0{") => Finding::ok("websocket", "works"),
            _ => Finding::problem(
                "websocket",
                "the WebSocket opens, but the server's first packet does not come",
            )
            .because("something between buffers or filters the frames")
            .fix("look for a proxy, virus scanner or firewall that inspects traffic on this port"),
        },
        Err(error) => {
            let failed = websocket_failed(probe, error, &server);
            let skipped = Finding::skipped("upgrade", "needs WebSocket; clients stay on polling");
            return (failed, skipped);
        }
    };
    (websocket, upgrade(probe, broken, &server).await)
}

async fn upgrade(probe: &Probe, broken: bool, server: &str) -> Finding {
    let proxy = Proxy::from_header(server);
    let Ok(Answer::Session(session)) = probe.open().await else {
        return Finding::warning("upgrade", "no session to upgrade")
            .because("this handshake failed; earlier ones did not");
    };
    if !session
        .opened
        .upgrades
        .iter()
        .any(|upgrade| upgrade == "websocket")
    {
        return Finding::note(
            "upgrade",
            "the server offers no upgrade (allowUpgrades, allow_upgrades; transports)",
        );
    }
    let mut socket = match probe.websocket(Some(&session), None, false).await {
        Ok(socket) => socket,
        Err(_) if broken => {
            return Finding::problem(
                "upgrade",
                "the upgrade lands on another server than the session",
            )
            .because("clients stay on polling, which fails too: see affinity")
            .fix(proxy.affinity());
        }
        Err(error) => {
            let mut finding = websocket_failed(probe, error, server);
            finding.check = "upgrade";
            return finding;
        }
    };
    let probed = match socket.send("2probe").await {
        Ok(()) => probe.text(&mut socket).await,
        Err(_) => None,
    };
    if probed.as_deref() == Some("3probe") {
        let _ = socket.send("5").await;
        let _ = socket.close(fanfare_websocket::CloseCode::NORMAL, "").await;
        return Finding::ok("upgrade", "from polling to WebSocket works");
    }
    if broken {
        return Finding::problem(
            "upgrade",
            "the upgrade lands on another server than the session",
        )
        .because("see affinity")
        .fix(proxy.affinity());
    }
    Finding::problem("upgrade", "the upgrade is not confirmed")
        .because("the WebSocket opened with the session's id, but the probe was not answered")
        .fix("check that one server gets all requests of a session, and that nothing inspects WebSocket frames")
}
