//! The pages of the demo are part of the binary: build it again when they changed.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}
