//! What the doctor found.

use serde_json::{Value, json};

use crate::style::Style;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It was not looked at, because something else is wrong.
    Skipped,
    /// It works, and may hurt some users.
    Warning,
    /// It does not work.
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

/// One finding.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Stable name of the check, as `websocket`.
    pub(crate) check: &'static str,
    pub(crate) level: Level,
    /// What was found, in one sentence.
    pub(crate) what: String,
    /// Why that matters, or how it was seen.
    pub(crate) why: Option<String>,
    /// Lines to change.
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

    /// For people. Prose is wrapped to fit into so many columns.
    pub(crate) fn show(&self, style: Style, columns: Option<usize>) -> String {
        let mark = match self.level {
            Level::Ok => style.good("ok     "),
            Level::Note => style.dim("note   "),
            Level::Skipped => style.dim("skipped"),
            Level::Warning => style.warn("WARNING"),
            Level::Problem => style.bad("PROBLEM"),
        };
        let room = columns.map(|columns| columns - INDENT);
        let gap = format!("\n{:INDENT$}", "");
        let what = wrap(&self.what, room).join(&gap);
        let mut text = format!("{mark} {:<12} {what}", self.check);
        let room = room.map(|room| room - 5);
        let mut more = |head: &str, body: &str| {
            for (i, line) in body.lines().enumerate() {
                let head = if i == 0 { head } else { "" };
                let mut parts = wrap(line, room).into_iter();
                let first = parts.next().unwrap_or_default();
                text.push_str(&format!("{gap}{} {first}", style.dim(format!("{head:<4}"))));
                for part in parts {
                    text.push_str(&format!("{gap}     {part}"));
                }
            }
        };
        if let Some(why) = &self.why {
            more("why:", why);
        }
        if let Some(fix) = &self.fix {
            more("fix:", fix);
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({ "check": self.check, "level": self.level.name(), "what": self.what, "why": self.why, "fix": self.fix })
    }
}

/// Where the text of a finding begins.
const INDENT: usize = 21;

/// Lines of at most so many characters, if there are spaces. Indented ones are to be copied, and stay whole.
fn wrap(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room.filter(|_| !text.starts_with(' ')) else {
        return vec![text.to_owned()];
    };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let full = lines.last().is_some_and(|line| {
            !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Everything at once.
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

/// The last line.
pub(crate) fn summary(findings: &[Finding], style: Style) -> String {
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
        (0, _) => format!(
            "{}, {}",
            style.good("no problems"),
            style.warn(warnings_text)
        ),
        (_, 0) => style.bad(plural(problems, "problem")),
        _ => format!(
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
        let shown = finding.show(Style::plain(), Some(80));
        let (copied, prose): (Vec<&str>, Vec<&str>) =
            shown.lines().partition(|line| line.contains("proxy_set"));
        assert!(prose.len() > 5, "{shown}");
        assert!(
            prose.iter().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
        assert!(copied[0].ends_with(&code), "{shown}");
        let whole = finding.show(Style::plain(), None);
        assert_eq!(whole.lines().count(), 4, "{whole}");
    }
}
