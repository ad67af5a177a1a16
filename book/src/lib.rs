//! Programs of the book's chapters and of the readme, which `cargo test --doc -p fanfare-book` compiles.
#![cfg_attr(
    doctest,
    allow(missing_docs, non_snake_case, reason = "chapters begin with headings")
)]

#[cfg(doctest)]
include!(concat!(env!("OUT_DIR"), "/chapters.rs"));
