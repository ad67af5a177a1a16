//! Check that the limits and options that the documents name exist.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{root, rust_files};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Returns the public fields and functions of a source file.
fn public(source: &str) -> BTreeSet<String> {
    let lines = source.lines().map(str::trim_start);
    let items = lines.filter_map(|line| {
        let line = line.strip_prefix("pub ")?;
        let line = line.strip_prefix("const ").unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        if line.starts_with("struct ") || line.starts_with("enum ") {
            return None;
        }
        let line = line.strip_prefix("fn ").unwrap_or(line);
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    });
    items.map(str::to_owned).collect()
}

/// Returns the members of a type that documents name, from the files that declare it.
fn members(of: &str) -> Option<BTreeSet<String>> {
    let files: &[&str] = match of {
        "Limits" => &["crates/fanfare-protocol/src/limits.rs"],
        "Serve" => &["crates/fanfare-engine/src/http_server/builder.rs"],
        "EngineConfig" => &["crates/fanfare-engine/src/config.rs"],
        "ConnectionStateRecovery" => &["crates/fanfare/src/recovery/mod.rs"],
        "RateLimits" => &["crates/fanfare/src/limits/rate.rs"],
        "ConnectionLimits" => &["crates/fanfare/src/limits/admission.rs"],
        "SocketIoBuilder" => &[
            "crates/fanfare/src/server/builder.rs",
            "crates/fanfare/src/server/http.rs",
        ],
        _ => return None,
    };
    Some(files.iter().flat_map(|file| public(&read(file))).collect())
}

/// Returns the texts between backticks outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut program = false;
    let prose = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        program ^= fence;
        !program && !fence
    });
    prose
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

fn documents() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned()];
    for folder in [
        "docs",
        "docs/decisions",
        "book/en/src/guide",
        "book/en/src/node",
    ] {
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    let mut documents: Vec<_> = paths
        .iter()
        .map(|path| (path.clone(), read(path)))
        .collect();
    documents.sort();
    documents
}

#[test]
fn members_that_documents_name_exist() {
    let mut seen = 0;
    let mut missing = Vec::new();
    for (path, text) in documents() {
        for quoted in quoted(&text) {
            let Some((of, member)) = quoted.split_once("::") else {
                continue;
            };
            let member = member.split('(').next().unwrap();
            if let Some(members) = members(of).filter(|_| is_name(member)) {
                seen += 1;
                if !members.contains(member) {
                    missing.push(format!("{path}: `{quoted}`"));
                }
            }
        }
    }
    assert!(seen > 10, "{seen}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// In the table of limits, a name without a type is one of `Limits`.
#[test]
fn bounds_of_the_table_exist() {
    let page = read("book/en/src/guide/operations.md");
    let limits = members("Limits").unwrap();
    let (_, table) = page.split_once("| what | bound |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut seen = BTreeSet::new();
    for row in rows {
        let bound = row.split('|').nth(2).unwrap();
        for name in quoted(bound).into_iter().filter(|name| is_name(name)) {
            assert!(limits.contains(name), "`{name}` in {row}");
            seen.insert(name.to_owned());
        }
    }
    // Every limit is in the table, except those described under another heading.
    let elsewhere = ["new", "max_connections", "json_depth", "max_header_bytes"];
    let untold: Vec<_> = limits
        .iter()
        .filter(|name| is_name(name) && !elsewhere.contains(&name.as_str()))
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(untold.is_empty(), "not in the table: {untold:?}");
}

/// The table of `SECURITY.md` has the same numbers as `costs.limits`.
#[test]
fn the_table_of_costs_is_that_of_the_limits() {
    let limits = read("crates/fanfare/benches/costs.limits");
    let security = read("SECURITY.md");
    let limits: Vec<Vec<&str>> = limits
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
        .collect();
    let mut rows = 0;
    for line in security.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, test, instructions, held] = cells[..] else {
            continue;
        };
        let Some(name) = test
            .strip_prefix('`')
            .and_then(|test| test.strip_suffix('`'))
        else {
            continue;
        };
        let limit = limits.iter().find(|limit| limit[0] == name);
        let limit = limit.unwrap_or_else(|| panic!("{name} is no input of costs.limits"));
        let rounded = |text: &str| format!("{:.0}", text.parse::<f64>().unwrap());
        let said = (instructions.to_owned(), held.to_owned());
        assert_eq!(said, (rounded(limit[1]), rounded(limit[2])), "{name}");
        rows += 1;
    }
    assert!(rows > 20, "SECURITY.md has {rows} rows of costs");
}

#[test]
fn log_targets_are_explicit_and_documented() {
    let documented = read("book/en/src/guide/observability.md");
    for krate in ["fanfare", "fanfare-engine", "fanfare-client"] {
        let folder = root().join("crates").join(krate).join("src");
        let constants = fs::read_to_string(folder.join("log_target.rs")).unwrap();
        let targets: Vec<_> = constants.split('"').skip(1).step_by(2).collect();
        assert!(!targets.is_empty(), "no targets in {krate}");
        for target in targets {
            assert!(
                documented.contains(&format!("| `{target}` |")),
                "book/en/src/guide/observability.md lacks the target {target}"
            );
        }
        let mut files = Vec::new();
        rust_files(&folder, &mut files);
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            for name in [
                "trace!(", "debug!(", "info!(", "warn!(", "error!(", "_span!(",
            ] {
                for (at, _) in source.match_indices(name) {
                    let called = source[..at].ends_with("tracing::")
                        || name == "_span!(" && source[..at].contains("tracing::");
                    let explicit = source[at + name.len()..]
                        .trim_start()
                        .starts_with("target: log_target::");
                    assert!(
                        !called || explicit,
                        "{}: a log message without a target of log_target.rs",
                        file.display()
                    );
                }
            }
        }
    }
}
