//! Projects that `fanfare new` writes: each compiles without warnings, is formatted, and passes its tests.

use std::fs;

use anyhow::Result;

use crate::command::{cargo, command, tee};
use crate::summary::{Outcome, Report};
use crate::{peers, root, steps, target};

/// Names of the templates.
const TEMPLATES: [&str; 4] = ["minimal", "chat", "axum", "game"];

/// Writes a project from each template, and checks them in one workspace.
pub(crate) fn run(report: &mut Report) -> Result<Outcome> {
    if !peers::binaries()? {
        return Ok(Outcome::Failed("the binary does not build".to_owned()));
    }
    let folder = target().join("projects");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let binary = target().join("debug/fanfare");
    for template in TEMPLATES {
        let (ok, _) = tee(command(
            &folder,
            &binary.to_string_lossy(),
            &[
                "new",
                &format!("a-{template}"),
                "--template",
                template,
                "--fanfare",
                &root().to_string_lossy(),
            ],
        ))?;
        if !ok {
            return Ok(Outcome::Failed(format!(
                "`fanfare new` failed for {template}"
            )));
        }
    }
    fs::write(
        folder.join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"a-*\"]\n",
    )?;
    // The versions that the repository was tested with.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let inside = |args: &[&str]| {
        let mut cargo = cargo(args);
        cargo
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", target().join("projects-build"));
        cargo
    };
    steps::all(
        report,
        [
            inside(&["fmt", "--all", "--check"]),
            inside(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            inside(&["test", "--workspace", "--no-fail-fast"]),
        ],
    )
}
