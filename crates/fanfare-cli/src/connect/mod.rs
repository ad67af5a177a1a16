//! `fanfare connect`: an interactive session, or a script from standard input.

mod command;
mod editor;

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use fanfare_protocol::deadline;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::{Instant as Deadline, timeout, timeout_at};

use self::command::Command;
use self::editor::{Known, Typed};
use crate::emit::{REASON_TIMEOUT, ask_failure};
use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, Printer, Shown, Style, Text, text};
use crate::session::{AskError, Reply, Session, SessionEvent, SessionOptions};
use crate::values::{ArgValue, duration, pretty};

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

/// Explains that nothing can be sent without a connection.
fn not_connected(left: Option<&str>) -> String {
    match left {
        Some(reason) => format!("not connected any more: {reason}"),
        None => "there is no connection".to_owned(),
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

    /// Prints an event of the session.
    fn show(&mut self, note: SessionEvent) {
        let style = self.style;
        match note {
            SessionEvent::Connected {
                id,
                recovered,
                transport,
            } => {
                self.left = None;
                let again = if recovered {
                    ", nothing was missed"
                } else {
                    ""
                };
                let took = self.started.elapsed();
                self.say(text!(
                    "{} as {} over {}{} ({} ms)",
                    style.good("connected"),
                    id,
                    transport,
                    again,
                    took.as_millis()
                ));
            }
            SessionEvent::Refused { message, data } => {
                let data = data
                    .map(|data| text!(" {}", data.pretty(style)))
                    .unwrap_or_default();
                let hint = match &*message {
                    "Invalid namespace" => "the namespace is the URL's path, or -n NAME",
                    _ => "`connect` tries again",
                };
                self.say(text!(
                    "{} {}{} ({})",
                    style.bad("refused by the server:"),
                    message,
                    data,
                    hint
                ));
            }
            SessionEvent::Opened => {}
            SessionEvent::Closed(why) => self.say(text!(
                "{} {}, before the namespace was joined (another parser? --parser msgpack)",
                style.warn("closed by the server:"),
                why
            )),
            SessionEvent::Failed(why) => {
                let hint = match why.contains("the server's certificate") {
                    true => " (--ca FILE trusts one, -k any)",
                    false => "",
                };
                self.say(text!("{} {}{}", style.bad("cannot connect:"), why, hint));
            }
            SessionEvent::Disconnected { reason, reconnects } => {
                let more = if reconnects {
                    ""
                } else {
                    " (`connect` connects again)"
                };
                self.started = Instant::now();
                self.say(text!("{} {}{}", style.warn("disconnected:"), reason, more));
                self.left = (!reconnects).then(|| reason.clone());
                self.last_reason = Some(reason);
            }
            SessionEvent::Retry { attempt, delay } => {
                let seconds = format!("{:.1}", delay.as_secs_f64());
                let attempt = style.warn(text!("attempt {}", attempt));
                self.say(text!("{} in {} s", attempt, seconds));
            }
            SessionEvent::Upgraded(transport) => self.say(text!("upgraded to {}", transport)),
            SessionEvent::Legacy => self.say(
                "the server speaks Engine.IO 3 (Socket.IO v1 or v2); connecting again with that",
            ),
            SessionEvent::Lagged(lost) => self.say(text!(
                "{} events were lost: they came faster than they were shown",
                lost
            )),
            SessionEvent::Event(event) => {
                self.known.add(&event.name);
                self.recent.push_back(event.name.clone());
                if self.recent.len() > MAX_REPLIES {
                    self.recent.pop_front();
                }
                let mut text = text!("{} {}", style.good("<-"), style.name(&event.name));
                if !event.args.is_empty() {
                    text = text!("{} {}", text, pretty(&event.args, style));
                }
                if let Some(reply) = event.reply {
                    let number = self.next_reply;
                    self.next_reply += 1;
                    self.replies.insert(number, reply);
                    if self.replies.len() > MAX_REPLIES {
                        self.replies.pop_first();
                    }
                    let hint = text!("(wants an answer: reply {} …)", number);
                    text = text!("{} {}", text, style.dim(hint));
                }
                self.line(&text);
            }
        }
    }

    fn answer(&mut self, event: &str, took: Duration, answer: &[ArgValue]) {
        let style = self.style;
        let head = text!("{} {}", style.good("->"), style.name(event));
        let body = if answer.is_empty() {
            style.dim("(no arguments)")
        } else {
            pretty(answer, style)
        };
        let took = style.dim(format!("({:.1} ms)", took.as_secs_f64() * 1000.0));
        self.line(&text!("{} {} {}", head, body, took));
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
        self.all_sent(&mut session).await?;
        self.handle.disconnect().await;
        while let Ok(Some(note)) = timeout(Duration::from_millis(50), session.next()).await {
            if matches!(note, SessionEvent::Event(_)) {
                self.show(note);
            }
        }
        Ok(Code::Ok)
    }

    /// Waits until everything emitted has been sent. Anything that can no longer be sent is a failure.
    async fn all_sent(&mut self, session: &mut Session) -> Result<(), Failure> {
        let (handle, patience) = (self.handle.clone(), self.patience);
        let leaving = timeout(patience, handle.flushed());
        tokio::pin!(leaving);
        while self.left.is_none() || self.handle.waiting() == 0 {
            tokio::select! {
                biased;
                note = session.next() => self.tell(note, session)?,
                _ = &mut leaving => break,
            }
        }
        match self.handle.waiting() {
            0 => Ok(()),
            waiting => {
                let what = format!(
                    "{waiting} emitted event{} never sent",
                    if waiting == 1 { " was" } else { "s were" }
                );
                let why = self.left.clone();
                Err(Failure::new(Code::Lost, what).because(not_connected(why.as_deref())))
            }
        }
    }

    /// Prints an event of the session; a rejection ends the script.
    fn tell(&mut self, note: Option<SessionEvent>, session: &Session) -> Result<(), Failure> {
        match note {
            None => Err(Failure::new(Code::Lost, "the connection is closed")),
            Some(SessionEvent::Refused { message, data }) => {
                Err(session.refused(&message, data.as_ref()))
            }
            Some(note) => {
                self.show(note);
                Ok(())
            }
        }
    }

    /// Completes a connection failure with its reason, which is about to arrive.
    async fn reason_of(&mut self, failure: Failure, session: &mut Session) -> Failure {
        if failure.code() != Code::Lost {
            return failure;
        }
        let deadline = after(REASON_TIMEOUT);
        while self.last_reason.is_none()
            && let Ok(Some(note)) = timeout_at(deadline, session.next()).await
        {
            self.show(note);
        }
        match self.last_reason.take() {
            Some(reason) => failure.because(reason),
            None => failure,
        }
    }

    async fn step(&mut self, command: Command, session: &mut Session) -> Result<(), Failure> {
        match command {
            Command::Ack { event, .. } if self.left.is_some() => {
                let what = format!("the event `{event}` cannot be acknowledged");
                let why = not_connected(self.left.as_deref());
                Err(Failure::new(Code::Lost, what)
                    .because(why)
                    .fix("`connect` connects again"))
            }
            Command::Ack { event, args } => {
                let (handle, patience, started) =
                    (self.handle.clone(), self.patience, Instant::now());
                self.last_reason = None;
                let asking = handle.ask(&event, args, patience);
                tokio::pin!(asking);
                loop {
                    tokio::select! {
                        biased;
                        note = session.next() => self.tell(note, session)?,
                        result = &mut asking => {
                            let answer = match result {
                                Ok(answer) => answer,
                                Err(error) => {
                                    let failure = ask_failure(error, &event, patience);
                                    return Err(self.reason_of(failure, session).await);
                                }
                            };
                            self.answer(&event, started.elapsed(), &answer);
                            return Ok(());
                        }
                    }
                }
            }
            Command::Expect { event, patience } => {
                let patience = patience.unwrap_or(self.patience);
                let deadline = after(patience);
                loop {
                    // The event may have arrived during the previous command.
                    if let Some(at) = self.recent.iter().position(|name| *name == event) {
                        self.recent.drain(..=at);
                        return Ok(());
                    }
                    let Ok(note) = timeout_at(deadline, session.next()).await else {
                        let what = format!("the event `{event}` did not come within {patience:?}");
                        return Err(Failure::new(Code::Timeout, what));
                    };
                    let left = match &note {
                        // Our own disconnection may be reported late, after the line that connects again.
                        Some(SessionEvent::Disconnected {
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
                let deadline = after(time);
                while let Ok(note) = timeout_at(deadline, session.next()).await {
                    self.tell(note, session)?;
                }
                Ok(())
            }
            other => self.common(other).await,
        }
    }
}

fn after(time: Duration) -> Deadline {
    Deadline::from_std(deadline(Instant::now(), time))
}
