//! Session affinity: whether all requests of a session reach the same server.

use super::advice::Proxy;
use super::probe::{Answer, Probe, Session};
use super::report::Finding;

/// Number of requests of one session, each over a separate connection.
const REQUESTS: usize = 10;

pub(super) struct Affinity {
    pub(super) finding: Finding,
    /// Whether requests reach different servers.
    pub(super) broken: bool,
}

/// Sends requests that belong to one session, with and without its cookies.
pub(super) async fn check(probe: &Probe, first: &Session) -> Affinity {
    let proxy = Proxy::from_header(first.response.header("server"));
    let lost = strays(probe).await;
    let ok = |text: &str| Affinity {
        finding: Finding::ok("affinity", text),
        broken: false,
    };
    match lost {
        None => Affinity {
            finding: Finding::warning("affinity", "cannot be told: some requests are not answered at all"),
            broken: false,
        },
        Some((0, 0)) => ok("all requests of a session reach the same server (or any server knows it)"),
        Some((_, 0)) => Affinity {
            finding: Finding::note("affinity", "requests of a session reach the same server by a cookie")
                .because("clients must send it: pages of another origin need withCredentials, other clients a cookie store")
                .fix("browsers: io(url, { withCredentials: true }), with CORS `credentials: true` and an exact origin"),
            broken: false,
        },
        Some((_, lost)) => Affinity {
            finding: Finding::problem("affinity", format!("{lost} of {REQUESTS} requests of one session landed on a server that does not know it"))
                .because("several servers share the load without affinity; polling and upgrades fail with \"Session ID unknown\"")
                .fix(proxy.affinity()),
            broken: true,
        },
    }
}

/// Returns the number of requests that reached another server, without and with cookies.
async fn strays(probe: &Probe) -> Option<(usize, usize)> {
    let bare = count(probe, false).await?;
    if bare == 0 {
        return Some((0, 0));
    }
    Some((bare, count(probe, true).await?))
}

async fn count(probe: &Probe, cookies: bool) -> Option<usize> {
    let Ok(Answer::Session(session)) = probe.open().await else {
        return None;
    };
    let cookies = if cookies {
        session.cookies.as_str()
    } else {
        ""
    };
    let mut lost = 0;
    for _ in 0..REQUESTS {
        let response = probe.post(&session.opened.sid, cookies, "6").await.ok()?;
        match response.status.as_u16() {
            200 => {}
            400 if response.text().contains("Session ID unknown") => lost += 1,
            // The session ended, or something else is wrong: other checks report it.
            _ => return None,
        }
    }
    Some(lost)
}
