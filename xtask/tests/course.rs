//! Check that every step of the course is complete: a program, a chapter, a test in a browser; and that the chapters
//! include their programs from files.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::root;

/// Folder of the chapters in the book.
const CHAPTERS: &str = "book/en/src/course";

/// Returns the names of the steps in their order.
fn steps() -> Vec<String> {
    let folders = fs::read_dir(root().join("examples/course")).unwrap();
    let mut names: Vec<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    names.sort();
    names
}

/// Returns the faults of the includes of a chapter: files and anchors that do not exist.
fn broken_includes(folder: &Path, chapter: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for part in chapter.split("{{#include ").skip(1) {
        let include = part.split("}}").next().unwrap();
        let (path, anchor) = include.split_once(':').unwrap_or((include, ""));
        let Ok(file) = fs::read_to_string(folder.join(path)) else {
            broken.push(format!("{include}: there is no such file"));
            continue;
        };
        let marks = ["ANCHOR: ", "ANCHOR_END: "].map(|mark| format!("{mark}{anchor}"));
        let has = |mark: &String| {
            file.lines()
                .any(|line| line.trim_end_matches(" -->").ends_with(mark.as_str()))
        };
        if anchor.is_empty() && file.contains("ANCHOR") {
            broken.push(format!("{include}: includes the marks of anchors"));
        } else if !anchor.is_empty() && !marks.iter().all(has) {
            broken.push(format!("{include}: there is no such anchor"));
        }
    }
    broken
}

/// Number of lines of the longest block in Rust, JavaScript or HTML that is written in a chapter itself.
fn longest_typed_block(chapter: &str) -> usize {
    let mut longest = 0;
    let mut block: Option<usize> = None;
    for line in chapter.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) if ["rust", "js", "html", "ts"].contains(&language) => {
                block = Some(0);
            }
            (Some(_), _) => block = None,
            (None, Some(lines)) if !line.contains("{{#include") => {
                block = Some(lines + 1);
                longest = longest.max(lines + 1);
            }
            _ => {}
        }
    }
    longest
}

#[test]
fn faults_of_chapters_are_found() {
    let folder = root().join(CHAPTERS);
    let good = "{{#include ../../../../examples/course/02-first-server/main.rs:program}}";
    assert_eq!(broken_includes(&folder, good), [""; 0]);
    for bad in [
        good.replace("program", "other"),
        good.replace(":program", ""),
        good.replace("main.rs", "other.rs"),
    ] {
        assert_eq!(broken_includes(&folder, &bad).len(), 1, "{bad}");
    }
    assert_eq!(longest_typed_block("```rust\nfn f() {}\n```\ntext"), 1);
    assert_eq!(longest_typed_block("```rust\n{{#include f}}\n```"), 0);
    assert_eq!(longest_typed_block("```sh\na\n```"), 0);
}

#[test]
fn every_step_is_complete() {
    let manifest = fs::read_to_string(root().join("examples/course/Cargo.toml")).unwrap();
    let steps = steps();
    assert!(!steps.is_empty());
    for (index, step) in steps.iter().enumerate() {
        let number = format!("{:02}-", index + 1);
        assert!(step.starts_with(&number), "{step} is number {number}");
        assert!(
            manifest.contains(&format!("name = \"{step}\"")),
            "{step} is no program of the package"
        );
        for file in [
            format!("examples/course/{step}/main.rs"),
            format!("examples/course/{step}/index.html"),
            format!("{CHAPTERS}/{step}.md"),
            format!("tests/browser/course/{step}.test.mjs"),
        ] {
            assert!(root().join(&file).is_file(), "{file} is missing");
        }
    }
}

#[test]
fn chapters_include_their_programs() {
    let folder = root().join(CHAPTERS);
    let mut faults = Vec::new();
    for step in steps() {
        let chapter = fs::read_to_string(folder.join(format!("{step}.md"))).unwrap();
        let broken = broken_includes(&folder, &chapter);
        faults.extend(broken.into_iter().map(|fault| format!("{step}: {fault}")));
        if longest_typed_block(&chapter) > 0 {
            faults.push(format!(
                "{step}: a program that is not included from a file"
            ));
        }
        for part in [
            "## Type this",
            "## What you see",
            "## Why it works",
            "## Try next",
            "<details>",
        ] {
            if !chapter.contains(part) {
                faults.push(format!("{step}: lacks {part}"));
            }
        }
        if !chapter.contains(&format!("--bin {step}")) {
            faults.push(format!("{step}: does not tell how to start it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
