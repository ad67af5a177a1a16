//! Tables of the report.

use super::compare::{Figure, duel};
use super::numbers::{grouped, millis, short, table};
use super::{cell, scenarios};
use crate::load::Bursts;
use crate::run::scenarios::{Load, Part, Scenario};
use crate::run::servers::OURS;
use crate::run::{Results, Run};

/// Returns all parts that have results.
pub(super) fn all(results: &Results) -> Vec<String> {
    let parts: [fn(&Results) -> Option<String>; 8] =
        [work, latency, effort, memory, growth, tls, half, cores];
    parts.iter().filter_map(|part| part(results)).collect()
}

fn head(first: &str, names: &[&str]) -> Vec<String> {
    std::iter::once(first)
        .chain(names.iter().copied())
        .map(str::to_owned)
        .collect()
}

fn row(first: String, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(first).chain(cells).collect()
}

/// Describes each scenario, for below a table.
fn legend(scenarios: &[&'static Scenario]) -> String {
    scenarios
        .iter()
        .map(|scenario| format!("- `{}`: {}\n", scenario.name, scenario.about))
        .collect()
}

/// Formats a table of one figure: scenarios by servers, with the factor by which Fanfare is better than the best peer.
fn compared(results: &Results, scenarios: &[&'static Scenario], figure: Figure) -> String {
    let names = results.names();
    let mut columns = names.clone();
    columns.push("Fanfare ×");
    let rows: Vec<_> = scenarios
        .iter()
        .map(|scenario| {
            let ratio = duel(results, scenario, figure)
                .map_or_else(|| "–".to_owned(), |duel| format!("{:.2}", duel.ratio()));
            let cells = names
                .iter()
                .map(|server| cell(results, scenario, server, figure));
            row(
                format!("`{}`", scenario.name),
                cells.chain(std::iter::once(ratio)),
            )
        })
        .collect();
    table(&head("", &columns), &rows)
}

fn work(results: &Results) -> Option<String> {
    let scenarios = scenarios(results, Part::Work);
    (!scenarios.is_empty()).then(|| {
        format!(
            "## Operations per CPU second\n\nDeliveries for fanout, rooms and binary; acknowledgements for echo and \
             polling; handshakes for connect. × is how many times better Fanfare is than the best peer.\n\n{}\n{}",
            compared(results, &scenarios, Figure::PerCpu),
            legend(&scenarios)
        )
    })
}

fn latency(results: &Results) -> Option<String> {
    let scenarios = scenarios(results, Part::Work);
    let names = results.names();
    let rows: Vec<_> = scenarios
        .iter()
        .map(|scenario| {
            let cells = names
                .iter()
                .map(|server| percentiles(results, scenario, server));
            row(format!("`{}`", scenario.name), cells)
        })
        .collect();
    (!rows.is_empty()).then(|| {
        format!(
            "## Latency under full load\n\nMilliseconds, p50 / p99 / p99.9. Each client waits for its answers before \
             it sends more, so these figures restate the throughput; compare the tails.\n\n{}",
            table(&head("", &names), &rows)
        )
    })
}

fn percentiles(results: &Results, scenario: &Scenario, server: &str) -> String {
    let of = |figure: fn(&Run) -> f64| results.median(scenario.name, server, figure);
    match (
        of(|run| run.measured.p50),
        of(|run| run.measured.p99),
        of(|run| run.measured.p999),
    ) {
        (Some(p50), Some(p99), Some(p999)) => {
            format!("{} / {} / {}", millis(p50), millis(p99), millis(p999))
        }
        _ => "–".to_owned(),
    }
}

/// Formats user and system time, spread, and whether the load generator was fast enough.
fn effort(results: &Results) -> Option<String> {
    let mut rows = Vec::new();
    for scenario in scenarios(results, Part::Work) {
        for server in results.names() {
            let of = |figure: &dyn Fn(&Run) -> f64| results.median(scenario.name, server, figure);
            let micros = |time: f64, run: &Run| time * 1e6 / run.measured.operations.max(1) as f64;
            let (Some(user), Some(system), Some(rate)) = (
                of(&|run| micros(run.measured.user, run)),
                of(&|run| micros(run.measured.system, run)),
                of(&|run| run.measured.rate()),
            ) else {
                continue;
            };
            let busy = of(&|run| run.measured.busy.unwrap_or(f64::NAN));
            rows.push(vec![
                format!("`{}`", scenario.name),
                server.to_owned(),
                format!("{user:.2}"),
                format!("{system:.2}"),
                short(rate),
                spread(results, scenario, server),
                busy.map_or_else(|| "–".to_owned(), |busy| format!("{busy:.2}")),
            ]);
        }
    }
    let columns = [
        "server",
        "user µs",
        "system µs",
        "per second",
        "spread",
        "load generator",
    ];
    (!rows.is_empty()).then(|| {
        format!(
            "## CPU time per operation\n\nMicroseconds of CPU per operation, the rate, the spread of the operations per CPU \
             second (half of the distance between the best and the worst run), and the share of time in which the load \
             generator had something to do: near 1.00 it is the limit, and the rate would be higher.\n\n{}",
            table(&head("", &columns), &rows)
        )
    })
}

fn spread(results: &Results, scenario: &Scenario, server: &str) -> String {
    let values: Vec<f64> = results
        .good(scenario.name, server)
        .into_iter()
        .map(|run| run.measured.per_cpu())
        .collect();
    let max = values.iter().copied().fold(f64::MIN, f64::max);
    let min = values.iter().copied().fold(f64::MAX, f64::min);
    match values.len() {
        0 | 1 => "one run".to_owned(),
        _ => format!("±{:.1} %", (max - min) / (max + min) * 100.0),
    }
}

fn memory(results: &Results) -> Option<String> {
    let scenarios = scenarios(results, Part::Idle);
    (!scenarios.is_empty()).then(|| {
        format!(
            "## Memory per idle connection\n\nBytes that each connection adds to the server's proportional set size, \
             the kernel's socket buffers not counted.\n\n{}\n{}",
            compared(results, &scenarios, Figure::Memory),
            legend(&scenarios)
        )
    })
}

fn growth(results: &Results) -> Option<String> {
    let mut scenarios = scenarios(results, Part::Growth);
    let idle = super::scenarios(results, Part::Idle);
    // 10,000 idle connections belong between 1,000 and 19,000.
    if let Some(at) = scenarios.iter().position(|scenario| scenario.is_idle()) {
        idle.into_iter()
            .for_each(|scenario| scenarios.insert(at + 1, scenario));
    }
    let rows: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| {
            let of = |figure: &dyn Fn(&Run) -> f64| results.median(scenario.name, OURS, figure);
            let cost = if scenario.is_idle() {
                format!(
                    "{} bytes per connection",
                    grouped(of(&|run| run.measured.pss_per_client)?)
                )
            } else {
                let nanos = of(&|run| 1e9 / run.measured.per_cpu())?;
                let user = of(&|run| run.measured.user / run.measured.cpu.max(0.01))?;
                format!(
                    "{} ns per delivery, {} of them in user code",
                    grouped(nanos),
                    grouped(nanos * user)
                )
            };
            let join = of(&|run| run.measured.join_micros.unwrap_or(f64::NAN))
                .filter(|join| join.is_finite())
                .map_or_else(|| "–".to_owned(), |join| format!("{join:.2} µs"));
            Some(vec![
                format!("`{}`", scenario.name),
                scenario.about.to_owned(),
                cost,
                join,
            ])
        })
        .collect();
    (!rows.is_empty()).then(|| {
        format!(
            "## Scalability\n\nFanfare alone, CPU time of the server; what is not user code is the kernel's `send`. Joins are \
             emits with acknowledgement, sent by each client in one go.\n\n{}",
            table(&head("", &["", "cost", "per join"]), &rows)
        )
    })
}

fn tls(results: &Results) -> Option<String> {
    let scenarios = scenarios(results, Part::Tls);
    let (idle, work): (Vec<_>, Vec<_>) = scenarios.iter().partition(|scenario| scenario.is_idle());
    let resumed = results
        .runs
        .iter()
        .filter(|run| run.scenario == "tls-connect" && run.measured.resumed > 0)
        .map(|run| run.server.as_str());
    let mut resumed: Vec<&str> = resumed.collect();
    resumed.sort_unstable();
    resumed.dedup();
    (!scenarios.is_empty()).then(|| {
        format!(
            "## TLS\n\nTLS 1.3, a certificate with an ECDSA key (P-256): Fanfare by rustls, Node by its https. Clients \
             resume sessions (in `tls-connect` these servers let them: {}).\n\nOperations per CPU second:\n\n{}\nBytes per \
             connection:\n\n{}\n{}",
            if resumed.is_empty() { "none".to_owned() } else { resumed.join(", ") },
            compared(results, &work, Figure::PerCpu),
            compared(results, &idle, Figure::Memory),
            legend(&scenarios)
        )
    })
}

fn half(results: &Results) -> Option<String> {
    let scenarios = scenarios(results, Part::Half);
    let names = results.names();
    let rows: Vec<_> = scenarios
        .iter()
        .map(|scenario| {
            let cells = names.iter().map(|server| {
                let rate =
                    results.median(scenario.name, server, |run| run.rate.unwrap_or_default());
                match rate {
                    None => "–".to_owned(),
                    Some(rate) => format!(
                        "{} ({}/s)",
                        percentiles(results, scenario, server),
                        short(rate)
                    ),
                }
            });
            row(format!("`{}`", scenario.name), cells)
        })
        .collect();
    (!rows.is_empty()).then(|| {
        format!(
            "## Latency at half of the load\n\nMilliseconds, p50 / p99 / p99.9 (emits per second). Emits are due at fixed \
             times whatever comes back, and their latency counts from when they were due.\n\n{}\n{}",
            table(&head("", &names), &rows),
            legend(&scenarios)
        )
    })
}

fn cores(results: &Results) -> Option<String> {
    let scenarios = scenarios(results, Part::Cores);
    let with = |load: Load| {
        let scenario = scenarios.iter().find(|scenario| scenario.load == load)?;
        Some((scenario.name, scenario.about))
    };
    let shared = with(Load::WithProbe).and_then(|(name, about)| {
        let of = |figure: &dyn Fn(&Run) -> f64| results.median(name, OURS, figure);
        let probe = |who: usize, when: usize| {
            of(&|run| run.probes.get(who).map_or(f64::NAN, |probe| probe[when].p99)).map(millis)
        };
        let row = vec![
            about.to_owned(),
            short(of(&|run| run.measured.rate())?),
            probe(0, 0)?,
            probe(0, 1)?,
            probe(1, 0)?,
            probe(1, 1)?,
        ];
        let columns = [
            "deliveries/s",
            "echo p99 before, ms",
            "meanwhile, ms",
            "join or leave p99 before, ms",
            "meanwhile, ms",
        ];
        Some(format!(
            "20 others, who are in no such room, echo at 400 a second, and 20 join rooms and leave them. Server and load \
             generator share all cores of the machine.\n\n{}",
            table(&head("", &columns), &[row])
        ))
    });
    let alone = with(Load::AllCores).and_then(|(name, about)| {
        let of = |figure: &dyn Fn(&Bursts) -> f64| {
            results.median(name, OURS, |run| run.measured.bursts.as_ref().map_or(f64::NAN, figure))
        };
        let row = vec![
            about.to_owned(),
            format!("{:.1}", of(&|bursts| bursts.millis)?),
            format!("{:.2}", of(&|bursts| bursts.cores)?),
        ];
        let columns = ["written after, ms", "cores used until then"];
        Some(format!(
            "The load generator sleeps until the server does nothing more, so the server can have all cores.\n\n{}",
            table(&head("", &columns), &[row])
        ))
    });
    let parts: Vec<_> = shared.into_iter().chain(alone).collect();
    (!parts.is_empty()).then(|| format!("## Two cores\n\n{}", parts.join("\n")))
}

/// Explains how to repeat the measurements.
pub(super) fn rerun() -> String {
    "\n## Reproducing the results\n\n\
     ```sh\n\
     cargo xtask bench                                             # all of it, about half an hour\n\
     cargo xtask bench --quick                                     # whether it works, a few minutes\n\
     cargo xtask bench --servers fanfare,node --scenarios echo-1,fanout-16 --reps 5\n\
     cargo xtask bench --server mine='/path/to/server --flag'      # beside a custom server\n\
     ```\n\n\
     It needs Linux with two cores, Rust, and Node.js with npm; npm brings socket.io and Bun, cargo brings socketioxide. \
     `benches/` is the harness, `benches/peers/` are the servers of the others; ours is \
     `crates/fanfare/examples/bench_server`. Loopback has no network card: where kernel time dominates, ratios \
     between servers are narrower than on a network.\n"
        .to_owned()
}
