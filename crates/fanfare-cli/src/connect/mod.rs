//! `fanfare connect`: an interactive session, or a script from standard input.

mod command;
mod editor;
mod script;
mod show;

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::command::Command;
use self::editor::{Known, Typed};
use crate::emit::ask_failure;
use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, Printer, Shown, Style, Text, text};
use crate::session::{AskError, Reply, Session, SessionOptions};
use crate::values::{ArgValue, duration};

/// Maximum number of events whose acknowledgement is pending; beyond it the oldest are forgotten.
const MAX_REPLIES: usize = 1000;

/// Options of `fanfare connect`.
#[derive(Debug, Args)]
#[command(after_help = "\
In the session: `emit EVENT ARG…`, `ack EVENT ARG…`, `reply NUMBER ARG…`, `info`, `help`; Tab completes commands and \
events seen, the arrows go through the history (kept in ~/.local/state/fanfare/history, or $FANFARE_HISTORY).

Without a terminal, commands are read from standard input, one per line; the first failure ends the script. \
Standard output carries what happens, one line per event: `<-` received, `->` acknowledged, `--` state.

Examples:
  fanfare connect http://localhost:3000
  fanfare connect https://example.com/chat --auth '{\"token\":\"abc\"}'
  fanfare connect localhost:3000 -n /admin --auth @login.json
  fanfare connect localhost:3000 --transport polling
  printf '%s\\n' 'ack join lobby' 'emit message hi' 'expect message 5s' \\
    | fanfare connect localhost:3000

Exit codes:
  0  ended as asked             4  refused by the server
  2  wrong usage                5  ack or expected event not in time
  3  server not reached         6  connection lost")]
pub(crate) struct Connect {
    #[command(flatten)]
    session: SessionOptions,

    /// Time that `ack` and `expect` wait.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,

    /// Do not keep a history of typed lines.
    #[arg(long)]
    no_history: bool,
}

pub(crate) async fn run(args: Connect) -> Outcome {
    let interactive = std::io::stdin().is_terminal() && out::is_terminal();
    let session = Session::open(&args.session, true)?;
    let known = Known::default();
    if interactive {
        let history = if args.no_history {
            None
        } else {
            editor::history_file()
        };
        let (lines, printer) = editor::start(&known, history)?;
        let mut console = Console::new(&args, &session, known, Output::Terminal(printer));
        console.say(text!(
            "connecting to {}{} (help: commands, Ctrl-D: quit)",
            session.target().origin(),
            session.target().namespace
        ));
        console.interactive(session, lines).await
    } else {
        Console::new(&args, &session, known, Output::Plain)
            .script(session)
            .await
    }
}

enum Output {
    Terminal(Printer),
    Plain,
}

/// State of a session.
struct Console {
    handle: crate::session::Handle,
    known: Known,
    output: Output,
    style: Style,
    patience: Duration,
    /// Events that no `expect` has consumed yet.
    recent: VecDeque<String>,
    /// Reason of the disconnection, if only `connect` connects again.
    left: Option<String>,
    /// Reason of the last disconnection, if it happened after the last command began.
    last_reason: Option<String>,
    replies: BTreeMap<u64, Reply>,
    next_reply: u64,
    started: Instant,
}

/// Result of an `ack` in the background.
type Answer = (String, Duration, Result<Vec<ArgValue>, AskError>);

impl Console {
    fn new(args: &Connect, session: &Session, known: Known, output: Output) -> Self {
        Self {
            handle: session.handle(),
            known,
            output,
            style: out::style(),
            patience: args.timeout,
            recent: VecDeque::new(),
            left: None,
            last_reason: None,
            replies: BTreeMap::new(),
            next_reply: 1,
            started: Instant::now(),
        }
    }

    fn line(&mut self, text: &Text) {
        match &mut self.output {
            Output::Terminal(printer) => printer.line(text),
            Output::Plain => out::line(text),
        }
    }

    fn say(&mut self, text: impl Shown) {
        let mark = self.style.dim("--");
        self.line(&text!("{} {}", mark, Text::of(text)));
    }

    fn complain(&mut self, failure: &Failure) {
        let mark = self.style.bad("!!");
        self.line(&text!("{} {}", mark, failure.text()));
    }

    /// Executes the commands that are the same in both modes.
    async fn common(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Emit {
                event,
                args,
                volatile,
            } => {
                self.known.add(&event);
                self.handle.emit(&event, args, volatile)?;
                if self.left.is_some() {
                    self.say(match volatile {
                        true => "not connected: it is dropped",
                        false => "not connected: it waits for `connect`",
                    });
                }
                Ok(())
            }
            Command::Reply { number, args } => match self.replies.remove(&number) {
                Some(reply) => reply.send(args),
                None => Err(Failure::usage(format!("no event waits for reply {number}"))
                    .because("it was answered already, or never wanted an answer")),
            },
            Command::Disconnect => {
                self.handle.disconnect().await;
                Ok(())
            }
            Command::Connect => {
                self.left = None;
                self.started = Instant::now();
                self.handle.connect();
                Ok(())
            }
            Command::Info => {
                for (name, value) in self.handle.info() {
                    self.say(text!("{}: {}", name, value));
                }
                Ok(())
            }
            Command::Help => {
                for line in command::help().lines() {
                    self.line(&Text::of(line));
                }
                Ok(())
            }
            // Each mode waits in its own way.
            Command::Ack { .. } | Command::Expect { .. } | Command::Sleep(_) | Command::Quit => {
                Ok(())
            }
        }
    }

    async fn interactive(
        &mut self,
        mut session: Session,
        mut lines: mpsc::Receiver<Typed>,
    ) -> Outcome {
        let (answers, mut answered) = mpsc::channel::<Answer>(64);
        loop {
            tokio::select! {
                // An acknowledgement is shown after the events that arrived before it.
                biased;
                note = session.next() => match note {
                    Some(note) => self.show(note),
                    None => return Err(Failure::new(Code::Lost, "the connection is closed")),
                },
                Some((event, took, result)) = answered.recv() => match result {
                    Ok(answer) => self.answer(&event, took, &answer),
                    Err(error) => self.complain(&ask_failure(error, &event, self.patience)),
                },
                typed = lines.recv() => {
                    let Some(Typed::Line(line)) = typed else { break };
                    match command::parse(&line) {
                        Ok(None) => {}
                        Ok(Some(Command::Quit)) => break,
                        Ok(Some(Command::Ack { event, args })) => {
                            self.known.add(&event);
                            let (handle, patience, answers) = (self.handle.clone(), self.patience, answers.clone());
                            tokio::spawn(async move {
                                let started = Instant::now();
                                let result = handle.ask(&event, args, patience).await;
                                let _ = answers.send((event, started.elapsed(), result)).await;
                            });
                        }
                        Ok(Some(Command::Expect { .. } | Command::Sleep(_))) => self.say("only in scripts: here you wait yourself"),
                        Ok(Some(command)) => if let Err(failure) = self.common(command).await {
                            self.complain(&failure);
                        },
                        Err(failure) => self.complain(&failure),
                    }
                }
            }
        }
        // A server that does not answer must not delay the end.
        let _ = timeout(Duration::from_secs(2), self.handle.disconnect()).await;
        Ok(Code::Ok)
    }
}
