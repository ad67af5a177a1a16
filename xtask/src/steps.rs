//! Steps of `cargo xtask test`, in the order in which they run.
//!
//! All cargo calls use the same profile, features and package selection (`CODE`), so that nothing is built twice: the
//! steps `interop`, `differential` and `browser` start the tests, examples and binaries of the `unit` step.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, command, tee};
use crate::summary::{Outcome, Report};
use crate::{frontend, fuzz, peers, root, target, tools};

/// Packages and features of every cargo call.
const CODE: [&str; 2] = ["--workspace", "--all-features"];

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
    step(
        "book",
        "the book in English and French: build, links, structure, spelling, typography",
        crate::book::step,
    ),
    step("api", "the public API, against its listings", |_| {
        crate::api::run()
    }),
    waiting(
        "interop",
        "official JavaScript clients against our server",
        peers::interop,
    ),
    waiting(
        "python",
        "Python's socketio client against our server",
        peers::python,
    ),
    step(
        "rust_socketio",
        "the client crate rust_socketio against our server",
        peers::rust_socketio,
    ),
    waiting(
        "differential",
        "the same scripts against Node's socket.io and ours",
        peers::differential,
    ),
    waiting(
        "cluster",
        "servers of Node.js and ours in one cluster, with official adapters and emitters",
        peers::cluster,
    ),
    waiting(
        "deploy",
        "the files in deploy/: nginx, HAProxy and Caddy in front of two servers, units, manifests",
        peers::deploy,
    ),
    waiting(
        "browser",
        "the demo and the course in Chromium, with Playwright",
        peers::browser,
    ),
    waiting(
        "autobahn",
        "WebSocket conformance, with the Autobahn fuzzing client",
        peers::autobahn,
    ),
    step(
        "projects",
        "what `fanfare new` writes: format, lints and tests of each project",
        crate::projects::run,
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
        peers::reference,
    ),
    extra(
        "package",
        "the packages of the crates, built and tested without the repository",
        crate::package::run,
    ),
];

/// Runs commands one after the other until one fails.
pub(crate) fn all(
    report: &mut Report,
    commands: impl IntoIterator<Item = Command>,
) -> Result<Outcome> {
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

pub(crate) fn skipped(why: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Skipped(why.into()))
}

pub(crate) fn code(first: &[&'static str], rest: &[&'static str]) -> Command {
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
    let folder = match peers::node_tests("contract")? {
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

/// Installs the programs whose servers the tests start: a proxy and brokers.
fn install_servers(report: &mut Report) {
    for (name, package) in [
        ("nginx", "nginx-light"),
        ("openssl", "openssl"),
        ("redis-server", "redis-server"),
        ("nats-server", "nats-server"),
        ("psql", "postgresql"),
        ("pgbouncer", "pgbouncer"),
    ] {
        if let Err(why) = tools::program(name, package) {
            let line = format!("the tests that need it were skipped: {why}");
            println!("{line}");
            report.add(line);
        }
    }
}

fn unit(report: &mut Report) -> Result<Outcome> {
    // The tests of the client and of the command line run against real Node servers.
    for krate in ["fanfare-client", "fanfare-cli"] {
        let servers = root().join("crates").join(krate).join("tests/node");
        if servers.join("package.json").is_file() && tools::node().is_ok() {
            frontend::install(&servers)?;
        }
    }
    install_servers(report);
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
    if !peers::binaries()? {
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
