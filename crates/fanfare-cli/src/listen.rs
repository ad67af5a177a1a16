//! `fanfare listen`: prints events as they arrive.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use fanfare_protocol::deadline as moment;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, Text, text};
use crate::session::{Incoming, Session, SessionEvent, SessionOptions};
use crate::values::{ArgValue, duration, pretty};

/// Options of `fanfare listen`.
#[derive(Debug, Args)]
#[command(after_help = "\
Events go to standard output, everything else to standard error. With --json each event is one line, bytes are \
{\"$binary\":\"<base64>\"}:
  {\"time\":1700000000.123,\"event\":\"news\",\"args\":[1,\"two\"],\"ack\":false}

Examples:
  fanfare listen http://localhost:3000
  fanfare listen localhost:3000/chat message --json | jq -r '.args[0].text'
  fanfare listen localhost:3000 ready --count 1 --timeout 30s && deploy
  fanfare listen localhost:3000 'are you there?' --reply '\"yes\"'

Exit codes:
  0  ended as asked             4  refused by the server
  2  wrong usage                5  fewer than --count events in time
  3  server not reached         6  disconnected by the server")]
pub(crate) struct Listen {
    #[command(flatten)]
    session: SessionOptions,

    /// Only these events.
    #[arg(value_name = "EVENT")]
    events: Vec<String>,

    /// Print JSON, one event per line.
    #[arg(long)]
    json: bool,

    /// End after this number of events.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time.
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Acknowledge events that ask for it with these values.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    reply: Option<Vec<String>>,

    /// Keep trying if the server cannot be reached at first; lost connections are always restored.
    #[arg(long)]
    retry: bool,
}

pub(crate) async fn run(args: Listen) -> Outcome {
    let reply = args
        .reply
        .iter()
        .flatten()
        .map(|text| ArgValue::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut session = Session::open(&args.session, true)?;
    let deadline = args
        .timeout
        .map(|after| Instant::from_std(moment(std::time::Instant::now(), after)));
    if !args.retry {
        session.connected().await?;
        status(&format!(
            "connected to {}{}",
            session.target().origin(),
            session.target().namespace
        ));
    }
    let mut seen = 0;
    loop {
        let note = match deadline {
            Some(at) => match timeout_at(at, session.next()).await {
                Ok(note) => note,
                Err(_) => return over(&args, seen),
            },
            None => session.next().await,
        };
        match note {
            None => return Err(Failure::new(Code::Lost, "the connection is closed")),
            Some(SessionEvent::Event(event)) => {
                if !args.events.is_empty() && !args.events.contains(&event.name) {
                    continue;
                }
                show(&event, args.json);
                if let (Some(to), true) = (event.reply, args.reply.is_some()) {
                    to.send(reply.clone())?;
                }
                seen += 1;
                if args.count.is_some_and(|count| seen >= count) {
                    session.handle().disconnect().await;
                    return Ok(Code::Ok);
                }
            }
            Some(SessionEvent::Refused { message, data }) => {
                return Err(session.refused(&message, data.as_ref()));
            }
            Some(SessionEvent::Disconnected { reason, reconnects }) => {
                if !reconnects {
                    return Err(
                        Failure::new(Code::Lost, "disconnected by the server").because(reason)
                    );
                }
                status(&format!("disconnected: {reason}"));
            }
            Some(SessionEvent::Retry { attempt, delay }) => {
                status(&format!("attempt {attempt} in {delay:.1?}"));
            }
            Some(SessionEvent::Failed(why)) => status(&format!("cannot connect: {why}")),
            Some(SessionEvent::Connected { recovered, .. }) => {
                status(if recovered {
                    "connected again, nothing was missed"
                } else {
                    "connected"
                });
            }
            Some(SessionEvent::Lagged(lost)) => status(&format!(
                "{lost} events were lost: they came faster than they were read"
            )),
            Some(SessionEvent::Closed(why)) => {
                status(&format!("closed before the namespace was joined: {why}"));
            }
            Some(SessionEvent::Opened | SessionEvent::Upgraded(_) | SessionEvent::Legacy) => {}
        }
    }
}

fn over(args: &Listen, seen: u64) -> Outcome {
    match args.count {
        None => Ok(Code::Ok),
        Some(count) => {
            let time = args.timeout.unwrap_or_default();
            Err(Failure::new(
                Code::Timeout,
                format!("{seen} of {count} events came within {time:?}"),
            ))
        }
    }
}

fn status(text: &str) {
    out::error(&out::error_style().dim(text!("# {}", text)));
}

fn show(event: &Incoming, as_json: bool) {
    if as_json {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let args: Vec<Value> = event.args.iter().map(ArgValue::to_json).collect();
        let time = (time.as_secs_f64() * 1000.0).round() / 1000.0;
        let line = json!({ "time": time, "event": event.name, "args": args, "ack": event.reply.is_some() });
        out::line(&Text::json(&line));
    } else {
        let style = out::style();
        let mut text = style.name(&event.name);
        if !event.args.is_empty() {
            text = text!("{} {}", text, pretty(&event.args, style));
        }
        out::line(&text);
    }
}
