//! Packages of the crates, as they would be published: each builds and passes its tests without the repository.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command::{cargo, command};
use crate::summary::{Outcome, Report};
use crate::{steps, target};

/// Makes the packages, unpacks them into a workspace of their own, and runs their unit tests and examples there.
pub(crate) fn run(report: &mut Report) -> Result<Outcome> {
    let made = cargo(&[
        "package",
        "--workspace",
        "--exclude",
        "xtask",
        "--no-verify",
        "--allow-dirty",
    ]);
    match steps::all(report, [made])? {
        Outcome::Passed => {}
        other => return Ok(other),
    }
    let folder = target().join("package/unpacked");
    unpack(&folder)?;
    let test = |kind: &[&str]| {
        let mut test = cargo(
            &[
                &["test", "--workspace", "--all-features", "--no-fail-fast"],
                kind,
            ]
            .concat(),
        );
        test.current_dir(&folder)
            .env("CARGO_TARGET_DIR", target().join("package/build"));
        test
    };
    steps::all(report, [test(&["--lib", "--bins"]), test(&["--doc"])])
}

/// Unpacks each package, with a manifest that makes a workspace of them.
fn unpack(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("the packages of an earlier run cannot be removed")?;
    }
    fs::create_dir_all(folder)?;
    let mut members = String::new();
    let mut patches = String::new();
    for entry in fs::read_dir(target().join("package"))? {
        let path = entry?.path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(&format!("-{}.crate", env!("CARGO_PKG_VERSION"))))
        else {
            continue;
        };
        let (ok, _) = crate::command::tee(command(
            folder,
            "tar",
            &["--extract", "--gzip", "--file", &path.to_string_lossy()],
        ))?;
        anyhow::ensure!(ok, "{} cannot be unpacked", path.display());
        let unpacked = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        // A lock file of each package would be ignored.
        members.push_str(&format!("\"{unpacked}\", "));
        patches.push_str(&format!("{name} = {{ path = \"{unpacked}\" }}\n"));
    }
    anyhow::ensure!(!members.is_empty(), "no packages were made");
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n{patches}"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(crate::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}
