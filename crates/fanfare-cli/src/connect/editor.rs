//! The line editor: history, completion of commands and of events seen, hints.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use super::command::COMMANDS;
use crate::exit::{Code, Failure};
use crate::style;

/// Event names that completion offers. At most so many are kept.
const MAX_EVENTS: usize = 500;

/// The names of events that were seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    events: Arc<Mutex<BTreeSet<String>>>,
}

impl Known {
    pub(crate) fn add(&self, event: &str) {
        let mut events = self.events.lock();
        if events.len() < MAX_EVENTS {
            events.insert(event.to_owned());
        }
    }
}

struct Completion {
    known: Known,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&self.known, line.get(..position).unwrap_or(line)))
    }
}

fn complete(known: &Known, line: &str) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = &line[start..];
    let candidates: Vec<String> = match line[..start].trim() {
        "" => COMMANDS
            .iter()
            .map(|(name, ..)| format!("{name} "))
            .collect(),
        "emit" | "ack" | "volatile" | "expect" => {
            let quote = |name: &String| match name.contains(char::is_whitespace) {
                true => serde_json::Value::from(name.as_str()).to_string(),
                false => name.clone(),
            };
            known
                .events
                .lock()
                .iter()
                .map(|name| format!("{} ", quote(name)))
                .collect()
        }
        _ => Vec::new(),
    };
    (
        start,
        candidates
            .into_iter()
            .filter(|candidate| candidate.starts_with(word))
            .collect(),
    )
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(style::out().bold(prompt))
    }
}

impl Validator for Completion {}
impl Helper for Completion {}

/// What is typed.
#[derive(Debug)]
pub(crate) enum Typed {
    Line(String),
    /// Ctrl-C or Ctrl-D on an empty line.
    End,
}

/// Prints above the line that is being edited.
pub(crate) type Printer = Box<dyn ExternalPrinter + Send>;

/// Starts the editor on a thread of its own.
pub(crate) fn start(
    known: &Known,
    history: Option<PathBuf>,
) -> Result<(mpsc::Receiver<Typed>, Printer), Failure> {
    let wrong = |error: ReadlineError| {
        Failure::new(
            Code::Failed,
            "the terminal cannot be used for editing lines",
        )
        .because(error)
        .fix("pipe the commands in: echo 'emit hello' | fanfare connect …")
    };
    let color = if style::out().is_on() {
        ColorMode::Enabled
    } else {
        ColorMode::Disabled
    };
    let config = Config::builder()
        .auto_add_history(true)
        .color_mode(color)
        .build();
    let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config).map_err(wrong)?;
    editor.set_helper(Some(Completion {
        known: known.clone(),
    }));
    if let Some(file) = &history {
        // There is none before the first session.
        let _ = editor.load_history(file);
    }
    let printer = editor.create_external_printer().map_err(wrong)?;
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        loop {
            let typed = match editor.readline("> ") {
                Ok(line) => Typed::Line(line),
                Err(ReadlineError::Signal(rustyline::error::Signal::Resize)) => continue,
                Err(_) => Typed::End,
            };
            if let Some(file) = &history {
                let _ = editor.save_history(file);
            }
            let end = matches!(typed, Typed::End);
            if sender.blocking_send(typed).is_err() || end {
                return;
            }
        }
    });
    Ok((lines, Box::new(printer)))
}

/// Where the history is kept: `$FANFARE_HISTORY`, or `fanfare/history` in the user's folder for state.
pub(crate) fn history_file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("FANFARE_HISTORY") {
        return (!file.is_empty()).then(|| file.into());
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"))
        })?;
    let folder = state.join("fanfare");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_seen_events_are_completed() {
        let known = Known::default();
        known.add("message");
        known.add("two words");
        assert_eq!(complete(&known, "em"), (0, vec!["emit ".to_owned()]));
        assert_eq!(
            complete(&known, "emit me"),
            (5, vec!["message ".to_owned()])
        );
        assert_eq!(
            complete(&known, "ack \"t"),
            (4, vec!["\"two words\" ".to_owned()])
        );
        assert_eq!(complete(&known, "emit message x").1, Vec::<String>::new());
    }
}
