//! Comparison of exported files in a repository with their contract.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Environment variable that makes tests write the files instead of comparing them.
const UPDATE: &str = "FANFARE_UPDATE_CONTRACTS";

/// Compares a file with its expected content, in a test. With `FANFARE_UPDATE_CONTRACTS=1` in the environment it writes the
/// file instead, and creates its folder.
///
/// ```no_run
/// # #[cfg(feature = "macros")] {
/// # use fanfare_protocol::typed::Contract;
/// use fanfare_protocol::typed::export::{TypeScript, assert_current};
///
/// # #[derive(Contract)]
/// # struct Chat;
/// # /*
/// #[test]
/// # */
/// fn declarations() {
///     assert_current("web/chat.d.ts", &TypeScript::of::<Chat>());
/// }
/// # declarations();
/// # }
/// ```
///
/// Cargo runs tests in the folder of the package, from which a relative path starts. Line ends CRLF and LF are equal.
///
/// # Panics
/// If the file is absent or differs; the message has the first line that differs and says how to write the file. Also if it
/// cannot be read or written.
#[track_caller]
pub fn assert_current(path: impl AsRef<Path>, expected: &impl Display) {
    let update = env::var_os(UPDATE).is_some_and(|value| !value.is_empty());
    if let Err(problem) = check(path.as_ref(), &expected.to_string(), update) {
        panic!("{problem}");
    }
}

fn check(path: &Path, expected: &str, update: bool) -> Result<(), String> {
    let shown = path.display();
    let found = match fs::read_to_string(path) {
        Ok(text) => text.replace("\r\n", "\n"),
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot read {shown}: {error}")),
    };
    if found == expected {
        return Ok(());
    }
    if update {
        let folder = path.parent().unwrap_or(Path::new(""));
        return fs::create_dir_all(folder)
            .and_then(|()| fs::write(path, expected))
            .map_err(|error| format!("cannot write {shown}: {error}"));
    }
    let mut lines = found.lines();
    let differs = expected
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, lines.next().unwrap_or_default(), line))
        .find(|(_, found, expected)| found != expected);
    let (line, found, expected) = differs.unwrap_or((
        expected.lines().count() + 1,
        lines.next().unwrap_or_default(),
        "",
    ));
    Err(format!(
        "{shown} is not what the contract says, from line {line} on:\n  \
         it has    {found}\n  \
         should be {expected}\n\
         To write it, run this test with {UPDATE}=1 in its environment."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_compared_and_written() {
        let folder = env::temp_dir().join(format!("fanfare-current-{}", std::process::id()));
        let path = folder.join("types/chat.d.ts");
        let missing = check(&path, "a\nb\n", false).unwrap_err();
        assert!(missing.contains("line 1"), "{missing}");
        assert!(missing.contains("FANFARE_UPDATE_CONTRACTS=1"), "{missing}");
        check(&path, "a\nb\n", true).unwrap();
        check(&path, "a\nb\n", false).unwrap();
        let differs = check(&path, "a\nc\n", false).unwrap_err();
        assert!(
            differs.contains("line 2 on:\n  it has    b\n  should be c\n"),
            "{differs}"
        );
        let longer = check(&path, "a\n", false).unwrap_err();
        assert!(longer.contains("line 2 on:\n  it has    b\n"), "{longer}");
        fs::write(&path, "a\r\nb\r\n").unwrap();
        check(&path, "a\nb\n", false).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
