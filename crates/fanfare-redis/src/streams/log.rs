//! Events that clients missed.

use fanfare::adapter::{
    AdapterError, ClusterMessage, LoggedEvent, MissedEventsError, MissedEventsRequest,
};
use fanfare_cluster::dialect::AdapterMessage;
use redis::{Cmd, Value};

use super::entry::Entry;
use super::id::StreamId;
use crate::link::Link;

/// Number of entries of one request.
const COUNT: usize = 200;

fn range(stream: &str, from: StreamId, to: &str, count: usize) -> Cmd {
    let mut command = Cmd::new();
    command.arg("XRANGE").arg(stream);
    command.arg(from.to_string()).arg(to);
    command.arg("COUNT").arg(count);
    command
}

async fn entries(link: &Link, command: Cmd) -> Result<Vec<Entry>, AdapterError> {
    match link.request(vec![command]).await?.pop() {
        Some(Value::ServerError(error)) => Err(AdapterError::new(error.to_string())),
        Some(value) => Ok(Entry::list(value)),
        None => Ok(Vec::new()),
    }
}

/// Whether a stream has all entries after this position: the entry of the position is there, or no entry was ever removed.
async fn has_all_after(link: &Link, stream: &str, after: StreamId) -> Result<bool, AdapterError> {
    let at = entries(link, range(stream, after, &after.to_string(), 1)).await?;
    if !at.is_empty() {
        return Ok(true);
    }
    if after != StreamId::default() {
        return Ok(false);
    }
    // The session began when the stream was empty.
    let first = entries(link, range(stream, after, "+", 1)).await?;
    let mut info = Cmd::new();
    info.arg("XINFO").arg("STREAM").arg(stream);
    let info = link.request(vec![info]).await?.pop();
    Ok(first.is_empty() || info.is_some_and(|info| is_complete(&info)))
}

/// Reads the description of a stream: whether as many entries are there as were added.
pub(super) fn is_complete(info: &Value) -> bool {
    let pairs: Vec<(&Value, &Value)> = match info {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        Value::Array(items) => items
            .chunks_exact(2)
            .map(|pair| (&pair[0], &pair[1]))
            .collect(),
        _ => return false,
    };
    let number = |wanted: &str| {
        pairs.iter().find_map(|(name, value)| match (name, value) {
            (Value::BulkString(name), Value::Int(number)) if name == wanted.as_bytes() => {
                Some(*number)
            }
            (Value::SimpleString(name), Value::Int(number)) if name == wanted => Some(*number),
            _ => None,
        })
    };
    let length = number("length");
    length.is_some() && length == number("entries-added")
}

pub(super) async fn missed(
    link: &Link,
    stream: &str,
    namespace: &str,
    request: &MissedEventsRequest,
) -> Result<Vec<LoggedEvent>, MissedEventsError> {
    let after: StreamId = request
        .after
        .parse()
        .map_err(|()| MissedEventsError::UnknownPosition)?;
    if !has_all_after(link, stream, after).await? {
        return Err(MissedEventsError::Truncated);
    }
    let (mut from, mut events, mut bytes) = (after.next(), Vec::new(), 0usize);
    loop {
        let part = entries(link, range(stream, from, "+", COUNT)).await?;
        let Some(last) = part.last() else {
            return Ok(events);
        };
        from = last.id.next();
        let full = part.len() == COUNT;
        for entry in part {
            if entry.namespace != namespace || entry.kind != 3 {
                continue;
            }
            let Some(AdapterMessage::Message(ClusterMessage::Broadcast(broadcast))) =
                entry.message()
            else {
                continue;
            };
            if !request.concerns(&broadcast.options) {
                continue;
            }
            bytes = bytes.saturating_add(broadcast.event.data().byte_len());
            if bytes > request.max_bytes {
                return Err(MissedEventsError::TooMany);
            }
            events.push(LoggedEvent::new(entry.id.position(), broadcast.event));
        }
        if !full {
            return Ok(events);
        }
    }
}
