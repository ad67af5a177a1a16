//! Finds the files of the browser client, which the feature `client-files` embeds.
//!
//! They are those of the npm package `socket.io-client`: of the one that `FANFARE_CLIENT_DIR` names, or else of the
//! nearest `node_modules` above the build folder. If there is none, no files are embedded: the crate still builds, and
//! a server that needs them reports the reason.
#![allow(
    clippy::unwrap_used,
    reason = "a build script stops at what it cannot do"
)]

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const DIR: &str = "FANFARE_CLIENT_DIR";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={DIR}");
    if env::var_os("CARGO_FEATURE_CLIENT_FILES").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let (files, reason) = match find(&out) {
        Ok(files) => (files, String::new()),
        Err(reason) => {
            println!("cargo::warning=the browser client is not embedded: {reason}");
            (Vec::new(), reason)
        }
    };
    let mut source = String::from("pub(super) static EMBEDDED: &[(&str, &[u8])] = &[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(file, out.join(name)).unwrap();
        let path = format!("concat!(env!(\"OUT_DIR\"), \"/{name}\")");
        writeln!(source, "    ({name:?}, include_bytes!({path})),").unwrap();
    }
    writeln!(
        source,
        "];\npub(super) const NOT_EMBEDDED: &str = {reason:?};"
    )
    .unwrap();
    fs::write(out.join("client_files.rs"), source).unwrap();
}

/// Returns the files, or the reason for which there are none.
fn find(out: &Path) -> Result<Vec<PathBuf>, String> {
    let package = match env::var_os(DIR) {
        Some(dir) => PathBuf::from(dir),
        None => out
            .ancestors()
            .map(|dir| dir.join("node_modules/socket.io-client"))
            .find(|dir| dir.is_dir())
            .ok_or(format!(
                "there is no `node_modules/socket.io-client` above the build folder: run `npm install socket.io-client` at \
                 the root of the project, then `cargo clean -p fanfare`, or name the package in {DIR}"
            ))?,
    };
    for dir in [package.join("dist"), package.clone()] {
        let files = fs::read_dir(dir).into_iter().flatten().flatten();
        let files = files.map(|file| file.path());
        let mut files: Vec<_> = files.filter(|file| is_client(file)).collect();
        if !files.is_empty() {
            files.sort();
            return Ok(files);
        }
    }
    Err(format!(
        "{} holds no `socket.io.js`: it has to be the npm package `socket.io-client`, or its folder `dist`",
        package.display()
    ))
}

fn is_client(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name.starts_with("socket.io.") && (name.ends_with(".js") || name.ends_with(".js.map"))
    })
}
