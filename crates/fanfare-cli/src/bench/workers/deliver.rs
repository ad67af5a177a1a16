//! Messages from one to many: `fanout` and `rooms`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;
use tokio::time::sleep_until;

use super::{Pace, Phase, Shared, join_rooms, nanos};
use crate::bench::Scenario;
use crate::bench::client::{Client, Packet};
use crate::bench::message::{self, Fit, Track};

/// Runs `fanout` and `rooms`: every client receives, and the first also publishes.
pub(in crate::bench) async fn receive(shared: Arc<Shared>, number: usize) {
    let Some(mut client) = shared.open().await else {
        return;
    };
    if shared.scenario == Scenario::Rooms
        && let Err(error) = join_rooms(&shared, &mut client, number).await
    {
        return shared.dropped(&error);
    }
    let streams = shared.rooms_of(number);
    shared.flow.join(&streams);
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut receiver = Receiver {
        number,
        tracks: streams
            .into_iter()
            .map(|stream| (stream, Track::default()))
            .collect(),
        event: format!("2{}[\"msg\",", client.prefix),
        binary: format!("51-{}[\"msg\",", client.prefix),
        attachments: VecDeque::new(),
    };
    let result = receiver.run(&shared, &mut client).await;
    shared.flow.leave(
        receiver
            .tracks
            .iter()
            .map(|(stream, track)| (*stream, track.received())),
    );
    match result {
        Ok(()) => client.close().await,
        Err(error) => shared.dropped(&error),
    }
}

struct Receiver {
    number: usize,
    tracks: Vec<(u32, Track)>,
    event: String,
    binary: String,
    /// Headers whose attachment has not arrived.
    attachments: VecDeque<()>,
}

impl Receiver {
    async fn run(&mut self, shared: &Shared, client: &mut Client) -> std::io::Result<()> {
        let mut phase = shared.phase.clone();
        let publisher = self.number == 0;
        let mut pace = Pace::new(shared.interval);
        let mut room = 0;
        let mut until: Option<Instant> = None;
        loop {
            let now = *phase.borrow_and_update();
            let mut blocked = false;
            if publisher && now == Phase::Run {
                blocked = publish(shared, client, &mut pace, &mut room);
            } else {
                pace.next = Instant::now();
            }
            if now == Phase::Stop {
                let limit = *until.get_or_insert_with(|| deadline(Instant::now(), shared.patience));
                let due = shared.flow.outstanding();
                if due == 0 {
                    return Ok(());
                }
                if Instant::now() >= limit {
                    if publisher {
                        shared.stats.fail(&shared.stats.errors.missing, || {
                            format!("{due} deliveries did not come within {:?}", shared.patience)
                        });
                        shared.stats.errors.missing.fetch_add(due - 1, Relaxed);
                    }
                    return Ok(());
                }
            }
            client.flush().await?;
            let soon = deadline(Instant::now(), Duration::from_millis(50));
            tokio::select! {
                _ = phase.changed() => continue,
                () = shared.flow.progress.notified(), if publisher && blocked => continue,
                () = pace.wait(), if publisher && now == Phase::Run && !blocked => continue,
                () = sleep_until(soon.into()), if now == Phase::Stop => continue,
                result = client.fill() => result?,
            }
            let mut settled = 0;
            while let Some(packet) = client.next()? {
                match packet {
                    Packet::Text(text) => {
                        if let Some(body) = text.strip_prefix(&self.event) {
                            let body = body
                                .strip_prefix('"')
                                .and_then(|body| body.strip_suffix("\"]"));
                            settled += u64::from(take(
                                shared,
                                self.number,
                                &mut self.tracks,
                                body.unwrap_or_default().as_bytes(),
                            ));
                        } else if text.starts_with(&self.binary) {
                            self.attachments.push_back(());
                        }
                    }
                    Packet::Binary(bytes) => {
                        if self.attachments.pop_front().is_some() {
                            settled +=
                                u64::from(take(shared, self.number, &mut self.tracks, bytes));
                        }
                    }
                    Packet::Ping => {}
                    Packet::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
                }
            }
            if settled > 0 {
                shared.flow.settle(settled);
            }
        }
    }
}

/// Publishes as much as the window and the pace allow; returns whether the window is closed.
fn publish(shared: &Shared, client: &mut Client, pace: &mut Pace, room: &mut u32) -> bool {
    let mut text = Vec::new();
    loop {
        let before = pace.next;
        let Some(due) = pace.due(Instant::now()) else {
            return false;
        };
        let stream = if shared.scenario == Scenario::Rooms {
            *room
        } else {
            0
        };
        let Some(sequence) = shared.flow.publish(stream) else {
            pace.next = before;
            return true;
        };
        let sent = nanos(shared, due);
        text.clear();
        if shared.binary {
            client.send_text(
                format!(
                    "451-{}[\"broadcast-binary\",{{\"_placeholder\":true,\"num\":0}}]",
                    client.prefix
                )
                .as_bytes(),
            );
            message::write(&mut text, sequence, sent, stream, shared.payload);
            client.send_binary(&text);
        } else {
            let head = match shared.scenario {
                Scenario::Rooms => format!("42{}[\"toroom\",\"room-{stream}\",\"", client.prefix),
                _ => format!("42{}[\"broadcast\",\"", client.prefix),
            };
            text.extend_from_slice(head.as_bytes());
            message::write(&mut text, sequence, sent, stream, shared.payload);
            text.extend_from_slice(b"\"]");
            client.send_text(&text);
        }
        shared.stats.operated();
        *room = (*room + 1) % shared.rooms;
    }
}

/// Checks a message; returns whether it was outstanding.
fn take(shared: &Shared, number: usize, tracks: &mut [(u32, Track)], bytes: &[u8]) -> bool {
    let stats = &shared.stats;
    let Some(received) = message::read(bytes, shared.payload) else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        stats.fail(&stats.errors.corrupt, || {
            format!(
                "a message of {} bytes is not what was sent: {start}",
                bytes.len()
            )
        });
        return false;
    };
    let Some((_, track)) = tracks
        .iter_mut()
        .find(|(stream, _)| *stream == received.stream)
    else {
        stats.fail(&stats.errors.misrouted, || {
            format!(
                "a message for room {} came to a client outside",
                received.stream
            )
        });
        return false;
    };
    match track.take(received.sequence) {
        Fit::Duplicate => {
            stats.fail(&stats.errors.duplicate, || {
                format!("message {} came twice", received.sequence)
            });
            return false;
        }
        Fit::Late => {
            stats.reordered.fetch_add(1, Relaxed);
        }
        Fit::Next => {}
    }
    stats.delivered(number, received.sent);
    true
}
