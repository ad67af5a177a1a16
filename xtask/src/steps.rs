//! Steps of `cargo xtask test`, in the order in which they run.
//!
//! All cargo calls use the same profile, features and package selection (`CODE`), so that nothing is built twice: the
//! steps `interop`, `differential` and `browser` start the tests, examples and binaries of the `unit` step.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, command, succeeds, tee};
use crate::summary::{Outcome, Report};
use crate::{frontend, fuzz, root, target, tools};

/// Packages and features of every cargo call.
const CODE: [&str; 2] = ["--workspace", "--all-features"];

/// Exit code of scripts that lack a tool on this machine.
const NOT_HERE: i32 = 77;

/// Step of the tests.
#[derive(Debug)]
pub(crate) struct Step {
    /// Name on the command line.
    pub(crate) name: &'static str,
    /// Description of the check.
    pub(crate) about: &'static str,
    /// Whether a full run skips the step.
    pub(crate) extra: bool,
    /// Whether it leaves processors idle, so that builds for later steps can run beside it.
    pub(crate) waits: bool,
    /// Function that executes the step.
    pub(crate) run: fn(&mut Report) -> Result<Outcome>,
}

const fn step(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Report) -> Result<Outcome>,
) -> Step {
    Step {
        name,
        about,
        extra: false,
        waits: false,
        run,
    }
}

const fn extra(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Report) -> Result<Outcome>,
) -> Step {
    Step {
        extra: true,
        ..step(name, about, run)
    }
}

/// Defines a step that waits for clocks and other programs more than for the processors.
const fn waiting(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Report) -> Result<Outcome>,
) -> Step {
    Step {
        waits: true,
        ..step(name, about, run)
    }
}

/// Steps in their order. The front ends come first because the binary embeds them.
pub(crate) const STEPS: &[Step] = &[
    step("fmt", "source format", fmt),
    step("web", "types and build of the front ends", web),
    step(
        "contract",
        "generated declarations and documents of contracts, read by tsc and the AsyncAPI parser",
        contract,
    ),
    step("clippy", "lints of all code", clippy),
    step(
        "lean",
        "the binary without its optional commands, and with each alone",
        |report| all(report, crate::lean::checks()?),
    ),
    waiting("unit", "unit, property, virtual-time and API tests", unit),
    step("doctest", "examples in the documentation", doctest),
    step("doc", "documentation without warnings", doc),
    step("api", "the public API, against its listings", |_| {
        crate::api::run()
    }),
    waiting(
        "interop",
        "official JavaScript clients against our server",
        interop,
    ),
    waiting(
        "python",
        "Python's socketio client against our server",
        python,
    ),
    step(
        "rust_socketio",
        "the client crate rust_socketio against our server",
        rust_socketio,
    ),
    waiting(
        "differential",
        "the same scripts against Node's socket.io and ours",
        differential,
    ),
    waiting(
        "cluster",
        "servers of Node.js and ours in one cluster, with official adapters and emitters",
        cluster,
    ),
    waiting("browser", "the demo in Chromium, with Playwright", browser),
    waiting(
        "autobahn",
        "WebSocket conformance, with the Autobahn fuzzing client",
        autobahn,
    ),
    step(
        "guards",
        "instructions per operation on the hot paths, against their limits",
        |_| crate::guards::run(),
    ),
    step(
        "costs",
        "instructions and memory per byte of input, which may not grow with its size",
        |_| crate::costs::run(),
    ),
    step(
        "benches",
        "the benchmark harness, and every delivery it checks in short runs",
        benches,
    ),
    step("fuzz", "each fuzz target for a few seconds", fuzz),
    step(
        "deny",
        "licences, duplicate and banned dependencies, security advisories",
        deny,
    ),
    extra(
        "reference",
        "the interop and differential tests with Node as the server under test",
        reference,
    ),
];

/// Runs commands one after the other until one fails.
fn all(report: &mut Report, commands: impl IntoIterator<Item = Command>) -> Result<Outcome> {
    for command in commands {
        let line = crate::command::display(&command);
        let (ok, output) = tee(command)?;
        report.read(&output);
        if !ok {
            return Ok(Outcome::Failed(format!("`{line}` failed")));
        }
    }
    Ok(Outcome::Passed)
}

fn skipped(why: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Skipped(why.into()))
}

fn code(first: &[&'static str], rest: &[&'static str]) -> Command {
    cargo(&[first, &CODE, rest].concat())
}

fn fmt(report: &mut Report) -> Result<Outcome> {
    all(report, [cargo(&["fmt", "--all", "--check"])])
}

fn web(_: &mut Report) -> Result<Outcome> {
    if frontend::built().is_empty() {
        return skipped("there is no front end in this checkout");
    }
    if let Err(why) = tools::node() {
        return skipped(why);
    }
    frontend::build()?;
    // The binary embeds its browser client from here on (`.cargo/config.toml`).
    frontend::install(&root().join("tests/interop"))?;
    Ok(Outcome::Passed)
}

fn contract(report: &mut Report) -> Result<Outcome> {
    let folder = match node_tests("contract")? {
        Ok(folder) => folder,
        Err(outcome) => return Ok(outcome),
    };
    all(report, [command(&folder, "npm", &["test", "--silent"])])
}

fn clippy(report: &mut Report) -> Result<Outcome> {
    all(
        report,
        [code(
            &["clippy"],
            &["--all-targets", "--", "-D", "warnings"],
        )],
    )
}

fn doc(report: &mut Report) -> Result<Outcome> {
    let mut doc = code(&["doc"], &["--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    all(report, [doc])
}

fn unit(report: &mut Report) -> Result<Outcome> {
    // The tests of the client and of the command line run against real Node servers.
    for krate in ["fanfare-client", "fanfare-cli"] {
        let servers = root().join("crates").join(krate).join("tests/node");
        if servers.join("package.json").is_file() && tools::node().is_ok() {
            frontend::install(&servers)?;
        }
    }
    // They also run behind a real proxy.
    for (name, package) in [("nginx", "nginx-light"), ("openssl", "openssl")] {
        if let Err(why) = tools::program(name, package) {
            let line = format!("some tests of the command line were skipped: {why}");
            println!("{line}");
            report.add(line);
        }
    }
    let tests = if tools::cargo_has("nextest") {
        tools::with_tools(code(
            &["nextest", "run"],
            &[
                "--lib",
                "--bins",
                "--tests",
                "--no-fail-fast",
                "--no-tests=warn",
            ],
        ))
    } else {
        println!(
            "cargo-nextest is missing (`cargo install cargo-nextest --locked`): using `cargo test`"
        );
        code(&["test"], &["--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    all(report, [tests])
}

fn doctest(report: &mut Report) -> Result<Outcome> {
    all(report, [code(&["test", "--doc"], &["--no-fail-fast"])])
}

/// Builds the examples and binaries, which is quick after `unit`.
fn binaries() -> Result<bool> {
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
fn node_tests(name: &str) -> Result<std::result::Result<PathBuf, Outcome>> {
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

fn interop(report: &mut Report) -> Result<Outcome> {
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    scripts(report, "interop", "rust")
}

fn differential(report: &mut Report) -> Result<Outcome> {
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    scripts(report, "differential", "rust")
}

fn cluster(report: &mut Report) -> Result<Outcome> {
    if !succeeds(command(root(), "redis-server", &["--version"])) {
        return skipped("redis-server is missing (Debian: `apt-get install redis-server`)");
    }
    if let Some(outcome) = fixture()? {
        return Ok(outcome);
    }
    scripts(report, "cluster", "rust")
}

fn reference(report: &mut Report) -> Result<Outcome> {
    match scripts(report, "interop", "node")? {
        Outcome::Passed => scripts(report, "differential", "node"),
        other => Ok(other),
    }
}

fn python(report: &mut Report) -> Result<Outcome> {
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

fn rust_socketio(report: &mut Report) -> Result<Outcome> {
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

fn browser(report: &mut Report) -> Result<Outcome> {
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

fn autobahn(report: &mut Report) -> Result<Outcome> {
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

/// Returns a Cargo command for the benchmark harness, which has separate dependencies and a separate target folder;
/// here all of it is a debug build.
pub(crate) fn harness(args: &[&str]) -> Command {
    let mut cargo = cargo(args);
    cargo
        .current_dir(root().join("benches"))
        .env("CARGO_TARGET_DIR", target().join("bench"))
        .env("FANFARE_TARGET", target());
    cargo
}

pub(crate) const HARNESS_LINTS: [&str; 6] = [
    "clippy",
    "--locked",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

fn benches(report: &mut Report) -> Result<Outcome> {
    let checks = [
        harness(&["fmt", "--check"]),
        harness(&HARNESS_LINTS),
        harness(&["test", "--locked"]),
    ];
    match all(report, checks)? {
        Outcome::Passed => {}
        other => return Ok(other),
    }
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped("a server and a load generator need two cores");
    }
    if !binaries()? {
        return Ok(Outcome::Failed("the server does not build".to_owned()));
    }
    let server = target().join("debug/examples/bench_server");
    let smoke = harness(&[
        "run",
        "--locked",
        "--",
        "--quick",
        "--servers",
        "fanfare",
        "--server",
        &format!("fanfare={}", server.display()),
        "--scenarios",
        "fanout-16,rooms-16,binary-16,echo-1,echo-16,polling,connect,idle-1k,tls-fanout-16,tls-connect,half-echo,cores-10k,burst-10k",
        "--out",
        &target().join("bench/smoke.json").to_string_lossy(),
    ]);
    all(report, [smoke])
}

fn fuzz(report: &mut Report) -> Result<Outcome> {
    if let Err(why) = tools::cxx().and_then(|()| tools::cargo_tool("fuzz")) {
        return skipped(why);
    }
    fuzz::run(report)
}

fn deny(report: &mut Report) -> Result<Outcome> {
    if let Err(why) = tools::cargo_tool("deny") {
        return skipped(why);
    }
    let check = |checks: &[&'static str]| {
        tools::with_tools(cargo(
            &[&["deny", "--all-features", "check"], checks].concat(),
        ))
    };
    let offline = all(report, [check(&["bans", "licenses", "sources"])])?;
    if !matches!(offline, Outcome::Passed) {
        return Ok(offline);
    }
    let (ok, output) = tee(check(&["advisories"]))?;
    report.read(&output);
    if ok {
        return Ok(Outcome::Passed);
    }
    if output.contains("advisories FAILED") {
        return Ok(Outcome::Failed(
            "`cargo deny check advisories` failed".to_owned(),
        ));
    }
    // The tool stops before its verdict if it cannot fetch the database.
    skipped(
        "advisories were not checked, see above: their database needs the network; the other checks passed",
    )
}
