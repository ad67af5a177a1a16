//! `fanfare connect`: an interactive session, or a script from standard input.

mod command;
mod editor;

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::{Instant as Deadline, timeout_at};

use self::command::Command;
use self::editor::{Known, Printer, Typed};
use crate::emit::ask_failure;
use crate::exit::{Code, Failure, Outcome};
use crate::out;
use crate::session::{AskError, Note, Reply, Session, SessionOptions};
use crate::style::{self, Style};
use crate::values::{Datum, duration, pretty};

/// Events of the server that may wait to be acknowledged; the oldest are forgotten.
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

    /// How long `ack` and `expect` wait.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,

    /// Do not keep a history of what is typed.
    #[arg(long)]
    no_history: bool,
}

pub(crate) async fn run(args: Connect) -> Outcome {
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
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
        console.say(&format!(
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

/// The state of a session.
struct Console {
    handle: crate::session::Handle,
    known: Known,
    output: Output,
    style: Style,
    patience: Duration,
    /// Events that no `expect` has asked for yet.
    recent: VecDeque<String>,
    replies: BTreeMap<u64, Reply>,
    next_reply: u64,
    started: Instant,
}

/// What a background `ack` found.
type Answer = (String, Duration, Result<Vec<Datum>, AskError>);

impl Console {
    fn new(args: &Connect, session: &Session, known: Known, output: Output) -> Self {
        Self {
            handle: session.handle(),
            known,
            output,
            style: style::out(),
            patience: args.timeout,
            recent: VecDeque::new(),
            replies: BTreeMap::new(),
            next_reply: 1,
            started: Instant::now(),
        }
    }

    fn line(&mut self, text: String) {
        match &mut self.output {
            Output::Terminal(printer) => {
                let _ = printer.print(format!("{text}\n"));
            }
            Output::Plain => out::line(&text),
        }
    }

    fn say(&mut self, text: &str) {
        let mark = self.style.dim("--");
        self.line(format!("{mark} {text}"));
    }

    fn complain(&mut self, failure: &Failure) {
        let mark = self.style.bad("!!");
        self.line(format!("{mark} {}", failure.text()));
    }

    /// Shows what happened.
    fn show(&mut self, note: Note) {
        let style = self.style;
        match note {
            Note::Connected {
                id,
                recovered,
                transport,
            } => {
                let again = if recovered {
                    ", nothing was missed"
                } else {
                    ""
                };
                let took = self.started.elapsed();
                let text = format!("as {id} over {transport}{again} ({} ms)", took.as_millis());
                self.say(&format!("{} {text}", style.good("connected")));
            }
            Note::Refused { message, data } => {
                let data = data
                    .map(|data| format!(" {}", data.pretty(style)))
                    .unwrap_or_default();
                let hint = match &*message {
                    "Invalid namespace" => "the namespace is the URL's path, or -n NAME",
                    _ => "`connect` tries again",
                };
                self.say(&format!(
                    "{} {message}{data} ({hint})",
                    style.bad("refused by the server:")
                ));
            }
            Note::Failed(why) => self.say(&format!("{} {why}", style.bad("cannot connect:"))),
            Note::Disconnected { reason, reconnects } => {
                let more = if reconnects {
                    ""
                } else {
                    " (`connect` connects again)"
                };
                self.started = Instant::now();
                self.say(&format!("{} {reason}{more}", style.warn("disconnected:")));
            }
            Note::Retry { attempt, delay } => {
                self.say(&format!(
                    "{} in {:.1} s",
                    style.warn(format!("attempt {attempt}")),
                    delay.as_secs_f64()
                ));
            }
            Note::Upgraded(transport) => self.say(&format!("upgraded to {transport}")),
            Note::Legacy => self.say(
                "the server speaks Engine.IO 3 (Socket.IO v1 or v2); connecting again with that",
            ),
            Note::Lagged(lost) => self.say(&format!(
                "{lost} events were lost: they came faster than they were shown"
            )),
            Note::Event(event) => {
                self.known.add(&event.name);
                self.recent.push_back(event.name.clone());
                if self.recent.len() > MAX_REPLIES {
                    self.recent.pop_front();
                }
                let mut text = format!("{} {}", style.good("<-"), style.name(&event.name));
                if !event.args.is_empty() {
                    text = format!("{text} {}", pretty(&event.args, style));
                }
                if let Some(reply) = event.reply {
                    let number = self.next_reply;
                    self.next_reply += 1;
                    self.replies.insert(number, reply);
                    if self.replies.len() > MAX_REPLIES {
                        self.replies.pop_first();
                    }
                    text = format!(
                        "{text} {}",
                        style.dim(format!("(wants an answer: reply {number} …)"))
                    );
                }
                self.line(text);
            }
        }
    }

    fn answer(&mut self, event: &str, took: Duration, answer: &[Datum]) {
        let style = self.style;
        let head = format!("{} {}", style.good("->"), style.name(event));
        let body = if answer.is_empty() {
            style.dim("(no arguments)")
        } else {
            pretty(answer, style)
        };
        let took = style.dim(format!("({:.1} ms)", took.as_secs_f64() * 1000.0));
        self.line(format!("{head} {body} {took}"));
    }

    /// What both modes do at once.
    async fn common(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Emit {
                event,
                args,
                volatile,
            } => {
                self.known.add(&event);
                self.handle.emit(&event, args, volatile)
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
                self.started = Instant::now();
                self.handle.connect()
            }
            Command::Info => {
                for (name, value) in self.handle.info() {
                    self.say(&format!("{name}: {value}"));
                }
                Ok(())
            }
            Command::Help => {
                for line in command::help().lines() {
                    self.line(line.to_owned());
                }
                Ok(())
            }
            // The two modes wait in their own ways.
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
                // An acknowledgement comes behind the events that came before it.
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
        // A server that does not answer must not keep us here.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.handle.disconnect()).await;
        Ok(Code::Ok)
    }

    async fn script(&mut self, mut session: Session) -> Outcome {
        let first = session.connected().await?;
        self.show(first);
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let mut number = 0;
        loop {
            let line = tokio::select! {
                biased;
                note = session.next() => {
                    self.tell(note, &session)?;
                    continue;
                }
                line = lines.next_line() => line,
            };
            let line = line.map_err(|error| {
                Failure::new(Code::Failed, "cannot read standard input").because(error)
            })?;
            let Some(line) = line else { break };
            number += 1;
            let result = match command::parse(&line) {
                Ok(None) => Ok(()),
                Ok(Some(Command::Quit)) => break,
                Ok(Some(command)) => self.step(command, &mut session).await,
                Err(failure) => Err(failure),
            };
            result.map_err(|failure| failure.at(format!("line {number} `{}`", line.trim())))?;
        }
        self.handle.disconnect().await;
        while let Ok(Some(note)) =
            tokio::time::timeout(Duration::from_millis(50), session.next()).await
        {
            if matches!(note, Note::Event(_)) {
                self.show(note);
            }
        }
        Ok(Code::Ok)
    }

    /// Shows a note; a refusal ends the script.
    fn tell(&mut self, note: Option<Note>, session: &Session) -> Result<(), Failure> {
        match note {
            None => Err(Failure::new(Code::Lost, "the connection is closed")),
            Some(Note::Refused { message, data }) => Err(session.refused(&message, data.as_ref())),
            Some(note) => {
                self.show(note);
                Ok(())
            }
        }
    }

    async fn step(&mut self, command: Command, session: &mut Session) -> Result<(), Failure> {
        match command {
            Command::Ack { event, args } => {
                let (handle, patience, started) =
                    (self.handle.clone(), self.patience, Instant::now());
                let asking = handle.ask(&event, args, patience);
                tokio::pin!(asking);
                loop {
                    tokio::select! {
                        biased;
                        note = session.next() => self.tell(note, session)?,
                        result = &mut asking => {
                            let answer = result.map_err(|error| ask_failure(error, &event, patience))?;
                            self.answer(&event, started.elapsed(), &answer);
                            return Ok(());
                        }
                    }
                }
            }
            Command::Expect { event, patience } => {
                let patience = patience.unwrap_or(self.patience);
                let deadline = Deadline::now() + patience;
                loop {
                    // It may have come while the line before was done.
                    if let Some(at) = self.recent.iter().position(|name| *name == event) {
                        self.recent.drain(..=at);
                        return Ok(());
                    }
                    let Ok(note) = timeout_at(deadline, session.next()).await else {
                        let what = format!("the event `{event}` did not come within {patience:?}");
                        return Err(Failure::new(Code::Timeout, what));
                    };
                    let left = match &note {
                        // Ours may be told late, after the line that connects again.
                        Some(Note::Disconnected {
                            reason,
                            reconnects: false,
                        }) if reason != "io client disconnect" => Some(reason.clone()),
                        _ => None,
                    };
                    self.tell(note, session)?;
                    if let Some(reason) = left {
                        let what = format!("the event `{event}` will not come any more");
                        return Err(Failure::new(Code::Lost, what).because(reason));
                    }
                }
            }
            Command::Sleep(time) => {
                let deadline = Deadline::now() + time;
                while let Ok(note) = timeout_at(deadline, session.next()).await {
                    self.tell(note, session)?;
                }
                Ok(())
            }
            other => self.common(other).await,
        }
    }
}
