//! The serialized form of the sockets of this node.

use std::time::{SystemTime, UNIX_EPOCH};

use fanfare_cluster::{HandshakeData, SocketData};
use serde_json::Map;

use crate::socket::Socket;

/// Returns the serialized form of a socket.
pub(crate) fn socket_data(socket: &Socket) -> SocketData {
    let mut data = SocketData::new(socket.id().to_string(), handshake_data(socket));
    data.rooms = socket.rooms();
    data.data = socket.data().unwrap_or_default();
    data
}

fn handshake_data(socket: &Socket) -> HandshakeData {
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
    let address = first.address().map(|address| address.ip().to_string());
    let query = first.query_params();
    let auth = socket.handshake().auth().ok();
    let mut data = HandshakeData::default();
    data.headers = headers;
    data.time = javascript_date(first.issued());
    data.address = address.unwrap_or_default();
    data.xdomain = first.is_xdomain();
    data.secure = first.is_secure();
    data.issued = issued.map_or(0, |since| since.as_millis() as u64);
    data.url = first.url().to_owned();
    data.query = query.map(|(name, value)| (name, value.into())).collect();
    data.auth = auth
        .filter(|auth: &serde_json::Value| !auth.is_null())
        .unwrap_or_else(|| Map::new().into());
    data
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
