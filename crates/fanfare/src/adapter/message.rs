//! What the nodes of a cluster tell each other: the message set of Node's `ClusterAdapter`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_protocol::Value;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::socket::Socket;

/// Which sockets an operation is for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterOptions {
    /// Those in at least one of these rooms; everyone, if empty.
    pub rooms: Vec<String>,
    /// But none of those in at least one of these.
    pub except: Vec<String>,
    /// How an event is sent.
    pub flags: ClusterFlags,
}

/// How an event is sent. On the wire a flag that was not set is absent, not false.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterFlags {
    /// The event may be dropped.
    pub volatile: bool,
    /// Whether it is worth compressing, if that was said.
    pub compress: Option<bool>,
    /// How long acknowledgements are waited for.
    pub timeout: Option<Duration>,
}

/// A message to all other nodes of a cluster. The numbers are those of Node's `MessageType`; heartbeats (1, 2, 13) are
/// the adapter's own business.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClusterMessage {
    /// 3: an event for the clients of all nodes.
    Broadcast {
        /// The name of the event and its arguments.
        data: Vec<Value>,
        /// For whom.
        options: ClusterOptions,
        /// Set if acknowledgements are wanted.
        request_id: Option<String>,
    },
    /// 4: sockets join rooms.
    SocketsJoin {
        /// Which sockets.
        options: ClusterOptions,
        /// The rooms.
        rooms: Vec<String>,
    },
    /// 5: sockets leave rooms.
    SocketsLeave {
        /// Which sockets.
        options: ClusterOptions,
        /// The rooms.
        rooms: Vec<String>,
    },
    /// 6: sockets are disconnected.
    DisconnectSockets {
        /// Which sockets.
        options: ClusterOptions,
        /// Whether their connections are closed as well.
        close: bool,
    },
    /// 7: asks for the sockets of each node.
    FetchSockets {
        /// Which sockets.
        options: ClusterOptions,
        /// Names the request in the answers.
        request_id: String,
    },
    /// 9: an event for the servers themselves.
    ServerSideEmit {
        /// The name of the event and its arguments.
        data: Vec<Value>,
        /// Set if an answer is wanted.
        request_id: Option<String>,
    },
}

/// An answer to the node that asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClusterResponse {
    /// 8: the sockets of a node.
    FetchSockets {
        /// The request.
        request_id: String,
        /// The sockets.
        sockets: Vec<SocketData>,
    },
    /// 10: the answer of a node to a server-side event.
    ServerSideEmit {
        /// The request.
        request_id: String,
        /// The answer.
        packet: Value,
    },
    /// 11: how many clients of a node an event went to.
    BroadcastClientCount {
        /// The request.
        request_id: String,
        /// How many.
        client_count: usize,
    },
    /// 12: the acknowledgement of one client.
    BroadcastAck {
        /// The request.
        request_id: String,
        /// Its first argument.
        packet: Value,
    },
}

impl ClusterResponse {
    /// The request that is answered.
    pub fn request_id(&self) -> &str {
        match self {
            Self::FetchSockets { request_id, .. }
            | Self::ServerSideEmit { request_id, .. }
            | Self::BroadcastClientCount { request_id, .. }
            | Self::BroadcastAck { request_id, .. } => request_id,
        }
    }
}

/// A socket of any node, as it travels: the JSON form is that of Node's `fetchSockets` messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SocketData {
    /// The public id.
    pub id: String,
    /// The first request.
    pub handshake: HandshakeData,
    /// The rooms, that of its own id included.
    pub rooms: Vec<String>,
    /// The data of the application.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// The first request of a connection, as it travels (Node's `socket.handshake`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandshakeData {
    /// Names in lower case; a text or a list of texts each.
    pub headers: Map<String, serde_json::Value>,
    /// When, in the words of JavaScript's `Date`.
    pub time: String,
    /// The address of the client.
    pub address: String,
    /// Whether it came from another origin.
    pub xdomain: bool,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// When, in milliseconds since 1970.
    pub issued: u64,
    /// Path and query.
    pub url: String,
    /// The parameters of the query.
    pub query: Map<String, serde_json::Value>,
    /// The client's `auth` value.
    pub auth: serde_json::Value,
}

impl SocketData {
    pub(crate) fn of(socket: &Socket) -> Self {
        Self {
            id: socket.id().to_string(),
            handshake: HandshakeData::of(socket),
            rooms: socket.rooms(),
            data: socket.data().unwrap_or_default(),
        }
    }
}

impl HandshakeData {
    fn of(socket: &Socket) -> Self {
        let first = socket.connection().handshake();
        let mut headers = Map::new();
        for (name, value) in first.headers() {
            let value = String::from_utf8_lossy(value).into_owned();
            match headers.get_mut(name) {
                None => {
                    headers.insert(name.to_owned(), value.into());
                }
                Some(serde_json::Value::Array(list)) => list.push(value.into()),
                Some(one) => *one = vec![one.take(), value.into()].into(),
            }
        }
        let issued = first.issued().duration_since(UNIX_EPOCH);
        let auth = socket.handshake().auth();
        Self {
            headers,
            time: javascript_date(first.issued()),
            address: first
                .address()
                .map(|address| address.ip().to_string())
                .unwrap_or_default(),
            xdomain: first.xdomain(),
            secure: first.secure(),
            issued: issued.map_or(0, |since| since.as_millis() as u64),
            url: first.url().to_owned(),
            query: first
                .query_params()
                .map(|(name, value)| (name, value.into()))
                .collect(),
            auth: auth
                .ok()
                .filter(|auth: &serde_json::Value| !auth.is_null())
                .unwrap_or_else(|| Map::new().into()),
        }
    }
}

/// `Sun Nov 22 2026 09:11:19 GMT+0000 (Coordinated Universal Time)`
fn javascript_date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years (the algorithm of Howard Hinnant's `civil_from_days`).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{} {} {day:02} {year} {:02}:{:02}:{:02} GMT+0000 (Coordinated Universal Time)",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        clock / 3_600,
        clock / 60 % 60,
        clock % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_javascripts() {
        for (seconds, text) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (951_782_400, "Tue Feb 29 2000 00:00:00"),
            (1_795_338_679, "Sun Nov 22 2026 09:11:19"),
            (4_107_542_399, "Sun Feb 28 2100 23:59:59"),
        ] {
            let date = javascript_date(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(
                date,
                format!("{text} GMT+0000 (Coordinated Universal Time)")
            );
        }
    }
}
