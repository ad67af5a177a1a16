//! Spelling of the book in both languages, and the typography of the French one.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result};

use super::{Language, calls, markdown, stage};
use crate::command::command;
use crate::{root, tools};

/// Space before `; : ! ?` and inside « », where a line does not end (U+202F).
const NARROW: char = '\u{202f}';
/// Space that is allowed before a colon as well (U+00A0).
const NO_BREAK: char = '\u{a0}';

/// Returns the words of the chapters that neither the dictionary nor the list of the book has; an error says why the
/// spelling could not be checked.
pub(crate) fn spelling() -> Result<Result<Vec<String>, String>> {
    let mut found = Vec::new();
    for language in Language::ALL {
        let (dictionary, package) = match language {
            Language::English => ("en_GB", "hunspell-en-gb"),
            Language::French => ("fr_FR", "hunspell-fr"),
        };
        if let Err(why) = tools::dictionary(dictionary, package) {
            return Ok(Err(why));
        }
        let words = root()
            .join("book/words")
            .join(format!("{}.txt", language.code()));
        let source = language.source();
        for file in stage::files(&source)? {
            if file.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let lines = markdown::prose(&fs::read_to_string(&file)?);
            let text: Vec<String> = lines
                .into_iter()
                .map(|(_, line)| line.replace('’', "'"))
                .collect();
            let mut hunspell =
                command(root(), "hunspell", &["-l", "-i", "utf-8", "-d", dictionary]);
            hunspell
                .arg("-p")
                .arg(&words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut child = hunspell.spawn().context("cannot start hunspell")?;
            let mut input = child.stdin.take().context("hunspell has no input")?;
            let text = text.join("\n");
            let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
            let output = child.wait_with_output()?;
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
            let mut unknown: Vec<_> = String::from_utf8_lossy(&output.stdout)
                .lines()
                // Names with digits, such as of rows and versions, are in no dictionary.
                .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
                .map(str::to_owned)
                .collect();
            unknown.sort();
            unknown.dedup();
            let name = file.strip_prefix(root())?.display();
            found.extend(unknown.into_iter().map(|word| {
                format!(
                    "{name}: unknown word `{word}` (correct it, or add it to book/words/{}.txt)",
                    language.code()
                )
            }));
        }
    }
    Ok(Ok(found))
}

/// Returns the places of the French chapters that break the rules of typography.
pub(crate) fn typography() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for call in calls::read()? {
        let note = call.note(Language::French);
        found.extend(offences(note).map(|rule| format!("book/node/calls.tsv: {rule}: {note}")));
    }
    for file in stage::files(&Language::French.source())? {
        if file.extension().is_some_and(|extension| extension == "md") {
            let name = file.strip_prefix(root())?.display().to_string();
            for (line, text) in markdown::prose(&fs::read_to_string(&file)?) {
                found.extend(offences(&text).map(|rule| format!("{name}:{line}: {rule}: {text}")));
            }
        }
    }
    Ok(found)
}

/// Returns the rules that a line of French text breaks.
fn offences(text: &str) -> impl Iterator<Item = &'static str> {
    let letters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| letters[index]);
        let after = letters.get(index + 1).copied();
        let ends = after.is_none_or(|after| after.is_whitespace() || ")»…".contains(after));
        match letter {
            ';' | '!' | '?'
                if ends
                    && before.is_some_and(|before| before != NARROW && !"!?(".contains(before)) =>
            {
                found.push("a narrow no-break space (U+202F) belongs before `;`, `!` and `?`");
            }
            ':' if ends && before.is_some_and(|before| before != NARROW && before != NO_BREAK) => {
                found.push("a no-break space (U+202F or U+00A0) belongs before `:`");
            }
            '«' if after != Some(NARROW) => {
                found.push("a narrow no-break space (U+202F) belongs after `«`");
            }
            '»' if before != Some(NARROW) => {
                found.push("a narrow no-break space (U+202F) belongs before `»`");
            }
            '\'' if before.is_some_and(char::is_alphabetic)
                && after.is_some_and(|c| c.is_alphabetic() || c == '\u{fffc}') =>
            {
                found.push("the apostrophe is ’ (U+2019)");
            }
            '"' => found.push("quotation marks are « »"),
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_typography() {
        let count = |text: &str| offences(text).count();
        for good in [
            "Bonjour\u{202f}! «\u{202f}Ça va\u{202f}?\u{202f}» Oui\u{202f}: l’heure est 12:30\u{202f}; \u{fffc}\u{202f}: bien.",
            "Vraiment\u{202f}?! https://example.org",
        ] {
            assert_eq!(count(good), 0, "{good}");
        }
        for bad in [
            "Bonjour !",
            "Bonjour!",
            "«Bonjour\u{202f}»",
            "« Bonjour »",
            "Ceci : cela",
            "Ceci: cela",
            "l'heure",
            "un \"mot\"",
        ] {
            assert!(count(bad) > 0, "{bad}");
        }
    }
}
