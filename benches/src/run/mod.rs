//! Runs of the scenarios: the servers take turns, and each run starts a fresh one.

mod once;
pub(crate) mod scenarios;
pub(crate) mod servers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::load::Measured;
use crate::{limits, process, report};
use once::Once;
use scenarios::{Load, SCENARIOS, Scenario};
use servers::{BUILT_IN, OURS, Server, is_bound};

/// Options of `cargo xtask bench`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// Servers to compare, by name and separated by commas. Default: all that are built in, and those of --server.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    servers: Vec<String>,

    /// Another server: it listens on 127.0.0.1 at the port in PORT and handles the events of
    /// crates/fanfare/examples/bench_server. (One whose name begins with `limit` is shown but is no peer; `fanfare` is
    /// another build of Fanfare.)
    #[arg(long, value_name = "NAME=COMMAND")]
    server: Vec<String>,

    /// Scenarios, by name and separated by commas. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    scenarios: Vec<String>,

    /// Number of runs of each scenario with each server.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    reps: u32,

    /// Run each scenario once and briefly, to see whether everything works. Only the file of --out is written.
    #[arg(long)]
    quick: bool,

    /// Keep the results that are in the file of --out already.
    #[arg(long)]
    append: bool,

    /// Run nothing; write the report of what is in the file of --out.
    #[arg(long)]
    report: bool,

    /// File for the results [default: target/bench/results.json].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// List the scenarios and end.
    #[arg(long)]
    list: bool,
}

/// Folders of the harness.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Root of the repository.
    pub(crate) root: PathBuf,
    /// Cargo's target folder of the workspace.
    pub(crate) target: PathBuf,
    /// Folder of the harness in the target folder.
    pub(crate) bench: PathBuf,
}

impl Places {
    fn new() -> Result<Places> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the harness is in a folder of the repository")?
            .to_owned();
        // The default of the workspace; xtask sets the variable if it is elsewhere.
        let target =
            std::env::var_os("FANFARE_TARGET").map_or_else(|| root.join("target"), PathBuf::from);
        let bench = target.join("bench");
        std::fs::create_dir_all(&bench)?;
        Ok(Places {
            root,
            target,
            bench,
        })
    }
}

/// Run of a scenario with a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) scenario: String,
    pub(crate) server: String,
    /// Emits per second, if the rate was fixed.
    pub(crate) rate: Option<f64>,
    pub(crate) measured: Measured,
    /// Latencies of other clients before and during the load, for each of [`PROBES`](scenarios::PROBES).
    pub(crate) probes: Vec<[Measured; 2]>,
}

/// Results of all runs, as stored in a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: String,
    pub(crate) rustc: String,
    pub(crate) cores: String,
    /// Description of each server.
    pub(crate) servers: BTreeMap<String, String>,
    pub(crate) runs: Vec<Run>,
}

impl Results {
    /// Returns the successful runs of a scenario with a server.
    pub(crate) fn good<'a>(&'a self, scenario: &'a str, server: &'a str) -> Vec<&'a Run> {
        self.of(scenario, server)
            .filter(|run| run.measured.errors == 0)
            .collect()
    }

    /// Returns all runs of a scenario with a server.
    pub(crate) fn of<'a>(
        &'a self,
        scenario: &'a str,
        server: &'a str,
    ) -> impl Iterator<Item = &'a Run> {
        self.runs
            .iter()
            .filter(move |run| run.scenario == scenario && run.server == server)
    }

    /// Returns the median over the successful runs.
    pub(crate) fn median(
        &self,
        scenario: &str,
        server: &str,
        of: impl Fn(&Run) -> f64,
    ) -> Option<f64> {
        let mut values: Vec<f64> = self.good(scenario, server).into_iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    /// Returns the servers in the order of the tables.
    pub(crate) fn names(&self) -> Vec<&str> {
        let known = BUILT_IN.iter().copied();
        let others = self.servers.keys().map(String::as_str);
        let mut names: Vec<&str> = known
            .filter(|name| self.servers.contains_key(*name))
            .collect();
        let others: Vec<&str> = others.filter(|name| !names.contains(name)).collect();
        names.extend(others);
        names
    }

    /// Returns the servers with which Fanfare is compared.
    pub(crate) fn peers(&self) -> Vec<&str> {
        let mut names = self.names();
        names.retain(|name| *name != OURS && !is_bound(name));
        names
    }
}

/// Executes the command.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    if args.list {
        for scenario in SCENARIOS {
            println!("{:<16} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    let places = Places::new()?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| places.bench.join("results.json"));
    let mut results = Results::default();
    if args.append || args.report {
        match std::fs::read(&out) {
            Ok(text) => results = serde_json::from_slice(&text)?,
            Err(error) if args.report => {
                return Err(error).context(format!("cannot read {}", out.display()));
            }
            Err(_) => {}
        }
    }
    if !args.report {
        measure(args, &places, &mut results, &out)?;
    }
    let text = report::markdown(&results);
    println!("\n{text}");
    if !args.quick {
        report::write(&places.root, &results, &text)?;
    }
    let is_bad =
        |run: &&Run| run.measured.errors > 0 || (run.server == OURS && run.measured.reordered > 0);
    match results.runs.iter().filter(is_bad).count() {
        0 => Ok(()),
        bad => bail!("{bad} runs had errors, or ours delivered out of order"),
    }
}

fn measure(args: &RunArgs, places: &Places, results: &mut Results, out: &Path) -> Result<()> {
    let scenarios = chosen(&args.scenarios)?;
    let servers = prepare(args, places)?;
    results.machine = process::machine();
    results.rustc = rustc();
    for server in &servers {
        let version = server.version.clone();
        results.servers.insert(server.name.clone(), version);
    }
    let cores = limits::cores();
    let (server_cores, load_cores) = match cores.as_slice() {
        [first, .., last] => (vec![*first], vec![*last]),
        _ => bail!("two cores are needed: one for the server, one for the load generator"),
    };
    results.cores = format!(
        "server on core {}, load generator on core {}",
        server_cores[0], load_cores[0]
    );
    let tls = once::certificate(&places.bench)?;
    let once = Once {
        server_cores,
        load_cores,
        cores,
        tls,
        log: places.bench.join("servers.log"),
        quick: args.quick,
    };
    let reps = if args.quick { 1 } else { args.reps };
    for rep in 1..=reps {
        for scenario in &scenarios {
            for server in &servers {
                if !scenario.is_for(&server.name, server.tls) {
                    continue;
                }
                let rate = match rate(results, scenario, &server.name) {
                    Ok(rate) => rate,
                    Err(why) => {
                        println!("[{rep}/{reps}] {} {}: {why}", scenario.name, server.name);
                        continue;
                    }
                };
                let run = once.run(scenario, server, rate);
                println!("[{rep}/{reps}] {}", line(&run));
                results.runs.push(run);
                std::fs::write(out, serde_json::to_string_pretty(results)?)?;
            }
        }
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            Scenario::find(name)
                .with_context(|| format!("there is no scenario `{name}`; --list names them"))
        })
        .collect()
}

/// Builds the requested servers. A default server that cannot be built here is skipped and named.
fn prepare(args: &RunArgs, places: &Places) -> Result<Vec<Server>> {
    let own: Vec<Server> = args
        .server
        .iter()
        .map(|text| servers::custom(text))
        .collect::<Result<_>>()?;
    if !args.servers.is_empty() {
        let find = |name: &String| own.iter().find(|server| server.name == *name).cloned();
        return args
            .servers
            .iter()
            .map(|name| find(name).map_or_else(|| servers::build(name, places), Ok))
            .collect();
    }
    let mut all = Vec::new();
    for name in BUILT_IN {
        match servers::build(name, places) {
            Ok(server) => all.push(server),
            Err(error) if name == OURS => return Err(error),
            Err(error) => println!("without {name}: {error:#}"),
        }
    }
    all.extend(own);
    Ok(all)
}

/// Returns the emits per second, if the scenario fixes them.
fn rate(results: &Results, scenario: &Scenario, server: &str) -> Result<Option<f64>> {
    let reached =
        |base: &str, server: &str| results.median(base, server, |run| run.measured.rate());
    let rate = match scenario.load {
        Load::Closed | Load::WithProbe | Load::AllCores => return Ok(None),
        Load::HalfOf(base) => {
            reached(base, server).with_context(|| format!("needs a result of {base}"))?
        }
        Load::HalfOfBest(base) => results
            .peers()
            .into_iter()
            .filter_map(|peer| reached(base, peer))
            .max_by(f64::total_cmp)
            .with_context(|| format!("needs a peer's result of {base}"))?,
    };
    Ok(Some(rate / 2.0 / scenario.deliveries_per_emit()))
}

fn rustc() -> String {
    std::process::Command::new("rustc")
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// Formats a run on one line.
fn line(run: &Run) -> String {
    let measured = &run.measured;
    let mut line = format!("{:<15} {:<18}", run.scenario, run.server);
    if measured.errors > 0 {
        return format!(
            "{line} {} errors: {}",
            measured.errors,
            measured.messages.join("; ")
        );
    }
    line += &match measured.operations {
        0 => format!(" {:>9.0} B/client", measured.pss_per_client),
        _ => format!(
            " {:>9.0} per CPU s  {:>9.0}/s  p50 {:>7.0} us  p99 {:>7.0} us  load generator {:.2}",
            measured.per_cpu(),
            measured.rate(),
            measured.p50,
            measured.p99,
            measured.busy.unwrap_or(f64::NAN)
        ),
    };
    for [before, during] in &run.probes {
        line += &format!(
            "  others p99 {:.0} us, before {:.0} us",
            during.p99, before.p99
        );
    }
    if let Some(bursts) = &measured.bursts {
        line += &format!(
            "  written in {:.1} ms by {:.2} cores",
            bursts.millis, bursts.cores
        );
    }
    if measured.reordered > 0 {
        line += "  OUT OF ORDER";
    }
    line
}
