//! The `fanfare` command.

#![forbid(unsafe_code)]

mod exit;
mod shell;
mod style;

use std::process::ExitCode;

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
    /// When to use colours: on a terminal (auto), always or never. `NO_COLOR` is respected.
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,

    #[command(subcommand)]
    command: Command,
}

/// One module per subcommand.
#[derive(Debug, Subcommand)]
enum Command {
    /// Print a script that completes `fanfare` in your shell.
    Completions(shell::Completions),
    /// Print the manual page, or write one page per command into a folder.
    Man(shell::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    style::init(cli.color);
    let result = match cli.command {
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => failure.report(),
    }
}
