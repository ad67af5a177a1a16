//! Commands from standard input, without a terminal.

use std::time::{Duration, Instant};

use fanfare_protocol::deadline;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant as Deadline, timeout, timeout_at};

use super::Console;
use super::command::{self, Command};
use crate::emit::{REASON_TIMEOUT, ask_failure};
use crate::exit::{Code, Failure, Outcome};
use crate::session::{Session, SessionEvent};

/// Explains that nothing can be sent without a connection.
fn not_connected(left: Option<&str>) -> String {
    match left {
        Some(reason) => format!("not connected any more: {reason}"),
        None => "there is no connection".to_owned(),
    }
}

impl Console {
    pub(super) async fn script(&mut self, mut session: Session) -> Outcome {
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
