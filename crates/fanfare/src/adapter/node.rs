//! Nodes that did not answer.

use std::fmt;

/// Nodes that did not answer a request, or not for all their clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingNodes {
    /// Ids of the nodes, where they are known.
    pub ids: Vec<String>,
    /// Number of nodes of which only the number is known.
    pub unnamed: usize,
}

impl MissingNodes {
    /// Returns the number of nodes.
    pub fn len(&self) -> usize {
        self.ids.len() + self.unnamed
    }

    /// Whether all nodes answered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for MissingNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} servers", self.len())?;
        if !self.ids.is_empty() {
            write!(f, " ({})", self.ids.join(", "))?;
        }
        Ok(())
    }
}
