//! Performance guards of the hot paths: instructions per operation, counted by callgrind, must not exceed the stored
//! limits.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::summary::Outcome;
use crate::{callgrind, root, tools};

/// Benchmark with the paths.
pub(crate) const BENCH: &str = "instructions";

/// Percentage by which a count may exceed its limit, for other compilers and other library versions.
const SLACK: f64 = 5.0;
/// Repetitions of the two runs whose difference counts.
const FEW: u64 = 10;
const MANY: u64 = 40;
/// File with the limits.
const LIMITS: &str = "crates/fanfare/benches/instructions.limits";

/// Counts, and compares with the limits. With `FANFARE_UPDATE_GUARDS` set it writes the limits.
pub(crate) fn run() -> Result<Outcome> {
    if let Err(why) = tools::valgrind() {
        return Ok(Outcome::Skipped(why));
    }
    let Some(binary) = callgrind::build(BENCH)? else {
        return Ok(Outcome::Failed("the guarded paths do not build".to_owned()));
    };
    let file = root().join(LIMITS);
    let old = std::fs::read_to_string(&file).with_context(|| format!("cannot read {LIMITS}"))?;
    let limits = parse(&old)?;
    let names = String::from_utf8(Command::new(&binary).output()?.stdout)?;
    let (mut new, mut over) = (head(&old), Vec::new());
    for name in names.lines() {
        let count = count(&binary, name)?;
        new += &format!("{name} {count:.0}\n");
        let limit = limits.iter().find(|(path, _)| path == name);
        let Some((_, limit)) = limit else {
            over.push(format!(
                "{name} takes {count:.0} instructions and has no limit"
            ));
            continue;
        };
        let more = (count / limit - 1.0) * 100.0;
        println!("{name:<24} {count:>7.0} instructions, limit {limit:.0} ({more:+.1} %)");
        if more > SLACK {
            over.push(format!(
                "{name} takes {count:.0} instructions, {more:.1} % more than the {limit:.0} of {LIMITS}; {SLACK} % are allowed"
            ));
        }
    }
    if std::env::var_os("FANFARE_UPDATE_GUARDS").is_some() {
        std::fs::write(&file, new)?;
        println!("{LIMITS} is written");
        return Ok(Outcome::Passed);
    }
    if over.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!(
        "{}. If it has to be so, say why in the commit and run `FANFARE_UPDATE_GUARDS=1 cargo xtask test guards`",
        over.join("; ")
    )))
}

/// Returns the instructions per unit of a path.
fn count(binary: &Path, name: &str) -> Result<f64> {
    let (few, few_units) = collect(binary, name, FEW)?;
    let (many, many_units) = collect(binary, name, MANY)?;
    Ok((many - few) / (many_units - few_units))
}

/// Returns the instructions of a run, and its units.
fn collect(binary: &Path, name: &str, times: u64) -> Result<(f64, f64)> {
    let run = callgrind::count(binary, &[name, &times.to_string()], None)?;
    let units = run.output.parse();
    Ok((
        run.instructions,
        units.context("the benchmark does not say its units")?,
    ))
}

/// Returns the comment at the top of the file.
fn head(text: &str) -> String {
    text.lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Parses lines of `name instructions`.
fn parse(text: &str) -> Result<Vec<(String, f64)>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, count) = line
                .split_once(' ')
                .with_context(|| format!("{LIMITS}: `{line}` is not `name instructions`"))?;
            let count = count
                .parse()
                .with_context(|| format!("{LIMITS}: `{count}` is no number"))?;
            Ok((name.to_owned(), count))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_their_comment_is_kept() {
        let text = "# what this is\n# and how\na 12\nb 3.5\n";
        let limits = parse(text).expect("right");
        assert_eq!(limits, [("a".to_owned(), 12.0), ("b".to_owned(), 3.5)]);
        assert_eq!(head(text), "# what this is\n# and how\n");
        assert!(parse("a").is_err() && parse("a b").is_err());
    }
}
