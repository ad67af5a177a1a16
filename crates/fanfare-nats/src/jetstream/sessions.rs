//! Sessions of clients that may reconnect, in a stream that keeps the last message of each subject.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare::adapter::{AdapterError, BoxFuture, PublishOutcome, SessionData, SessionStore};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::api::{Api, StreamConfig};
use super::{JetStream, time};
use crate::connection::Connection;
use crate::log_target;
use crate::protocol::Incoming;
use crate::subject::{Subjects, stream_name};

/// First letter of the last token of the reply subjects of stored sessions.
const REPLY: char = 's';
/// Maximum number of sessions that are being stored.
const MAX_STORING: usize = 65_536;
/// Time for which `take` waits for a session that is being stored.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two attempts to prepare the stream.
const RETRY: Duration = Duration::from_millis(500);
/// Longest private id, in bytes. One that a client sends may be forged.
const MAX_PRIVATE_ID_BYTES: usize = 256;

/// Store of sessions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    api: Api,
    connection: Connection,
    subjects: Subjects,
    config: StreamConfig,
    storing: Mutex<Storing>,
    /// Notified when a session has been stored.
    stored: Notify,
    /// Time for which the stream keeps sessions.
    retention: Duration,
    /// Whether it was logged that this is too short.
    too_short: AtomicBool,
}

/// Sessions that are being stored.
#[derive(Default)]
struct Storing {
    last: u64,
    by_subject: HashMap<Arc<str>, u64>,
    by_number: HashMap<u64, Arc<str>>,
}

impl Storing {
    fn begin(&mut self, subject: &str) -> u64 {
        self.last += 1;
        let subject = Arc::<str>::from(subject);
        if let Some(before) = self.by_subject.insert(subject.clone(), self.last) {
            self.by_number.remove(&before);
        }
        self.by_number.insert(self.last, subject);
        self.last
    }

    fn end(&mut self, number: u64) {
        if let Some(subject) = self.by_number.remove(&number) {
            self.by_subject.remove(&subject);
        }
    }
}

/// Session in its stored form.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredSession {
    private_id: String,
    id: String,
    rooms: Vec<String>,
    #[serde(default)]
    data: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    /// Time after which it is no longer used, in milliseconds; without it, the stream bounds its age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
}

impl Sessions {
    pub(crate) fn new(
        options: JetStream,
        prefix: &str,
        connection: Connection,
        subjects: Subjects,
    ) -> Self {
        let name = stream_name("SESSIONS", prefix);
        let config = StreamConfig::new(&options, name, subjects.under("session"));
        Self(Arc::new(Inner {
            api: Api::new(connection.clone()),
            connection,
            subjects,
            config: config.last_of_each_subject(),
            storing: Mutex::default(),
            stored: Notify::new(),
            retention: options.retention,
            too_short: AtomicBool::new(false),
        }))
    }

    /// Prepares the stream.
    pub(crate) fn connected(&self) {
        let (inner, number) = (self.0.clone(), self.0.connection.number());
        tokio::spawn(async move {
            while let Err(error) = inner.api.ensure(&inner.config).await {
                tracing::warn!(target: log_target::CLUSTER, %error, "sessions cannot be stored, trying again");
                tokio::time::sleep(RETRY).await;
                if !inner.connection.is_up() || inner.connection.number() != number {
                    return;
                }
            }
        });
    }

    pub(crate) fn disconnected(&self) {
        let mut storing = self.0.storing.lock();
        storing.by_subject.clear();
        storing.by_number.clear();
        drop(storing);
        self.0.stored.notify_waiters();
    }

    /// Handles the acknowledgement of a session that this node stored.
    pub(crate) fn acknowledged(&self, message: &Incoming) {
        let token = message.subject.rsplit('.').next().unwrap_or_default();
        let number = token.get(1..).and_then(|token| token.strip_prefix(REPLY));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            self.0.storing.lock().end(number);
            self.0.stored.notify_waiters();
        }
    }
}

impl Inner {
    /// Waits until a session of this node has been stored.
    async fn settled(&self, subject: &str) {
        let settled = async {
            loop {
                let stored = self.stored.notified();
                tokio::pin!(stored);
                stored.as_mut().enable();
                if !self.storing.lock().by_subject.contains_key(subject) {
                    return;
                }
                stored.await;
            }
        };
        let _ = tokio::time::timeout(STORE_TIMEOUT, settled).await;
    }

    async fn take(
        &self,
        namespace: &str,
        private_id: &str,
    ) -> Result<Option<SessionData>, AdapterError> {
        if private_id.len() > MAX_PRIVATE_ID_BYTES {
            return Ok(None);
        }
        let subject = self.subjects.session(namespace, private_id);
        self.settled(&subject).await;
        let last = self.api.last(&self.config.name, &subject).await;
        let Some(last) = last.map_err(AdapterError::new)? else {
            return Ok(None);
        };
        let (sequence, payload, stored_at) = (last.sequence, last.payload, last.time);
        // A session that was taken is an empty message.
        let found: Option<StoredSession> = serde_json::from_slice(&payload).ok();
        let Some(found) = found.filter(|found| found.private_id == private_id) else {
            return Ok(None);
        };
        match self.api.replace(&subject, sequence, b"").await {
            Ok(_) => {}
            Err(error) if error.is_wrong_last_sequence() => return Ok(None),
            Err(error) => return Err(AdapterError::new(error)),
        }
        if let Some(lifetime) = found.lifetime {
            // Both times are of the clock of NATS: those of the nodes may differ.
            let taken = self.api.last(&self.config.name, &subject).await;
            let taken_at = taken.map_err(AdapterError::new)?.map(|taken| taken.time);
            let age = taken_at.and_then(|taken_at| time::between(&stored_at, &taken_at));
            if age.is_some_and(|age| age > Duration::from_millis(lifetime)) {
                return Ok(None);
            }
        }
        let session = SessionData::new(found.private_id, found.id);
        let session = session.rooms(found.rooms).data(found.data);
        Ok(Some(session.position(found.position)))
    }
}

impl SessionStore for Sessions {
    fn store(&self, namespace: &str, session: SessionData, lifetime: Duration) -> PublishOutcome {
        let retention = self.0.retention;
        if lifetime > retention && !self.0.too_short.swap(true, Ordering::Relaxed) {
            tracing::warn!(target: log_target::CLUSTER, ?lifetime, ?retention, "sessions are stored for a shorter time than clients have to reconnect");
        }
        let lifetime = (lifetime < retention).then_some(lifetime.as_millis());
        let subject = self.0.subjects.session(namespace, &session.private_id);
        let session = StoredSession {
            private_id: session.private_id,
            id: session.id,
            rooms: session.rooms,
            data: session.data,
            position: session.position,
            lifetime: lifetime.and_then(|lifetime| u64::try_from(lifetime).ok()),
        };
        let Ok(payload) = serde_json::to_vec(&session) else {
            return PublishOutcome::Full;
        };
        let connection = &self.0.connection;
        if payload.len() > connection.max_payload() {
            let (bytes, limit) = (payload.len(), connection.max_payload());
            tracing::error!(target: log_target::CLUSTER, bytes, limit, "a session is too long to be stored");
            return PublishOutcome::Full;
        }
        let number = {
            let mut storing = self.0.storing.lock();
            if storing.by_number.len() >= MAX_STORING {
                return PublishOutcome::Full;
            }
            storing.begin(&subject)
        };
        let reply = connection.handler_inbox(&format!("{REPLY}{number}"));
        let outcome = connection.publish(&subject, Some(&reply), &[], &payload);
        if !outcome.is_queued() {
            self.0.storing.lock().end(number);
        }
        outcome
    }

    fn take<'a>(
        &'a self,
        namespace: &'a str,
        private_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionData>, AdapterError>> {
        Box::pin(self.0.take(namespace, private_id))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("stream", &self.0.config.name)
            .finish_non_exhaustive()
    }
}
