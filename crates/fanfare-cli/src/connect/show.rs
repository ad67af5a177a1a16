//! Lines that show the events of a session.

use std::time::{Duration, Instant};

use super::{Console, MAX_REPLIES};
use crate::out::text;
use crate::session::SessionEvent;
use crate::values::{ArgValue, pretty};

impl Console {
    /// Prints an event of the session.
    pub(super) fn show(&mut self, note: SessionEvent) {
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

    pub(super) fn answer(&mut self, event: &str, took: Duration, answer: &[ArgValue]) {
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
}
