//! Patterns of namespace names: `/orders-{id}`, `/docs/{*path}`.

use std::fmt;
use std::ops::Range;

/// Maximum number of parameters of a pattern.
const MAX_PARAMS: usize = 16;

/// Maximum length of a pattern that an error quotes in full.
const MAX_QUOTED_BYTES: usize = 64;

/// Pattern, split once so that a name is matched in one pass.
///
/// Literal texts alternate with parameters: there is one more literal than there are parameters, and only the first and
/// the last may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    literals: Vec<Box<str>>,
    params: Vec<Box<str>>,
    /// Whether the last parameter is `{*name}`, which may contain slashes.
    tail: bool,
}

/// Positions of the parameters' values in a name, in the order of the pattern.
pub(crate) type Values = Box<[Range<usize>]>;

/// Reason for which a pattern is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("`{{` at byte {0} is not closed")]
    Unclosed(usize),
    #[error("`}}` at byte {0} closes nothing")]
    Unopened(usize),
    #[error("{{{0}}} is not a parameter: its name is made of letters, digits and `_`")]
    Name(String),
    #[error("the parameter {0:?} occurs twice")]
    Twice(String),
    #[error("nothing separates the parameter {0:?} from the one before it")]
    Adjacent(String),
    #[error("{{*{0}}} must be the last thing in the pattern")]
    TailNotLast(String),
    #[error("more than {MAX_PARAMS} parameters")]
    TooMany,
    #[error("no client can join a namespace with a comma in its name")]
    Comma,
}

impl Pattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.contains(',') {
            return Err(PatternError::Comma);
        }
        let mut parsed = Self {
            literals: Vec::new(),
            params: Vec::new(),
            tail: false,
        };
        let mut rest = pattern;
        loop {
            let at = |text: &str| pattern.len() - text.len();
            let Some(brace) = rest.find(['{', '}']) else {
                parsed.literals.push(rest.into());
                break;
            };
            let (literal, from_brace) = rest.split_at(brace);
            let Some(inside) = from_brace.strip_prefix('{') else {
                return Err(PatternError::Unopened(at(from_brace)));
            };
            let Some((param, after)) = inside
                .split_once('}')
                .filter(|(param, _)| !param.contains('{'))
            else {
                return Err(PatternError::Unclosed(at(from_brace)));
            };
            parsed.literals.push(literal.into());
            parsed.add_param(param, after.is_empty())?;
            rest = after;
        }
        Ok(parsed)
    }

    fn add_param(&mut self, param: &str, last: bool) -> Result<(), PatternError> {
        let name = param.strip_prefix('*').unwrap_or(param);
        let quoted = || name.chars().take(MAX_QUOTED_BYTES).collect();
        let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(of_name) {
            return Err(PatternError::Name(
                param.chars().take(MAX_QUOTED_BYTES).collect(),
            ));
        }
        if self.params.iter().any(|other| **other == *name) {
            return Err(PatternError::Twice(quoted()));
        }
        let adjacent = self
            .literals
            .last()
            .is_some_and(|literal| literal.is_empty());
        if adjacent && !self.params.is_empty() {
            return Err(PatternError::Adjacent(quoted()));
        }
        self.tail = param.starts_with('*');
        if self.tail && !last {
            return Err(PatternError::TailNotLast(quoted()));
        }
        if self.params.len() == MAX_PARAMS {
            return Err(PatternError::TooMany);
        }
        self.params.push(name.into());
        Ok(())
    }

    /// Returns the values of the parameters, if the pattern matches the name.
    ///
    /// Each parameter takes as few characters as possible. This misses no match: a suffix that a longer value would
    /// leave for the rest of the pattern is also a suffix of what the shortest leaves. So the name is scanned once.
    pub(crate) fn matches(&self, name: &str) -> Option<Values> {
        let (first, literals) = self.literals.split_first()?;
        if literals.is_empty() {
            return (name == &**first).then(Values::default);
        }
        let mut values = Vec::with_capacity(literals.len());
        let mut start = first.len();
        if !name.starts_with(&**first) {
            return None;
        }
        for (n, literal) in literals.iter().enumerate() {
            let last = n + 1 == literals.len();
            let rest = &name[start..];
            // A value has at least one character.
            let shortest = rest.chars().next()?.len_utf8();
            let len = match last {
                true => rest.len().checked_sub(literal.len())?,
                false => shortest + rest[shortest..].find(&**literal)?,
            };
            let value = rest.as_bytes().get(..len)?;
            let ends_right = rest.as_bytes()[len..].starts_with(literal.as_bytes());
            if len < shortest || !ends_right {
                return None;
            }
            if value.contains(&b'/') && !(last && self.tail) {
                return None;
            }
            values.push(start..start + len);
            start += len + literal.len();
        }
        Some(values.into())
    }

    pub(crate) fn params(&self) -> &[Box<str>] {
        &self.params
    }

    /// Whether every name that matches `other` matches this pattern as well.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // Stands for any value: only a parameter can match it, because no literal contains it.
        const ANY: &str = "\0";
        let with = |tail: &str| {
            let mut name = String::new();
            let last = other.params.len();
            for (n, literal) in other.literals.iter().enumerate() {
                name.push_str(literal);
                if n + 1 == last && other.tail {
                    name.push_str(tail);
                } else if n < last {
                    name.push_str(ANY);
                }
            }
            name
        };
        self.matches(&with(ANY)).is_some() && self.matches(&with("\0/\0")).is_some()
    }
}

/// Parameters of the pattern that a namespace was created from, with their values in its name: `id` of `/orders-{id}`
/// is `17` in `/orders-17`. Empty for all other namespaces.
///
/// ```
/// use fanfare::{Namespace, Socket};
///
/// let documents = Namespace::pattern("/{team}/docs/{*path}").on_connect(async |socket: Socket| {
///     let params = socket.params();
///     println!("{:?} opens {:?}", params.get("team"), params.get("path"));
/// });
/// ```
#[derive(Clone, Copy)]
pub struct NamespaceParams<'a> {
    name: &'a str,
    params: &'a [Box<str>],
    values: &'a [Range<usize>],
}

impl<'a> NamespaceParams<'a> {
    pub(crate) fn new(name: &'a str, params: &'a [Box<str>], values: &'a [Range<usize>]) -> Self {
        Self {
            name,
            params,
            values,
        }
    }

    /// Returns the value of a parameter.
    pub fn get(&self, param: &str) -> Option<&'a str> {
        self.iter()
            .find_map(|(name, value)| (name == param).then_some(value))
    }

    /// Returns the names and the values, in the order of the pattern.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let name = self.name;
        let values = self.values.iter().map(move |value| &name[value.clone()]);
        self.params.iter().map(|param| &**param).zip(values)
    }

    /// Returns the number of parameters.
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }
}

impl fmt::Debug for NamespaceParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
        let values = Pattern::parse(pattern).unwrap().matches(name)?;
        Some(values.iter().map(|value| &name[value.clone()]).collect())
    }

    #[test]
    fn parameters_stay_between_slashes_and_a_tail_does_not() {
        for (pattern, name, expected) in [
            ("/a", "/a", Some(vec![])),
            ("/a", "/ab", None),
            ("/orders-{id}", "/orders-17", Some(vec!["17"])),
            ("/orders-{id}", "/orders-", None),
            ("/orders-{id}", "/orders-1/x", None),
            ("/{team}/{room}", "/red/1", Some(vec!["red", "1"])),
            ("/{team}/{room}", "/red/", None),
            ("/{team}/{room}", "//1", None),
            ("/{team}/{room}", "/a/b/c", None),
            ("/{a}-{b}x", "/1-2-3x", Some(vec!["1", "2-3"])),
            ("/{a}-{b}x", "/1-x", None),
            ("/{a}-{b}", "/---", Some(vec!["-", "-"])),
            ("/{a}-{b}", "/a/-b", None),
            ("/{a}-{b}", "/a-/b", None),
            ("/{a}", "/é", Some(vec!["é"])),
            ("/{a}é", "/éé", Some(vec!["é"])),
            ("/{a}é", "/é", None),
            ("/{a}b", "/b", None),
            ("/a/{b}/c", "/a/x/c", Some(vec!["x"])),
            ("/a/{b}/c", "/a/x/y/c", None),
            ("/docs/{*path}", "/docs/a/b/c", Some(vec!["a/b/c"])),
            ("/docs/{*path}", "/docs/a", Some(vec!["a"])),
            ("/docs/{*path}", "/docs/", None),
            ("/{team}/{*path}", "/red//", Some(vec!["red", "/"])),
            ("/{team}-{*path}", "/re/d-x", None),
        ] {
            assert_eq!(values(pattern, name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn a_name_of_separators_is_gone_through_once() {
        let params: Vec<String> = (0..MAX_PARAMS).map(|n| format!("{{p{n}}}")).collect();
        let pattern = format!("/p-{}", params.join("-"));
        for end in ["", "x", "/"] {
            // Trying all ways to split it would take longer than the age of the universe.
            let name = format!("/p-{}{end}", "-".repeat(500));
            assert_eq!(values(&pattern, &name).is_some(), end != "/");
        }
    }

    #[test]
    fn broken_patterns_are_rejected_with_the_reason() {
        let many: String = (0..=MAX_PARAMS).map(|n| format!("/{{p{n}}}")).collect();
        for (pattern, reason) in [
            ("/{unclosed", "`{` at byte 1 is not closed"),
            ("/{a{b}}", "`{` at byte 1 is not closed"),
            ("/a}", "`}` at byte 2 closes nothing"),
            (
                "/{}",
                "{} is not a parameter: its name is made of letters, digits and `_`",
            ),
            (
                "/{a b}",
                "{a b} is not a parameter: its name is made of letters, digits and `_`",
            ),
            ("/{a}/{a}", "the parameter \"a\" occurs twice"),
            (
                "/{a}{b}",
                "nothing separates the parameter \"b\" from the one before it",
            ),
            ("/{*a}/b", "{*a} must be the last thing in the pattern"),
            (many.as_str(), "more than 16 parameters"),
            (
                "/a,{b}",
                "no client can join a namespace with a comma in its name",
            ),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert_eq!(error.to_string(), reason, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_covers_those_that_it_leaves_nothing() {
        for (first, second, expected) in [
            ("/orders-{id}", "/orders-{n}", true),
            ("/{any}", "/orders-{id}", true),
            ("/orders-{id}", "/{any}", false),
            ("/{any}", "/{a}/{b}", false),
            ("/{*all}", "/{a}/{b}", true),
            ("/{*all}", "/docs/{*path}", true),
            ("/{a}/{b}", "/docs/{*path}", false),
            ("/{a}-{b}", "/x-{b}", true),
            ("/a", "/a", true),
        ] {
            let [one, other] = [first, second].map(|p| Pattern::parse(p).unwrap());
            assert_eq!(one.covers(&other), expected, "{first} and {second}");
        }
    }
}
