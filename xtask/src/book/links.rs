//! Check that every link of the built book leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::stage;

/// Page: its anchors, and the addresses that it links.
#[derive(Debug, Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: BTreeSet<String>,
}

/// Returns the links below `book` that lead nowhere, and external addresses that are none.
pub(crate) fn check(book: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for file in stage::files(book)? {
        // Its links are those of the table of contents, from another folder.
        if file
            .extension()
            .is_some_and(|extension| extension == "html")
            && !file.ends_with("404.html")
        {
            pages.insert(file.clone(), read(&fs::read_to_string(&file)?));
        }
    }
    let mut found = Vec::new();
    for (file, page) in &pages {
        for link in &page.links {
            if let Err(why) = resolve(&pages, file, link) {
                let file = file.strip_prefix(book)?;
                found.push(format!("{}: {link}: {why}", file.display()));
            }
        }
    }
    println!(
        "{} pages with {} links",
        pages.len(),
        pages.values().map(|page| page.links.len()).sum::<usize>()
    );
    Ok(found)
}

fn resolve(pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> Result<(), &'static str> {
    if let Some((scheme, rest)) = link.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        let good = ["http", "https"].contains(&scheme)
            && !host.is_empty()
            && !link.contains(char::is_whitespace);
        return if good { Ok(()) } else { Err("not an address") };
    }
    if link.starts_with("mailto:") || link.starts_with("data:") {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap_or_default();
    let target = if path.is_empty() {
        from.to_owned()
    } else {
        stage::normal(&from.with_file_name("").join(path))
    };
    if !target.is_file() {
        return Err("there is no such page");
    }
    match pages.get(&target) {
        Some(page) if !anchor.is_empty() && !page.anchors.contains(anchor) => {
            Err("the page has no such heading")
        }
        _ => Ok(()),
    }
}

/// Reads the anchors and addresses of a page that mdBook wrote.
fn read(html: &str) -> Page {
    let mut page = Page::default();
    for part in html.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        if tag.starts_with(['/', '!']) {
            continue;
        }
        let value = |name: &str| {
            let (_, value) = tag.split_once(&format!(" {name}=\""))?;
            let value = value.split('"').next()?;
            (!value.is_empty()).then(|| value.replace("&amp;", "&"))
        };
        page.anchors.extend(value("id"));
        page.links.extend(value("href"));
        page.links.extend(value("src"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let pages = BTreeMap::from([(
            PathBuf::from(file!()),
            read(
                "<h1 id=\"title\"><a class=\"header\" href=\"#title\">T</a></h1><img src=\"a&amp;b.png\">",
            ),
        )]);
        let page = &pages[Path::new(file!())];
        assert!(page.anchors.contains("title") && page.links.contains("a&b.png"));
        let resolve = |link| resolve(&pages, Path::new(file!()), link);
        assert_eq!(resolve("https://example.org/a"), Ok(()));
        assert_eq!(resolve("ftp://example.org"), Err("not an address"));
        assert_eq!(resolve("https:///a"), Err("not an address"));
        assert_eq!(resolve("no-such-page.html"), Err("there is no such page"));
    }

    #[test]
    fn anchors_are_found() {
        let folder = std::env::temp_dir().join(format!("fanfare-book-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("a.html"),
            "<a href=\"b.html#x\">x</a> <a href=\"b.html#y\">y</a>",
        )
        .unwrap();
        fs::write(folder.join("b.html"), "<h2 id=\"x\">x</h2>").unwrap();
        let found = check(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["a.html: b.html#y: the page has no such heading"]);
    }
}
