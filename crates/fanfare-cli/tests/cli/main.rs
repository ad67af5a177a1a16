//! The command from a user's side: as a process, in a pipe, in a terminal, against Fanfare, Node and nginx.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bare_node;
mod bench;
mod cluster;
mod commands;
mod demo;
mod doctor;
mod hostile;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory;
mod messages;
mod node;
mod packaging;
mod support;
mod terminal;
mod trust;
