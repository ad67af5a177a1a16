//! Fuzz targets, each run for a few seconds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, display, tee};
use crate::summary::{Outcome, Report};
use crate::{root, target, tools};

/// Seconds for which each target runs.
const SECONDS: u32 = 5;

/// Builds all targets at once, then runs them, one per processor at a time.
///
/// Without a sanitizer: the crates forbid unsafe code, so that the possible faults are panics, wrong answers, hangs and
/// memory growth; and a stable compiler is enough.
pub(crate) fn run(report: &mut Report) -> Result<Outcome> {
    let folder = folder();
    if !tee(build_command())?.0 {
        return Ok(Outcome::Failed("the fuzz targets do not build".to_owned()));
    }
    let names = names()?;
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Ran<'_>>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(names.len()) {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run_one(&folder, name);
                    if let Ok(mut results) = results.lock() {
                        results.push(Ran { name, result });
                    }
                }
            });
        }
    });
    let mut failed = Vec::new();
    for Ran { name, result } in results.into_inner().unwrap_or_default() {
        let (ok, output) = result?;
        let done = output.lines().rev().find(|line| line.starts_with("Done "));
        match done {
            Some(done) if ok => {
                println!("{name}: {done}");
                report.add(format!("{name}: {done}"));
            }
            _ => {
                println!("{output}\n{name} failed: an input is kept if one is to blame, see above");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(failed.join(", ")))
}

fn folder() -> PathBuf {
    target().join("fuzz")
}

/// Builds all targets.
pub(crate) fn build_command() -> Command {
    tools::with_tools(cargo(&[
        "fuzz",
        "build",
        "--sanitizer",
        "none",
        "--target-dir",
        &folder().to_string_lossy(),
    ]))
}

/// Target that has run: whether it succeeded, and its output.
struct Ran<'a> {
    name: &'a str,
    result: Result<(bool, String)>,
}

/// Returns the names of the targets.
fn names() -> Result<Vec<String>> {
    let list = tools::with_tools(cargo(&["fuzz", "list"])).output()?;
    let names = String::from_utf8_lossy(&list.stdout);
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    if names.is_empty() {
        bail!("`cargo fuzz list` names no target");
    }
    Ok(names)
}

/// Runs one target over its corpus. New inputs go to the build folder; the committed corpus stays unchanged.
fn run_one(folder: &Path, name: &str) -> Result<(bool, String)> {
    let found = folder.join("corpus").join(name);
    let artifacts = folder.join("artifacts").join(name);
    for folder in [&found, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut run = Command::new(binary(folder, name)?);
    run.current_dir(root())
        .arg(&found)
        .arg(root().join("fuzz/corpus").join(name))
        .arg(format!("-max_total_time={SECONDS}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=20", "-rss_limit_mb=1024"])
        .stdin(Stdio::null());
    let line = display(&run);
    let output = run
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

/// Returns the path of a target's binary. Cargo-fuzz names the platform when it builds, so that the binary is in a
/// folder of that name.
fn binary(folder: &Path, name: &str) -> Result<PathBuf> {
    let platforms = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let binary = |platform: PathBuf| platform.join("release").join(name);
    platforms
        .filter_map(|entry| Some(binary(entry.ok()?.path())))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "no binary of the fuzz target {name} in {}",
                folder.display()
            )
        })
}
