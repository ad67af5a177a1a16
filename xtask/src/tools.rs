//! The tools that tests need, and how to get those that are missing.

use std::path::PathBuf;

use crate::command::{cargo, command, succeeds};

/// A program in the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Node's oldest major version that the front ends and tests are made for.
const NODE: u32 = 20;

/// Says why Node.js and npm cannot be used.
pub(crate) fn node() -> Result<(), String> {
    let hint = format!(
        "install Node.js {NODE} or newer with npm (nodejs.org, or your system's package `nodejs npm`)"
    );
    let output = command(crate::root(), "node", &["--version"])
        .output()
        .map_err(|_| format!("node is missing: {hint}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE) {
        return Err(format!("node {version} is too old: {hint}"));
    }
    find("npm")
        .map(drop)
        .ok_or_else(|| format!("npm is missing: {hint}"))
}

/// A cargo subcommand such as `nextest`.
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    succeeds(cargo(&[subcommand, "--version"]))
}

/// Whether a nightly toolchain is installed.
pub(crate) fn nightly() -> bool {
    succeeds(command(
        crate::root(),
        "rustup",
        &["run", "nightly", "cargo", "--version"],
    ))
}

/// Finds a Chromium, installing Debian's if that is possible.
pub(crate) fn chromium() -> Result<PathBuf, String> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    let found = || names.iter().find_map(|name| find(name));
    if let Some(path) = std::env::var_os("CHROMIUM")
        .map(PathBuf::from)
        .or_else(found)
    {
        return Ok(path);
    }
    let root = std::env::var("USER").is_ok_and(|user| user == "root")
        || command(crate::root(), "id", &["-u"])
            .output()
            .is_ok_and(|out| out.stdout == b"0\n");
    if root && find("apt-get").is_some() {
        println!("Chromium is missing: installing Debian's package");
        let install = || {
            let mut apt = command(
                crate::root(),
                "apt-get",
                &["install", "--yes", "--no-install-recommends", "chromium"],
            );
            apt.env("DEBIAN_FRONTEND", "noninteractive");
            succeeds(apt)
        };
        if !install() {
            succeeds(command(crate::root(), "apt-get", &["update"]));
            install();
        }
    }
    found().ok_or_else(|| {
        "Chromium is missing: install it (Debian: `apt-get install chromium`) or name one in CHROMIUM".to_owned()
    })
}
