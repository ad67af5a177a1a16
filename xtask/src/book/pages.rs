//! Additions to the pages that mdBook has built: the link to the other language, and labels in French.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use super::{Language, stage};

/// Place of mdBook's page at which the link to the other language is added.
const BUTTONS: &str = "<div class=\"right-buttons\">";

/// Labels of mdBook's page, which it has in English only.
const FRENCH: [(&str, &str); 22] = [
    ("Keyboard shortcuts", "Raccourcis clavier"),
    (
        "Press <kbd>←</kbd> or <kbd>→</kbd> to navigate between chapters",
        "<kbd>←</kbd> ou <kbd>→</kbd> : chapitre précédent ou suivant",
    ),
    (
        "Press <kbd>S</kbd> or <kbd>/</kbd> to search in the book",
        "<kbd>S</kbd> ou <kbd>/</kbd> : chercher dans le livre",
    ),
    (
        "Press <kbd>?</kbd> to show this help",
        "<kbd>?</kbd> : afficher cette aide",
    ),
    (
        "Press <kbd>Esc</kbd> to hide this help",
        "<kbd>Échap</kbd> : masquer cette aide",
    ),
    (
        "aria-label=\"Table of contents\"",
        "aria-label=\"Sommaire\"",
    ),
    (
        "title=\"Toggle Table of Contents\"",
        "title=\"Afficher ou masquer le sommaire\"",
    ),
    (
        "aria-label=\"Toggle Table of Contents\"",
        "aria-label=\"Afficher ou masquer le sommaire\"",
    ),
    ("title=\"Change theme\"", "title=\"Changer de thème\""),
    (
        "aria-label=\"Change theme\"",
        "aria-label=\"Changer de thème\"",
    ),
    ("aria-label=\"Themes\"", "aria-label=\"Thèmes\""),
    (">Light</button>", ">Clair</button>"),
    (">Rust</button>", ">Rouille</button>"),
    (">Coal</button>", ">Charbon</button>"),
    (">Navy</button>", ">Marine</button>"),
    ("title=\"Search (`/`)\"", "title=\"Chercher (`/`)\""),
    (
        "aria-label=\"Toggle Searchbar\"",
        "aria-label=\"Afficher ou masquer la recherche\"",
    ),
    (
        "placeholder=\"Search this book ...\"",
        "placeholder=\"Chercher dans ce livre…\"",
    ),
    (
        "aria-label=\"Page navigation\"",
        "aria-label=\"Navigation entre les pages\"",
    ),
    (
        "title=\"Next chapter\" aria-label=\"Next chapter\"",
        "title=\"Chapitre suivant\" aria-label=\"Chapitre suivant\"",
    ),
    (
        "title=\"Previous chapter\" aria-label=\"Previous chapter\"",
        "title=\"Chapitre précédent\" aria-label=\"Chapitre précédent\"",
    ),
    (
        "id=\"mdbook-searchresults-header\" class=\"searchresults-header\"",
        "id=\"mdbook-searchresults-header\" class=\"searchresults-header\" lang=\"en\"",
    ),
];

/// Page at the root of the book.
const INDEX: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta http-equiv=\"refresh\" content=\"0; url=en/index.html\">
<title>The Fanfare book</title>
</head>
<body>
<main>
<h1>The Fanfare book</h1>
<p><a href=\"en/index.html\">English</a></p>
<p><a href=\"fr/index.html\" hreflang=\"fr\" lang=\"fr\">Français</a></p>
</main>
</body>
</html>
";

/// Completes the pages of both languages below `book`.
pub(crate) fn finish(book: &Path) -> Result<()> {
    for language in Language::ALL {
        let folder = book.join(language.code());
        let mut translated = vec![false; FRENCH.len()];
        for file in stage::files(&folder)? {
            let page = file.strip_prefix(&folder)?;
            // The first is a page for frames; the second has no place of its own.
            let part = ["toc.html", "404.html"]
                .iter()
                .any(|name| page == Path::new(name));
            if part || page.extension().is_none_or(|extension| extension != "html") {
                continue;
            }
            let mut text = fs::read_to_string(&file)?;
            if !text.contains(BUTTONS) {
                bail!(
                    "{}: the pages of this version of mdBook have no place for the link to the other language",
                    file.display()
                );
            }
            let link = link(book, language, page);
            text = text.replacen(BUTTONS, &format!("{BUTTONS}{link}"), 1);
            if language == Language::French {
                for ((from, to), done) in FRENCH.iter().zip(&mut translated) {
                    *done |= text.contains(from);
                    text = text.replace(from, to);
                }
            }
            fs::write(&file, text)?;
        }
        if language == Language::French
            && let Some(index) = translated.iter().position(|done| !done)
        {
            bail!(
                "no page has the label {:?}, which has a translation",
                FRENCH[index].0
            );
        }
    }
    fs::write(book.join("index.html"), INDEX)?;
    Ok(())
}

/// Link to the same page in the other language, or to the first page if it has none.
fn link(book: &Path, language: Language, page: &Path) -> String {
    let other = language.other();
    let there = Path::new(other.code()).join(page);
    let there = if book.join(&there).is_file() {
        there
    } else {
        Path::new(other.code()).join("index.html")
    };
    let address = stage::relative(&Path::new(language.code()).join(page), &there);
    let (code, name) = match other {
        Language::English => ("en", "English"),
        Language::French => ("fr", "Français"),
    };
    format!(
        "<a class=\"language-link\" rel=\"alternate\" hreflang=\"{code}\" lang=\"{code}\" href=\"{}\">{name}</a>",
        address.display()
    )
}
