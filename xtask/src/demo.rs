//! `cargo xtask demo`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, tee};
use crate::{frontend, target, tools};

/// Builds the front ends and the binary, then runs `fanfare demo` with `args`.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if !args.iter().any(|arg| arg == "--help" || arg == "-h") {
        tools::node().map_err(anyhow::Error::msg)?;
        frontend::build()?;
    }
    // The same flags as `cargo xtask test`, so that each reuses the other's build.
    let (ok, _) = tee(cargo(&[
        "build",
        "--workspace",
        "--all-features",
        "--bin",
        "fanfare",
    ]))?;
    if !ok {
        bail!("the binary does not build");
    }
    let binary = target()
        .join("debug")
        .join(format!("fanfare{}", std::env::consts::EXE_SUFFIX));
    let mut demo = command(crate::root(), &binary.to_string_lossy(), &["demo"]);
    for (option, folder) in [("--book", "book"), ("--doc", "doc")] {
        let folder = target().join(folder);
        if folder.is_dir() && !args.iter().any(|arg| arg.starts_with(option)) {
            demo.arg(option).arg(folder);
        }
    }
    demo.args(args).stdin(std::process::Stdio::inherit());
    let status = demo
        .status()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| {
        ExitCode::from(code.clamp(0, 255) as u8)
    }))
}
