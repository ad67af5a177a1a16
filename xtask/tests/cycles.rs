//! Check that the modules of a crate do not depend on each other in a circle. A module is a file or folder right below
//! `src`, with all that is in it; files of one folder may refer to each other. Tests do not count. The state machine of the
//! client, a folder of the protocol crate, is checked in the same way.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use common::{root, rust_files};

/// Crates that are checked, with the modules whose cycles decision 206 defends.
const CRATES: [(&str, &[&str]); 7] = [
    (
        "fanfare",
        &[
            "ack",
            "adapter",
            "broadcast",
            "client",
            "engine",
            "handler",
            "hooks",
            "namespace",
            "recovery",
            "server",
            "socket",
        ],
    ),
    ("fanfare-client", &[]),
    ("fanfare-core", &[]),
    (
        "fanfare-engine",
        &[
            "config",
            "connection",
            "contain",
            "encodings",
            "engine",
            "handler",
            "relay",
            "serve",
            "service",
            "table",
            "websocket",
        ],
    ),
    ("fanfare-protocol", &["msgpack", "socket"]),
    ("fanfare-testing", &[]),
    ("fanfare-websocket", &[]),
];

/// Folder in the protocol crate that is checked as a crate is.
const CLIENT_MACHINE: &str = "fanfare-protocol/src/client";

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Returns the code of a file: without comments, and up to its tests.
fn code(source: &str) -> String {
    // Tests of a file are its last part; `mod tests;` has a separate file.
    let code = source.split("\n#[cfg(test)]\nmod tests {").next();
    let lines = code.unwrap_or_default().lines();
    let code = lines.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Returns the identifier at the beginning of a text.
fn ident(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Returns the first name of each path behind a prefix, such as `crate::`, with or without braces.
fn names<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if !rest.starts_with('{') {
            found.push(ident(rest));
            continue;
        }
        let (mut depth, mut begins) = (0, false);
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                c if begins && depth == 1 && !c.is_whitespace() => found.push(ident(&rest[at..])),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            begins = c == '{' || c == ',' || (begins && c.is_whitespace());
        }
    }
    found
}

/// Returns the dependencies between the modules below `src`, whose root is the file `main`. Names that the root exports
/// count for their module. Paths to modules begin with `prefix`; in files right below `src`, and in the `mod.rs` of its
/// folders, also with `super::`, if the root is not that of the crate.
fn edges(src: &Path, main: &str, prefix: &str) -> Edges {
    let root = code(&fs::read_to_string(src.join(main)).unwrap());
    let of_path = |path: &Path| {
        let module = path.strip_prefix(src).unwrap().iter().next().unwrap();
        module.to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let mut files = Vec::new();
    rust_files(src, &mut files);
    let is_test = |path: &Path| {
        path.iter()
            .any(|part| part == "tests" || part == "tests.rs")
    };
    files.retain(|path| !is_test(path) && path != &src.join(main));
    let mut edges: Edges = files
        .iter()
        .map(|path| (of_path(path), BTreeSet::new()))
        .collect();
    let mut exports = BTreeMap::new();
    for statement in root
        .split(';')
        .filter(|statement| statement.contains("pub use "))
    {
        let path = statement.split("pub use ").nth(1).unwrap_or_default();
        let path = path.trim_start_matches("crate::");
        let module = ident(path);
        if edges.contains_key(module) {
            let words = path[module.len()..].split(|c: char| !c.is_alphanumeric() && c != '_');
            exports.extend(words.map(|name| (name, module)));
        }
    }
    for path in &files {
        let (from, code) = (of_path(path), code(&fs::read_to_string(path).unwrap()));
        let mut found = names(&code, prefix);
        let of_root = path.parent() == Some(src) || path.ends_with(format!("{from}/mod.rs"));
        if prefix != "crate::" && of_root {
            found.extend(names(&code, "super::"));
        }
        for name in found {
            let to = exports.get(name).copied().unwrap_or(name);
            if to != from && edges.contains_key(to) {
                edges.get_mut(&from).unwrap().insert(to.to_owned());
            }
        }
    }
    edges
}

/// Returns the modules that depend on themselves by way of others.
fn in_cycles(edges: &Edges) -> Vec<&str> {
    let reaches = |from: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for to in edges.get(module).into_iter().flatten() {
                if seen.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        seen.contains(from)
    };
    let modules = edges.keys().filter(|module| reaches(module));
    modules.map(String::as_str).collect()
}

#[test]
fn paths_and_cycles_are_found() {
    let code = code(
        "use crate::{a, b::{c, d}};\nfn f() { crate::e::g() } // crate::h\n#[cfg(test)]\nmod tests {\nuse crate::i;}",
    );
    assert_eq!(names(&code, "crate::"), ["a", "b", "e"]);
    let edge = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let edges = Edges::from([edge("a", "b"), edge("b", "c"), edge("c", "b")]);
    assert_eq!(in_cycles(&edges).len(), 2);
}

/// A module that joins a defended cycle fails the test, as does one that has left it, so that the list stays true.
#[test]
fn modules_do_not_depend_on_each_other_in_a_circle() {
    for (name, defended) in CRATES {
        let src = root().join("crates").join(name).join("src");
        let edges = edges(&src, "lib.rs", "crate::");
        let found = in_cycles(&edges);
        let described: Vec<String> = found
            .iter()
            .map(|&module| format!("{module} -> {:?}", edges[module]))
            .collect();
        assert_eq!(found, defended, "{name}:\n{}", described.join("\n"));
    }
    let src = root().join("crates").join(CLIENT_MACHINE);
    let edges = edges(&src, "mod.rs", "crate::client::");
    assert!(edges["manager"].contains("engine"), "paths are found");
    let found = in_cycles(&edges);
    assert!(found.is_empty(), "{CLIENT_MACHINE}: {found:?}");
}
