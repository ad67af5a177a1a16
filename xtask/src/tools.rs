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

/// Whether programs run here as root.
fn is_root() -> bool {
    command(crate::root(), "id", &["-u"])
        .output()
        .is_ok_and(|out| out.stdout == b"0\n")
}

/// Installs Debian packages if that is possible, trying with a fresh list of packages as well.
fn apt_install(packages: &[&str]) {
    if !is_root() || find("apt-get").is_none() {
        return;
    }
    println!("installing Debian's {}", packages.join(", "));
    let install = || {
        let mut apt = command(
            crate::root(),
            "apt-get",
            &[&["install", "--yes", "--no-install-recommends"], packages].concat(),
        );
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(apt)
    };
    if !install() && succeeds(command(crate::root(), "apt-get", &["update"])) {
        install();
    }
}

/// Says why a crate that links OpenSSL cannot be built.
pub(crate) fn openssl() -> Result<(), String> {
    let there = || {
        succeeds(command(
            crate::root(),
            "pkg-config",
            &["--exists", "openssl"],
        ))
    };
    if !there() {
        apt_install(&["libssl-dev", "pkg-config"]);
    }
    if there() {
        return Ok(());
    }
    Err("OpenSSL's headers are missing, which that client needs (Debian: `apt-get install libssl-dev pkg-config`)"
        .to_owned())
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
    if let Some(path) = std::env::var_os("FANFARE_CHROMIUM")
        .map(PathBuf::from)
        .or_else(found)
    {
        return Ok(path);
    }
    apt_install(&["chromium"]);
    found().ok_or_else(|| {
        "Chromium is missing: install it (Debian: `apt-get install chromium`) or name one in FANFARE_CHROMIUM".to_owned()
    })
}
