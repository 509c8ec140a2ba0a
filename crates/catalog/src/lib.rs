//! What servers exist, which are switched on, how each is configured, and the exact plan of what would run.
//!
//! All of it is data and pure functions. Deliberately absent: I/O beyond reading text that was handed in, values of
//! secrets (`secrets`), running anything (`instances`), and asking registries (`oci`, `fetch`).

pub mod plan;
