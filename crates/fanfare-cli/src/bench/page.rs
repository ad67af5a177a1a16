//! Results as an HTML page with charts, in one self-contained file.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::chart::{self, Curve};
use super::report::{lines, milliseconds, per_second, verdict};
use super::run::Outcome;
use super::screen::{Row, Spread};
use super::stats::Latencies;
use super::{Bench, Scenario};

const STYLE: &str = include_str!("page.css");

/// Renders the page.
pub(super) fn html(args: &Bench, outcome: &Outcome, json: &Value) -> String {
    let title = format!("{} on {}", args.scenario.name(), args.server.url);
    let data = serde_json::to_string_pretty(json).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>fanfare bench: {title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<header>\n\
         <p class=\"tool\">fanfare bench {version} · {date}</p>\n<h1>{scenario} <span>on {url}</span></h1>\n<p class=\"sub\">{sub}</p>\n\
         {verdict}</header>\n<main>\n<ul class=\"tiles\">{tiles}</ul>\n{charts}\n<section><h2>Numbers</h2>\n\
         {percentiles}<dl>{rows}</dl></section>\n\
         <details><summary>All of it, as JSON</summary><pre>{data}</pre></details>\n</main>\n</body></html>\n",
        title = escape(&title),
        version = env!("CARGO_PKG_VERSION"),
        date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(outcome.started)),
        scenario = args.scenario.name(),
        url = escape(&args.server.url),
        sub = escape(&about(args, outcome)),
        verdict = badge(outcome),
        tiles = tiles(args, outcome),
        charts = charts(args, outcome),
        percentiles = percentiles(outcome),
        rows = rows(args, outcome),
        data = escape(&data),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn badge(outcome: &Outcome) -> String {
    let failed = outcome.errors.total() > 0;
    let (class, word) = if failed {
        ("bad", "Failed")
    } else {
        ("good", "Verified")
    };
    let text = verdict(outcome);
    let text = text.strip_prefix("FAILED: ").unwrap_or(&text);
    format!(
        "<p class=\"verdict {class}\"><b>{word}</b> {}</p>\n",
        escape(text)
    )
}

/// Describes the run in one sentence.
fn about(args: &Bench, outcome: &Outcome) -> String {
    let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut parts = vec![plural(args.connections.into(), "client")];
    if outcome.stalled > 0 {
        parts.push(format!("{} of them never read", outcome.stalled));
    }
    if args.scenario == Scenario::Rooms {
        let (each, rooms) = (args.rooms_per_client, args.rooms);
        parts.push(format!("each in {each} of {rooms} rooms"));
    }
    if !matches!(args.scenario, Scenario::Connect | Scenario::Idle) {
        let kind = if args.binary { "binary " } else { "" };
        parts.push(format!("{kind}messages of {} bytes", args.payload));
        parts.push(match args.rate {
            0 => format!("{} in flight", args.window()),
            rate => format!("{rate} emits per second"),
        });
    }
    if args.ramp > 0 {
        parts.push(format!("{} new clients per second", args.ramp));
    }
    parts.push(format!(
        "{:.1} s measured after {:.1} s of warmup",
        outcome.measured.as_secs_f64(),
        args.warmup.as_secs_f64()
    ));
    parts.join(", ")
}

/// Renders the headline figures.
fn tiles(args: &Bench, outcome: &Outcome) -> String {
    let rate = |count| number(per_second(count, outcome));
    let mut tiles = match args.scenario {
        Scenario::Connect => vec![("connects per second", rate(outcome.operations))],
        Scenario::Idle => vec![("clients", outcome.connected.to_string())],
        Scenario::Echo | Scenario::Polling => vec![("acks per second", rate(outcome.operations))],
        Scenario::Fanout | Scenario::Rooms => vec![
            ("deliveries per second", rate(outcome.deliveries)),
            ("emits per second", rate(outcome.operations)),
        ],
    };
    for (name, quantile) in [("median", 0.5), ("99th percentile", 0.99), ("longest", 1.0)] {
        if !outcome.latencies.is_empty() {
            let value = outcome.latencies.value_at_quantile(quantile);
            tiles.push((name, milliseconds(value)));
        }
    }
    tiles
        .into_iter()
        .map(|(name, value)| format!("<li><b>{value}</b> {name}</li>"))
        .collect()
}

/// Formats a number with a thin space between thousands.
fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

fn charts(args: &Bench, outcome: &Outcome) -> String {
    let measured: Vec<&Row> = outcome
        .rows
        .iter()
        .filter(|row| row.phase == "measure")
        .collect();
    let begin = measured.first().map_or(0.0, |row| row.at - row.length);
    let end = measured.last().map_or(0.0, |row| row.at);
    // A value covers an interval and is drawn in its middle.
    let middle = |row: &Row| row.at - row.length / 2.0 - begin;
    let points = |value: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        measured
            .iter()
            .map(|row| (middle(row), value(row)))
            .collect()
    };
    let throughput: (&str, Curve) = match args.scenario {
        Scenario::Connect => (
            "Connects per second",
            ("connects", "a", points(|row| row.operations)),
        ),
        Scenario::Idle => (
            "Pings per second",
            ("pings", "a", points(|row| row.operations)),
        ),
        Scenario::Echo | Scenario::Polling => (
            "Acknowledgements per second",
            ("acks", "a", points(|row| row.operations)),
        ),
        Scenario::Fanout | Scenario::Rooms => (
            "Deliveries per second",
            ("deliveries", "a", points(|row| row.deliveries)),
        ),
    };
    let delivered = |value: fn(Spread) -> u64| -> Vec<(f64, f64)> {
        measured
            .iter()
            .filter_map(|row| Some((middle(row), value(row.latency?) as f64 / 1000.0)))
            .collect()
    };
    let median = delivered(|spread| spread.p50);
    let late = delivered(|spread| spread.p99);
    let latency = [("median", "a", median), ("99th percentile", "b", late)];
    // Rows are few, and the start is known exactly.
    let mut clients = vec![(0.0, 0.0)];
    let started = outcome.starting.as_secs_f64();
    let rows = outcome.rows.iter();
    let rows: Vec<(f64, f64)> = rows.map(|row| (row.at, row.connected as f64)).collect();
    clients.extend(rows.iter().filter(|(at, _)| *at < started));
    clients.push((started, outcome.connected as f64));
    clients.extend(rows.iter().filter(|(at, _)| *at >= started));
    let unit = "seconds of measuring";
    let mut charts = chart::figure(throughput.0, unit, &[throughput.1], end - begin);
    if !outcome.latencies.is_empty() {
        let title = "Latency over time, in milliseconds";
        charts += &chart::figure(title, unit, &latency, end - begin);
        charts += &chart::percentiles("Latency by percentile, in milliseconds", &outcome.latencies);
    }
    // In this scenario connections open and close all the time: their number is meaningless.
    if args.scenario != Scenario::Connect {
        let unit = "seconds since the start";
        let curve = ("clients", "a", clients);
        charts += &chart::figure("Connected clients", unit, &[curve], end);
    }
    charts
}

/// Renders latencies by percentile; upright, so that the table fits on a phone.
fn percentiles(outcome: &Outcome) -> String {
    let columns: Vec<(&str, &Latencies)> = [
        ("latency", &outcome.latencies),
        ("connecting", &outcome.connects),
    ]
    .into_iter()
    .filter(|(_, latencies)| !latencies.is_empty())
    .collect();
    let head: String = columns
        .iter()
        .map(|(name, _)| format!("<th>{name}</th>"))
        .collect();
    let rows: String = [
        ("median", 0.5),
        ("90 %", 0.9),
        ("99 %", 0.99),
        ("99.9 %", 0.999),
        ("longest", 1.0),
    ]
    .into_iter()
    .map(|(name, quantile)| {
        let cells: String = columns
            .iter()
            .map(|(_, latencies)| latencies.value_at_quantile(quantile))
            .map(|value| format!("<td>{}</td>", milliseconds(value)))
            .collect();
        format!("<tr><th>{name}</th>{cells}</tr>")
    })
    .collect();
    format!("<table><tr><th></th>{head}</tr>{rows}</table>\n")
}

/// Renders the lines of the summary that are not shown elsewhere.
fn rows(args: &Bench, outcome: &Outcome) -> String {
    lines(args, outcome)
        .into_iter()
        .filter(|(name, _)| !matches!(name.as_str(), "verified" | "latency" | "connecting"))
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(&name), escape(&value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_for_a_page() {
        assert_eq!(number(1_234_567.8), "1\u{2009}234\u{2009}568");
        assert_eq!(number(999.0), "999");
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
