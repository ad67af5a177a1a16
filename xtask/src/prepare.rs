//! Builds for later steps, made beside steps that mostly wait for clocks, browsers and other programs.
//!
//! This only saves time. Every step does all its work as if nothing had been prepared, and finds it done: cargo makes
//! it wait for a build that is still running, and repeats one that has failed, so that its errors appear in the right
//! step.

use std::thread::JoinHandle;

use crate::command::{Command, succeeds};
use crate::steps::{self, Step};
use crate::{callgrind, costs, fuzz, guards, peers, tools};

/// Starts the builds of these steps, in their order. The thread ends when all are done.
pub(crate) fn start(later: &[&Step]) -> Option<JoinHandle<()>> {
    let (names, builds): (Vec<_>, Vec<_>) = later
        .iter()
        .map(|step| (step.name, builds(step.name)))
        .filter(|(_, builds)| !builds.is_empty())
        .unzip();
    if names.is_empty() {
        return None;
    }
    println!(
        "meanwhile in the background: builds of {}",
        names.join(", ")
    );
    // apt installs Debian packages one process at a time.
    if names.contains(&"rust_socketio") {
        let _ = tools::openssl();
    }
    if names.contains(&"fuzz") {
        let _ = tools::cxx();
    }
    Some(std::thread::spawn(move || {
        for builds in builds {
            // At the normal priority: on a busy machine a step would wait long for a build of lower priority. The first
            // build that fails ends the rest.
            let _ = builds.into_iter().all(succeeds);
        }
    }))
}

/// Returns the separate builds of a step.
fn builds(step: &str) -> Vec<Command> {
    match step {
        "rust_socketio" => vec![peers::rust_socketio_tests(&["--no-run"])],
        "guards" => vec![callgrind::build_command(guards::BENCH)],
        "costs" => vec![callgrind::build_command(costs::BENCH)],
        "benches" => vec![
            steps::harness(&steps::HARNESS_LINTS),
            steps::harness(&["test", "--locked", "--no-run"]),
            steps::harness(&["build", "--locked"]),
        ],
        "fuzz" => tools::install_command("fuzz")
            .into_iter()
            .chain([fuzz::build_command()])
            .collect(),
        "book" => tools::mdbook_install().into_iter().collect(),
        "deny" => tools::install_command("deny").into_iter().collect(),
        _ => vec![],
    }
}
