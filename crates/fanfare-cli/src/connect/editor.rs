//! Line editor: history, hints, and completion of commands and of event names seen.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, Config, Context, Editor, Helper};
use tokio::sync::mpsc;

use super::command::COMMANDS;
use crate::exit::{Code, Failure};
use crate::out::{self, Printer, is_unsafe};

/// Maximum number of event names kept for completion.
const MAX_EVENTS: usize = 500;

/// Names of events seen in the session.
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
    /// Whether the line holds any text.
    half_typed: Arc<AtomicBool>,
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
            let events = known.events.lock();
            events
                .iter()
                .filter_map(|name| quoted(name))
                .map(|name| format!("{name} "))
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

/// Returns an event's name as it is typed; `None` if it holds characters that must not reach the line, which the editor
/// prints verbatim.
fn quoted(name: &str) -> Option<String> {
    if name.contains(is_unsafe) {
        return None;
    }
    let plain = !name.is_empty()
        && !name.contains(char::is_whitespace)
        && !name.starts_with(['{', '[', '"', '@']);
    Some(match plain {
        true => name.to_owned(),
        false => serde_json::Value::from(name).to_string(),
    })
}

impl Hinter for Completion {
    type Hint = String;

    /// Shows no hint, but is called on every change of the line.
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.half_typed.store(!line.is_empty(), Relaxed);
        None
    }
}

impl Highlighter for Completion {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        // The prompt is a literal of this program.
        match out::style().is_on() {
            true => Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m")),
            false => Cow::Borrowed(prompt),
        }
    }
}

impl Validator for Completion {}
impl Helper for Completion {}

/// Input from the editor.
#[derive(Debug)]
pub(crate) enum Typed {
    Line(String),
    /// Ctrl-C or Ctrl-D on an empty line.
    End,
}

/// Starts the editor on a separate thread.
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
    let color = if out::style().is_on() {
        ColorMode::Enabled
    } else {
        ColorMode::Disabled
    };
    let config = Config::builder()
        .auto_add_history(true)
        .color_mode(color)
        .build();
    let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config).map_err(wrong)?;
    let half_typed = Arc::new(AtomicBool::new(false));
    editor.set_helper(Some(Completion {
        known: known.clone(),
        half_typed: half_typed.clone(),
    }));
    if let Some(file) = &history {
        // There is no history before the first session.
        let _ = editor.load_history(file);
    }
    let printer = editor.create_external_printer().map_err(wrong)?;
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        loop {
            let typed = match editor.readline("> ") {
                Ok(line) => Typed::Line(line),
                Err(ReadlineError::Signal(rustyline::error::Signal::Resize)) => continue,
                // Ctrl-C: as in a shell, it discards the line, not the session.
                Err(ReadlineError::Interrupted) if half_typed.swap(false, Relaxed) => continue,
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
    Ok((lines, Printer::new(printer)))
}

/// Path of the history file: `$FANFARE_HISTORY`, or `fanfare/history` in the user's state directory.
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
        // Terminal control characters never get into the line.
        known.add("\u{1b}[2J");
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
        assert_eq!(complete(&known, "emit ").1, ["message ", "\"two words\" "]);
    }
}
