//! Commands of the interactive session.

use std::time::Duration;

use crate::exit::Failure;
use crate::values::{ArgValue, duration, parse_line};

/// Parsed line of input.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Emits an event.
    Emit {
        event: String,
        args: Vec<ArgValue>,
        volatile: bool,
    },
    /// Emits an event and shows its acknowledgement.
    Ack { event: String, args: Vec<ArgValue> },
    /// Acknowledges an event of the server.
    Reply { number: u64, args: Vec<ArgValue> },
    /// Waits for an event.
    Expect {
        event: String,
        patience: Option<Duration>,
    },
    /// Waits for a time.
    Sleep(Duration),
    /// Disconnects, keeping the session open.
    Disconnect,
    /// Connects again.
    Connect,
    /// Shows the state.
    Info,
    /// Shows the commands.
    Help,
    /// Ends the session.
    Quit,
}

/// Commands with their arguments and descriptions.
pub(crate) const COMMANDS: &[(&str, &str, &str)] = &[
    ("emit", "EVENT [ARG…]", "emit an event"),
    (
        "ack",
        "EVENT [ARG…]",
        "emit an event and show its acknowledgement",
    ),
    (
        "volatile",
        "EVENT [ARG…]",
        "emit an event only if it can be sent right now",
    ),
    (
        "reply",
        "NUMBER [ARG…]",
        "acknowledge the server's event with this number",
    ),
    (
        "expect",
        "EVENT [TIME]",
        "wait for an event, as long as --timeout or TIME",
    ),
    ("sleep", "TIME", "wait, as 500ms or 2s"),
    ("disconnect", "", "disconnect"),
    ("connect", "", "connect again"),
    ("info", "", "show the state of the connection"),
    ("help", "", "show this"),
    ("quit", "", "disconnect and end (also Ctrl-D)"),
];

/// Returns the help text.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for (name, takes, does) in COMMANDS {
        let usage = format!("{name} {takes}");
        text.push_str(&format!("  {usage:<24} {does}\n"));
    }
    text.push_str(
        "ARG is JSON or a word; @file sends the bytes of a file, hex:00ff bytes. Example:\n",
    );
    text.push_str("  emit message {\"room\": \"lobby\"} \"hello world\" 3 @cat.png");
    text
}

/// Parses a line; returns `None` if it is empty or a comment.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, Failure> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let usage = |takes: &str| Failure::usage(format!("`{name}` needs {takes}"));
    let event = || -> Result<(String, Vec<ArgValue>), Failure> {
        let mut values = parse_line(rest)?.into_iter();
        let event = match values.next() {
            None => return Err(usage("the name of an event")),
            Some(ArgValue::Plain(serde_json::Value::String(name))) => name,
            Some(other) => other.to_json().to_string(),
        };
        Ok((event, values.collect()))
    };
    let time = |text: &str| duration(text).map_err(Failure::usage);
    Ok(Some(match name {
        "emit" | "volatile" => {
            let (event, args) = event()?;
            Command::Emit {
                event,
                args,
                volatile: name == "volatile",
            }
        }
        "ack" => {
            let (event, args) = event()?;
            Command::Ack { event, args }
        }
        "reply" => {
            let (number, args) = rest
                .trim_start()
                .split_once(char::is_whitespace)
                .unwrap_or((rest.trim(), ""));
            let number = number
                .trim_start_matches('#')
                .parse()
                .map_err(|_| usage("the number of an event"))?;
            Command::Reply {
                number,
                args: parse_line(args)?,
            }
        }
        "expect" => {
            let (event, args) = event()?;
            let patience = match args.first() {
                None => None,
                Some(ArgValue::Plain(serde_json::Value::String(text))) => Some(time(text)?),
                Some(other) => Some(time(&other.to_json().to_string())?),
            };
            Command::Expect { event, patience }
        }
        "sleep" => Command::Sleep(time(rest.trim())?),
        "disconnect" => Command::Disconnect,
        "connect" => Command::Connect,
        "info" => Command::Info,
        "help" | "?" => Command::Help,
        "quit" | "exit" => Command::Quit,
        other => {
            return Err(
                Failure::usage(format!("unknown command `{other}`")).fix(format!(
                    "`help` shows the commands; to emit an event: emit {other} …"
                )),
            );
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_with_values() {
        assert_eq!(parse("  # a comment").unwrap(), None);
        let one = ArgValue::Plain(1.into());
        let emit = |event: &str, volatile| Command::Emit {
            event: event.to_owned(),
            args: vec![one.clone()],
            volatile,
        };
        assert_eq!(parse("emit hello 1").unwrap(), Some(emit("hello", false)));
        assert_eq!(
            parse(r#"emit "two words" 1"#).unwrap(),
            Some(emit("two words", false))
        );
        assert_eq!(parse("volatile 7 1").unwrap(), Some(emit("7", true)));
        assert_eq!(
            parse("reply #3 1").unwrap(),
            Some(Command::Reply {
                number: 3,
                args: vec![one.clone()]
            })
        );
        let expect = Command::Expect {
            event: "x".to_owned(),
            patience: Some(Duration::from_secs(2)),
        };
        assert_eq!(parse("expect x 2s").unwrap(), Some(expect));
        assert_eq!(parse("quit").unwrap(), Some(Command::Quit));
        for wrong in ["emit", "hello", "sleep", "reply x", "emit a {"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
