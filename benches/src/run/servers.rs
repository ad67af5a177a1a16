//! Servers that are compared: building, starting, versions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Places;

/// Server that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Command line for the shell.
    pub(crate) command: String,
    /// Whether it serves TLS if `TLS_CERT` and `TLS_KEY` name files.
    pub(crate) tls: bool,
    pub(crate) version: String,
}

/// Built-in servers, in the order of the tables.
pub(crate) const BUILT_IN: [&str; 5] = [
    "fanfare",
    "socketioxide",
    "socketioxide-fast",
    "node",
    "bun",
];

/// Name of the server under test.
pub(crate) const OURS: &str = "fanfare";

/// Returns whether the name is that of a bound: a program that shows what the machine allows, not a peer.
pub(crate) fn is_bound(name: &str) -> bool {
    name.starts_with("limit")
}

/// Parses `NAME=COMMAND`.
pub(crate) fn custom(text: &str) -> Result<Server> {
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && !command.is_empty() => Ok(Server {
            name: name.to_owned(),
            command: command.to_owned(),
            // Another build of Fanfare.
            tls: name == OURS,
            version: command.to_owned(),
        }),
        _ => bail!("`{text}` is not NAME=COMMAND"),
    }
}

/// Builds a built-in server.
pub(crate) fn build(name: &str, places: &Places) -> Result<Server> {
    let peers = places.root.join("benches/peers");
    let (command, tls, version) = match name {
        "fanfare" => {
            cargo(
                &places.root,
                &places.target,
                &["-p", "fanfare", "--example", "bench_server"],
            )?;
            let binary = places.target.join("release/examples/bench_server");
            (quoted(&binary), true, our_version(&places.root))
        }
        "socketioxide" | "socketioxide-fast" => {
            let folder = peers.join("socketioxide");
            let target = places.bench.join("peers");
            let fast = name == "socketioxide-fast";
            cargo(
                &folder,
                &target,
                if fast { &["--features", "fast"] } else { &[] },
            )?;
            let binary = places.bench.join(name);
            // The next build with other features overwrites it.
            std::fs::copy(target.join("release/peer-socketioxide"), &binary)?;
            let locked = |krate: &str| locked(&folder.join("Cargo.lock"), krate);
            let setting = if fast {
                "one-threaded runtime, mimalloc"
            } else {
                "multi-threaded runtime, system allocator"
            };
            let version = format!(
                "socketioxide {}, axum {}, tokio {}; {setting}",
                locked("socketioxide"),
                locked("axum"),
                locked("tokio")
            );
            (quoted(&binary), false, version)
        }
        "node" => {
            let folder = peers.join("node");
            npm(&folder)?;
            let version = format!(
                "Node {}, socket.io {}, ws {}",
                output("node", &["--version"])?.trim_start_matches('v'),
                installed(&folder, "socket.io"),
                installed(&folder, "ws")
            );
            let command = format!("node {}", quoted(&folder.join("server.js")));
            (command, true, version)
        }
        "bun" => {
            let folder = peers.join("bun");
            npm(&folder)?;
            let bun = bun(&folder)?;
            let version = format!(
                "Bun {}, socket.io {}, @socket.io/bun-engine {}",
                output(&bun.to_string_lossy(), &["--version"])?,
                installed(&folder, "socket.io"),
                installed(&folder, "@socket.io/bun-engine")
            );
            let command = format!("{} {}", quoted(&bun), quoted(&folder.join("server.js")));
            (command, false, version)
        }
        other => bail!(
            "there is no server `{other}`: name one of {} or one that --server defines",
            BUILT_IN.join(", ")
        ),
    };
    Ok(Server {
        name: name.to_owned(),
        command,
        tls,
        version,
    })
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

fn status(mut command: Command) -> Result<()> {
    eprintln!("+ {command:?}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} has failed");
    }
    Ok(())
}

fn cargo(folder: &Path, target: &Path, args: &[&str]) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--locked"])
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target);
    status(cargo)
}

/// Installs the packages of the lock file, unless that was done before.
fn npm(folder: &Path) -> Result<()> {
    let modified = |file: &str| {
        folder
            .join(file)
            .metadata()
            .and_then(|meta| meta.modified())
    };
    let lock = modified("package-lock.json")?;
    if modified("node_modules/.package-lock.json").is_ok_and(|installed| installed >= lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.arg("ci").current_dir(folder);
    status(npm)
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} {} has failed", args.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the binary that npm has installed for this machine. It is at the path that the package's install script
/// uses, or, if npm runs no scripts, at that of the archive; of several, the first that runs is used.
fn bun(folder: &Path) -> Result<PathBuf> {
    let modules = folder.join("node_modules");
    let mut archives: Vec<PathBuf> = std::fs::read_dir(modules.join("@oven"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/bun")))
        .collect();
    archives.sort();
    std::iter::once(modules.join(".bin/bun"))
        .chain(archives)
        .find(|path| output(&path.to_string_lossy(), &["--version"]).is_ok())
        .context("npm has no Bun for this machine")
}

/// Returns the version of an installed npm package.
fn installed(folder: &Path, package: &str) -> String {
    let file = folder
        .join("node_modules")
        .join(package)
        .join("package.json");
    std::fs::read(file)
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .and_then(|json| Some(json["version"].as_str()?.to_owned()))
        .unwrap_or_else(|| "?".to_owned())
}

/// Returns the version of a crate in a lock file.
fn locked(file: &Path, krate: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_once(&format!("name = \"{krate}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("?")
        .to_owned()
}

fn our_version(root: &Path) -> String {
    let git = |args: &[&str]| {
        let folder = root.to_string_lossy().into_owned();
        output("git", &[&["-C", &folder], args].concat()).unwrap_or_default()
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let changed = !git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "crates",
    ])
    .is_empty();
    format!(
        "commit {commit}{}, tokio {}; multi-threaded runtime, mimalloc",
        if changed { " with changes" } else { "" },
        locked(&root.join("Cargo.lock"), "tokio")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_ones_own() {
        let server = custom("mine=env A=1 /bin/mine --flag=2").unwrap();
        assert_eq!(server.name, "mine");
        assert_eq!(server.command, "env A=1 /bin/mine --flag=2");
        assert!(custom("mine").is_err() && custom("=x").is_err());
    }

    #[test]
    fn our_own_lock_file_can_be_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        assert!(locked(&file, "mio").starts_with("1."));
        assert_eq!(locked(&file, "no-such-crate"), "?");
    }
}
