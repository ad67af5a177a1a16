//! Emits with acknowledgement.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use fanfare_protocol::deadline;
use tokio::time::sleep_until;

use super::{Pace, Phase, Shared, nanos};
use crate::bench::client::{Client, Packet};
use crate::bench::message;

/// Runs the scenario `echo`: emits with acknowledgement.
pub(in crate::bench) async fn echo(shared: Arc<Shared>, number: usize) {
    let Some(mut client) = shared.open().await else {
        return;
    };
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut phase = shared.phase.clone();
    let mut pace = Pace::new(shared.interval);
    let mut waiting: HashMap<u64, u64> = HashMap::new();
    let mut next = 0;
    let ack = format!("3{}", client.prefix);
    let mut text = Vec::new();
    let mut until = None;
    loop {
        let now = *phase.borrow_and_update();
        if now == Phase::Run {
            let mut at = Instant::now();
            while waiting.len() < shared.window as usize
                && let Some(due) = pace.due(at)
            {
                let sent = nanos(&shared, due);
                text.clear();
                text.extend_from_slice(format!("42{}{next}[\"echo\",\"", client.prefix).as_bytes());
                message::write(&mut text, next, sent, 0, shared.payload);
                text.extend_from_slice(b"\"]");
                client.send_text(&text);
                waiting.insert(next, sent);
                next += 1;
                at = Instant::now();
            }
        } else {
            // Time that passed before the start is no backlog.
            pace.next = Instant::now();
        }
        if now == Phase::Stop {
            let limit = *until.get_or_insert_with(|| deadline(Instant::now(), shared.patience));
            if waiting.is_empty() || Instant::now() >= limit {
                if !waiting.is_empty() {
                    shared.stats.fail(&shared.stats.errors.missing, || {
                        format!("no ack within {:?}", shared.patience)
                    });
                    shared
                        .stats
                        .errors
                        .missing
                        .fetch_add(waiting.len() as u64 - 1, Relaxed);
                }
                return client.close().await;
            }
        }
        let result = client.flush().await;
        let result = match result {
            Err(error) => Err(error),
            Ok(()) => tokio::select! {
                _ = phase.changed() => continue,
                () = pace.wait(), if now == Phase::Run && waiting.len() < shared.window as usize => continue,
                () = sleep_until(until.unwrap_or_else(Instant::now).into()), if until.is_some() => continue,
                result = client.fill() => result,
            },
        };
        let result = match result {
            Err(error) => Err(error),
            Ok(()) => answers(&shared, &mut client, number, &ack, &mut waiting),
        };
        if let Err(error) = result {
            shared
                .stats
                .errors
                .missing
                .fetch_add(waiting.len() as u64, Relaxed);
            return shared.dropped(&error);
        }
    }
}

fn answers(
    shared: &Shared,
    client: &mut Client,
    number: usize,
    ack: &str,
    waiting: &mut HashMap<u64, u64>,
) -> std::io::Result<()> {
    while let Some(packet) = client.next()? {
        match packet {
            Packet::Text(text) => {
                if let Some(rest) = text.strip_prefix(ack) {
                    acknowledged(shared, number, rest, waiting);
                }
            }
            Packet::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Checks an acknowledgement `7["…"]`.
pub(in crate::bench) fn acknowledged(
    shared: &Shared,
    number: usize,
    rest: &str,
    waiting: &mut HashMap<u64, u64>,
) {
    let parsed = rest.split_once('[').and_then(|(id, body)| {
        let body = body.strip_prefix('"')?.strip_suffix("\"]")?;
        Some((
            id.parse::<u64>().ok()?,
            message::read(body.as_bytes(), shared.payload)?,
        ))
    });
    let stats = &shared.stats;
    match parsed {
        Some((id, received)) => match waiting.remove(&id) {
            Some(sent) if received.sequence == id && received.sent == sent => {
                stats.delivered(number, sent);
                stats.operated();
            }
            Some(_) => stats.fail(&stats.errors.corrupt, || {
                format!("ack {id} has the data of another emit")
            }),
            None => stats.fail(&stats.errors.duplicate, || format!("ack {id} came twice")),
        },
        None => stats.fail(&stats.errors.corrupt, || {
            format!(
                "an ack is not what was sent: {}",
                rest.chars().take(80).collect::<String>()
            )
        }),
    }
}
