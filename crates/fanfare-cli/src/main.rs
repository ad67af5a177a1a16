//! The `fanfare` command.

#![forbid(unsafe_code)]
// All output goes through `out`, which escapes it; clippy.toml forbids the streams themselves.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod bench;
mod connect;
mod demo;
mod doctor;
mod emit;
mod exit;
mod listen;
mod net;
mod out;
mod session;
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
    Connect(connect::Connect),
    /// Emit an event, for scripts and pipes.
    Emit(emit::Emit),
    /// Print events as they come, for scripts and pipes.
    Listen(listen::Listen),
    /// Serve two apps to try Fanfare with: a chat and live notifications.
    Demo(demo::Demo),
    /// Put load on a server, verify every delivery, report the numbers.
    Bench(bench::Bench),
    /// Check a deployment from outside: what is wrong, and the line that fixes it.
    Doctor(doctor::Doctor),
    /// Print a script that completes `fanfare` in your shell.
    Completions(shell::Completions),
    /// Print the manual page, or write one page per command into a folder.
    Man(shell::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    out::init(cli.color);
    let result = match cli.command {
        Command::Connect(args) => asynchronous(connect::run(args)),
        Command::Emit(args) => asynchronous(emit::run(args)),
        Command::Listen(args) => asynchronous(listen::run(args)),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => asynchronous(bench::run(args)),
        Command::Doctor(args) => asynchronous(doctor::run(args)),
        Command::Completions(args) => shell::completions(&args),
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
