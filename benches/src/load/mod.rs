//! Load generator: one thread, one loop over raw sockets, no layer in between that would cost the server time or make
//! this side the slower one. It checks every delivery.

mod meter;
mod polling;
mod text;
mod traffic;
mod websocket;
mod wire;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Minimum length of a message, in bytes: two numbers of eight digits, and filler.
const SHORTEST: usize = 24;

/// Line that a load generator prints on standard error when all its clients are ready.
pub(crate) const EMITTING: &str = "emitting";

/// Traffic of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Traffic {
    /// One client emits `broadcast`, all receive `msg`.
    Fanout,
    /// As fanout, but no client reads before the server has written everything.
    Burst,
    /// As fanout, with a binary attachment.
    Binary,
    /// Clients are in rooms; one emits `toroom`, the members receive `msg`.
    Rooms,
    /// Every client emits `echo` and receives an acknowledgement.
    Echo,
    /// As echo, but every client emits `join`, then `leave`.
    Membership,
    /// As echo, by long-polling.
    Polling,
    /// Connect, join the namespace, close.
    Connect,
    /// Hold connections.
    Idle,
}

/// Options of one run of the load generator.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    #[arg(value_enum)]
    pub(crate) traffic: Traffic,
    /// Port of the server, on 127.0.0.1.
    #[arg(long)]
    pub(crate) port: u16,
    /// Process id of the server.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Number of clients; for connect, of concurrent connections.
    #[arg(long, default_value_t = 100)]
    pub(crate) clients: u32,
    /// Emits in flight: per client for echo and polling, in all for the others.
    #[arg(long, default_value_t = 1)]
    pub(crate) window: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64)]
    pub(crate) payload: usize,
    /// Number of rooms.
    #[arg(long, default_value_t = 100)]
    pub(crate) rooms: u32,
    /// Number of rooms that each client is in.
    #[arg(long, default_value_t = 5)]
    pub(crate) join: u32,
    /// Emits per second of all clients together, regardless of answers; 0: as many as the window allows.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) rate: f64,
    /// Concurrent handshakes while connecting.
    #[arg(long, default_value_t = 100)]
    pub(crate) concurrency: u32,
    /// Warm-up before measuring, in seconds.
    #[arg(long, default_value_t = 1.5, overrides_with = "warmup")]
    pub(crate) warmup: f64,
    /// Duration of the measurement, in seconds.
    #[arg(long, default_value_t = 2.5, overrides_with = "secs")]
    pub(crate) secs: f64,
    /// Look for work without sleeping, so that the server does not pay for waking this process.
    #[arg(long)]
    pub(crate) spin: bool,
    /// Use TLS, and trust this certificate.
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
}

impl LoadArgs {
    fn joins(&self) -> bool {
        self.traffic == Traffic::Rooms
    }

    fn check(&self) -> Result<()> {
        if self.payload < SHORTEST {
            bail!("--payload {} is less than {SHORTEST}", self.payload);
        }
        if self.clients == 0 || self.window == 0 || self.join == 0 || self.rooms == 0 {
            bail!("--clients, --window, --rooms and --join must be at least 1");
        }
        if self.joins() && self.join > self.rooms {
            bail!("--join {} is more than --rooms {}", self.join, self.rooms);
        }
        if self.window as usize > traffic::RING / 2 {
            bail!(
                "--window {} is more than {}",
                self.window,
                traffic::RING / 2
            );
        }
        if self.ca.is_some() && self.traffic == Traffic::Polling {
            bail!("polling is not measured over TLS");
        }
        Ok(())
    }
}

/// Results of one run. Times of the server are CPU seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Duration of the measurement, in seconds.
    pub(crate) secs: f64,
    /// Number of deliveries, acknowledgements or handshakes in that time.
    pub(crate) operations: u64,
    pub(crate) cpu: f64,
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// Latencies in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// Share of time in which the load generator had work to do.
    pub(crate) busy: Option<f64>,
    /// Time that connecting all clients took, in seconds.
    pub(crate) connect_secs: f64,
    /// CPU time of the server per room joined, in microseconds.
    pub(crate) join_micros: Option<f64>,
    /// Broadcasts that the server wrote before any client read.
    pub(crate) bursts: Option<Bursts>,
    /// Memory of the server at the end, in bytes.
    pub(crate) pss: u64,
    /// Memory added by each client, in bytes.
    pub(crate) pss_per_client: f64,
    pub(crate) rss_per_client: f64,
    /// Number of pings answered.
    pub(crate) pings: u64,
    /// Number of messages that arrived after later ones.
    pub(crate) reordered: u64,
    /// Number of TLS handshakes that resumed a session.
    pub(crate) resumed: u64,
    /// Number of messages that were wrong, lost or duplicated, and of closed connections.
    pub(crate) errors: u64,
    /// Descriptions of the first errors.
    pub(crate) messages: Vec<String>,
}

/// Cost of writing a broadcast, on average.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Bursts {
    /// Wall-clock time, in milliseconds.
    pub(crate) millis: f64,
    /// Number of cores used in that time.
    pub(crate) cores: f64,
}

impl Measured {
    /// Returns the result of a run that failed to start.
    pub(crate) fn failed(why: impl Into<String>) -> Measured {
        Measured {
            errors: 1,
            messages: vec![why.into()],
            ..Measured::default()
        }
    }

    /// Returns operations per CPU second of the server.
    pub(crate) fn per_cpu(&self) -> f64 {
        self.operations as f64 / self.cpu.max(0.01)
    }

    /// Returns operations per second.
    pub(crate) fn rate(&self) -> f64 {
        self.operations as f64 / self.secs.max(0.001)
    }
}

/// Executes one run; prints its results as JSON.
pub(crate) fn run(args: &LoadArgs) -> Result<()> {
    args.check()?;
    let files = crate::limits::raise_open_files();
    let per_client = if args.traffic == Traffic::Polling {
        2
    } else {
        1
    };
    let needed = u64::from(args.clients) * per_client + 32;
    if needed > files {
        bail!("{needed} open files are needed, {files} are allowed (`ulimit -n`)");
    }
    let measured = match args.traffic {
        Traffic::Polling => polling::run(args)?,
        _ => websocket::run(args)?,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
