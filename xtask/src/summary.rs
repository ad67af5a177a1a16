//! Summary of a test run.

use std::fmt;
use std::time::Duration;

/// Outcome of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The step succeeded.
    Passed,
    /// The step failed, with this reason.
    Failed(String),
    /// Something is missing here; the text says what, and how to get it.
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(why) => write!(f, "FAILED ({why})"),
            Self::Skipped(why) => write!(f, "skipped ({why})"),
        }
    }
}

/// Closing lines of the test runners that a step started.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<String>,
}

impl Report {
    /// Extracts the closing lines from a test runner's output.
    pub(crate) fn read(&mut self, output: &str) {
        self.lines
            .extend(output.lines().map(plain).filter(|line| is_closing(line)));
    }

    /// Adds a closing line that does not name its subject.
    pub(crate) fn add(&mut self, line: String) {
        self.lines.push(line);
    }
}

/// Recognises the closing lines of cargo test, nextest, node:test, Playwright, unittest, cargo-deny and our scripts.
fn is_closing(line: &str) -> bool {
    let text = line.trim();
    let mut words = text.split(' ');
    let (first, second, third) = (
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
    );
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    text.starts_with("Summary [")
        || text.starts_with("test result: ")
        || (first == "ℹ"
            && ["tests", "pass", "fail", "cancelled", "skipped", "todo"].contains(&second)
            && number(third))
        || (number(first)
            && ["passed", "failed", "flaky", "skipped"].contains(&second.trim_end_matches(',')))
        || (first == "Ran" && number(second) && third.starts_with("test"))
        || text == "OK"
        || text.starts_with("OK (")
        || text.starts_with("FAILED (")
        || text.starts_with("autobahn: ")
        || (first == "bans" && ["ok,", "FAILED,"].contains(&second))
}

/// Removes terminal colours from a line.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else if char != '\r' {
            text.push(char);
        }
    }
    text
}

/// Outcomes of all steps.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    steps: Vec<(&'static str, Outcome, Duration, Report)>,
}

impl Summary {
    /// Adds a finished step.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        outcome: Outcome,
        time: Duration,
        report: Report,
    ) {
        self.steps.push((name, outcome, time, report));
    }

    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.steps
            .iter()
            .filter(|(_, outcome, ..)| is(outcome))
            .count()
    }

    /// Returns the number of failed steps.
    pub(crate) fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "━━ what the test runners said")?;
        for (name, _, _, report) in &self.steps {
            // Lines of `0 tests`, from crates without doc tests, would only hide the rest.
            for line in report
                .lines
                .iter()
                .filter(|line| !line.contains(" 0 passed; 0 failed; 0 ignored"))
            {
                writeln!(f, "{name:<14} {}", line.trim())?;
            }
        }
        writeln!(f, "\n━━ steps")?;
        let mut total = Duration::ZERO;
        for (name, outcome, time, _) in &self.steps {
            writeln!(f, "{name:<14} {:>7.1} s  {outcome}", time.as_secs_f64())?;
            total += *time;
        }
        write!(
            f,
            "\n{} passed, {} failed, {} skipped ({:.0} s)",
            self.count(|outcome| matches!(outcome, Outcome::Passed)),
            self.failed(),
            self.count(|outcome| matches!(outcome, Outcome::Skipped(_))),
            total.as_secs_f64(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_recognised_and_others_are_not() {
        let output = "\
PASS [   0.1s] 12 passed along\n\
\u{1b}[32m     Summary\u{1b}[0m [   1.2s] 3 tests run: 3 passed, 0 skipped\n\
test result: ok. 2 passed; 0 failed; 0 ignored\n\
ℹ pass 7\n\
ℹ duration_ms 12\n\
  4 passed (3.1s)\n\
Ran 5 tests in 0.1s\n\
OK\n\
autobahn: 290 passed, 0 failed\n\
bans ok, licenses FAILED, sources ok\n\
everything passed\n";
        let mut report = Report::default();
        report.read(output);
        let lines: Vec<&str> = report.lines.iter().map(|line| line.trim()).collect();
        assert_eq!(
            lines,
            [
                "Summary [   1.2s] 3 tests run: 3 passed, 0 skipped",
                "test result: ok. 2 passed; 0 failed; 0 ignored",
                "ℹ pass 7",
                "4 passed (3.1s)",
                "Ran 5 tests in 0.1s",
                "OK",
                "autobahn: 290 passed, 0 failed",
                "bans ok, licenses FAILED, sources ok",
            ]
        );
    }
}
