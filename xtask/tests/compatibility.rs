//! Check that `docs/compatibility.md` has every row of the feature table, and that the tests that it names exist.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Rows of the feature table: a letter, and the numbers of its rows.
const ROWS: [(char, RangeInclusive<u32>); 12] = [
    ('E', 1..=30),
    ('S', 1..=9),
    ('P', 1..=11),
    ('A', 1..=15),
    ('K', 1..=13),
    ('B', 1..=8),
    ('C', 1..=6),
    ('R', 1..=9),
    ('D', 0..=10),
    ('M', 1..=3),
    ('O', 1..=5),
    ('V', 1..=6),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the rows of the page: their id, and the cells after it.
fn rows() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let is_id = |cell: &str| {
        let mut letters = cell.chars();
        letters.next().is_some_and(|c| c.is_ascii_uppercase())
            && letters.next().is_some_and(|c| c.is_ascii_digit())
    };
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_matches('|');
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    page.lines()
        .filter(|line| line.starts_with("| "))
        .map(cells)
        .filter(|cells| is_id(&cells[0]))
        .map(|mut cells| (cells.remove(0), cells))
        .collect()
}

/// Concatenates all scripts of a folder.
fn scripts(folder: &str) -> String {
    let files = fs::read_dir(root().join(folder)).unwrap();
    let files = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    files.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_row_is_there_once_and_says_how_it_stands() {
    let mut seen = BTreeMap::<String, u32>::new();
    for (id, cells) in rows() {
        let [state, _, shown] = cells.as_slice() else {
            panic!("{id}: {cells:?}");
        };
        assert!(
            ["same", "better", "not yet"].contains(&state.as_str()),
            "{id}: {state}"
        );
        assert!(
            state == "not yet" || shown.contains('`'),
            "{id} is not shown by any test"
        );
        *seen.entry(id).or_default() += 1;
    }
    let expected = ROWS
        .into_iter()
        .flat_map(|(letter, rows)| rows.map(move |n| (format!("{letter}{n}"), 1)));
    assert_eq!(seen, expected.collect());
}

/// `…` in a name stands for any text, and `crates/…` for the file that contains the functions named after it.
#[test]
fn the_tests_that_are_named_exist() {
    let interop = scripts("tests/interop/test") + &scripts("tests/interop/lib");
    let differential = scripts("tests/differential/scripts");
    let cluster = scripts("tests/cluster/test") + &scripts("tests/cluster/lib");
    let mut missing = Vec::new();
    for (id, cells) in rows() {
        let shown = cells.last().unwrap();
        // Text before a name tells in which file to search for it.
        let mut source = String::new();
        for (n, part) in shown.split('`').enumerate() {
            if n % 2 == 0 {
                for (word, scripts) in [
                    ("interop", &interop),
                    ("differential", &differential),
                    ("cluster", &cluster),
                ] {
                    if part.contains(word) {
                        source.clone_from(scripts);
                    }
                }
                continue;
            }
            if part.starts_with("crates/") {
                match fs::read_to_string(root().join(part)) {
                    Ok(text) => source = text,
                    Err(_) => missing.push(format!("{id}: {part}")),
                }
                continue;
            }
            if part.ends_with(".js") {
                if !root()
                    .join("tests/differential/scripts")
                    .join(part)
                    .exists()
                {
                    missing.push(format!("{id}: {part}"));
                }
                continue;
            }
            // Parts before or behind a colon may be inserted when the script runs.
            let pieces = part.split('…').flat_map(|piece| piece.split(": "));
            let is_there = |piece: &str| source.contains(piece.trim().trim_end_matches(':'));
            if !pieces.into_iter().all(is_there) {
                missing.push(format!("{id}: {part}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
