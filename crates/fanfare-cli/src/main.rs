//! The `fanfare` command.

#![forbid(unsafe_code)]
// All output goes through `out`, which escapes it; clippy.toml forbids the streams themselves.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]
// A build without some of the commands does not use all that they share.
#![cfg_attr(
    not(all(
        feature = "bench",
        feature = "cluster",
        feature = "connect",
        feature = "demo",
        feature = "doctor",
        feature = "new",
        feature = "shell"
    )),
    allow(dead_code, unused_imports, unused_macros)
)]

#[cfg(feature = "bench")]
mod bench;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "connect")]
mod connect;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "doctor")]
mod doctor;
mod emit;
mod exit;
mod listen;
mod net;
#[cfg(feature = "new")]
mod new;
mod out;
mod session;
#[cfg(feature = "shell")]
mod shell;
mod target;
mod values;

use std::process::ExitCode;

/// Allocator that returns freed memory to the system within seconds, which the allocators of most systems do not.
#[cfg(all(unix, target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use clap::{ColorChoice, Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "fanfare",
    version,
    about = "Socket.IO for production: talk to, load and check any Socket.IO server",
    long_about = None,
    after_help = "Run `fanfare <command> --help` for the options of a command, with examples.",
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 110
)]
struct Cli {
    /// Use of colours: on a terminal (auto), always or never. `NO_COLOR` is respected.
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto, display_order = 900)]
    color: ColorChoice,

    #[command(subcommand)]
    command: Command,
}

/// One module per subcommand.
#[derive(Debug, Subcommand)]
enum Command {
    /// Talk to a server: see its events, emit your own.
    #[cfg(feature = "connect")]
    Connect(connect::Connect),
    /// Emit an event, for scripts and pipes.
    Emit(emit::Emit),
    /// Print events as they come, for scripts and pipes.
    Listen(listen::Listen),
    /// Serve two apps to try Fanfare with: a chat and live notifications.
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Show, drain and rebalance the servers of a cluster.
    #[cfg(feature = "cluster")]
    Cluster(cluster::Cluster),
    /// Put load on a server, verify every delivery, report the numbers.
    #[cfg(feature = "bench")]
    Bench(bench::Bench),
    /// Check a deployment from outside: what is wrong, and the line that fixes it.
    #[cfg(feature = "doctor")]
    Doctor(doctor::Doctor),
    /// Begin a project: a server, a page, tests.
    #[cfg(feature = "new")]
    New(new::New),
    /// Print a script that completes `fanfare` in your shell.
    #[cfg(feature = "shell")]
    Completions(shell::Completions),
    /// Print the manual page, or write one page per command into a folder.
    #[cfg(feature = "shell")]
    Man(shell::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    out::init(cli.color);
    let result = match cli.command {
        #[cfg(feature = "connect")]
        Command::Connect(args) => asynchronous(connect::run(args)),
        Command::Emit(args) => asynchronous(emit::run(args)),
        Command::Listen(args) => asynchronous(listen::run(args)),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "cluster")]
        Command::Cluster(args) => asynchronous(cluster::run(args)),
        #[cfg(feature = "bench")]
        Command::Bench(args) => asynchronous(bench::run(args)),
        #[cfg(feature = "doctor")]
        Command::Doctor(args) => asynchronous(doctor::run(args)),
        #[cfg(feature = "new")]
        Command::New(args) => new::run(&args),
        #[cfg(feature = "shell")]
        Command::Completions(args) => shell::completions(&args),
        #[cfg(feature = "shell")]
        Command::Man(args) => shell::man(&args),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => failure.report(),
    }
}

/// Runs an asynchronous command.
fn asynchronous(command: impl Future<Output = exit::Outcome>) -> exit::Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        exit::Failure::new(exit::Code::Failed, "the runtime cannot be started").because(error)
    })?;
    let outcome = runtime.block_on(command);
    // A thread that reads standard input cannot be stopped, and the program need not wait for it.
    runtime.shutdown_background();
    outcome
}
