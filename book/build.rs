//! Build script: makes every chapter of the English book, and the readme, the documentation of an item, so that
//! `cargo test --doc` compiles their programs. The French chapters have the same programs; `cargo xtask book` checks it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut chapters = vec![root.join("../README.md")];
    collect(&root.join("en/src"), &mut chapters)?;
    chapters.sort();
    let mut items = String::new();
    for (index, chapter) in chapters.iter().enumerate() {
        println!("cargo::rerun-if-changed={}", chapter.display());
        let name = chapter.strip_prefix(&root).unwrap_or(chapter);
        let copy = out.join(format!("{index}.md"));
        fs::write(&copy, without_includes(&fs::read_to_string(chapter)?))?;
        // The module's name tells in a failure which chapter has the program.
        let module: String = name
            .to_string_lossy()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let _ = writeln!(
            items,
            "#[doc = include_str!({copy:?})]\npub mod {module} {{}}"
        );
    }
    println!("cargo::rerun-if-changed=en/src");
    fs::write(out.join("chapters.rs"), items)
}

/// Collects the chapters below a folder.
fn collect(folder: &Path, chapters: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, chapters)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            chapters.push(path);
        }
    }
    Ok(())
}

/// Marks the blocks as text that are no programs, and those that mdBook fills from files, which are compiled where the
/// files are.
fn without_includes(chapter: &str) -> String {
    let mut lines: Vec<String> = chapter.lines().map(str::to_owned).collect();
    let mut fence = None;
    for index in 0..lines.len() {
        match fence {
            None if lines[index].trim_start().starts_with("```") => fence = Some(index),
            None => {}
            Some(start) => {
                if lines[index].contains("{{#") || lines[start].trim() == "```" {
                    lines[start] = "```text".to_owned();
                }
                if lines[index].trim() == "```" {
                    fence = None;
                }
            }
        }
    }
    lines.join("\n")
}
