//! `fanfare bench`: a load generator that verifies every message it receives.

mod chart;
mod client;
mod flow;
mod message;
mod page;
mod polling;
mod preflight;
mod process;
mod report;
mod run;
mod screen;
mod stats;
mod workers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, Text};
use crate::target::Server;
use crate::values::{duration, some_duration};

/// Options of `fanfare bench`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Scenarios:
  connect  connect, join the namespace, close; --connections at a time
  idle     hold connections and answer pings
  echo     every client emits `echo` and awaits its ack, --window at a time
  fanout   one client emits `broadcast`, every client must get `msg`
  rooms    one client emits `toroom`, the members of the room must get `msg`
  polling  as echo, by HTTP long-polling

The server must handle, in Node's words (the repository's example `bench_server` does):
  socket.on(\"echo\", (data, ack) => ack(data))
  socket.on(\"broadcast\", (data) => io.emit(\"msg\", data))
  socket.on(\"broadcast-binary\", (data) => io.emit(\"msg\", data))
  socket.on(\"join\", (room, ack) => { socket.join(room); ack() })
  socket.on(\"toroom\", (room, data) => io.to(room).emit(\"msg\", data))

Every delivery is checked: its bytes, that it comes once, to the right sockets, and that none is missing at the end. \
Latencies are from emit to delivery; with --rate from the time at which the emit was due. Ctrl-C ends the measuring \
and reports what there is.

Examples:
  fanfare bench http://localhost:3000 echo -c 200 -w 16 -d 10s
  fanfare bench localhost:3000 fanout -c 1000 --rate 100 --html report.html
  fanfare bench localhost:3000 fanout -c 500 --stalled 10%
  fanfare bench https://example.com idle -c 5000 --ramp 200 -d 2m --json -
  fanfare bench localhost:3000 rooms --rooms 50 --pid $(pidof server)

Exit codes:
  0  done, all verified         3  server not reached
  1  deliveries lost or wrong,  4  refused by the server
     or connections cut         6  the server does not handle the events
  2  wrong usage                   above")]
pub(crate) struct Bench {
    #[command(flatten)]
    server: Server,

    /// Scenario to run.
    #[arg(value_enum, default_value_t = Scenario::Echo)]
    scenario: Scenario,

    /// Number of clients.
    #[arg(short, long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,

    /// Emits in flight: per client for echo, in all for fanout and rooms. Default: 1; with --rate: 1000.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: Option<u32>,

    /// Duration of the measurement.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = some_duration)]
    duration: Duration,

    /// Duration of the warm-up before the measurement.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    warmup: Duration,

    /// New connections per second while starting; 0 is as fast as they come (64 at a time).
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    ramp: u32,

    /// Emits per second, of all clients together; 0 is as fast as the window allows.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    rate: u32,

    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = clap::value_parser!(u32).range(64..=10_000_000))]
    payload: u32,

    /// Send the message as a binary attachment (fanout only).
    #[arg(long)]
    binary: bool,

    /// Number of rooms.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rooms: u32,

    /// Rooms that each client joins.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rooms_per_client: u32,

    /// Clients that connect and then never read: a number, or a share like 10%.
    #[arg(long, value_name = "NUMBER|SHARE", default_value = "0")]
    stalled: String,

    /// Time after which a missing answer counts as lost.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_duration)]
    timeout: Duration,

    /// The server's process, to report its memory and CPU (Linux, same machine).
    #[arg(long)]
    pid: Option<u32>,

    /// Write the results as JSON; `-` prints them instead of the summary.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a report with charts, one file without references to others.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// No progress bar and no live table.
    #[arg(short, long)]
    quiet: bool,
}

/// Scenario to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Connect and close.
    Connect,
    /// Hold connections.
    Idle,
    /// Emits with acknowledgement.
    Echo,
    /// One to all.
    Fanout,
    /// One to the members of rooms.
    Rooms,
    /// Emits with acknowledgement by long-polling.
    Polling,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Echo => "echo",
            Self::Fanout => "fanout",
            Self::Rooms => "rooms",
            Self::Polling => "polling",
        }
    }
}

impl Bench {
    /// Returns the number of emits in flight. With a rate, the window must not slow the emits down.
    fn window(&self) -> u32 {
        self.window.unwrap_or(if self.rate == 0 { 1 } else { 1000 })
    }

    /// Returns the number of clients that never read.
    fn stalled(&self) -> Result<u32, Failure> {
        let wrong = || {
            Failure::usage(format!(
                "`{}` is no number of stalled clients",
                self.stalled
            ))
            .fix("write it like --stalled 20 or --stalled 10%")
        };
        let number = match self.stalled.strip_suffix('%') {
            Some(share) => {
                let share: f64 = share.trim().parse().map_err(|_| wrong())?;
                (f64::from(self.connections) * share / 100.0).round() as u32
            }
            None => self.stalled.trim().parse().map_err(|_| wrong())?,
        };
        if number >= self.connections {
            return Err(wrong().because("at least one client must read"));
        }
        let possible = matches!(
            self.scenario,
            Scenario::Fanout | Scenario::Rooms | Scenario::Idle
        );
        if number > 0 && !possible {
            return Err(Failure::usage(
                "only fanout, rooms and idle can have stalled clients",
            ));
        }
        Ok(number)
    }
}

pub(crate) async fn run(args: Bench) -> Outcome {
    let target = args.server.target()?;
    let stalled = args.stalled()?;
    if args.binary && args.scenario != Scenario::Fanout {
        return Err(Failure::usage("only fanout can be --binary"));
    }
    let write = |file: &PathBuf, text: String| {
        std::fs::write(file, text).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot write {}", file.display())).because(error)
        })
    };
    // A file that cannot be written is reported before the run, not after it.
    for file in args.html.iter().chain(&args.json) {
        if file.as_os_str() != "-" {
            write(file, String::new())?;
        }
    }
    let outcome = run::run(&args, target, stalled).await?;
    let json = report::json(&args, &outcome);
    if let Some(file) = &args.html {
        write(file, page::html(&args, &outcome, &json))?;
    }
    match &args.json {
        Some(file) if file.as_os_str() == "-" => out::line(&Text::pretty_json(&json)),
        file => {
            if let Some(file) = file {
                write(file, format!("{json:#}"))?;
            }
            out::line(&report::text(&args, &outcome));
        }
    }
    Ok(if outcome.errors.total() == 0 {
        Code::Ok
    } else {
        Code::Failed
    })
}
