//! Report: `docs/benchmarks.md`, and the short table in the readme.

mod compare;
mod numbers;
mod parts;

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::Results;
use crate::run::scenarios::{Part, SCENARIOS, Scenario};
use crate::run::servers::OURS;
use compare::{Figure, duel, faults, losses};
use numbers::{grouped, short, table};

const BEGIN: &str = "<!-- benchmarks: written by cargo xtask bench -->";
const END: &str = "<!-- end of benchmarks -->";

/// Writes the report and the table in the readme.
pub(crate) fn write(root: &Path, results: &Results, text: &str) -> Result<()> {
    std::fs::write(root.join("docs/benchmarks.md"), text)?;
    let file = root.join("README.md");
    let readme = std::fs::read_to_string(&file)?;
    let (before, rest) = readme
        .split_once(BEGIN)
        .context("README.md has no mark for the table")?;
    let (_, after) = rest
        .split_once(END)
        .context("README.md has no end of the table")?;
    let summary = summary(results);
    std::fs::write(file, format!("{before}{BEGIN}\n{summary}{END}{after}"))?;
    Ok(())
}

/// Returns the scenarios of a part that have results.
fn scenarios(results: &Results, part: Part) -> Vec<&'static Scenario> {
    SCENARIOS
        .iter()
        .filter(|scenario| scenario.part == part)
        .filter(|scenario| results.runs.iter().any(|run| run.scenario == scenario.name))
        .collect()
}

/// Formats the table of the readme: Fanfare, the best peer, Node.
fn summary(results: &Results) -> String {
    let head = ["", "Fanfare", "best peer", "", "Node"].map(str::to_owned);
    let mut rows = Vec::new();
    let compared = scenarios(results, Part::Work)
        .into_iter()
        .map(|scenario| (scenario, Figure::PerCpu))
        .chain(
            scenarios(results, Part::Idle)
                .into_iter()
                .map(|scenario| (scenario, Figure::Memory)),
        );
    for (scenario, figure) in compared {
        let Some(duel) = duel(results, scenario, figure) else {
            continue;
        };
        let node = results.median(scenario.name, "node", |run| figure.of(run));
        let unit = match figure {
            Figure::Memory => " (bytes per connection)",
            _ => "",
        };
        rows.push(vec![
            format!("{}{unit}", scenario.about),
            short(duel.ours),
            format!("{} ({})", short(duel.best), duel.peer),
            format!("× {:.2}", duel.ratio()),
            node.map_or_else(|| "–".to_owned(), short),
        ]);
    }
    format!(
        "Deliveries, acknowledgements or handshakes per second of the server's CPU; × is how many times better \
         Fanfare is.\n\n{}",
        table(&head, &rows)
    )
}

/// Formats the report.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::from(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; every figure and every sentence about who is faster comes from the runs.\n\n",
    );
    text += &how(results);
    text += "## Scenarios in which others are better\n\n";
    let (lost, won) = losses(results);
    text += &if results.peers().is_empty() {
        "No peer was measured.\n".to_owned()
    } else if lost.is_empty() {
        format!("Nowhere, in {won} comparisons with the best peer of each.\n")
    } else {
        format!(
            "Each figure is compared with that of the best peer in it. Fanfare is ahead or level in {won}, behind in {}:\n\n{}",
            lost.len(),
            bullets(&lost)
        )
    };
    let faults = faults(results);
    text += "\n## Faults of servers\n\n";
    text += &if faults.is_empty() {
        "Nothing: every message and acknowledgement came once, unchanged, in order and to nobody else.\n"
            .to_owned()
    } else {
        bullets(&faults)
    };
    for part in parts::all(results) {
        text.push('\n');
        text += &part;
    }
    text += &parts::rerun();
    text
}

fn bullets(lines: &[String]) -> String {
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

fn how(results: &Results) -> String {
    let mut text = format!(
        "- Machine: {}. Everything over 127.0.0.1.\n- {}, built with {}.\n",
        results.machine, results.cores, results.rustc
    );
    for server in results.names() {
        let version = results.servers.get(server).map_or("", String::as_str);
        text += &format!("- {server}: {version}.\n");
    }
    let runs = |scenario: &Scenario| results.good(scenario.name, OURS).len();
    let most = SCENARIOS.iter().map(runs).max().unwrap_or(0);
    let figures = match most {
        1 => "There was one run of each.".to_owned(),
        _ => format!("Figures are medians of up to {most} runs."),
    };
    text += &format!(
        "\nThe servers took turns; each run had a fresh one. {figures} What counts is \
         operations per second of the server's CPU time (user and system, all threads and child processes): unlike \
         the rate per second of the clock it hardly depends on what else the machine does.\n\n"
    );
    text
}

/// Formats a cell with the median of a figure.
fn cell(results: &Results, scenario: &Scenario, server: &str, figure: Figure) -> String {
    let value = results.median(scenario.name, server, |run| figure.of(run));
    match figure {
        _ if value.is_none() => "–".to_owned(),
        Figure::Memory => grouped(value.unwrap_or_default()),
        Figure::PerCpu => short(value.unwrap_or_default()),
        Figure::P99 => numbers::millis(value.unwrap_or_default()),
    }
}
