//! Source that mdBook reads: the chapters, what both languages share, and documents of the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Language, calls, markdown};
use crate::root;

/// Folder of the documents of the repository in the English book.
const DOCUMENTS: &str = "internals";
/// Chapter under which the table of contents lists them.
const PARENT: &str = "(internals/documents.md)";

/// Pages of a book: the path in the repository, and the path in the source of the book.
pub(crate) type Pages = BTreeMap<PathBuf, PathBuf>;

/// Writes the source of one language to `to`.
pub(crate) fn prepare(language: Language, to: &Path) -> Result<()> {
    let folder = root().join("book");
    let pages = pages(language)?;
    let english = pages_of_other(language)?;
    for (from, page) in &pages {
        let path = root().join(from);
        let target = to.join("src").join(page);
        if from.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path)?;
            let text = if page.ends_with("SUMMARY.md") {
                summary(&text, &pages)?
            } else {
                let chapter = Chapter {
                    from,
                    page,
                    pages: &pages,
                    english: &english,
                    to,
                };
                calls::expand(&chapter.rewrite(&text)?, language)?
            };
            write(&target, text.as_bytes())?;
        } else {
            write(&target, &fs::read(&path)?)?;
        }
    }
    let theme = folder.join("theme");
    for file in fs::read_dir(&theme)? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default();
        // Files that replace parts of mdBook's theme, and files beside them.
        let place = if file
            .extension()
            .is_some_and(|extension| extension == "hbs" || extension == "svg")
        {
            to.join("theme").join(name)
        } else {
            to.join(name)
        };
        write(&place, &fs::read(&file)?)?;
    }
    fs::create_dir_all(to.join("theme"))?;
    let settings = folder.join(language.code()).join("book.toml");
    write(&to.join("book.toml"), &fs::read(settings)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the pages of the English book, for links of another language to documents that exist in English only.
fn pages_of_other(language: Language) -> Result<Pages> {
    match language {
        Language::English => Ok(Pages::new()),
        Language::French => pages(Language::English),
    }
}

/// Returns the files of a language; in English also the documents of the repository.
pub(crate) fn pages(language: Language) -> Result<Pages> {
    let mut pages = Pages::new();
    let source = language.source();
    for file in files(&source)? {
        let page = file.strip_prefix(&source)?.to_owned();
        pages.insert(file.strip_prefix(root())?.to_owned(), page);
    }
    if language == Language::English {
        for name in ["docs/compatibility.md", "docs/benchmarks.md"] {
            let name = Path::new(name);
            let file = name.file_name().unwrap_or_default();
            pages.insert(name.to_owned(), Path::new(DOCUMENTS).join(file));
        }
        let decisions = root().join("docs/decisions");
        for file in files(&decisions)? {
            let page = Path::new(DOCUMENTS)
                .join("decisions")
                .join(file.strip_prefix(&decisions)?);
            let page = if page.ends_with("README.md") {
                page.with_file_name("index.md")
            } else {
                page
            };
            pages.insert(file.strip_prefix(root())?.to_owned(), page);
        }
    }
    Ok(pages)
}

/// Collects the files below a folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Adds the documents of the repository to a table of contents, and makes drafts of chapters that do not exist:
/// mdBook lists these without a link.
fn summary(text: &str, pages: &Pages) -> Result<String> {
    let mut out = String::new();
    for line in text.lines() {
        let link = markdown::links(line).pop();
        let missing = link.filter(|link| !pages.values().any(|page| page == Path::new(&link.to)));
        match missing {
            Some(link) => out.push_str(&line.replace(&format!("({})", link.to), "()")),
            None => out.push_str(line),
        }
        out.push('\n');
        if line.ends_with(PARENT) {
            let indent = " ".repeat(line.len() - line.trim_start().len() + 2);
            let own = |from: &Path| from.starts_with("docs");
            for (from, page) in pages.iter().filter(|(from, _)| own(from)) {
                let decision = from.starts_with("docs/decisions") && !from.ends_with("README.md");
                if decision {
                    continue;
                }
                out.push_str(&format!(
                    "{indent}- [{}]({})\n",
                    title(from)?,
                    page.display()
                ));
                if from.ends_with("README.md") {
                    for (from, page) in pages.iter().filter(|(from, _)| {
                        from.starts_with("docs/decisions") && !from.ends_with("README.md")
                    }) {
                        out.push_str(&format!(
                            "{indent}  - [{}]({})\n",
                            title(from)?,
                            page.display()
                        ));
                    }
                }
            }
        }
    }
    Ok(out)
}

/// Returns the first heading of a document.
fn title(path: &Path) -> Result<String> {
    let text = fs::read_to_string(root().join(path))?;
    let title = text.lines().find_map(|line| line.strip_prefix("# "));
    let title = title.with_context(|| format!("{} has no heading", path.display()))?;
    Ok(title.trim().replace(['[', ']'], ""))
}

/// Chapter whose links are rewritten.
struct Chapter<'a> {
    /// Path in the repository.
    from: &'a Path,
    /// Path in the book.
    page: &'a Path,
    pages: &'a Pages,
    english: &'a Pages,
    to: &'a Path,
}

impl Chapter<'_> {
    fn rewrite(&self, text: &str) -> Result<String> {
        let mut out = text.to_owned();
        for link in markdown::links(text).into_iter().rev() {
            let written = &text[link.range.clone()];
            if let Some(new) = self.link(&link, written)? {
                out.replace_range(link.range.clone(), &new);
            }
        }
        self.includes(&out)
    }

    /// Returns the new text of a link; `None` if it stays.
    fn link(&self, link: &markdown::Link, written: &str) -> Result<Option<String>> {
        if link.to.starts_with('#') || link.to.contains("://") || link.to.starts_with("mailto:") {
            return Ok(None);
        }
        let (path, anchor) = match link.to.split_once('#') {
            Some((path, anchor)) => (path, format!("#{anchor}")),
            None => (link.to.as_str(), String::new()),
        };
        let target = self.resolve(path);
        let new = if let Some(page) = self.pages.get(&target) {
            format!("{}{anchor}", relative(self.page, page).display())
        } else if let Some(page) = self.english.get(&self.original(&target)) {
            let page = relative(
                &Path::new("fr").join(self.page),
                &Path::new("en").join(page.with_extension("html")),
            );
            format!("{}{anchor}", page.display())
        } else if link.image && root().join(&target).is_file() {
            let name = Path::new("images").join(target.file_name().unwrap_or_default());
            write(
                &self.to.join("src").join(&name),
                &fs::read(root().join(&target))?,
            )?;
            relative(self.page, &name).display().to_string()
        } else if root().join(&target).exists() {
            // It is in the repository, but not in the book.
            let (text, _) = written.rsplit_once("](").unwrap_or((written, ""));
            let text = text.trim_start_matches('[').replace('`', "");
            let path = target.display().to_string();
            return Ok(Some(if text == path {
                format!("`{path}`")
            } else {
                format!("{text} (`{path}`)")
            }));
        } else {
            bail!(
                "{}: the link {} leads nowhere",
                self.from.display(),
                link.to
            );
        };
        let (text, rest) = written.rsplit_once(&link.to).with_context(|| {
            format!("{}: a link of another form: {written}", self.from.display())
        })?;
        Ok(Some(format!("{text}{new}{rest}")))
    }

    /// English chapter of which `target` is the translation; documents of the repository are in English themselves.
    fn original(&self, target: &Path) -> PathBuf {
        match target.strip_prefix("book/fr") {
            Ok(chapter) => Path::new("book/en").join(chapter),
            Err(_) => target.to_owned(),
        }
    }

    /// Path in the repository that a relative address means.
    fn resolve(&self, path: &str) -> PathBuf {
        let folder = self.from.parent().unwrap_or(Path::new(""));
        normal(&folder.join(path))
    }

    /// Makes the paths of included files absolute, because the chapter is a copy elsewhere.
    fn includes(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{#") {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let Some(end) = from.find("}}") else {
                break;
            };
            let (directive, after) = from.split_at(end);
            rest = after;
            let Some((name, file)) = directive.split_once(' ') else {
                out.push_str(directive);
                continue;
            };
            let (file, part) = file
                .split_once(':')
                .map_or((file, None), |(file, part)| (file, Some(part)));
            let path = root().join(self.resolve(file.trim()));
            if !path.is_file() {
                bail!(
                    "{}: there is no file {} to include",
                    self.from.display(),
                    path.display()
                );
            }
            out.push_str(&format!("{name} {}", path.display()));
            if let Some(part) = part {
                out.push_str(&format!(":{part}"));
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Removes `.` and `..` from a path.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Returns the path of `to` relative to the folder of `from`; both begin at the same folder.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let folder: Vec<_> = from
        .parent()
        .unwrap_or(Path::new(""))
        .components()
        .collect();
    let parts: Vec<_> = to.components().collect();
    let common = folder
        .iter()
        .zip(&parts)
        .take_while(|(a, b)| a == b)
        .count();
    let up = std::iter::repeat_n(Component::ParentDir, folder.len() - common);
    up.chain(parts[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(normal(Path::new("a/b/../c/./d.md")), Path::new("a/c/d.md"));
        let to = |from, to| relative(Path::new(from), Path::new(to));
        assert_eq!(to("guide/a.md", "guide/b.md"), Path::new("b.md"));
        assert_eq!(to("guide/a.md", "node/b.md"), Path::new("../node/b.md"));
        assert_eq!(to("a.md", "node/b.md"), Path::new("node/b.md"));
        assert_eq!(
            to("fr/guide/a.md", "en/internals/x.html"),
            Path::new("../../en/internals/x.html")
        );
    }

    #[test]
    fn links_of_a_chapter() {
        let pages = Pages::from([
            ("book/en/src/guide/a.md".into(), "guide/a.md".into()),
            (
                "docs/decisions/0001-fixture-server.md".into(),
                "internals/decisions/0001-fixture-server.md".into(),
            ),
        ]);
        let chapter = Chapter {
            from: Path::new("book/en/src/guide/a.md"),
            page: Path::new("guide/a.md"),
            pages: &pages,
            english: &Pages::new(),
            to: Path::new("unused"),
        };
        let new = chapter
            .rewrite("[x](../../../../docs/decisions/0001-fixture-server.md#a) [it](../../../../README.md) [y](#z)")
            .unwrap();
        assert_eq!(
            new,
            "[x](../internals/decisions/0001-fixture-server.md#a) it (`README.md`) [y](#z)"
        );
        assert!(chapter.rewrite("[x](nothing.md)").is_err());
        let new = chapter
            .rewrite("{{#include ../../../../README.md:part}}")
            .unwrap();
        assert_eq!(
            new,
            format!(
                "{{{{#include {}:part}}}}",
                root().join("README.md").display()
            )
        );
        assert!(chapter.rewrite("{{#include nothing.rs}}").is_err());
    }
}
