//! Findings of the doctor.

use serde_json::{Value, json};

use crate::out::{Style, Text, text};

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Correct.
    Ok,
    /// Information.
    Note,
    /// Not checked, because something else is wrong.
    Skipped,
    /// Works, but may affect some users.
    Warning,
    /// Does not work.
    Problem,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// Result of one check.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Stable name of the check, such as `websocket`.
    pub(crate) check: &'static str,
    pub(crate) level: Level,
    /// Observation, in one sentence.
    pub(crate) what: String,
    /// Consequence, or evidence.
    pub(crate) why: Option<String>,
    /// Configuration lines to change.
    pub(crate) fix: Option<String>,
}

impl Finding {
    fn new(check: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self {
            check,
            level,
            what: what.into(),
            why: None,
            fix: None,
        }
    }

    pub(crate) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, what)
    }

    pub(crate) fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Note, what)
    }

    pub(crate) fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Skipped, what)
    }

    pub(crate) fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, what)
    }

    pub(crate) fn problem(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Problem, what)
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Formats the finding for people. Prose is wrapped to `columns` columns.
    pub(crate) fn show(&self, style: Style, columns: Option<usize>) -> Text {
        let mark = match self.level {
            Level::Ok => style.good("ok     "),
            Level::Note => style.dim("note   "),
            Level::Skipped => style.dim("skipped"),
            Level::Warning => style.warn("WARNING"),
            Level::Problem => style.bad("PROBLEM"),
        };
        let room = columns.map(|columns| columns.saturating_sub(INDENT).max(20));
        let mut text = text!("{} {:<12} ", mark, self.check);
        for (i, line) in wrap(&self.what, room).iter().enumerate() {
            if i > 0 {
                text.new_line(INDENT);
            }
            text.push(line);
        }
        let room = room.map(|room| room - 5);
        let mut more = |head: &'static str, line: &str| {
            for (i, part) in wrap(line, room).iter().enumerate() {
                text.new_line(INDENT);
                let head = if i == 0 { head } else { "" };
                text.push(style.dim(format!("{head:<4} ")));
                text.push(part);
            }
        };
        if let Some(why) = &self.why {
            more("why:", why);
        }
        // Only the fix keeps its line breaks: it is written by us, while the rest may contain text of a peer.
        for (i, line) in self.fix.iter().flat_map(|fix| fix.lines()).enumerate() {
            more(if i == 0 { "fix:" } else { "" }, line);
        }
        text
    }

    /// Returns the finding as JSON.
    pub(crate) fn json(&self) -> Value {
        json!({ "check": self.check, "level": self.level.name(), "what": self.what, "why": self.why, "fix": self.fix })
    }
}

/// Column at which the text of a finding begins.
const INDENT: usize = 21;

/// Wraps `text` to lines of at most `room` characters where there are spaces. Indented lines are to be copied, and stay
/// whole.
fn wrap(text: &str, room: Option<usize>) -> Vec<Text> {
    let text_of = Text::of(text);
    match room.filter(|_| !text.starts_with(' ')) {
        Some(room) => text_of.wrapped(room),
        None => vec![text_of],
    }
}

/// Returns all findings as one JSON document.
pub(crate) fn json(url: &str, findings: &[Finding], server: &Value) -> Value {
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    json!({
        "url": url,
        "healthy": count(Level::Problem) == 0,
        "problems": count(Level::Problem),
        "warnings": count(Level::Warning),
        "server": server,
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}

/// Returns the last line.
pub(crate) fn summary(findings: &[Finding], style: Style) -> Text {
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let warnings_text = plural(warnings, "warning");
    match (problems, warnings) {
        (0, 0) => style.good("everything is as it should be"),
        (0, _) => text!(
            "{}, {}",
            style.good("no problems"),
            style.warn(warnings_text)
        ),
        (_, 0) => style.bad(plural(problems, "problem")),
        _ => text!(
            "{}, {}",
            style.bad(plural(problems, "problem")),
            style.warn(warnings_text)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_and_lines_to_copy_are_not() {
        let code = format!("  proxy_set_header {};", "x".repeat(80));
        let finding = Finding::problem("websocket", "word ".repeat(30).trim_end())
            .because("because ".repeat(20).trim_end())
            .fix(format!("nginx, in a block:\n{code}"));
        let shown = lines(&finding, Some(80));
        let (copied, prose): (Vec<&String>, Vec<&String>) =
            shown.iter().partition(|line| line.contains("proxy_set"));
        assert!(prose.len() > 5, "{shown:#?}");
        assert!(
            prose.iter().all(|line| line.chars().count() <= 80),
            "{shown:#?}"
        );
        assert!(copied[0].ends_with(&code), "{shown:#?}");
        assert_eq!(lines(&finding, None).len(), 4);
    }

    fn lines(finding: &Finding, columns: Option<usize>) -> Vec<String> {
        let text = finding.show(Style::plain(), columns);
        text.as_str().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_others_say_makes_no_lines() {
        let said = "418: \nok      path         fine";
        let finding = Finding::problem("path", said).because(said);
        assert_eq!(lines(&finding, None).len(), 2);
    }
}
