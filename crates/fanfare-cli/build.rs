//! Build script: rebuilds the binary when the demo's pages change, and warns when they are missing.
//!
//! `fanfare new` needs the browser client that is built with them.

use std::path::Path;

/// Command that builds the pages.
const HOW: &str =
    "run `npm ci && npm run build` in web/ of the repository, then again what you did";

fn main() {
    println!("cargo::rerun-if-changed=dist");
    println!("cargo::rustc-check-cfg=cfg(browser_client)");
    if Path::new("dist/socket.io.esm.min.js").is_file() {
        println!("cargo::rustc-cfg=browser_client");
    }
    if Path::new("dist/index.html").is_file() {
        return;
    }
    // Cargo writes this file into the packages that it creates.
    if Path::new(".cargo_vcs_info.json").is_file() {
        println!("cargo::error=this package was made without the pages of `fanfare demo`: {HOW}");
    } else if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::warning=`fanfare demo` will have no pages: {HOW}");
    }
}
