//! The files server: an MCP server whose tools read, change and search files, only beneath the roots that the
//! configuration names.
//!
//! A caller's path is split into names and walked from a handle of its root, by the kernel where it can (`openat2`
//! with `RESOLVE_BENEATH` and `RESOLVE_NO_MAGICLINKS`) and by `cap-std` elsewhere; no path is judged first and opened
//! later, so no link and no race leads out. What a place of files has to offer is `place::Place`: this machine's disks,
//! and those of other hosts by SFTP, which has less to offer (`remote`).
//!
//! Deliberately absent: permissions and confirmation (they are the gateway's), running anything, and any reading of the
//! environment.

mod confine;
mod copy;
mod diff;
mod fault;
mod local;
mod names;
mod place;
mod remote;
mod roots;
mod server;
mod tools;
mod trash;
mod walk;

pub use remote::Way;
pub use roots::{Named, Root};
pub use server::{Elsewhere, Files, FilesServer, Options, UnfitRoot, instructions, reference};
