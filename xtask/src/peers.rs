//! Steps that run Fanfare's servers and clients against other programs: official clients, Node servers, browsers,
//! brokers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, command, succeeds, tee};
use crate::steps::{all, code, skipped};
use crate::summary::{Outcome, Report};
use crate::{frontend, root, target, tools};

/// Exit code of scripts that lack a tool on this machine.
const NOT_HERE: i32 = 77;

/// Builds the examples and binaries, which is quick after `unit`.
pub(crate) fn binaries() -> Result<bool> {
    Ok(tee(code(&["build"], &["--bins", "--examples"]))?.0)
}

fn fixture() -> Result<Option<Outcome>> {
    if !root()
        .join("crates/fanfare/examples/interop_server/main.rs")
        .is_file()
    {
        return Ok(Some(Outcome::Skipped(
            "crates/fanfare/examples/interop_server/main.rs is not there yet".to_owned(),
        )));
    }
    Ok((!binaries()?).then(|| Outcome::Failed("the fixture server does not build".to_owned())))
}

/// Installs and returns a folder of Node tests.
pub(crate) fn node_tests(name: &str) -> Result<std::result::Result<PathBuf, Outcome>> {
    let folder = root().join("tests").join(name);
    if !folder.join("package.json").is_file() {
        return Ok(Err(Outcome::Skipped(format!(
            "tests/{name} is not there yet"
        ))));
    }
    if let Err(why) = tools::node() {
        return Ok(Err(Outcome::Skipped(why)));
    }
    frontend::install(&folder)?;
    Ok(Ok(folder))
}

/// Runs the files in `deploy/`: proxies in front of servers of the demo.
pub(crate) fn deploy(report: &mut Report) -> Result<Outcome> {
    let folder = match node_tests("deploy")? {
        Ok(folder) => folder,
        Err(outcome) => return Ok(outcome),
    };
    if !binaries()? {
        return Ok(Outcome::Failed("the binary does not build".to_owned()));
    }
    // A test of what is missing says so itself.
    for (name, package) in [
        ("nginx", "nginx-light"),
        ("haproxy", "haproxy"),
        ("caddy", "caddy"),
        ("openssl", "openssl"),
    ] {
        if let Err(why) = tools::program(name, package) {
            report.add(format!("the test that needs it was skipped: {why}"));
        }
    }
    let mut tests = command(&folder, "npm", &["test", "--silent"]);
    tests.env("CARGO_TARGET_DIR", target());
    all(report, [tests])
}

/// Runs the Node tests of a folder against `server`.
fn scripts(report: &mut Report, name: &str, server: &str) -> Result<Outcome> {
    let folder = match node_tests(name)? {
        Ok(folder) => folder,
        Err(outcome) => return Ok(outcome),
    };
    let mut run = command(&folder, "node", &["run.js"]);
    run.env("FIXTURE", server).env("CARGO_TARGET_DIR", target());
    all(report, [run])
}

pub(crate) fn interop(report: &mut Report) -> Result<Outcome> {
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    scripts(report, "interop", "rust")
}

pub(crate) fn differential(report: &mut Report) -> Result<Outcome> {
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    scripts(report, "differential", "rust")
}

pub(crate) fn cluster(report: &mut Report) -> Result<Outcome> {
    for (name, package) in [
        ("redis-server", "redis-server"),
        ("psql", "postgresql"),
        ("nginx", "nginx-light"),
    ] {
        if let Err(why) = tools::program(name, package) {
            return skipped(why);
        }
    }
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    scripts(report, "cluster", "rust")
}

pub(crate) fn reference(report: &mut Report) -> Result<Outcome> {
    match scripts(report, "interop", "node")? {
        Outcome::Passed => scripts(report, "differential", "node"),
        other => Ok(other),
    }
}

pub(crate) fn python(report: &mut Report) -> Result<Outcome> {
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    let folder = root().join("tests/interop/python");
    let venv = target().join("python-interop");
    let python = venv.join("bin/python");
    if !succeeds(command(
        root(),
        &python.to_string_lossy(),
        &["-c", "import socketio, aiohttp, requests, websocket"],
    )) {
        let path = venv.to_string_lossy();
        if !succeeds(command(
            root(),
            "python3",
            &["-m", "venv", "--clear", &path],
        )) {
            return skipped(
                "python3 with its venv module is missing (Debian: `apt-get install python3-venv`)",
            );
        }
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--requirement",
            "requirements.txt",
        ];
        if !tee(command(&folder, &python.to_string_lossy(), &install))?.0 {
            return Ok(Outcome::Failed(
                "cannot install tests/interop/python/requirements.txt".to_owned(),
            ));
        }
    }
    let mut run = command(
        &folder,
        &python.to_string_lossy(),
        &["-m", "unittest", "-v"],
    );
    run.env("CARGO_TARGET_DIR", target());
    all(report, [run])
}

pub(crate) fn rust_socketio(report: &mut Report) -> Result<Outcome> {
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    // A separate workspace, so that its dependencies stay out of ours; a separate build folder for the same reason.
    if !root()
        .join("tests/interop/rust_socketio")
        .join("Cargo.toml")
        .is_file()
    {
        return skipped("tests/interop/rust_socketio is not there yet");
    }
    if let Err(why) = tools::openssl() {
        return skipped(why);
    }
    all(report, [rust_socketio_tests(&[])])
}

/// Returns the command that tests that client.
pub(crate) fn rust_socketio_tests(options: &[&str]) -> Command {
    let mut run = cargo(&[&["test", "--locked"], options].concat());
    run.current_dir(root().join("tests/interop/rust_socketio"))
        .env("CARGO_TARGET_DIR", target().join("rust_socketio"))
        .env(
            "FIXTURE_BIN",
            target().join("debug/examples/interop_server"),
        );
    run
}

pub(crate) fn browser(report: &mut Report) -> Result<Outcome> {
    let folder = match node_tests("browser")? {
        Ok(folder) => folder,
        Err(outcome) => return Ok(outcome),
    };
    let chromium = match tools::chromium() {
        Ok(path) => path,
        Err(why) => return skipped(why),
    };
    if !binaries()? {
        return Ok(Outcome::Failed("the binary does not build".to_owned()));
    }
    let mut run = command(&folder, "npm", &["test", "--silent"]);
    run.env("FANFARE_CHROMIUM", chromium)
        .env("CARGO_TARGET_DIR", target());
    all(report, [run])
}

pub(crate) fn autobahn(report: &mut Report) -> Result<Outcome> {
    let script = root().join("tests/autobahn/run.sh");
    if !script.is_file() {
        return skipped("tests/autobahn/run.sh is not there yet");
    }
    if !binaries()? {
        return Ok(Outcome::Failed(
            "the example servers do not build".to_owned(),
        ));
    }
    let mut run = command(root(), "bash", &[&script.to_string_lossy()]);
    run.env(
        "WEBSOCKET_ECHO",
        target().join("debug/examples/websocket_echo"),
    );
    let (status, output) = crate::command::run(run)?;
    report.read(&output);
    Ok(match status.code() {
        Some(0) => Outcome::Passed,
        // The script names the tool that is missing, and how to install it.
        Some(NOT_HERE) => {
            let why: Vec<&str> = output
                .lines()
                .filter_map(|line| line.strip_prefix("autobahn: "))
                .collect();
            Outcome::Skipped(why.join(" "))
        }
        _ => Outcome::Failed("tests/autobahn/run.sh failed".to_owned()),
    })
}
