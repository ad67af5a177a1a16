//! `fanfare cluster`: state, drain and rebalancing of a cluster, over the operations of one of its servers.

mod api;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use fanfare::operations::{ClusterStatus, NodeState, NodeStatus};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::api::Api;
use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, Text, text};
use crate::values::{duration, some_duration};

/// Default of `--watch`.
const WATCH_INTERVAL: &str = "1s";

/// Options of `fanfare cluster`.
#[derive(Debug, Args)]
#[command(after_help = "\
URL is the address of the operations of any server of the cluster, with their path. The key of the operators is \
read from a file or from FANFARE_OPERATIONS_KEY.

Examples:
  export FANFARE_OPERATIONS_KEY=$(cat /run/secrets/operations)
  fanfare cluster status http://10.0.0.7:3001 --watch
  fanfare cluster status http://10.0.0.7:3001 --json | jq '.nodes[].clients'
  fanfare cluster drain http://10.0.0.7:3001 web-2 --within 60s
  fanfare cluster rebalance http://10.0.0.7:3001 --share 0.5

Exit codes:
  0  done                       3  server not reached, or no operations there
  1  rejected: no such server   4  wrong key
  2  wrong usage                5  not drained in time")]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Operation,
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// Show the servers of the cluster.
    Status(Status),
    /// Empty a server before it is stopped: its clients move to the others.
    Drain(Drain),
    /// Spread the connections: servers with more than their part close some.
    Rebalance(Rebalance),
}

/// Options that all of them have.
#[derive(Debug, Args)]
struct Common {
    /// The operations of a server, such as http://10.0.0.7:3001.
    #[arg(value_name = "URL")]
    url: String,

    /// Read the key of the operators from this file.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// A header for every request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Trust the certificates in this PEM file, too.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Accept any certificate. Only for tests: the server's identity is not verified.
    #[arg(short = 'k', long)]
    insecure: bool,

    /// Print JSON, one line for each state.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    common: Common,

    /// Show it again and again, until Ctrl-C; every second, or every TIME.
    #[arg(short, long, value_name = "TIME", num_args = 0..=1, default_missing_value = WATCH_INTERVAL,
        require_equals = true, value_parser = some_duration)]
    watch: Option<Duration>,
}

#[derive(Debug, Args)]
struct Drain {
    #[command(flatten)]
    common: Common,

    /// The server to drain, by its name or id; the one of URL, if it is not given.
    #[arg(value_name = "SERVER")]
    node: Option<String>,

    /// The time in which its connections close.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    within: Duration,

    /// Return when the drain has begun, instead of showing it until the server has gone.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
struct Rebalance {
    #[command(flatten)]
    common: Common,

    /// The time over which the connections close.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    within: Duration,

    /// The share of the surplus connections to close: above 0, at most 1.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    share: f64,

    /// Show the servers afterwards, until Ctrl-C.
    #[arg(short, long, value_name = "TIME", num_args = 0..=1, default_missing_value = WATCH_INTERVAL,
        require_equals = true, value_parser = some_duration)]
    watch: Option<Duration>,
}

pub(crate) async fn run(args: Cluster) -> Outcome {
    match args.command {
        Operation::Status(args) => status(args).await,
        Operation::Drain(args) => drain(args).await,
        Operation::Rebalance(args) => rebalance(args).await,
    }
}

async fn status(args: Status) -> Outcome {
    let api = Api::new(&args.common)?;
    let status = api.status().await?;
    let mut screen = Screen::new(args.common.json, args.watch.is_some());
    screen.show(&status);
    match args.watch {
        Some(every) => watch(&api, &mut screen, every).await,
        None => Ok(Code::Ok),
    }
}

/// Shows the state again and again, until Ctrl-C. A failure is shown, and does not end it.
async fn watch(api: &Api, screen: &mut Screen, every: Duration) -> Outcome {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Code::Ok),
            _ = ticks.tick() => {}
        }
        match api.status().await {
            Ok(status) => screen.show(&status),
            Err(failure) => screen.failed(&failure),
        }
    }
}

async fn drain(args: Drain) -> Outcome {
    let api = Api::new(&args.common)?;
    let before = api.status().await?;
    let drained = api.drain(args.node.as_deref(), args.within).await?;
    let json = args.common.json;
    if args.no_wait {
        match json {
            true => out::line(&show::json(&drained)),
            false => out::line(&show::draining(&drained, args.within)),
        }
        return Ok(Code::Ok);
    }
    if !json {
        out::line(&show::draining(&drained, args.within));
    }
    let is_asked = before.node == drained.id;
    until_gone(&api, &drained, is_asked, args.within, json).await
}

/// Shows a drain until the server has gone.
async fn until_gone(
    api: &Api,
    drained: &NodeStatus,
    is_asked: bool,
    within: Duration,
    json: bool,
) -> Outcome {
    /// Time beyond the deadline in which the server ends and the others notice.
    const GRACE: Duration = Duration::from_secs(15);
    let deadline =
        fanfare_protocol::deadline(std::time::Instant::now(), within.saturating_add(GRACE));
    let deadline = Instant::from_std(deadline);
    let mut ticks = interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = Screen::new(json, true);
    loop {
        ticks.tick().await;
        let state = api.status().await;
        let node = state.as_ref().ok().and_then(|status| {
            let mut nodes = status.nodes.iter();
            nodes.find(|node| node.id == drained.id)
        });
        match (&state, node) {
            (Ok(status), Some(_)) => screen.show(status),
            (Ok(status), None) => {
                screen.show(status);
                screen.note(&text!("{} has gone", drained.name));
                return Ok(Code::Ok);
            }
            // The server that was asked about itself has ended.
            (Err(failure), _) if is_asked && failure.code() == Code::Unreachable => {
                screen.note(&text!("{} has gone", drained.name));
                return Ok(Code::Ok);
            }
            (Err(failure), _) => screen.failed(failure),
        }
        if Instant::now() >= deadline {
            return Err(
                Failure::new(Code::Timeout, format!("{} is still there", drained.name))
                    .because(format!("it has not ended {within:?} after the drain began"))
                    .fix("a handler that does not end, or a program that goes on after `serve` has returned, keeps it"),
            );
        }
    }
}

async fn rebalance(args: Rebalance) -> Outcome {
    let api = Api::new(&args.common)?;
    let report = api.rebalance(args.share, args.within).await?;
    let json = args.common.json;
    match json {
        true => out::line(&show::json(&report)),
        false => out::line(&show::report(&report, args.within)),
    }
    match args.watch {
        Some(every) => {
            let mut screen = Screen::new(json, true);
            screen.show(&api.status().await?);
            watch(&api, &mut screen, every).await
        }
        None => Ok(Code::Ok),
    }
}

/// Output of states: on a terminal each replaces the one before, else they follow each other.
struct Screen {
    json: bool,
    replace: bool,
    /// Number of lines of the state that is shown.
    lines: usize,
}

impl Screen {
    fn new(json: bool, repeated: bool) -> Self {
        Self {
            json,
            replace: repeated && !json && out::is_terminal(),
            lines: 0,
        }
    }

    fn show(&mut self, status: &ClusterStatus) {
        let text = match self.json {
            true => show::json(status),
            false => show::status(status, out::style()),
        };
        self.print(&text);
    }

    fn failed(&mut self, failure: &Failure) {
        match self.json {
            true => out::error(&text!("error: {}", failure.text())),
            false => self.print(&text!("{} {}", out::style().bad("error:"), failure.text())),
        }
    }

    /// Prints a line below what is shown.
    fn note(&mut self, text: &Text) {
        match self.json {
            true => out::error(text),
            false => out::line(text),
        }
    }

    fn print(&mut self, text: &Text) {
        if self.replace {
            out::rewind(self.lines);
            self.lines = text.as_str().lines().count();
        }
        out::line(text);
    }
}

/// Whether a server may get new clients.
fn is_ready(node: &NodeStatus) -> bool {
    node.state == NodeState::Ready && !matches!(node.broker.as_str(), "down" | "connecting")
}
