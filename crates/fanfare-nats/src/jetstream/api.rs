//! Requests to JetStream: <https://docs.nats.io/reference/reference-protocols/nats_api_reference>.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::JetStream;
use crate::connection::{Connection, RequestError};
use crate::protocol::Incoming;

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time for which JetStream detects a repeated message.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Error code: the stream exists with other options.
const NAME_IN_USE: u32 = 10058;
/// Error code: the last message of the subject is another one.
const WRONG_LAST_SEQUENCE: u32 = 10071;

/// Reason for which a request to JetStream failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("JetStream says: {description} (error {err_code})")]
    Refused {
        /// Status, as of HTTP.
        code: u16,
        err_code: u32,
        description: String,
    },
    #[error("an unexpected reply of JetStream")]
    Reply,
}

impl ApiError {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Whether the same request may succeed a moment later, as while the servers of NATS elect a leader.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Refused { code: 503, .. })
    }

    pub(crate) fn is_wrong_last_sequence(&self) -> bool {
        matches!(self, Self::Refused { err_code, .. } if *err_code == WRONG_LAST_SEQUENCE)
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// Parses a reply.
pub(crate) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ApiError> {
    #[derive(Deserialize)]
    struct OnlyError {
        error: Option<Refusal>,
    }
    let failed: OnlyError = serde_json::from_slice(payload).map_err(|_| ApiError::Reply)?;
    match failed.error {
        Some(error) => Err(ApiError::Refused {
            code: error.code,
            err_code: error.err_code,
            description: error.description.chars().take(256).collect(),
        }),
        None => serde_json::from_slice(payload).map_err(|_| ApiError::Reply),
    }
}

/// Acknowledgement of a message that is stored.
#[derive(Debug, Deserialize)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
}

/// State of a stream.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamInfo {
    /// Time of its creation, in the format of RFC 3339.
    pub(crate) created: String,
    pub(crate) state: StreamState,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
}

/// Last message of a subject.
#[derive(Debug)]
pub(crate) struct LastMessage {
    pub(crate) sequence: u64,
    pub(crate) payload: Vec<u8>,
    /// Time at which it was stored, in the format of RFC 3339.
    pub(crate) time: String,
}

/// Options of a stream.
#[derive(Debug, Serialize)]
pub(crate) struct StreamConfig {
    pub(crate) name: String,
    subjects: [String; 1],
    retention: &'static str,
    discard: &'static str,
    storage: &'static str,
    num_replicas: usize,
    /// Nanoseconds.
    max_age: u128,
    max_bytes: i64,
    max_msgs_per_subject: i64,
    duplicate_window: u128,
    allow_direct: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    republish: Option<Republish>,
}

/// Subjects under which a server forwards stored messages.
#[derive(Debug, Serialize)]
pub(crate) struct Republish {
    pub(crate) src: String,
    pub(crate) dest: String,
}

impl StreamConfig {
    pub(crate) fn new(options: &JetStream, name: String, subjects: String) -> Self {
        Self {
            name,
            subjects: [subjects],
            retention: "limits",
            discard: "old",
            storage: if options.in_memory { "memory" } else { "file" },
            num_replicas: options.replicas,
            max_age: options.retention.as_nanos(),
            max_bytes: options.max_bytes,
            max_msgs_per_subject: -1,
            duplicate_window: options.retention.min(DUPLICATE_WINDOW).as_nanos(),
            allow_direct: true,
            republish: None,
        }
    }

    /// Keeps the last message of each subject.
    pub(crate) fn last_of_each_subject(mut self) -> Self {
        self.max_msgs_per_subject = 1;
        self
    }

    pub(crate) fn republish(mut self, src: String, dest: String) -> Self {
        self.republish = Some(Republish { src, dest });
        self
    }
}

/// Requests to JetStream.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    connection: Connection,
}

impl Api {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        subject: &str,
        content: &impl Serialize,
    ) -> Result<T, ApiError> {
        let payload = serde_json::to_vec(content).map_err(|_| ApiError::Reply)?;
        let request = self.connection.request(subject, &[], &payload, TIMEOUT);
        read(&request.await?.payload)
    }

    /// Creates a stream, or updates its options, and returns its state.
    pub(crate) async fn ensure(&self, config: &StreamConfig) -> Result<StreamInfo, ApiError> {
        let create = format!("$JS.API.STREAM.CREATE.{}", config.name);
        match self.call(&create, config).await {
            Err(ApiError::Refused {
                err_code: NAME_IN_USE,
                ..
            }) => {
                let update = format!("$JS.API.STREAM.UPDATE.{}", config.name);
                self.call(&update, config).await
            }
            created => created,
        }
    }

    pub(crate) async fn info(&self, stream: &str) -> Result<StreamInfo, ApiError> {
        self.call(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))
            .await
    }

    /// Returns the first message with at least this sequence on a subject; `None` if there is none.
    pub(crate) async fn next(
        &self,
        stream: &str,
        subject: &str,
        sequence: u64,
    ) -> Result<Option<(u64, Incoming)>, ApiError> {
        let api = format!("$JS.API.DIRECT.GET.{stream}");
        let content = json!({"seq": sequence, "next_by_subj": subject}).to_string();
        let request = self
            .connection
            .request(&api, &[], content.as_bytes(), TIMEOUT);
        let message = request.await?;
        match message.status() {
            None => {}
            Some(404) => return Ok(None),
            Some(_) => return Err(ApiError::Reply),
        }
        let found = message
            .header("Nats-Sequence")
            .and_then(|text| text.parse().ok());
        let found = found
            .filter(|found| *found >= sequence)
            .ok_or(ApiError::Reply)?;
        Ok(Some((found, message)))
    }

    /// Returns the last message of a subject. The request goes to the leader, which knows all stored
    /// messages.
    pub(crate) async fn last(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<LastMessage>, ApiError> {
        #[derive(Deserialize)]
        struct Found {
            message: Message,
        }
        #[derive(Deserialize)]
        struct Message {
            seq: u64,
            #[serde(default)]
            data: String,
            time: String,
        }
        let api = format!("$JS.API.STREAM.MSG.GET.{stream}");
        let found = self.call(&api, &json!({"last_by_subj": subject})).await;
        let Message { seq, data, time } = match found {
            Ok(Found { message }) => message,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let data = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, data);
        Ok(Some(LastMessage {
            sequence: seq,
            payload: data.map_err(|_| ApiError::Reply)?,
            time,
        }))
    }

    /// Stores a message if the last of its subject has this sequence.
    pub(crate) async fn replace(
        &self,
        subject: &str,
        last: u64,
        payload: &[u8],
    ) -> Result<Stored, ApiError> {
        let last = last.to_string();
        let headers = [("Nats-Expected-Last-Subject-Sequence", last.as_str())];
        let request = self.connection.request(subject, &headers, payload, TIMEOUT);
        read(&request.await?.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_taken_apart() {
        let stored: Stored = read(br#"{"stream":"S","seq":7,"duplicate":true}"#).unwrap();
        assert_eq!(stored.seq, 7);
        let refused =
            br#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
        let error = read::<Stored>(refused).unwrap_err();
        assert!(error.is_not_found() && !error.is_wrong_last_sequence());
        let refused = br#"{"error":{"code":400,"err_code":10071},"stream":"S","seq":0}"#;
        assert!(
            read::<Stored>(refused)
                .unwrap_err()
                .is_wrong_last_sequence()
        );
        assert_eq!(read::<Stored>(b"no").unwrap_err(), ApiError::Reply);
    }
}
