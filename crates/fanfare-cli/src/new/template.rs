//! Templates of projects.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;

use super::name::Name;

/// Project to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// One event, and its acknowledgement.
    Minimal,
    /// Rooms, names, typing, recovery of lost connections.
    Chat,
    /// An HTTP API whose changes all open pages show.
    Axum,
    /// A server that moves everybody 20 times a second.
    Game,
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimal => "minimal",
            Self::Chat => "chat",
            Self::Axum => "axum",
            Self::Game => "game",
        })
    }
}

/// Files that the templates do not share.
struct Sources {
    about: &'static str,
    library: &'static str,
    /// Content of the page.
    main: &'static str,
    script: &'static str,
    tests: &'static str,
}

macro_rules! sources {
    ($folder:literal, $about:literal) => {
        Sources {
            about: $about,
            library: include_str!(concat!("templates/", $folder, "/lib.rs")),
            main: include_str!(concat!("templates/", $folder, "/main.html")),
            script: include_str!(concat!("templates/", $folder, "/app.js")),
            tests: include_str!(concat!("templates/", $folder, "/server.rs")),
        }
    };
}

impl Template {
    fn sources(self) -> Sources {
        match self {
            Self::Minimal => sources!("minimal", "Sends what one page says to all open pages."),
            Self::Chat => sources!("chat", "A chat with rooms."),
            Self::Axum => sources!(
                "axum",
                "A list with an HTTP API, which all open pages show live."
            ),
            Self::Game => sources!("game", "A game in which everybody steers a dot."),
        }
    }

    /// Returns the paths and texts of the files, except the browser client.
    pub(super) fn files(self, name: &Name, crates: Option<&Path>) -> Vec<(&'static str, String)> {
        let sources = self.sources();
        let mut testing = dependency("fanfare-testing", crates);
        if self == Self::Axum {
            testing.push_str("\ntower = { version = \"0.5\", features = [\"util\"] }");
        }
        let fill = |text: &str| {
            text.replace("{{main}}", sources.main.trim_end())
                .replace("{{name}}", name.package())
                .replace("{{crate}}", &name.krate())
                .replace("{{about}}", sources.about)
                .replace("{{fanfare}}", &dependency("fanfare", crates))
                .replace("{{fanfare-testing}}", &testing)
        };
        [
            ("Cargo.toml", include_str!("templates/common/manifest.toml")),
            (".gitignore", include_str!("templates/common/gitignore")),
            ("README.md", include_str!("templates/common/README.md")),
            ("src/main.rs", include_str!("templates/common/main.rs")),
            ("src/web.rs", include_str!("templates/common/web.rs")),
            ("src/lib.rs", sources.library),
            (
                "public/style.css",
                include_str!("templates/common/style.css"),
            ),
            (
                "public/index.html",
                include_str!("templates/common/index.html"),
            ),
            ("public/app.js", sources.script),
            ("tests/server.rs", sources.tests),
        ]
        .into_iter()
        .map(|(path, text)| (path, fill(text)))
        .collect()
    }
}

/// Returns the line of the manifest for one of Fanfare's crates.
fn dependency(krate: &str, crates: Option<&Path>) -> String {
    match crates {
        // The debug format escapes as TOML's basic strings do.
        Some(folder) => format!("{krate} = {{ path = {:?} }}", folder.join(krate)),
        None => format!("{krate} = \"{}\"", env!("CARGO_PKG_VERSION")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in() {
        let name = Name::of_folder(Path::new("somewhere/tea-room")).expect("a name");
        for template in Template::value_variants() {
            let files = template.files(&name, None);
            for (path, text) in &files {
                assert!(
                    !text.contains("{{") || path.ends_with(".rs"),
                    "{template}: {path}"
                );
                for field in ["{{main}}", "{{name}}", "{{crate}}", "{{fanfare"] {
                    assert!(!text.contains(field), "{template}: {path}: {field}");
                }
            }
            let manifest = &files[0].1;
            assert!(manifest.contains("name = \"tea-room\""), "{manifest}");
            assert!(manifest.contains("fanfare = \"0."), "{manifest}");
        }
    }
}
