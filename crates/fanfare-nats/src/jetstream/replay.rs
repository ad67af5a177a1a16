//! Events that a client missed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare::adapter::{AdapterError, LoggedEvent, MissedEventsError, MissedEventsRequest};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::api::ApiError;
use super::log::Inner;
use super::position::{Received, epoch, position, read_position};

/// Maximum number of subjects that are read at the same time for one client.
const CONCURRENCY: usize = 32;
/// Time for which the rooms of a client are subscribed for it. By then it has joined them, or has disconnected.
const SUBSCRIBED_FOR: Duration = Duration::from_secs(15);

impl From<ApiError> for MissedEventsError {
    fn from(error: ApiError) -> Self {
        Self::Adapter(AdapterError::new(error))
    }
}

/// Reads the events of the subjects that concern a client, in the order of the log, up to its current end. Later ones
/// are delivered to this node, which subscribes to the rooms of the client for that.
pub(super) async fn missed(
    log: &Inner,
    namespace: &str,
    request: MissedEventsRequest,
) -> Result<Vec<LoggedEvent>, MissedEventsError> {
    let (written_in, after) =
        read_position(&request.after).ok_or(MissedEventsError::UnknownPosition)?;
    let rooms = request.rooms.iter();
    let mut subjects: Vec<String> = rooms
        .map(|room| log.subjects.room(namespace, room))
        .chain([log.subjects.all(namespace)])
        .collect();
    // Hashed names may share a subject.
    subjects.sort_unstable();
    subjects.dedup();
    for subject in &subjects {
        log.connection.subscribe(subject);
    }
    let (connection, held) = (log.connection.clone(), subjects.clone());
    tokio::spawn(async move {
        tokio::time::sleep(SUBSCRIBED_FOR).await;
        held.iter()
            .for_each(|subject| connection.unsubscribe(subject));
    });
    // The request follows the subscriptions: what is stored after the reply is received.
    let info = log.api.info(&log.config.name).await?;
    let end = info.state.last_seq;
    if epoch(&info.created) != written_in || after > end {
        return Err(MissedEventsError::UnknownPosition);
    }
    let range = Range {
        epoch: written_in,
        after,
        end,
        bytes: AtomicUsize::new(0),
    };
    let found = stream::iter(subjects)
        .map(|subject| of_subject(log, log.subjects.logged(&subject), &range, &request))
        .buffer_unordered(CONCURRENCY)
        .try_fold(Vec::new(), async |mut all: Vec<LoggedEvent>, mut some| {
            all.append(&mut some);
            Ok(all)
        })
        .await;
    // Read after the events, so that events that were dropped meanwhile are noticed.
    let info = log.api.info(&log.config.name).await?;
    if epoch(&info.created) != written_in {
        return Err(MissedEventsError::UnknownPosition);
    }
    if info.state.first_seq > after.saturating_add(1) {
        return Err(MissedEventsError::Truncated);
    }
    let mut found = found?;
    found.sort_unstable_by(|a, b| a.position.cmp(&b.position));
    Ok(found)
}

/// Part of the log.
struct Range {
    epoch: u64,
    after: u64,
    end: u64,
    /// Number of bytes that have been read.
    bytes: AtomicUsize,
}

async fn of_subject(
    log: &Inner,
    subject: String,
    range: &Range,
    request: &MissedEventsRequest,
) -> Result<Vec<LoggedEvent>, MissedEventsError> {
    let (mut found, mut next) = (Vec::new(), range.after + 1);
    while next <= range.end {
        let message = log.api.next(&log.config.name, &subject, next).await?;
        let Some((sequence, message)) = message.filter(|(sequence, _)| *sequence <= range.end)
        else {
            break;
        };
        next = sequence + 1;
        let received = Received::of(&message);
        let Some((_, _, broadcast)) = received.and_then(|found| log.read(&found.payload)) else {
            continue;
        };
        if broadcast.options.flags.volatile || !request.concerns(&broadcast.options) {
            continue;
        }
        let len = message.payload.len();
        if range.bytes.fetch_add(len, Ordering::Relaxed) + len > request.max_bytes {
            return Err(MissedEventsError::TooMany);
        }
        let position = position(range.epoch, sequence);
        found.push(LoggedEvent::new(position, broadcast.event));
    }
    Ok(found)
}
