//! The serialized form of the sockets of this node.

use std::time::{SystemTime, UNIX_EPOCH};

use fanfare_cluster::{HandshakeData, SocketData};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::socket::Socket;

/// Returns the serialized form of a socket.
pub(crate) fn socket_data(socket: &Socket) -> SocketData {
    let handshake = socket.handshake_data(|| handshake_data(socket));
    let mut data = SocketData::new(socket.id().as_str(), handshake);
    data.rooms = socket.rooms();
    socket.read_data(|value| {
        if !value.is_null() {
            // A value of JSON can be represented in JSON.
            let _ = data.set_data(value);
        }
    });
    data
}

/// First request of a connection, as Node.js serializes it.
#[derive(Serialize)]
struct Handshake<'a> {
    headers: Map<String, Value>,
    time: String,
    address: String,
    xdomain: bool,
    secure: bool,
    issued: u64,
    url: &'a str,
    query: Map<String, Value>,
    auth: &'a RawValue,
}

fn handshake_data(socket: &Socket) -> HandshakeData {
    let first = socket.connection().handshake();
    let text = |value| String::from_utf8_lossy(value).into();
    let headers = first.headers();
    let issued = first.issued().duration_since(UNIX_EPOCH);
    let address = first.address().map(|address| address.ip().to_string());
    let auth = match socket.auth_json() {
        "null" => "{}",
        auth => auth,
    };
    // The credentials are the only text here that could be invalid, and were checked when they arrived.
    let json = serde_json::from_str(auth).and_then(|auth| {
        serde_json::to_string(&Handshake {
            headers: headers
                .map(|(name, value)| (name.to_owned(), text(value)))
                .collect(),
            time: javascript_date(first.issued()),
            address: address.unwrap_or_default(),
            xdomain: first.is_xdomain(),
            secure: first.is_secure(),
            issued: issued.map_or(0, |since| since.as_millis() as u64),
            url: first.url(),
            // Of several parameters of one name the last counts.
            query: first
                .query_params()
                .map(|(name, value)| (name, value.into()))
                .collect(),
            auth,
        })
    });
    let handshake = json
        .ok()
        .and_then(|json| HandshakeData::from_json(&json).ok());
    handshake.unwrap_or_default()
}

/// Formats a time as JavaScript does: `Sun Nov 22 2026 09:11:19 GMT+0000 (Coordinated Universal Time)`.
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
    use std::time::Duration;

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
