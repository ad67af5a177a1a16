//! `cargo xtask book`: builds the book in English and French, and checks it.
//!
//! The chapters are in `book/en/src` and `book/fr/src`. A copy of them, with what both share and with documents of the
//! repository, is the source that mdBook reads; the pages are in `target/book/en` and `target/book/fr`.

mod calls;
mod links;
mod markdown;
mod pages;
mod prose;
mod stage;
mod structure;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command::{command, tee};
use crate::steps::skipped;
use crate::summary::{Outcome, Report};
use crate::{root, target, tools};

/// Language of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    French,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::French];

    /// Code of the language, which is the name of its folders.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::English => Self::French,
            Self::French => Self::English,
        }
    }

    /// Folder of its chapters.
    pub(crate) fn source(self) -> PathBuf {
        root().join("book").join(self.code()).join("src")
    }
}

/// Folder of the built book.
fn output() -> PathBuf {
    target().join("book")
}

const HELP: &str = "\
Usage: cargo xtask book

Builds the book in English and French into target/book/en and target/book/fr, and checks its links, the structure and
typography of the translation, and the spelling.
";

/// Builds and checks the book.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if let Some(arg) = args.first() {
        if arg != "--help" && arg != "-h" {
            bail!("unknown argument `{arg}`\n\n{HELP}");
        }
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::default();
    match step(&mut report)? {
        Outcome::Passed => {
            println!("the book: {}", output().join("index.html").display());
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Failed(why) => bail!("{why}"),
        Outcome::Skipped(why) => bail!("the book was not built: {why}"),
    }
}

/// Step `book` of the tests.
pub(crate) fn step(report: &mut Report) -> Result<Outcome> {
    if let Err(why) = tools::mdbook() {
        return skipped(why);
    }
    build()?;
    let mut found = structure::check(report)?;
    found.extend(links::check(&output())?);
    found.extend(prose::typography()?);
    match prose::spelling()? {
        Ok(unknown) => found.extend(unknown),
        Err(why) => {
            println!("the spelling was not checked: {why}");
            report.add(format!("the spelling of the book was not checked: {why}"));
        }
    }
    if found.is_empty() {
        return Ok(Outcome::Passed);
    }
    for problem in &found {
        println!("{problem}");
    }
    Ok(Outcome::Failed(format!(
        "the book has {} problems, see above",
        found.len()
    )))
}

/// Builds both languages into [`output`].
pub(crate) fn build() -> Result<()> {
    let stage = target().join("book-source");
    for folder in [&stage, &output()] {
        if folder.is_dir() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    for language in Language::ALL {
        let source = stage.join(language.code());
        stage::prepare(language, &source)?;
        let pages = output().join(language.code());
        let (ok, text) = tee(tools::with_tools(command(
            root(),
            "mdbook",
            &[
                "build",
                &source.to_string_lossy(),
                "--dest-dir",
                &pages.to_string_lossy(),
            ],
        )))?;
        // mdBook builds a page although a file that it includes does not exist.
        if !ok || text.contains("ERROR") || text.contains("WARN") {
            bail!(
                "mdBook cannot build the book in {}, see above",
                source.display()
            );
        }
    }
    pages::finish(&output())
}
