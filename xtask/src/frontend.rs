//! npm packages of the repository.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::command::{command, tee};

/// Packages with a `build` script whose result the binary embeds.
const BUILT: &[&str] = &["web"];

/// Returns the folders of those packages that exist in this checkout.
pub(crate) fn built() -> Vec<PathBuf> {
    BUILT
        .iter()
        .map(|name| crate::root().join(name))
        .filter(|folder| folder.join("package.json").is_file())
        .collect()
}

/// Installs exactly the packages of the lock file, unless that was done already.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let modified = |file: PathBuf| file.metadata().and_then(|meta| meta.modified()).ok();
    let lock = modified(folder.join("package-lock.json"));
    let installed = modified(folder.join("node_modules/.package-lock.json"));
    if lock.is_some() && installed >= lock {
        return Ok(());
    }
    let (ok, _) = tee(command(folder, "npm", &["ci", "--no-audit", "--no-fund"]))?;
    if !ok {
        bail!("`npm ci` failed in {}", folder.display());
    }
    Ok(())
}

/// Installs and builds every front end; their build scripts check the types first.
pub(crate) fn build() -> Result<()> {
    for folder in built() {
        install(&folder)?;
        let (ok, _) = tee(command(&folder, "npm", &["run", "--silent", "build"]))?;
        if !ok {
            bail!("the front end in {} does not build", folder.display());
        }
    }
    Ok(())
}
