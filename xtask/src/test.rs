//! `cargo xtask test`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::prepare;
use crate::steps::{STEPS, Step};
use crate::summary::{Outcome, Report, Summary};

/// Runs the named steps, or all that belong to a full run.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--list") {
        for step in STEPS {
            let extra = if step.extra { " (only when named)" } else { "" };
            println!("{:<14} {}{extra}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = chosen(args)?;
    let mut summary = Summary::default();
    let mut preparing = None;
    for (index, step) in steps.iter().enumerate() {
        println!(
            "\n━━ {}/{} {}: {}",
            index + 1,
            steps.len(),
            step.name,
            step.about
        );
        if step.waits && preparing.is_none() {
            preparing = prepare::start(&steps[index + 1..]);
        }
        let begin = Instant::now();
        let mut report = Report::default();
        let outcome = match (step.run)(&mut report) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        let time = begin.elapsed();
        println!("━━ {} {outcome} in {:.1} s", step.name, time.as_secs_f64());
        summary.add(step.name, outcome, time, report);
    }
    if let Some(preparing) = preparing {
        let _ = preparing.join();
    }
    println!("\n{summary}");
    Ok(if summary.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Step>> {
    if names.is_empty() {
        return Ok(STEPS.iter().filter(|step| !step.extra).collect());
    }
    for name in names {
        if !STEPS.iter().any(|step| step.name == name) {
            bail!("unknown step `{name}`; `cargo xtask test --list` names them");
        }
    }
    // In the order of the list, because later steps use builds of earlier ones.
    Ok(STEPS
        .iter()
        .filter(|step| names.iter().any(|name| name == step.name))
        .collect())
}
