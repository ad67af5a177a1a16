//! Cost table: instructions and memory per byte of input, at every stage that reads input. The cost of an input of
//! twice the size is twice as high, and no higher than the stored limit.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use anyhow::{Context, Result};

use crate::summary::Outcome;
use crate::{callgrind, root, tools};

/// Benchmark with the inputs.
pub(crate) const BENCH: &str = "costs";
/// File with the limits.
const LIMITS: &str = "crates/fanfare/benches/costs.limits";
/// Function of the benchmark that handles an input.
const MEASURED: &str = "*costs*target*measured*";
/// Largest factor by which the added cost may grow where the added input doubles. A quadratic cost grows by four.
const GROWTH: f64 = 2.6;
/// Added instructions per added byte below which growth is noise of the operating system.
const NOISE: f64 = 1.0;
/// Percentage by which a cost may exceed its limit, for other compilers and other library versions.
const SLACK: f64 = 10.0;

/// Cost of one input: instructions and bytes held per byte sent, and the growth of instructions.
#[derive(Clone, Debug)]
struct Cost {
    name: String,
    instructions: f64,
    held: f64,
    growth: f64,
}

/// Measures all inputs, and compares them with the limits. With `FANFARE_UPDATE_GUARDS` set it writes the limits.
pub(crate) fn run() -> Result<Outcome> {
    if let Err(why) = tools::valgrind() {
        return Ok(Outcome::Skipped(why));
    }
    let Some(binary) = callgrind::build(BENCH)? else {
        return Ok(Outcome::Failed("the cost table does not build".to_owned()));
    };
    let list = std::process::Command::new(&binary).output()?;
    let list = String::from_utf8(list.stdout)?;
    let costs = measure_all(&binary, &list)?;
    let file = root().join(LIMITS);
    let old = std::fs::read_to_string(&file).with_context(|| format!("cannot read {LIMITS}"))?;
    let limits = parse(&old)?;
    let mut over = Vec::new();
    println!(
        "{:<28} {:>8} {:>8} {:>8}",
        "input", "instr/B", "held/B", "growth"
    );
    for cost in &costs {
        let Cost {
            name,
            instructions,
            held,
            growth,
        } = cost;
        println!("{name:<28} {instructions:>8.1} {held:>8.1} {growth:>8.2}");
        over.extend(faults(
            cost,
            limits.iter().find(|limit| limit.name == *name),
        ));
    }
    if std::env::var_os("FANFARE_UPDATE_GUARDS").is_some() {
        std::fs::write(&file, written(&old, &costs))?;
        println!("{LIMITS} is written");
        return Ok(Outcome::Passed);
    }
    println!(
        "{} passed, {} failed",
        costs.len() - over.len().min(costs.len()),
        over.len()
    );
    if over.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(over.join("; ")))
}

/// Describes how a cost breaks its limits.
fn faults(cost: &Cost, limit: Option<&Cost>) -> Option<String> {
    let Cost {
        name,
        instructions,
        held,
        growth,
    } = cost;
    let Some(limit) = limit else {
        return Some(format!("{name} has no limit in {LIMITS}"));
    };
    let most = |limit: f64| limit * (1.0 + SLACK / 100.0) + NOISE;
    if *growth > GROWTH && *instructions > NOISE {
        Some(format!(
            "the cost of {name} grows by {growth:.2} where its input doubles"
        ))
    } else if *instructions > most(limit.instructions) {
        Some(format!(
            "{name} takes {instructions:.1} instructions per byte, the limit is {:.1}",
            limit.instructions
        ))
    } else if *held > most(limit.held) {
        Some(format!(
            "{name} holds {held:.1} bytes per byte, the limit is {:.1}",
            limit.held
        ))
    } else {
        None
    }
}

/// Runs the inputs of the list, one per processor at a time.
fn measure_all(binary: &Path, list: &str) -> Result<Vec<Cost>> {
    let inputs: Vec<(&str, usize)> = list
        .lines()
        .map(|line| {
            let (name, size) = line.split_once(' ').context("the list of inputs")?;
            Ok((name, size.parse()?))
        })
        .collect::<Result<_>>()?;
    let next = AtomicUsize::new(0);
    let costs: Mutex<Vec<(usize, Result<Cost>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(name, size)) = inputs.get(number) else {
                        return;
                    };
                    let cost = measure(binary, name, size);
                    if let Ok(mut costs) = costs.lock() {
                        costs.push((number, cost));
                    }
                }
            });
        }
    });
    let mut costs = costs.into_inner().unwrap_or_default();
    costs.sort_by_key(|(number, _)| *number);
    costs.into_iter().map(|(_, cost)| cost).collect()
}

/// Measures an input at its smallest size, at twice and at four times that size.
fn measure(binary: &Path, name: &str, smallest: usize) -> Result<Cost> {
    let run = |size: usize| -> Result<[f64; 3]> {
        let counted = callgrind::count(binary, &[name, &size.to_string()], Some(MEASURED))?;
        let (sent, held) = counted
            .output
            .split_once(' ')
            .with_context(|| format!("{name} does not say what it sent"))?;
        Ok([counted.instructions, sent.parse()?, held.parse()?])
    };
    let (once, twice, four_times) = (run(smallest)?, run(2 * smallest)?, run(4 * smallest)?);
    let added = |n: usize| four_times[n] - twice[n];
    Ok(Cost {
        name: name.to_owned(),
        instructions: added(0) / added(1),
        held: (added(2) / added(1)).max(0.0),
        growth: added(0) / (twice[0] - once[0]).max(1.0),
    })
}

/// Formats the limits, with the comment at the top.
fn written(old: &str, costs: &[Cost]) -> String {
    let mut text: String = old
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for Cost {
        name,
        instructions,
        held,
        ..
    } in costs
    {
        let _ = writeln!(text, "{name} {instructions:.1} {held:.1}");
    }
    text
}

/// Parses lines of `name instructions held`.
fn parse(text: &str) -> Result<Vec<Cost>> {
    let limit = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let (instructions, held) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Cost {
            name,
            instructions,
            held,
            growth: 2.0,
        })
    };
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            limit(line)
                .with_context(|| format!("{LIMITS}: `{line}` is not `name instructions held`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_that_grows_faster_than_its_input_is_a_fault() {
        let text = "# what this is\nevents 100.0 2.0\n";
        let limits = parse(text).expect("right");
        let cost = |instructions, held, growth| Cost {
            name: "events".to_owned(),
            instructions,
            held,
            growth,
        };
        let fault = |cost| faults(&cost, limits.first());
        assert_eq!(fault(cost(101.0, 2.0, 2.1)), None);
        assert!(fault(cost(101.0, 2.0, 4.0)).is_some_and(|why| why.contains("grows by 4.00")));
        assert!(fault(cost(150.0, 2.0, 2.0)).is_some_and(|why| why.contains("the limit is 100.0")));
        assert!(fault(cost(100.0, 9.0, 2.0)).is_some_and(|why| why.contains("holds 9.0 bytes")));
        assert!(faults(&cost(1.0, 1.0, 2.0), None).is_some_and(|why| why.contains("no limit")));
        assert_eq!(written(text, &limits), text);
        assert!(parse("events 1").is_err() && parse("events a b").is_err());
    }
}
