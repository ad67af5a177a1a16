//! `fanfare emit`: one event, or one per line of standard input.

use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, Text};
use crate::session::{AskError, Handle, Session, SessionEvent, SessionOptions};
use crate::values::{ArgValue, duration, parse_line};

/// Time to wait for the reason of a disconnection that is known already.
pub(crate) const REASON_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of `fanfare emit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Arguments are JSON, or words, which are strings. `@file` sends the bytes of a file, `@-` those of standard \
input, `hex:00ff` bytes; `{\"$binary\":\"<base64>\"}` stands for bytes anywhere inside JSON.

Examples:
  fanfare emit http://localhost:3000 message 'hello world'
  fanfare emit localhost:3000/chat message '{\"room\":\"lobby\",\"text\":\"hi\"}'
  fanfare emit localhost:3000 move -5 12.5
  fanfare emit localhost:3000 status --auth '{\"token\":\"abc\"}' --ack
  fanfare emit https://example.com upload cat.png @cat.png --ack
  votes=$(fanfare emit localhost:3000 votes --ack -t 2s) || echo \"code $?\"
  jq -c '.[]' people.json | fanfare emit localhost:3000 person --lines

Exit codes:
  0  sent (and acknowledged)    4  refused by the server
  1  standard input is broken   5  no acknowledgement in time
  2  wrong usage                6  connection lost before all was done
  3  server not reached")]
pub(crate) struct Emit {
    #[command(flatten)]
    session: SessionOptions,

    /// The event's name.
    event: String,

    /// Its arguments. Words that begin with a dash and are no numbers go after `--`.
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    /// Wait for the acknowledgement and print its arguments as JSON, one per line.
    #[arg(short, long)]
    ack: bool,

    /// Time to wait for an acknowledgement.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,

    /// Emit the event once per line of standard input, with the values on the line as further arguments.
    #[arg(long)]
    lines: bool,
}

pub(crate) async fn run(args: Emit) -> Outcome {
    let fixed = args
        .args
        .iter()
        .map(|text| ArgValue::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut session = Session::open(&args.session, false)?;
    session.connected().await?;
    let handle = session.handle();
    // Heartbeats and rejections are handled while events are emitted.
    let mut lost = tokio::spawn(async move {
        while let Some(note) = session.next().await {
            if let SessionEvent::Disconnected { reason, .. } = note {
                return reason;
            }
        }
        "the connection is closed".to_owned()
    });
    tokio::select! {
        biased;
        done = all(&handle, &args, fixed) => match done {
            Err(failure) if failure.code() == Code::Lost => {
                // The reason arrives in a moment, and is more useful than the mere loss.
                return Err(match timeout(REASON_TIMEOUT, &mut lost).await {
                    Ok(Ok(reason)) => failure.because(reason),
                    _ => failure,
                });
            }
            done => done?,
        },
        reason = &mut lost => {
            let what = "the connection was lost before everything was sent";
            return Err(Failure::new(Code::Lost, what).because(reason.unwrap_or_default()));
        }
    }
    handle.disconnect().await;
    Ok(Code::Ok)
}

async fn all(handle: &Handle, args: &Emit, fixed: Vec<ArgValue>) -> Result<(), Failure> {
    if !args.lines {
        one(handle, args, fixed).await?;
    } else {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let broken =
            |error| Failure::new(Code::Failed, "cannot read standard input").because(error);
        let mut number = 0;
        while let Some(line) = lines.next_line().await.map_err(broken)? {
            number += 1;
            let here = |failure: Failure| failure.at(format!("line {number}"));
            let mut values = fixed.clone();
            values.extend(parse_line(&line).map_err(here)?);
            if !line.trim().is_empty() {
                one(handle, args, values).await.map_err(here)?;
            }
        }
    }
    handle.flushed().await;
    Ok(())
}

async fn one(handle: &Handle, args: &Emit, values: Vec<ArgValue>) -> Result<(), Failure> {
    if !args.ack {
        return handle.push(&args.event, values).await;
    }
    match handle.ask(&args.event, values, args.timeout).await {
        Ok(answer) => {
            for value in &answer {
                out::line(&Text::json(&value.to_json()));
            }
            Ok(())
        }
        Err(error) => Err(ask_failure(error, &args.event, args.timeout)),
    }
}

/// Turns a missing acknowledgement into the failure of a command.
pub(crate) fn ask_failure(error: AskError, event: &str, patience: Duration) -> Failure {
    match error {
        AskError::Timeout => Failure::new(
            Code::Timeout,
            format!("the event `{event}` was not acknowledged within {patience:?}"),
        )
        .because("the server has no handler for it, or the handler does not answer")
        .fix("check the event's name, or wait longer, with --timeout 30s"),
        AskError::Lost(why) => Failure::new(
            Code::Lost,
            format!("the event `{event}` was not acknowledged"),
        )
        .because(why),
    }
}
