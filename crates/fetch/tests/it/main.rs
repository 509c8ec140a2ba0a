//! The client against servers that are scripted byte by byte.
#![expect(clippy::unwrap_used, reason = "what fails in a fixture fails the test")]

mod bodies;
mod hops;
mod peer;
mod proxies;
mod rules;
mod secure;
