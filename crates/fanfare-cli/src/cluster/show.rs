//! States of a cluster as text.

use std::time::Duration;

use fanfare::operations::{ClusterStatus, NodeState, NodeStatus, RebalanceReport};
use serde::Serialize;

use super::is_ready;
use crate::out::{Style, Text, text};

/// Headings of the table; the first column is aligned to the left, the others to the right.
const HEADINGS: [&str; 8] = [
    "server",
    "state",
    "broker",
    "clients",
    "events in",
    "out",
    "messages in",
    "out",
];

/// Formats a value as JSON on one line.
pub(super) fn json(value: &impl Serialize) -> Text {
    // These types serialize without fail.
    Text::json(&serde_json::to_value(value).unwrap_or_default())
}

/// Formats the servers as a table, followed by what is missing.
pub(super) fn status(status: &ClusterStatus, style: Style) -> Text {
    let mut rows = vec![HEADINGS.map(|heading| style.dim(heading))];
    rows.extend(status.nodes.iter().map(|node| row(node, style)));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(plain_len(cell));
        }
    }
    let mut table = Text::default();
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            table.new_line(0);
        }
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - plain_len(cell));
            match column {
                0 => table.push(text!("{}{}", cell, padding)),
                1 | 2 if column + 1 < row.len() => table.push(text!("  {}{}", cell, padding)),
                _ => table.push(text!("  {}{}", padding, cell)),
            }
        }
    }
    for node in &status.nodes {
        if let Some(reason) = &node.broker_reason {
            table.new_line(0);
            table.push(text!("{}: broker {}", node.name, reason));
        }
    }
    table.new_line(0);
    let servers = status.nodes.len();
    let total = text!("{} clients on {} servers", status.clients(), servers);
    table.push(style.dim(total));
    let missing = status.missing.len() + status.missing_unnamed;
    if missing > 0 {
        table.new_line(0);
        let ids = match status.missing.as_slice() {
            [] => String::new(),
            ids => format!(" ({})", ids.join(", ")),
        };
        let why = "a Node.js server, one without operations or with another key, or one that hangs";
        table.push(style.warn(text!("{} more did not answer{}: {}", missing, ids, why)));
    }
    if let Some(error) = &status.error {
        table.new_line(0);
        table.push(style.bad(text!("the other servers cannot be asked: {}", error)));
    }
    table
}

/// Returns the width of a cell without its colours.
fn plain_len(cell: &Text) -> usize {
    let mut len = 0;
    let mut in_colour = false;
    for char in cell.as_str().chars() {
        match char {
            '\u{1b}' => in_colour = true,
            'm' if in_colour => in_colour = false,
            _ if in_colour => {}
            _ => len += 1,
        }
    }
    len
}

fn row(node: &NodeStatus, style: Style) -> [Text; HEADINGS.len()] {
    let state = match node.state {
        NodeState::Ready => "ready",
        NodeState::Draining => "draining",
        _ => "other",
    };
    let state = match is_ready(node) {
        true => style.good(state),
        false => style.warn(state),
    };
    let broker = match node.broker.as_str() {
        "up" | "none" => Text::of(&node.broker),
        "down" => style.bad(&node.broker),
        _ => style.warn(&node.broker),
    };
    [
        style.name(&node.name),
        state,
        broker,
        Text::of(node.clients),
        Text::of(node.events_in),
        Text::of(node.events_out),
        Text::of(node.messages_in),
        Text::of(node.messages_out),
    ]
}

/// Describes a drain that has begun.
pub(super) fn draining(node: &NodeStatus, within: Duration) -> Text {
    let clients = node.clients;
    text!(
        "{} drains: {} clients move to other servers within {}",
        node.name,
        clients,
        format!("{within:?}")
    )
}

/// Describes a rebalancing that has begun.
pub(super) fn report(report: &RebalanceReport, within: Duration) -> Text {
    let mut text = text!("each server's part: {} clients", report.part);
    for node in &report.moves {
        text.new_line(0);
        text.push(text!(
            "{} has {} and closes {} within {}",
            node.name,
            node.clients,
            node.closing,
            format!("{within:?}")
        ));
    }
    if report.moves.is_empty() {
        text.new_line(0);
        text.push("no server has more than its part: nothing to do");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> ClusterStatus {
        let status = serde_json::json!({
            "node": "a",
            "nodes": [
                {"id": "a", "name": "web-1", "state": "ready", "broker": "up", "clients": 120, "events_in": 5},
                {"id": "b", "name": "w\u{1b}[2J", "state": "draining", "broker": "down", "broker_reason": "down for 3s: refused", "clients": 3},
                {"id": "c", "name": "c", "state": "of the future"},
            ],
            "missing": ["node-9"],
            "missing_unnamed": 1,
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_table_is_aligned_and_harmless() {
        let text = status(&cluster(), Style::plain());
        let lines: Vec<&str> = text.as_str().lines().collect();
        let expected = [
            "server         state     broker  clients  events in  out  messages in  out",
            "web-1          ready     up          120          5    0            0    0",
            r"w\u{1b}[2J     draining  down          3          0    0            0    0",
            "c              other                   0          0    0            0    0",
            r"w\u{1b}[2J: broker down for 3s: refused",
            "123 clients on 3 servers",
        ];
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        for (line, expected) in lines.iter().zip(expected) {
            assert_eq!(squeezed(line), squeezed(expected));
        }
        let table = &lines[..4];
        assert!(
            table.iter().all(|line| line.len() == table[0].len()),
            "{table:#?}"
        );
        assert!(lines[6].starts_with("2 more did not answer (node-9): "));
    }
}
