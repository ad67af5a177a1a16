//! Name of a new project.

use std::path::Path;

use crate::exit::Failure;

/// Greatest length of a name, in bytes: packages can have no longer ones.
const MAX_NAME_BYTES: usize = 64;

/// Words that cannot be the name of a crate: those of the language, and the crates that the project uses.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "axum",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fanfare",
    "fanfare-testing",
    "fanfare_testing",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "priv",
    "pub",
    "ref",
    "return",
    "serde",
    "static",
    "std",
    "struct",
    "test",
    "tokio",
    "tower",
    "trait",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Name of a package that Cargo accepts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Returns the name of the project in a folder.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, Failure> {
        let name = folder.file_name().and_then(|name| name.to_str());
        let Some(name) = name else {
            return Err(Failure::usage(format!(
                "{} has no name that could be the project's",
                folder.display()
            ))
            .fix("name a folder, such as `fanfare new hello`"));
        };
        Self::parse(name)
    }

    fn parse(name: &str) -> Result<Self, Failure> {
        let wrong = |why: String| {
            Err(
                Failure::usage(format!("{name:?} cannot be the name of a project: {why}"))
                    .fix("use lower-case letters, digits and hyphens, such as `tea-room`"),
            )
        };
        if name.len() > MAX_NAME_BYTES {
            return wrong(format!(
                "it has {} bytes, at most {MAX_NAME_BYTES} are possible",
                name.len()
            ));
        }
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return wrong("it begins with another character than a lower-case letter".to_owned());
        }
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if let Some(other) = name.chars().find(|&c| !allowed(c)) {
            return wrong(format!("it contains {other:?}"));
        }
        if RESERVED.contains(&name) {
            return wrong("Rust or one of the crates uses it".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the name of the package.
    pub(super) fn package(&self) -> &str {
        &self.0
    }

    /// Returns the name in Rust code.
    pub(super) fn krate(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_are_accepted() {
        for name in ["hello", "tea-room", "a", "x2", "a_b", "r2-d2"] {
            assert_eq!(
                Name::parse(name).map(|name| name.0).ok().as_deref(),
                Some(name)
            );
        }
        assert_eq!(
            Name::parse("tea-room")
                .map(|name| name.krate())
                .ok()
                .as_deref(),
            Some("tea_room")
        );
    }

    #[test]
    fn other_names_are_rejected_with_a_reason() {
        let long = "a".repeat(65);
        for (name, why) in [
            ("", "begins with"),
            ("2fast", "begins with"),
            ("Hello", "begins with"),
            ("tea room", "contains ' '"),
            ("thé", "contains 'é'"),
            ("fn", "uses it"),
            ("tokio", "uses it"),
            (long.as_str(), "65 bytes"),
        ] {
            let error = Name::parse(name).expect_err(name).text();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_folder_without_a_name_is_rejected() {
        for folder in ["/", "..", ""] {
            assert!(Name::of_folder(Path::new(folder)).is_err(), "{folder}");
        }
    }
}
