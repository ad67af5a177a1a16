//! `fanfare doctor`: checks a deployment from outside, and reports problems with their fixes.

mod advice;
mod affinity;
mod cors;
mod idle;
mod limits;
mod probe;
mod reach;
mod report;
mod transports;

use std::time::Duration;

use clap::Args;
use fanfare_client::options::Tls;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::probe::{Probe, Session};
use self::reach::Reached;
use self::report::{Finding, Level};
use self::transports::Missing;
use crate::exit::{Code, Failure, Outcome};
use crate::net::{self, Dialer};
use crate::out::{self, Text, text};
use crate::target::Server;
use crate::values::duration;

/// Options of `fanfare doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Checks: reach (name, TCP, scheme, redirects), tls, path, protocol, polling, websocket, upgrade, affinity, cors, idle, \
payload, compression, caching, cookies. It opens a few sessions and joins no namespace, so no handler of yours runs. \
The check of idle timeouts waits for one ping interval of the server (25 s by default); --quick leaves it out.

Examples:
  fanfare doctor https://example.com
  fanfare doctor https://example.com --origin https://app.example.com
  fanfare doctor https://example.com/api/socket.io/ --quick
  fanfare doctor localhost:8080 --json | jq '.findings[].what'

Exit codes:
  0  no problems (--strict: nor warnings)
  1  problems
  2  wrong usage
  3  nothing answers at all")]
#[command(
    mut_arg("url", |arg| arg.help("The server: `http`, `https`, `ws` or `wss`; without a scheme `http`. The path of its endpoint may stand in the URL if it ends with /socket.io/, or in --path").long_help(None)),
    mut_arg("namespace", |arg| arg.hide(true)),
    mut_arg("auth", |arg| arg.hide(true))
)]
pub(crate) struct Doctor {
    #[command(flatten)]
    server: Server,

    /// A page's origin that must be allowed by CORS; may be given several times.
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,

    /// Skip the slow check: the idle timeout.
    #[arg(short, long)]
    quick: bool,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,

    /// Warnings count as problems for the exit code.
    #[arg(long)]
    strict: bool,

    /// Timeout of one answer.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
}

/// Collector of findings that shows them as they arrive.
struct Book {
    findings: Vec<Finding>,
    silent: bool,
}

impl Book {
    fn add(&mut self, finding: Finding) {
        if !self.silent {
            out::line(&finding.show(out::style(), out::columns()));
        }
        self.findings.push(finding);
    }
}

pub(crate) async fn run(args: Doctor) -> Outcome {
    let mut target = args.server.target()?;
    // For a client the URL's path is a namespace, but the doctor joins none.
    let path = target.namespace.trim_end_matches('/');
    if path.ends_with("/socket.io") {
        target.path = format!("{path}/");
    }
    // The checks continue with an invalid certificate, which is a separate finding.
    let tls = net::tls(&args.server)?.danger_accept_any_certificate();
    let dialer = Dialer::inspecting(&target.address, &tls)
        .map_err(|error| Failure::usage("TLS cannot be set up").because(error))?
        .timeout(args.timeout);
    let probe = Probe {
        target,
        dialer,
        patience: args.timeout,
    };
    let mut book = Book {
        findings: Vec::new(),
        silent: args.json,
    };
    if !args.json {
        let style = out::style();
        out::line(&text!(
            "checking {}\n",
            style.bold(format!("{}{}", probe.target.origin(), probe.target.path))
        ));
    }
    let (server, reached) = examine(&args, &probe, &tls, &mut book).await;
    if args.json {
        let url = format!("{}{}", probe.target.origin(), probe.target.path);
        let report = report::json(&url, &book.findings, &server);
        out::line(&Text::pretty_json(&report));
    } else {
        out::line(&text!(
            "\n{}",
            report::summary(&book.findings, out::style())
        ));
    }
    let worst = book
        .findings
        .iter()
        .map(|finding| finding.level)
        .max()
        .unwrap_or(Level::Ok);
    Ok(match worst {
        _ if !reached => Code::Unreachable,
        Level::Problem => Code::Failed,
        Level::Warning if args.strict => Code::Failed,
        _ => Code::Ok,
    })
}

/// Runs all checks; returns the server's handshake, and whether anything answered.
async fn examine(args: &Doctor, probe: &Probe, tls: &Tls, book: &mut Book) -> (Value, bool) {
    let (findings, reached) = reach::check(probe, tls, args.server.insecure).await;
    findings.into_iter().for_each(|finding| book.add(finding));
    let (findings, session) = match reached {
        Reached::Nothing => return (Value::Null, false),
        // One cause is reported once.
        Reached::Redirect => (Vec::new(), Err(Missing::Endpoint)),
        Reached::Silent => (
            vec![transports::nothing_there(probe, None).await],
            Err(Missing::Endpoint),
        ),
        Reached::Http => transports::polling(probe).await,
    };
    findings.into_iter().for_each(|finding| book.add(finding));
    let session = match session {
        Ok(session) => session,
        Err(missing) => {
            book.add(transports::websocket_alone(probe, missing).await);
            for check in ["upgrade", "affinity", "cors", "idle", "payload"] {
                book.add(Finding::skipped(check, missing.needed()));
            }
            return (Value::Null, true);
        }
    };
    // This check only waits, so it runs beside all others.
    let idle =
        (!args.quick).then(|| tokio::spawn(idle::check(probe.clone(), session.opened.clone())));
    let sticky = affinity::check(probe, &session).await;
    let (websocket, upgrade) = transports::websocket_and_upgrade(probe, sticky.broken).await;
    book.add(websocket);
    book.add(upgrade);
    book.add(sticky.finding);
    for finding in cors::check(probe, &args.origin).await {
        book.add(finding);
    }
    for finding in limits::check(probe, &session, sticky.broken).await {
        book.add(finding);
    }
    match idle {
        None => book.add(Finding::skipped("idle", "left out by --quick")),
        Some(idle) => {
            let bar = waiting(args.json, session.opened.ping_interval);
            let findings = idle.await.unwrap_or_default();
            bar.finish_and_clear();
            findings.into_iter().for_each(|finding| book.add(finding));
        }
    }
    (describe(&session), true)
}

fn waiting(silent: bool, interval: Duration) -> ProgressBar {
    if silent {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} idle         {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(format!(
        "silence until the server's ping, about {} s",
        interval.as_secs()
    ));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn describe(session: &Session) -> Value {
    let opened = &session.opened;
    json!({
        "pingInterval": opened.ping_interval.as_millis() as u64,
        "pingTimeout": opened.ping_timeout.as_millis() as u64,
        "maxPayload": opened.max_payload,
        "upgrades": opened.upgrades,
        "header": session.response.header("server"),
    })
}
