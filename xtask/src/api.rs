//! Listings of the public API: a change of it is visible in review.
//!
//! `docs/api` has one listing per library crate. They are made from rustdoc's JSON, which the stable compiler writes only
//! if it is told to behave like a nightly one; a wrapper of rustdoc does that for this one call, because the variable
//! would make Cargo build every dependency again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{cargo, tee};
use crate::summary::Outcome;
use crate::{root, target};

/// Library crates whose API is listed. (That of `fanfare-macros` is its documentation: macros have no signatures.)
const CRATES: [&str; 12] = [
    "fanfare",
    "fanfare-client",
    "fanfare-cluster",
    "fanfare-core",
    "fanfare-engine",
    "fanfare-nats",
    "fanfare-postgres",
    "fanfare-protocol",
    "fanfare-redis",
    "fanfare-relay",
    "fanfare-testing",
    "fanfare-websocket",
];
/// Folder with the listings.
const LISTINGS: &str = "docs/api";
/// Maximum number of changed lines that are printed per crate.
const MAX_SHOWN: usize = 40;

/// Compares the public API with the listings. With `FANFARE_UPDATE_API` set it writes them.
pub(crate) fn run() -> Result<Outcome> {
    if !cfg!(unix) {
        return Ok(Outcome::Skipped(
            "the wrapper of rustdoc is a shell script".to_owned(),
        ));
    }
    let wrapper = wrapper()?;
    let update = std::env::var_os("FANFARE_UPDATE_API").is_some();
    let mut changed = Vec::new();
    for name in CRATES {
        let Some(json) = rustdoc(name, &wrapper)? else {
            return Ok(Outcome::Failed(format!(
                "the documentation of {name} does not build"
            )));
        };
        let listed = match list(&json) {
            Ok(listed) => listed,
            Err(error) => {
                return Ok(Outcome::Skipped(format!(
                    "rustdoc's JSON is not what the crate `public-api` in xtask/Cargo.toml reads ({error:#}): take the \
                     version of it for this compiler"
                )));
            }
        };
        let file = root().join(LISTINGS).join(format!("{name}.txt"));
        if update {
            std::fs::write(&file, listed)?;
            println!("{LISTINGS}/{name}.txt is written");
            continue;
        }
        let old = std::fs::read_to_string(&file).unwrap_or_default();
        if old != listed {
            show(name, &old, &listed);
            changed.push(name);
        }
    }
    if changed.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!(
        "the public API of {} is not that of {LISTINGS}. If it is meant to change, run `FANFARE_UPDATE_API=1 cargo xtask \
         test api` and commit the listings",
        changed.join(", ")
    )))
}

/// Writes the wrapper of rustdoc.
fn wrapper() -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;

    let file = target().join("rustdoc-json.sh");
    std::fs::create_dir_all(target())?;
    std::fs::write(&file, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// Writes the JSON of a crate with all its features; `None` if it does not build.
fn rustdoc(name: &str, wrapper: &Path) -> Result<Option<PathBuf>> {
    let selected = ["--package", name, "--lib", "--all-features"];
    let mut command = cargo(&["rustdoc"]);
    command.args(selected);
    command.args(["--", "-Zunstable-options", "--output-format=json"]);
    command.env("RUSTDOC", wrapper);
    let (ok, _) = tee(command)?;
    let json = format!("doc/{}.json", name.replace('-', "_"));
    Ok(ok.then(|| target().join(json)))
}

/// Returns the public items of a crate, one per line, without the compiler's automatic implementations.
fn list(json: &Path) -> Result<String> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(false)
        .build()
        .with_context(|| format!("cannot read {}", json.display()))?;
    Ok(api.to_string())
}

/// Prints the removed and the added lines.
fn show(name: &str, old: &str, new: &str) {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (old.lines().collect(), new.lines().collect());
    let gone = before.difference(&after).map(|line| ('-', line));
    let come = after.difference(&before).map(|line| ('+', line));
    let mut changes = gone.chain(come);
    println!("{name}:");
    for (sign, line) in changes.by_ref().take(MAX_SHOWN) {
        println!("  {sign} {line}");
    }
    match changes.count() {
        0 => {}
        more => println!("  and {more} more"),
    }
}
