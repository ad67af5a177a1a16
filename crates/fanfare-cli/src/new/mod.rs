//! `fanfare new`: a project to begin with: a server, a page, tests.

mod name;
mod template;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::exit::{Code, Failure, Outcome};
use crate::out::{self, text};
use name::Name;
use template::Template;

/// Options of `fanfare new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Templates:
  minimal  one event, and its acknowledgement
  chat     rooms, names, typing, recovery of lost connections
  axum     an HTTP API whose changes all open pages show
  game     a server that moves everybody 20 times a second

Examples:
  fanfare new hello
  fanfare new tea-room --template chat
  fanfare new arena --template game --fanfare ~/fanfare")]
pub(crate) struct New {
    /// The folder to create, whose name is that of the project.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The project to begin with.
    #[arg(long, short, value_name = "NAME", default_value_t = Template::Minimal)]
    template: Template,

    /// Use the crates of this copy of Fanfare's repository instead of published ones.
    #[arg(long, value_name = "FOLDER")]
    fanfare: Option<PathBuf>,
}

/// Official browser client that the page loads, built into the binary with the demo's pages.
#[cfg(browser_client)]
const BROWSER_CLIENT: Option<&str> = Some(include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/dist/socket.io.esm.min.js"
)));
#[cfg(not(browser_client))]
const BROWSER_CLIENT: Option<&str> = None;

pub(crate) fn run(args: &New) -> Outcome {
    let name = Name::of_folder(&args.folder)?;
    let crates = args.fanfare.as_deref().map(repository).transpose()?;
    let client = BROWSER_CLIENT.ok_or_else(|| {
        Failure::new(
            Code::Failed,
            "this binary was built without the browser client",
        )
        .fix("run `npm ci && npm run build` in web/ of the repository, and build it again")
    })?;
    let mut files = args.template.files(&name, crates.as_deref());
    files.push(("public/socket.io.esm.min.js", client.to_owned()));
    create(&args.folder)?;
    for (path, text) in &files {
        let path = args.folder.join(path);
        let folder = path.parent().unwrap_or(&args.folder);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| {
                Failure::new(Code::Failed, format!("cannot write {}", path.display()))
                    .because(error)
            })?;
    }
    report(args, files.len());
    Ok(Code::Ok)
}

fn report(args: &New, files: usize) {
    let style = out::style();
    let folder = args.folder.display().to_string();
    out::line(&text!(
        "{} {} ({} files)",
        style.good("created"),
        folder,
        files
    ));
    out::line(&text!(""));
    out::line(&text!("  cd {}", folder));
    out::line(&text!(
        "  cargo run     {}",
        style.dim("# then open http://localhost:3000, in two windows")
    ));
    out::line(&text!("  cargo test"));
}

/// Creates the folder of the project; an empty one may be there already.
fn create(folder: &Path) -> Result<(), Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Failed, format!("cannot create {}", folder.display())).because(why)
    };
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::usage(format!("{} is not empty", folder.display()))
            .fix("name a folder that does not exist")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(|error| failed(&error))
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Returns the absolute path of the crates in a copy of the repository.
fn repository(folder: &Path) -> Result<PathBuf, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("--fanfare {}: {why}", folder.display()))
            .fix("name the folder of Fanfare's repository")
    };
    let crates = folder
        .canonicalize()
        .map_err(|error| wrong(error.to_string()))?
        .join("crates");
    if crates.join("fanfare/Cargo.toml").is_file() {
        Ok(crates)
    } else {
        Err(wrong(
            "there is no crates/fanfare/Cargo.toml in it".to_owned(),
        ))
    }
}
