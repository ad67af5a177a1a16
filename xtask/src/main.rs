//! Development tasks: `cargo xtask demo`, `cargo xtask test`, `cargo xtask bench`,
//! `cargo xtask book`.
//!
//! The crates do not need it; it only builds, checks and demonstrates them.

mod api;
mod bench;
mod book;
mod callgrind;
mod command;
mod costs;
mod demo;
mod frontend;
mod fuzz;
mod guards;
mod lean;
mod package;
mod peers;
mod prepare;
mod projects;
mod steps;
mod summary;
mod test;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

Commands:
  demo [options]         build the front ends and the binary, then run `fanfare demo` (options are passed on,
                         for example --port 4000)
  test [--list] [step…]  run all checks and tests, or only the named steps
  bench [options]        measure Fanfare beside its peers (--help says more)
  book                   build the book in English and French into target/book, and check it
  help                   print this
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = args.collect();
    let result = match command.as_str() {
        "demo" => demo::run(&rest),
        "test" => test::run(&rest),
        "bench" => bench::run(&rest),
        "book" => book::run(&rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(anyhow::anyhow!("unknown command `{other}`\n\n{HELP}")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Returns the root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask has a parent folder")
}

/// Returns Cargo's build folder. A relative path is relative to the root, where all commands run.
fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(folder)
}
