//! Instruction counts by callgrind, which are the same on a busy machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::command::{Command, cargo, command, display};
use crate::target;

/// Result of a run under callgrind.
pub(crate) struct Counted {
    /// Number of instructions.
    pub(crate) instructions: f64,
    /// Standard output of the program.
    pub(crate) output: String,
}

/// Builds a benchmark of the package `fanfare`; `None` if that fails.
pub(crate) fn build(bench: &str) -> Result<Option<PathBuf>> {
    let mut build = build_command(bench);
    println!("$ {}", display(&build));
    // Cargo's messages for programs are parsed here; errors and warnings go to standard error as always.
    let built = build.stderr(Stdio::inherit()).output()?;
    // The name of the binary contains a hash.
    let binary = String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next())
        .find(|path| path.contains(bench))
        .map(PathBuf::from);
    Ok(binary.filter(|_| built.status.success()))
}

/// Returns the command that builds a benchmark.
pub(crate) fn build_command(bench: &str) -> Command {
    cargo(&[
        "build",
        "--profile",
        "guards",
        "--package",
        "fanfare",
        "--bench",
        bench,
        "--features",
        "validation",
        "--message-format",
        "json-render-diagnostics",
    ])
}

/// Runs a benchmark. With `function`, only instructions in functions whose names match count.
pub(crate) fn count(binary: &Path, arguments: &[&str], function: Option<&str>) -> Result<Counted> {
    let mut run = command(
        &target(),
        "valgrind",
        &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
    );
    run.args(function.map(|pattern| format!("--toggle-collect={pattern}")));
    let output = run.arg(binary).args(arguments).output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} failed under callgrind: {log}", arguments.join(" "));
    }
    let instructions = log
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .with_context(|| format!("callgrind does not say what it collected: {log}"))?;
    Ok(Counted {
        instructions,
        output: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    })
}
