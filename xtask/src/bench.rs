//! `cargo xtask bench`.

use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{Command, cargo, command, tee};
use crate::target;

/// Builds the harness, then runs it with `args`.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let mut harness = harness()?;
    harness.args(args).stdin(Stdio::inherit());
    let status = harness.status().context("cannot start the harness")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the harness. It is no member of the workspace: `benches/` has separate dependencies.
pub(crate) fn harness() -> Result<Command> {
    let folder = target().join("bench");
    let mut build = cargo(&[
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        "benches/Cargo.toml",
    ]);
    build.env("CARGO_TARGET_DIR", &folder);
    if !tee(build)?.0 {
        bail!("the harness does not build");
    }
    let binary = folder.join("release/bench");
    let mut harness = command(crate::root(), &binary.to_string_lossy(), &[]);
    harness.env("FANFARE_TARGET", target());
    Ok(harness)
}
