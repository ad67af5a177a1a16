//! Builds of the binary with some of its commands.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::cargo;
use crate::root;

/// Returns the checks of the binary: without its optional commands, and with each of them alone.
pub(crate) fn checks() -> Result<Vec<Command>> {
    let manifest = std::fs::read_to_string(root().join("crates/fanfare-cli/Cargo.toml"))?;
    let features = features(&manifest).context("the binary has no default features")?;
    ensure!(!features.is_empty(), "the binary has no optional commands");
    let check = |more: &[&str]| {
        let lean = ["check", "--package", "fanfare-cli", "--no-default-features"];
        cargo(&[&lean, more].concat())
    };
    let mut checks = vec![check(&[])];
    checks.extend(
        features
            .iter()
            .map(|feature| check(&["--features", feature])),
    );
    Ok(checks)
}

/// Reads the default features, each of which is a command or a pair of commands.
fn features(manifest: &str) -> Option<Vec<&str>> {
    let list = manifest
        .lines()
        .find_map(|line| line.strip_prefix("default = ["))?
        .strip_suffix(']')?;
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    Some(names.filter(|name| !name.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_features_are_found() {
        let manifest = "[features]\ndefault = [\"a\", \"b-c\"]\nx = [\"dep:y\"]\n";
        assert_eq!(features(manifest), Some(vec!["a", "b-c"]));
        assert_eq!(features("default = []"), Some(vec![]));
        assert_eq!(features("[features]\n"), None);
    }
}
