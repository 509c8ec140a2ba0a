//! The files server: an MCP server whose tools read, change and search files, only beneath the roots that the
//! configuration names.
//!
//! A caller's path is split into names and walked from a handle of its root, by the kernel where it can (`openat2`
//! with `RESOLVE_BENEATH` and `RESOLVE_NO_MAGICLINKS`) and by `cap-std` elsewhere; no path is judged first and opened
//! later, so no link and no race leads out. What a place of files has to offer is `place::Place`; this machine's
//! disks are the only one so far.
//!
//! Deliberately absent: permissions and confirmation (they are the gateway's), running anything, following the roots
//! that a client names, and any reading of the environment.

mod copy;
mod diff;
mod fault;
mod local;
mod names;
mod place;
mod roots;
mod server;
mod tools;
mod trash;

pub use roots::Root;
pub use server::{Files, FilesServer, INSTRUCTIONS, Options, UnfitRoot, reference};
