//! Single run: starts a fresh server and the load generator, and stops both.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Run;
use super::scenarios::{Load, PROBES, Part, Scenario};
use super::servers::Server;
use crate::limits;
use crate::load::{EMITTING, Measured};

/// Timeout of a server's start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Certificate for runs over TLS.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
}

/// Makes a certificate for `localhost`.
pub(crate) fn certificate(folder: &Path) -> Result<Tls> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let tls = Tls {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&tls.cert, made.cert.pem())?;
    std::fs::write(&tls.key, made.signing_key.serialize_pem())?;
    Ok(tls)
}

/// Settings shared by all runs.
pub(crate) struct Once {
    pub(crate) server_cores: Vec<usize>,
    pub(crate) load_cores: Vec<usize>,
    /// All cores.
    pub(crate) cores: Vec<usize>,
    pub(crate) tls: Tls,
    pub(crate) log: PathBuf,
    pub(crate) quick: bool,
}

/// Process that is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Running server.
struct Target {
    process: Process,
    port: u16,
}

impl Once {
    /// Runs a scenario; failures are part of the result.
    pub(crate) fn run(&self, scenario: &Scenario, server: &Server, rate: Option<f64>) -> Run {
        let result = self.try_run(scenario, server, rate);
        let (measured, probes) =
            result.unwrap_or_else(|error| (Measured::failed(format!("{error:#}")), Vec::new()));
        Run {
            scenario: scenario.name.to_owned(),
            server: server.name.clone(),
            rate,
            measured,
            probes,
        }
    }

    fn try_run(
        &self,
        scenario: &Scenario,
        server: &Server,
        rate: Option<f64>,
    ) -> Result<(Measured, Vec<[Measured; 2]>)> {
        let pinned = !matches!(scenario.load, Load::WithProbe | Load::AllCores);
        let target = self.start(server, pinned, scenario.part == Part::Tls)?;
        let mut args: Vec<String> = scenario.args.split(' ').map(str::to_owned).collect();
        if let Some(rate) = rate {
            args.extend(["--rate".to_owned(), rate.to_string()]);
        }
        if scenario.part == Part::Tls {
            args.extend(["--ca".to_owned(), self.tls.cert.display().to_string()]);
        }
        // A load generator that sleeps makes the server pay for waking it.
        if pinned && !scenario.is_idle() {
            args.push("--spin".to_owned());
        }
        if scenario.load != Load::WithProbe {
            let load = self.load(&target, &args, pinned)?;
            return Ok((finish(load)?, Vec::new()));
        }
        let before = self.probe(&target)?;
        let mut load = self.load(&target, &args, false)?;
        wait_for_emits(&mut load)?;
        let during = self.probe(&target)?;
        let measured = finish(load)?;
        let probes = before.into_iter().zip(during);
        Ok((measured, probes.map(<[Measured; 2]>::from).collect()))
    }

    /// Measures the latencies of other clients, one kind after the other.
    fn probe(&self, target: &Target) -> Result<Vec<Measured>> {
        let secs = if self.quick { 0.5 } else { 3.0 };
        let probe = |probe: &str| {
            let mut args: Vec<String> = probe.split(' ').map(str::to_owned).collect();
            args.extend(["--secs".to_owned(), secs.to_string()]);
            let seen = finish(self.load(target, &args, false)?)?;
            if seen.errors > 0 {
                bail!("the others: {}", seen.messages.join("; "));
            }
            Ok(seen)
        };
        PROBES.into_iter().map(probe).collect()
    }

    fn start(&self, server: &Server, pinned: bool, tls: bool) -> Result<Target> {
        let port = free_port()?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec {}", server.command)])
            .env("PORT", port.to_string())
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if tls {
            command
                .env("TLS_CERT", &self.tls.cert)
                .env("TLS_KEY", &self.tls.key);
        }
        let cores = if pinned {
            &self.server_cores
        } else {
            &self.cores
        };
        limits::raise_open_files();
        let child = limits::on_cores(cores, || command.spawn())?;
        let mut process = Process(child);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = process.0.try_wait()? {
                bail!("the server ended with {status}; see {}", self.log.display());
            }
            if Instant::now() > end {
                bail!("the server does not listen on port {port}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Work that the server does after it began to listen must not be measured.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Target { process, port })
    }

    /// Starts this program as load generator.
    fn load(&self, target: &Target, args: &[String], pinned: bool) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("load")
            .args(args)
            .args(["--port", &target.port.to_string()])
            .args(["--pid", &target.process.0.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.quick {
            command.args(["--warmup", "0.2", "--secs", "0.5"]);
        }
        let cores = if pinned {
            &self.load_cores
        } else {
            &self.cores
        };
        Ok(Process(limits::on_cores(cores, || command.spawn())?))
    }
}

/// Waits until the load generator reports that it emits.
fn wait_for_emits(load: &mut Process) -> Result<()> {
    let errors = load.0.stderr.take().context("its errors are piped")?;
    let mut lines = BufReader::new(errors).lines();
    match lines.next() {
        Some(Ok(line)) if line == EMITTING => Ok(()),
        other => bail!("the load generator said {other:?}"),
    }
}

/// Waits for the result of a load generator.
fn finish(mut load: Process) -> Result<Measured> {
    let mut text = String::new();
    if let Some(mut output) = load.0.stdout.take() {
        std::io::Read::read_to_string(&mut output, &mut text)?;
    }
    let mut errors = String::new();
    if let Some(mut output) = load.0.stderr.take() {
        std::io::Read::read_to_string(&mut output, &mut errors)?;
    }
    serde_json::from_str(&text).with_context(|| format!("the load generator: {}", errors.trim()))
}

/// Returns a free port below the range of outgoing connections.
fn free_port() -> Result<u16> {
    let start = 20_000 + (std::process::id() % 8_000) as u16;
    (start..32_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no port is free")
}
