//! Namespaces that come into being when a client asks for them.

use std::fmt;
use std::sync::Arc;

use super::Behaviour;

type Predicate = dyn Fn(&str, &serde_json::Value) -> bool + Send + Sync;

/// Which names a dynamic namespace answers to.
pub(crate) enum Matcher {
    /// One name: not dynamic.
    Exact,
    /// `/orders-{id}`: literal pieces with something between them.
    Pattern,
    /// Whatever the application says of the name and the client's `auth`.
    Predicate(Arc<Predicate>),
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "Exact",
            Self::Pattern => "Pattern",
            Self::Predicate(_) => "Predicate",
        })
    }
}

/// What the namespaces of one declaration have in common.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) name: String,
    pub(crate) matcher: Matcher,
    pub(crate) behaviour: Arc<Behaviour>,
}

impl Parent {
    /// Whether a client may have a namespace of this name. `auth` is the JSON that it sent.
    pub(crate) fn accepts(&self, name: &str, auth: Option<&str>) -> bool {
        match &self.matcher {
            Matcher::Exact => self.name == name,
            Matcher::Pattern => matches_pattern(&self.name, name),
            Matcher::Predicate(predicate) => {
                let auth = auth
                    .and_then(|json| serde_json::from_str(json).ok())
                    .unwrap_or_default();
                predicate(name, &auth)
            }
        }
    }
}

/// `{…}` stands for one or more characters other than `/`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('{') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(literal) else {
        return false;
    };
    let Some((_, rest)) = rest.split_once('}') else {
        return false;
    };
    let longest = name.find('/').unwrap_or(name.len());
    let ends = name
        .char_indices()
        .map(|(i, c)| i + c.len_utf8())
        .take_while(|end| *end <= longest);
    ends.into_iter()
        .any(|end| matches_pattern(rest, &name[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/orders-{id}", "/orders-17", true),
            ("/orders-{id}", "/orders-", false),
            ("/orders-{id}", "/orders-1/x", false),
            ("/{team}/{room}", "/red/1", true),
            ("/{team}/{room}", "/red/", false),
            ("/{a}-{b}x", "/1-2-3x", true),
            ("/{a}", "/é", true),
            ("/{unclosed", "/x", false),
        ] {
            assert_eq!(
                matches_pattern(pattern, name),
                expected,
                "{pattern} against {name}"
            );
        }
    }
}
