//! Check that the French book has the same structure as the English one: chapters, headings, tables, programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Tag};

use super::{Language, markdown, stage};
use crate::summary::Report;

/// Line of a table of contents.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    /// Heading of a part.
    Part,
    /// Chapter, and the depth at which it is listed.
    Chapter(usize, String),
}

fn contents(language: Language) -> Result<Vec<Entry>> {
    let file = language.source().join("SUMMARY.md");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(entries(&text))
}

fn entries(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        if line.starts_with('#') {
            return Some(Entry::Part);
        }
        let depth = line.len() - line.trim_start().len();
        let link = markdown::links(line.trim_start()).pop()?;
        Some(Entry::Chapter(depth, link.to))
    };
    text.lines().filter_map(entry).collect()
}

/// Returns what differs.
pub(crate) fn check(report: &mut Report) -> Result<Vec<String>> {
    let [english, french] = Language::ALL.map(contents);
    let (english, french) = (english?, french?);
    let mut found = Vec::new();
    if english != french {
        let differs = english
            .iter()
            .zip(&french)
            .position(|(one, other)| one != other);
        let at = differs.unwrap_or_else(|| english.len().min(french.len()));
        found.push(format!(
            "the tables of contents differ at entry {}: {:?} in English, {:?} in French",
            at + 1,
            english.get(at),
            french.get(at)
        ));
    }
    let listed: BTreeSet<_> = english
        .iter()
        .filter_map(|entry| match entry {
            Entry::Chapter(_, file) => Some(file.clone()),
            Entry::Part => None,
        })
        .collect();
    for language in Language::ALL {
        found.extend(chapters(language, &listed, report)?);
    }
    for chapter in &listed {
        let [english, french] = Language::ALL.map(|language| language.source().join(chapter));
        if english.is_file() && french.is_file() {
            let (english, french) = (fs::read_to_string(english)?, fs::read_to_string(french)?);
            found.extend(
                differences(&english, &french)
                    .into_iter()
                    .map(|why| format!("fr/src/{chapter}: {why}")),
            );
        }
    }
    Ok(found)
}

/// Returns chapters that are listed and do not exist, or exist and are not listed.
fn chapters(
    language: Language,
    listed: &BTreeSet<String>,
    report: &mut Report,
) -> Result<Vec<String>> {
    let source = language.source();
    let mut found = Vec::new();
    let mut drafts = Vec::new();
    for chapter in listed {
        if !source.join(chapter).is_file() {
            drafts.push(chapter.as_str());
        }
    }
    if !drafts.is_empty() {
        let code = language.code();
        let line = format!(
            "chapters without a page in the book ({code}): {}",
            drafts.join(", ")
        );
        println!("{line}");
        report.add(line);
    }
    for file in stage::files(&source)? {
        let chapter: PathBuf = file.strip_prefix(&source)?.to_owned();
        let name = chapter.to_string_lossy().into_owned();
        let markdown = chapter
            .extension()
            .is_some_and(|extension| extension == "md");
        if markdown && name != "SUMMARY.md" && !listed.contains(&name) {
            found.push(format!(
                "{}: the table of contents does not list it",
                file.display()
            ));
        }
    }
    Ok(found)
}

/// Returns how the structure of a translation differs from the original, at the first place of each kind.
fn differences(english: &str, french: &str) -> Vec<String> {
    let outlines = [english, french].map(outline);
    let outline = (outlines[0] != outlines[1]).then(|| {
        let [english, french] = &outlines;
        let at = english
            .iter()
            .zip(french)
            .take_while(|(one, other)| one == other)
            .count();
        format!(
            "part {} of the structure is {} in English, {} in French",
            at + 1,
            english.get(at).map_or("nothing", String::as_str),
            french.get(at).map_or("nothing", String::as_str)
        )
    });
    let blocks = [english, french].map(|text| {
        let blocks = markdown::blocks(text).into_iter();
        blocks
            .map(|block| code(&block.info, &block.text))
            .collect::<Vec<_>>()
    });
    let differs = blocks[0]
        .iter()
        .zip(&blocks[1])
        .position(|(one, other)| one != other);
    let block = differs.map(|at| {
        format!(
            "block of code {} differs beyond its comments:\n--- English\n{}\n--- French\n{}",
            at + 1,
            blocks[0][at],
            blocks[1][at]
        )
    });
    outline.into_iter().chain(block).collect()
}

/// Headings with their levels, tables with their rows, lists and blocks of code, in their order.
fn outline(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for (event, _) in markdown::events(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => parts.push(format!("a heading {level}")),
            Event::Start(Tag::Table(_)) => parts.push("a table".to_owned()),
            Event::Start(Tag::TableRow) => parts.push("a row of a table".to_owned()),
            Event::Start(Tag::List(_)) => parts.push("a list".to_owned()),
            Event::Start(Tag::Item) => parts.push("an item of a list".to_owned()),
            Event::Start(Tag::CodeBlock(_)) => parts.push("a block of code".to_owned()),
            Event::Start(Tag::Image { .. }) => parts.push("an image".to_owned()),
            _ => {}
        }
    }
    parts
}

/// A program without its comments, which are translated.
fn code(info: &str, text: &str) -> String {
    let language = info.split(',').next().unwrap_or_default();
    let mark = match language {
        "rust" | "js" | "ts" | "javascript" | "typescript" | "json" => "//",
        "html" => "<!--",
        _ => "#",
    };
    let lines = text.lines().filter_map(|line| {
        let comment = line.match_indices(mark).map(|(at, _)| at);
        // `://` is part of an address, and `#` inside a word of a value.
        let comment = comment
            .into_iter()
            .find(|at| *at == 0 || line[..*at].ends_with(char::is_whitespace));
        let line = line[..comment.unwrap_or(line.len())].trim_end();
        (!line.is_empty()).then_some(line)
    });
    format!("{info}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translations_with_another_structure_are_found() {
        let english = "# A\n\n```rust\nlet a = 1; // one\n```\n\n| a |\n|---|\n| b |\n";
        let same = "# B\n\n```rust\nlet a = 1; // un\n```\n\n| c |\n|---|\n| d |\n";
        assert!(differences(english, same).is_empty());
        assert_eq!(differences(english, &same.replace("= 1", "= 2")).len(), 1);
        assert_eq!(differences(english, &same.replace("# B", "## B")).len(), 1);
        assert_eq!(differences(english, &same.replace("| d |\n", "")).len(), 1);
    }

    #[test]
    fn entries_of_a_table_of_contents() {
        let entries = entries("# Title\n\n[Intro](a.md)\n- [B](b.md)\n  - [C](c.md)\n");
        let chapter = |depth, name: &str| Entry::Chapter(depth, name.to_owned());
        assert_eq!(
            entries,
            [
                Entry::Part,
                chapter(0, "a.md"),
                chapter(0, "b.md"),
                chapter(2, "c.md")
            ]
        );
    }
}
