//! Running of programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
pub(crate) use std::process::Command;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};

/// Returns a command that runs in `dir`.
pub(crate) fn command(dir: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

/// Returns a Cargo command that runs in the root of the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(crate::root(), &cargo, args)
}

/// Formats a command line as in a shell.
pub(crate) fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut line = String::new();
    for (key, value) in command.get_envs() {
        // The search path is long, and is set only for tools.
        if let Some(value) = value.filter(|_| key != "PATH") {
            line.push_str(&format!(
                "{}={} ",
                key.to_string_lossy(),
                value.to_string_lossy()
            ));
        }
    }
    line.push_str(&name.to_string_lossy());
    for arg in command.get_args().map(OsStr::to_string_lossy) {
        let quote = arg.is_empty() || arg.contains([' ', '"', '\'']);
        line.push_str(&if quote {
            format!(" '{arg}'")
        } else {
            format!(" {arg}")
        });
    }
    line
}

/// Runs a command, prints its output, and returns that too; an exit code other than 0 is `false`.
pub(crate) fn tee(command: Command) -> Result<(bool, String)> {
    let (status, output) = run(command)?;
    Ok((status.success(), output))
}

/// Runs a command as [`tee`] does, and returns its status.
pub(crate) fn run(mut command: Command) -> Result<(ExitStatus, String)> {
    let line = display(&command);
    println!("$ {line}");
    let (reader, writer) = std::io::pipe()?;
    let cannot_start = || format!("cannot start `{line}`");
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(cannot_start)?;
    // The command keeps the write ends of the pipe open.
    drop(command);
    let mut output = String::new();
    let mut bytes = Vec::new();
    let mut reader = BufReader::new(reader);
    let mut stdout = std::io::stdout();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        stdout.write_all(&bytes)?;
        output.push_str(&String::from_utf8_lossy(&bytes));
        bytes.clear();
    }
    stdout.flush()?;
    Ok((child.wait()?, output))
}

/// Returns whether a command exists and exits with 0; prints nothing.
pub(crate) fn succeeds(mut command: Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
