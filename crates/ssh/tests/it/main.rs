//! Hosts reached over a real sshd on the loopback, and over servers that misbehave.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod algorithms;
mod keys;
mod links;
mod odd;
mod processes;
mod sftp;
mod streams;
mod support;
mod trust;
