//! Cheat sheet: the members of `socket.io` and `socket.io-client` beside Fanfare's, from a table that both languages share.

use std::fs;

use anyhow::{Context, Result, bail};

use super::Language;
use crate::root;

/// Beginning of the line that stands for a table; the name of the type and `}}` follow.
const MARK: &str = "{{calls ";

/// Row of the table.
#[derive(Debug)]
pub(crate) struct Call {
    /// Type in the packages of Node.js.
    of: String,
    /// Its members, separated by spaces.
    members: String,
    /// Names and calls of Fanfare, as Markdown; empty if there is none.
    ours: String,
    /// Notes in English and French.
    notes: [String; 2],
}

impl Call {
    /// Note in a language; may be empty.
    pub(crate) fn note(&self, language: Language) -> &str {
        match language {
            Language::English => &self.notes[0],
            Language::French => &self.notes[1],
        }
    }
}

/// Reads the table.
pub(crate) fn read() -> Result<Vec<Call>> {
    let text = fs::read_to_string(root().join("book/node/calls.tsv"))?;
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [of, members, ours, english, french] = cells[..] else {
            bail!("book/node/calls.tsv: {} cells, not 5: {line}", cells.len());
        };
        Ok(Call {
            of: of.to_owned(),
            members: members.to_owned(),
            ours: ours.to_owned(),
            notes: [english.to_owned(), french.to_owned()],
        })
    };
    lines.map(row).collect()
}

/// Replaces each mark of a chapter by the table of its type.
pub(crate) fn expand(text: &str, language: Language) -> Result<String> {
    if !text.contains(MARK) {
        return Ok(text.to_owned());
    }
    let calls = read()?;
    let mut out = String::new();
    for line in text.lines() {
        match line
            .strip_prefix(MARK)
            .and_then(|rest| rest.strip_suffix("}}"))
        {
            Some(of) => out.push_str(&table(&calls, of, language)?),
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    Ok(out)
}

fn table(calls: &[Call], of: &str, language: Language) -> Result<String> {
    let rows: Vec<_> = calls.iter().filter(|call| call.of == of).collect();
    rows.first()
        .with_context(|| format!("book/node/calls.tsv has no type {of}"))?;
    let mut out = match language {
        Language::English => "| Node.js | Fanfare | note |\n|---|---|---|\n".to_owned(),
        Language::French => "| Node.js | Fanfare | remarque |\n|---|---|---|\n".to_owned(),
    };
    for call in rows {
        let members: Vec<_> = call
            .members
            .split(' ')
            .map(|name| format!("`{name}`"))
            .collect();
        let ours = if call.ours.is_empty() {
            "–"
        } else {
            &call.ours
        };
        out.push_str(&format!(
            "| {} | {ours} | {} |\n",
            members.join(", "),
            call.note(language)
        ));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_are_expanded() {
        let text = expand("# Title\n\n{{calls RemoteSocket}}\n", Language::French).unwrap();
        assert!(
            text.contains("| Node.js | Fanfare | remarque |\n|---|---|---|\n| `id`,"),
            "{text}"
        );
        assert!(expand("{{calls Nothing}}", Language::English).is_err());
    }

    /// Names of the table exist in the listing of the public API.
    #[test]
    fn the_names_of_fanfare_exist() {
        let listing = |name: &str| fs::read_to_string(root().join("docs/api").join(name)).unwrap();
        let server = listing("fanfare.txt")
            + &listing("fanfare-engine.txt")
            + &listing("fanfare-protocol.txt");
        let client = listing("fanfare-client.txt");
        let mut checked = BTreeSet::new();
        let mut missing = BTreeSet::new();
        for call in read().unwrap() {
            let listing = match call.of.as_str() {
                "ClientSocket" | "Manager" | "ManagerOptions" | "SocketOptions" => &client,
                _ => &server,
            };
            for code in call.ours.split('`').skip(1).step_by(2) {
                for name in methods(code) {
                    // A function, or one of a type with parameters.
                    if !listing.contains(&format!("::{name}("))
                        && !listing.contains(&format!("::{name}<"))
                    {
                        missing.insert(format!("{}: `{code}`: {name}", call.of));
                    }
                    checked.insert(name.to_owned());
                }
            }
        }
        assert!(checked.len() > 80, "{checked:?}");
        assert!(missing.is_empty(), "{missing:#?}");
    }

    /// Names of the functions in a call or path, `of` and `emit` in `io.of("/").emit(event)`.
    fn methods(code: &str) -> Vec<&str> {
        if let Some((_, member)) = code.split_once("::")
            && !code.contains('(')
        {
            return vec![member];
        }
        code.split(['.', ':'])
            .filter_map(|part| part.split_once('(').map(|(name, _)| name))
            .filter(|name| {
                !name.is_empty()
                    && name
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            })
            .collect()
    }
}
