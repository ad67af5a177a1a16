//! Check that only `fanfare_protocol::deadline`, for which `Duration::MAX` means never, adds a duration to an instant:
//! `now + time` panics on overflow. The check finds the usual spelling; it does not know types.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{root, rust_files};

/// File with the one permitted addition.
const HELPER: &str = "fanfare-protocol/src/deadline.rs";

/// Whether a file below `src` holds tests.
fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// Returns the lines, outside of comments and tests, that add to an instant.
fn additions(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().map(str::trim);
    lines
        .take_while(|line| *line != "#[cfg(test)]")
        .filter(|line| !line.starts_with("//"))
        .filter(|line| {
            let now = |at: usize| {
                let before = line[..at].trim_end().trim_end_matches("()");
                let word = before
                    .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
                    .next();
                word == Some("now")
            };
            line.match_indices('+').any(|(at, _)| now(at))
        })
}

#[test]
fn additions_to_moments_are_found() {
    for bad in [
        "let at = Instant::now() + after;",
        "until = tokio::time::Instant::now() +time;",
        "self.due = now + self.interval;",
        "now += time;",
    ] {
        assert_eq!(additions(bad).count(), 1, "{bad}");
    }
    for good in [
        "// now + time",
        "let sum = known + time;",
        "#[cfg(test)]\nnow + time",
    ] {
        assert_eq!(additions(good).count(), 0, "{good}");
    }
}

#[test]
fn nothing_else_adds_a_duration_to_a_moment() {
    let mut found = Vec::new();
    for krate in fs::read_dir(root().join("crates")).unwrap() {
        rust_files(&krate.unwrap().path().join("src"), &mut found);
    }
    found.retain(|path| !is_test(path));
    assert!(found.len() > 100, "{}", found.len());
    for path in found.iter().filter(|path| !path.ends_with(HELPER)) {
        let source = fs::read_to_string(path).unwrap();
        let additions: Vec<_> = additions(&source).collect();
        assert!(
            additions.is_empty(),
            "{}: use fanfare_protocol::deadline: {additions:?}",
            path.display()
        );
    }
}
