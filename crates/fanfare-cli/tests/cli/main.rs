//! The command as its users meet it: as a process, in a pipe, in a terminal, against Fanfare, Node and nginx.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod commands;
mod doctor;
mod node;
mod packaging;
mod support;
mod terminal;
