//! Results as text and as JSON.

use serde_json::{Value, json};

use super::run::Outcome;
use super::screen::Row;
use super::stats::Latencies;
use super::{Bench, Scenario};
use crate::out::{self, Text};

const QUANTILES: [(&str, f64); 8] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99_9", 0.999),
    ("p99_99", 0.9999),
    ("max", 1.0),
];

fn quantiles(histogram: &Latencies) -> Value {
    let mut map = serde_json::Map::new();
    map.insert("count".to_owned(), histogram.len().into());
    map.insert("min".to_owned(), histogram.min().into());
    map.insert("mean".to_owned(), histogram.mean().round().into());
    for (name, quantile) in QUANTILES {
        map.insert(
            name.to_owned(),
            histogram.value_at_quantile(quantile).into(),
        );
    }
    Value::Object(map)
}

pub(super) fn per_second(count: u64, outcome: &Outcome) -> f64 {
    let rate = count as f64 / outcome.measured.as_secs_f64().max(0.001);
    (rate * 10.0).round() / 10.0
}

/// Returns all results as JSON. Times are microseconds unless the name says otherwise.
pub(super) fn json(args: &Bench, outcome: &Outcome) -> Value {
    let errors: serde_json::Map<String, Value> = outcome
        .errors
        .named()
        .iter()
        .map(|(name, count)| ((*name).to_owned(), (*count).into()))
        .collect();
    let server = outcome.usage.map(|[before, with, after]| {
        let clients = outcome.connected.max(1);
        json!({
            "memory_before_bytes": before.memory,
            "memory_with_clients_bytes": with.memory,
            "memory_end_bytes": after.memory,
            "memory_per_client_bytes": with.memory.saturating_sub(before.memory) / clients,
            "cpu_seconds": ((after.cpu - with.cpu) * 100.0).round() / 100.0,
        })
    });
    json!({
        "tool": format!("fanfare {}", env!("CARGO_PKG_VERSION")),
        "url": args.server.url,
        "scenario": args.scenario.name(),
        "started_unix": outcome.started,
        "options": {
            "connections": args.connections,
            "window": args.window(),
            "rate": args.rate,
            "payload_bytes": args.payload,
            "binary": args.binary,
            "rooms": args.rooms,
            "rooms_per_client": args.rooms_per_client,
            "stalled": outcome.stalled,
            "ramp": args.ramp,
            "warmup_seconds": args.warmup.as_secs_f64(),
            "duration_seconds": args.duration.as_secs_f64(),
        },
        "verified": outcome.errors.total() == 0,
        "connected": outcome.connected,
        "starting_seconds": outcome.starting.as_secs_f64(),
        "measured_seconds": outcome.measured.as_secs_f64(),
        "operations": outcome.operations,
        "operations_per_second": per_second(outcome.operations, outcome),
        "deliveries": outcome.deliveries,
        "deliveries_per_second": per_second(outcome.deliveries, outcome),
        "reordered": outcome.reordered,
        "stalled_cut_by_server": outcome.stalled_cut,
        "errors": errors,
        "first_error": outcome.first_error,
        "latency_us": quantiles(&outcome.latencies),
        "connect_latency_us": quantiles(&outcome.connects),
        "server": server,
        "series": outcome.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "at_seconds": (row.at * 1000.0).round() / 1000.0,
        "length_seconds": (row.length * 1000.0).round() / 1000.0,
        "phase": row.phase,
        "connected": row.connected,
        "operations_per_second": row.operations.round(),
        "deliveries_per_second": row.deliveries.round(),
        "p50_us": row.latency.map(|latency| latency.p50),
        "p99_us": row.latency.map(|latency| latency.p99),
        "max_us": row.latency.map(|latency| latency.max),
        "errors": row.errors,
    })
}

pub(super) fn milliseconds(micros: u64) -> String {
    let ms = micros as f64 / 1000.0;
    match micros {
        0..=9_999 => format!("{ms:.2} ms"),
        10_000..=99_999 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// Returns name and value of each line of the summary.
pub(super) fn lines(args: &Bench, outcome: &Outcome) -> Vec<(String, String)> {
    let what = match args.scenario {
        Scenario::Connect => "connects",
        Scenario::Idle => "pings",
        Scenario::Echo | Scenario::Polling => "acks",
        Scenario::Fanout | Scenario::Rooms => "emits",
    };
    let mut lines = vec![(
        what.to_owned(),
        format!(
            "{} ({:.0} per second)",
            outcome.operations,
            per_second(outcome.operations, outcome)
        ),
    )];
    if matches!(args.scenario, Scenario::Fanout | Scenario::Rooms) {
        let rate = per_second(outcome.deliveries, outcome);
        lines.push((
            "deliveries".to_owned(),
            format!("{} ({rate:.0} per second)", outcome.deliveries),
        ));
    }
    let percentiles = |histogram: &Latencies| {
        let values = [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("p99.9", 0.999),
            ("max", 1.0),
        ];
        let values = values
            .map(|(name, q)| format!("{name} {}", milliseconds(histogram.value_at_quantile(q))));
        values.join("  ")
    };
    if !outcome.latencies.is_empty() {
        lines.push(("latency".to_owned(), percentiles(&outcome.latencies)));
    }
    if args.scenario != Scenario::Connect {
        let time = outcome.starting.as_secs_f64();
        lines.push((
            "clients".to_owned(),
            format!("{} connected in {time:.1} s", outcome.connected),
        ));
        if !outcome.connects.is_empty() {
            lines.push(("connecting".to_owned(), percentiles(&outcome.connects)));
        }
    }
    if outcome.stalled > 0 {
        lines.push((
            "stalled".to_owned(),
            format!(
                "{} never read; the server cut {}",
                outcome.stalled, outcome.stalled_cut
            ),
        ));
    }
    if let Some([before, with, after]) = outcome.usage {
        let grown = with.memory.saturating_sub(before.memory) as f64;
        let each = grown / outcome.connected.max(1) as f64 / 1000.0;
        let each = if grown > 0.0 {
            format!(" ({each:.1} kB each)")
        } else {
            String::new()
        };
        let mb = |bytes: u64| bytes as f64 / 1e6;
        lines.push((
            "memory".to_owned(),
            format!(
                "{:.1} MB, {:.1} MB with clients{each}, {:.1} MB at the end",
                mb(before.memory),
                mb(with.memory),
                mb(after.memory)
            ),
        ));
        let cpu = format!("{:.2} s", after.cpu - with.cpu);
        lines.push(("cpu".to_owned(), cpu));
    }
    lines.push(("verified".to_owned(), verdict(outcome)));
    lines
}

pub(super) fn verdict(outcome: &Outcome) -> String {
    if outcome.errors.total() == 0 {
        return match outcome.reordered {
            0 => "nothing missing, duplicate, wrong or out of order".to_owned(),
            some => format!("nothing missing, duplicate or wrong; {some} out of order"),
        };
    }
    let counts: Vec<String> = outcome
        .errors
        .named()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let first = outcome
        .first_error
        .as_deref()
        .map(|first| format!("; first: {first}"))
        .unwrap_or_default();
    format!("FAILED: {}{first}", counts.join(", "))
}

/// Column at which the values of the summary begin.
const INDENT: usize = 14;

/// Returns the summary as text for people.
pub(super) fn text(args: &Bench, outcome: &Outcome) -> Text {
    let style = out::style();
    let head = format!("{} on {}", args.scenario.name(), args.server.url);
    let mut text = style.bold(head);
    let room = out::columns().map_or(usize::MAX, |columns| columns.saturating_sub(INDENT));
    for (name, value) in lines(args, outcome) {
        text.new_line(2);
        text.push(style.dim(format!("{name:<11}")));
        for (i, part) in wrap(&value, room).into_iter().enumerate() {
            if i == 0 {
                text.push(" ");
            } else {
                text.new_line(INDENT);
            }
            text.push(match name.as_str() {
                "verified" if outcome.errors.total() > 0 => style.bad(part),
                "verified" => style.good(part),
                _ => part,
            });
        }
    }
    text
}

/// Wraps `value` to lines of at most `room` characters, at double spaces if there are any, else between words.
fn wrap(value: &str, room: usize) -> Vec<Text> {
    if !value.contains("  ") {
        return Text::of(value).wrapped(room);
    }
    let mut lines: Vec<String> = Vec::new();
    for part in value.split("  ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + part.chars().count() <= room => {
                line.push_str("  ");
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines.into_iter().map(Text::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_broken_between_their_parts() {
        let value = "p50 0.10 ms  p90 0.20 ms  max 10 ms";
        assert_eq!(wrap(value, 80), [Text::of(value)]);
        let lines = ["p50 0.10 ms", "p90 0.20 ms", "max 10 ms"].map(Text::of);
        assert_eq!(wrap(value, 15), lines);
        assert_eq!(wrap("one two three", 8), ["one two", "three"].map(Text::of));
    }
}
