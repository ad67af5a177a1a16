//! Rules of `CONTRIBUTING.md` for comments and commits, as far as a program can check them.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::fs;
use std::process::Command;

use common::{root, rust_files};

/// Words that do not begin the first line of a doc comment, which stands alone in an index.
const QUESTIONS: [&str; 9] = [
    "Who", "Whom", "Whose", "What", "How", "Why", "Where", "When", "Which",
];

/// Phrases that leave open who acts, or how many.
const VAGUE: [&str; 9] = [
    "somebody",
    "nobody",
    "whoever",
    "whatever",
    "so many",
    "so much",
    "of one's own",
    "at work",
    "in peace",
];

/// Longest subject of a commit, in characters.
const MAX_SUBJECT: usize = 72;
/// Time since which subjects are checked: older ones are not rewritten.
const CHECKED_SINCE: &str = "--since=2026-11-26T00:00:00Z";

/// Lines of a source file that break a rule, with the rule.
fn offences(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_doc = false;
    for (index, line) in source.lines().enumerate() {
        let line = line.trim();
        let doc = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        if let Some(text) = doc.filter(|_| !in_doc) {
            let first = text.split_whitespace().next().unwrap_or_default();
            let word = first.trim_end_matches(|c: char| !c.is_alphabetic());
            if QUESTIONS.contains(&word) {
                found.push((index + 1, format!("a first line that begins with {word}")));
            }
        }
        in_doc = doc.is_some();
        if line.starts_with("//") {
            let line = line.to_lowercase();
            let vague = VAGUE.iter().filter(|phrase| has_phrase(&line, phrase));
            found.extend(vague.map(|phrase| (index + 1, format!("the phrase \"{phrase}\""))));
        }
    }
    found
}

/// Whether a line has a phrase that is not part of longer words.
fn has_phrase(line: &str, phrase: &str) -> bool {
    line.match_indices(phrase).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + phrase.len()..].chars().next();
        [before, after]
            .into_iter()
            .flatten()
            .all(|c| !c.is_alphanumeric())
    })
}

#[test]
fn offences_are_found() {
    assert_eq!(
        offences("/// What it holds.\n/// What else.\nfn f() {}").len(),
        1
    );
    assert_eq!(offences("// Closed by nobody, whatever happens.").len(), 2);
    assert_eq!(offences("//! How: see below.").len(), 1);
    for good in [
        "/// Whether the session is open.",
        "/// Number of sockets.\n///\n/// What is counted: sockets.",
        "let text = \"what nobody says\";",
        "// Whichever comes first; how many is counted elsewhere, work is done at workers.",
    ] {
        assert_eq!(offences(good), [], "{good}");
    }
}

#[test]
fn comments_keep_the_rules() {
    let mut files = Vec::new();
    for folder in ["benches", "crates", "examples", "fuzz", "xtask"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for (line, rule) in offences(&source) {
            found.push(format!("{}:{line}: {rule}", file.display()));
        }
    }
    found.sort();
    assert!(
        found.is_empty(),
        "{} offences:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn subjects_of_commits_are_short() {
    let log = Command::new("git")
        .args(["log", "--no-merges", "--format=%s", CHECKED_SINCE])
        .current_dir(root())
        .output();
    let subjects = match log {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => return eprintln!("not checked: this is not a checkout of git"),
    };
    for subject in subjects.lines() {
        let len = subject.chars().count();
        assert!(
            len <= MAX_SUBJECT,
            "{len} > {MAX_SUBJECT} characters: {subject}"
        );
    }
}
