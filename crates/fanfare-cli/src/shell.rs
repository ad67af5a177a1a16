//! `fanfare completions` and `fanfare man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::exit::{Code, Failure, Outcome};
use crate::out;

/// Options of `fanfare completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fanfare completions bash > ~/.local/share/bash-completion/completions/fanfare
  fanfare completions zsh > \"${fpath[1]}/_fanfare\"
  fanfare completions fish > ~/.config/fish/completions/fanfare.fish")]
pub(crate) struct Completions {
    /// Shell to complete in.
    shell: clap_complete::Shell,
}

/// Options of `fanfare man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fanfare man | man -l -
  fanfare man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write `fanfare.1`, `fanfare-connect.1` … into this folder instead of printing the first.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut crate::Cli::command(),
        "fanfare",
        &mut script,
    );
    print(&script)
}

pub(crate) fn man(args: &Man) -> Outcome {
    let command = crate::Cli::command();
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(cannot_write)?;
        return print(&page);
    };
    std::fs::create_dir_all(folder).map_err(cannot_write)?;
    clap_mangen::generate_to(command, folder).map_err(cannot_write)?;
    Ok(Code::Ok)
}

fn print(bytes: &[u8]) -> Outcome {
    out::document(bytes).map_err(cannot_write)?;
    Ok(Code::Ok)
}

fn cannot_write(error: std::io::Error) -> Failure {
    Failure::new(Code::Failed, "the output cannot be written").because(error)
}
