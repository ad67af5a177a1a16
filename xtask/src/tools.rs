//! Tools that the tests need, and the installation of missing ones.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{cargo, command, succeeds, tee};

/// Finds a program in the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Oldest major version of Node.js that the front ends and tests support.
const NODE: u32 = 20;

/// Checks Node.js and npm; the error says why they cannot be used.
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

/// Returns whether a cargo subcommand such as `nextest` is installed anywhere.
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    succeeds(with_tools(cargo(&[subcommand, "--version"])))
}

/// Folder for missing tools: in the build folder, so that nothing outside the checkout changes.
fn folder() -> PathBuf {
    crate::target().join("tools")
}

/// Adds the tools installed in the build folder to a command's search path, after those of the machine.
pub(crate) fn with_tools(mut command: Command) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([folder().join("bin")]);
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

/// Ensures that a cargo subcommand exists, installing it into the build folder if it is missing.
pub(crate) fn cargo_tool(subcommand: &str) -> Result<(), String> {
    let Some(install) = install_command(subcommand) else {
        return Ok(());
    };
    match tee(install) {
        Ok((true, _)) if cargo_has(subcommand) => Ok(()),
        Ok(_) => Err(format!(
            "cargo-{subcommand} is missing and could not be installed; by hand: `cargo install cargo-{subcommand} --locked`"
        )),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Returns the command that installs a cargo subcommand into the build folder; `None` if it is there already.
pub(crate) fn install_command(subcommand: &str) -> Option<Command> {
    if cargo_has(subcommand) {
        return None;
    }
    Some(install(&format!("cargo-{subcommand}")))
}

/// Returns a command that installs a package into the build folder.
fn install(package: &str) -> Command {
    let root = folder();
    // A debug build takes a fraction of the time, and the tool has little to do.
    cargo(&[
        "install",
        package,
        "--locked",
        "--debug",
        "--quiet",
        "--root",
        &root.to_string_lossy(),
        "--target-dir",
        &root.join("build").to_string_lossy(),
    ])
}

/// Version of mdBook with which the book is built; the additions to its pages depend on it.
const MDBOOK: &str = "0.5.4";

/// Returns the command that installs mdBook into the build folder; `None` if that version is there already.
pub(crate) fn mdbook_install() -> Option<Command> {
    let there = with_tools(command(crate::root(), "mdbook", &["--version"]))
        .output()
        .is_ok_and(|out| {
            String::from_utf8_lossy(&out.stdout).trim() == format!("mdbook v{MDBOOK}")
        });
    if there {
        return None;
    }
    let mut install = install("mdbook");
    install.args([
        "--version",
        MDBOOK,
        "--no-default-features",
        "--features",
        "search",
    ]);
    Some(install)
}

/// Ensures that mdBook exists; the error says why the book cannot be built.
pub(crate) fn mdbook() -> Result<(), String> {
    let Some(install) = mdbook_install() else {
        return Ok(());
    };
    match tee(install) {
        Ok((true, _)) if mdbook_install().is_none() => Ok(()),
        Ok(_) => Err(format!(
            "mdBook {MDBOOK} is missing and could not be installed; by hand: `cargo install mdbook --locked --version {MDBOOK}`"
        )),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Ensures that hunspell has a dictionary, which the Debian package `package` contains.
pub(crate) fn dictionary(name: &str, package: &str) -> Result<(), String> {
    program("hunspell", "hunspell")?;
    let there = || {
        let list = command(crate::root(), "hunspell", &["-D"]).output();
        list.is_ok_and(|out| String::from_utf8_lossy(&out.stderr).contains(name))
    };
    if !there() {
        apt_install(&[package]);
    }
    if there() {
        return Ok(());
    }
    Err(format!(
        "hunspell's dictionary {name} is missing (Debian: `apt-get install {package}`)"
    ))
}

/// Checks the C++ compiler; the error says why it cannot be used.
pub(crate) fn cxx() -> Result<(), String> {
    if std::env::var_os("CXX").is_some() {
        return Ok(());
    }
    program("c++", "g++").map_err(|why| format!("{why}, which libFuzzer needs"))
}

/// Returns whether programs run here as root.
fn is_root() -> bool {
    command(crate::root(), "id", &["-u"])
        .output()
        .is_ok_and(|out| out.stdout == b"0\n")
}

/// Installs Debian packages if possible; retries with a fresh list of packages.
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

/// Ensures that a program exists, which the Debian package `package` contains; the error says why it cannot be
/// installed.
pub(crate) fn program(name: &str, package: &str) -> Result<(), String> {
    if find(name).is_none() {
        apt_install(&[package]);
    }
    find(name)
        .map(drop)
        .ok_or_else(|| format!("{name} is missing (Debian: `apt-get install {package}`)"))
}

/// Ensures that valgrind exists; the error says why instructions cannot be counted.
pub(crate) fn valgrind() -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("instructions are counted on Linux on x86-64 only".to_owned());
    }
    program("valgrind", "valgrind")
}

/// Ensures that OpenSSL can be linked; the error says why not.
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
