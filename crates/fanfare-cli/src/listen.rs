//! `fanfare listen`: prints events as they come.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::exit::{Code, Failure, Outcome};
use crate::out;
use crate::session::{Incoming, Note, Session, SessionOptions};
use crate::style;
use crate::values::{Datum, duration, pretty};

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

    /// End after so many events.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time.
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Acknowledge events that ask for it with these values.
    #[arg(long, value_name = "VALUE")]
    reply: Option<Vec<String>>,

    /// Keep trying if the server cannot be reached at first; lost connections are always made again.
    #[arg(long)]
    retry: bool,
}

pub(crate) async fn run(args: Listen) -> Outcome {
    let reply = args
        .reply
        .iter()
        .flatten()
        .map(|text| Datum::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut session = Session::open(&args.session, true)?;
    let deadline = args.timeout.map(|after| Instant::now() + after);
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
            Some(Note::Event(event)) => {
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
            Some(Note::Refused { message, data }) => {
                return Err(session.refused(&message, data.as_ref()));
            }
            Some(Note::Disconnected { reason, reconnects }) => {
                if !reconnects {
                    return Err(
                        Failure::new(Code::Lost, "disconnected by the server").because(reason)
                    );
                }
                status(&format!("disconnected: {reason}"));
            }
            Some(Note::Retry { attempt, delay }) => {
                status(&format!("attempt {attempt} in {delay:.1?}"));
            }
            Some(Note::Failed(why)) => status(&format!("cannot connect: {why}")),
            Some(Note::Connected { recovered, .. }) => {
                status(if recovered {
                    "connected again, nothing was missed"
                } else {
                    "connected"
                });
            }
            Some(Note::Lagged(lost)) => status(&format!(
                "{lost} events were lost: they came faster than they were read"
            )),
            Some(Note::Upgraded(_) | Note::Legacy) => {}
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
    eprintln!("{}", style::err().dim(format!("# {text}")));
}

fn show(event: &Incoming, as_json: bool) {
    if as_json {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let args: Vec<Value> = event.args.iter().map(Datum::to_json).collect();
        let time = (time.as_secs_f64() * 1000.0).round() / 1000.0;
        let line = json!({ "time": time, "event": event.name, "args": args, "ack": event.reply.is_some() });
        out::line(&line.to_string());
    } else {
        let style = style::out();
        out::line(format!("{} {}", style.name(&event.name), pretty(&event.args, style)).trim_end());
    }
}
