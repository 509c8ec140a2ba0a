//! The shell server: commands, in containers made for one each or on this host, and what the configuration says of them.
//!
//! Deliberately absent: permissions and confirmation (they are the gateway's), audit, reading the environment.

pub mod rules;
