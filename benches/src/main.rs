//! Measures Fanfare beside its peers: `cargo xtask bench`.
#![forbid(unsafe_code)]

mod limits;
mod load;
mod process;
mod report;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Fanfare beside its peers: builds all servers, lets them take turns at every scenario, each on one core and
/// the load generator on another, and writes docs/benchmarks.md.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: run::RunArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run of the load generator; prints JSON.
    Load(load::LoadArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Load(args)) => load::run(&args),
        None => run::run(&cli.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
