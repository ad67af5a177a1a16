//! Contents of the package that `cargo publish` uploads.

use std::path::Path;
use std::process::Command;

#[test]
fn the_package_holds_the_sources_and_the_pages_of_the_demo() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let list = String::from_utf8(output.stdout).unwrap();
    let has = |file: &str| list.lines().any(|line| Path::new(line) == Path::new(file));
    assert!(has("build.rs") && has("src/main.rs"), "{list}");
    assert!(!list.contains("node_modules"), "{list}");
    let embedded = std::fs::read_to_string(folder.join("src/demo/assets.rs")).unwrap();
    assert!(
        embedded.contains("#[folder = \"dist\"]"),
        "what is embedded lies in the package"
    );
    if folder.join("dist/index.html").is_file() {
        assert!(
            has("dist/index.html") && has("dist/chat/index.html"),
            "{list}"
        );
    } else {
        println!("skipped: the pages are not built; in web/: npm ci && npm run build");
    }
}
