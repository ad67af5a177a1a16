//! Check that modules do not depend on each other in a circle: those in the root of a crate, and those in each folder
//! below it. A module is a file, or a folder with all that is in it. A folder's own `mod.rs` may refer to its modules, and
//! they to it. Tests do not count.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use common::{root, rust_files};

/// Crates that are checked, at every level of their modules.
const CRATES: [&str; 7] = [
    "fanfare",
    "fanfare-client",
    "fanfare-core",
    "fanfare-engine",
    "fanfare-protocol",
    "fanfare-testing",
    "fanfare-websocket",
];

/// Cycles that decision 206 defends: crate, path of the folder, modules.
const DEFENDED: [(&str, &str, &[&str]); 10] = [
    (
        "fanfare",
        "crate::",
        &[
            "ack",
            "adapter",
            "broadcast",
            "client",
            "handler",
            "namespace",
            "recovery",
            "server",
            "socket",
        ],
    ),
    (
        "fanfare",
        "crate::adapter::",
        &["cluster", "contained", "requests"],
    ),
    (
        "fanfare",
        "crate::recovery::",
        &["budget", "cluster", "peers", "state", "store"],
    ),
    (
        "fanfare",
        "crate::server::",
        &["builder", "handle", "namespaces", "observe"],
    ),
    (
        "fanfare",
        "crate::socket::",
        &[
            "early_events",
            "emitter",
            "handle",
            "handshake",
            "membership",
            "outgoing",
        ],
    ),
    (
        "fanfare",
        "crate::typed::",
        &["namespace", "operator", "socket"],
    ),
    (
        "fanfare-client",
        "crate::socket::",
        &[
            "dispatch", "erased", "handle", "kinds", "options", "outgoing", "table",
        ],
    ),
    (
        "fanfare-engine",
        "crate::service::",
        &["future", "get", "pending_handshake", "post", "relayed"],
    ),
    ("fanfare-protocol", "crate::", &["msgpack", "socket"]),
    (
        "fanfare-protocol",
        "crate::socket::",
        &["args", "decode_args"],
    ),
];

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

/// Returns the first names of the path, or of the paths in braces, at the beginning of a text.
fn first_names(text: &str) -> Vec<&str> {
    if !text.starts_with('{') {
        return vec![ident(text)];
    }
    let mut found = Vec::new();
    let (mut depth, mut begins) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            c if begins && depth == 1 && !c.is_whitespace() => found.push(ident(&text[at..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        begins = c == '{' || c == ',' || (begins && c.is_whitespace());
    }
    found
}

/// Returns the first name of each path behind a prefix, such as `crate::`, with or without braces.
fn names<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let rests = code
        .match_indices(prefix)
        .map(|(at, _)| &code[at + prefix.len()..]);
    rests.flat_map(first_names).collect()
}

/// Returns the first name of each path behind exactly this number of `super::`.
fn names_above(code: &str, levels: usize) -> Vec<&str> {
    let prefix = "super::".repeat(levels);
    let starts = code.match_indices(&prefix).map(|(at, _)| at);
    let exact = starts.filter(|&at| !code[..at].ends_with("super::"));
    let found = exact.flat_map(|at| first_names(&code[at + prefix.len()..]));
    found.filter(|&name| name != "super").collect()
}

/// A folder of modules, with the dependencies between them.
struct Folder {
    /// Modules right below the folder, with those that each of them refers to.
    edges: Edges,
    /// Public modules that the root file defines inline, and that a file of the folder imports from.
    facades: BTreeSet<String>,
}

/// Reads the modules below `src`, whose root is the file `main`. Names that the root imports or exports count for their
/// module. Paths begin with `prefix`, or with one `super::` for each level between the file and `src`.
fn read(src: &Path, main: &str, prefix: &str) -> Folder {
    let root = code(&fs::read_to_string(src.join(main)).unwrap());
    let inside = |path: &Path| path.strip_prefix(src).unwrap().to_owned();
    let of_path = |path: &Path| {
        let module = inside(path).iter().next().unwrap().to_owned();
        module.to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let mut files = Vec::new();
    rust_files(src, &mut files);
    let is_test = |path: &Path| {
        inside(path)
            .iter()
            .any(|part| part == "tests" || part == "tests.rs")
    };
    files.retain(|path| !is_test(path) && path != &src.join(main));
    let mut edges: Edges = files
        .iter()
        .map(|path| (of_path(path), BTreeSet::new()))
        .collect();
    let mut exports = BTreeMap::new();
    let imports = root.split(';').filter_map(|statement| {
        let path = statement.split("use ").nth(1)?;
        let path = path.strip_prefix(prefix).unwrap_or(path);
        Some(path.strip_prefix("self::").unwrap_or(path))
    });
    for path in imports {
        let module = ident(path);
        if edges.contains_key(module) {
            let words = path[module.len()..].split(|c: char| !c.is_alphanumeric() && c != '_');
            exports.extend(words.map(|name| (name, module)));
        }
    }
    let inline = |name: &str| root.contains(&format!("pub mod {name} {{"));
    let mut facades = BTreeSet::new();
    for path in &files {
        let (from, code) = (of_path(path), code(&fs::read_to_string(path).unwrap()));
        let mut found = names(&code, prefix);
        let levels = inside(path).iter().count() - usize::from(path.ends_with("mod.rs"));
        found.extend(names_above(&code, levels));
        for name in found {
            if inline(name) {
                facades.insert(format!("{} from {name}", inside(path).display()));
            }
            let to = exports.get(name).copied().unwrap_or(name);
            if to != from && edges.contains_key(to) {
                edges.get_mut(&from).unwrap().insert(to.to_owned());
            }
        }
    }
    Folder { edges, facades }
}

/// Reads the folders below `src` that are modules, each with the path of its module.
fn folders(src: &Path, prefix: &str, found: &mut Vec<(String, Folder)>) {
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        if path.join("mod.rs").is_file() {
            let name = path.file_name().unwrap().to_str().unwrap();
            let prefix = format!("{prefix}{name}::");
            found.push((prefix.clone(), read(&path, "mod.rs", &prefix)));
            folders(&path, &prefix, found);
        }
    }
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
    let code = "use super::a; use super::super::{b, c};";
    assert_eq!(names_above(code, 1), ["a"]);
    assert_eq!(names_above(code, 2), ["b", "c"]);
    let edge = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let edges = Edges::from([edge("a", "b"), edge("b", "c"), edge("c", "b")]);
    assert_eq!(in_cycles(&edges).len(), 2);
}

/// A module that joins a defended cycle fails the test, as does one that has left it, so that the list stays true.
#[test]
fn modules_do_not_depend_on_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    let mut known: BTreeMap<(&str, String), &[&str]> = DEFENDED
        .iter()
        .map(|&(name, at, modules)| ((name, at.to_owned()), modules))
        .collect();
    for name in CRATES {
        let src = root().join("crates").join(name).join("src");
        let mut all = vec![("crate::".to_owned(), read(&src, "lib.rs", "crate::"))];
        folders(&src, "crate::", &mut all);
        for (at, Folder { edges, facades }) in all {
            let found = in_cycles(&edges);
            let defended = known.remove(&(name, at.clone())).unwrap_or_default();
            if found != defended {
                let edges = found
                    .iter()
                    .map(|&from| format!("    {from} -> {:?}", edges[from]));
                let edges: Vec<String> = edges.collect();
                wrong.push(format!(
                    "{name}, {at}: {found:?}, defended: {defended:?}\n{}",
                    edges.join("\n")
                ));
            }
            for file in facades {
                wrong.push(format!(
                    "{name}: import from the module that defines the name, not {file}"
                ));
            }
        }
    }
    assert!(known.is_empty(), "no such modules: {known:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
