//! Registries: reading and writing what they hold, artifacts, and checking signatures.
//!
//! [`Registries`] speaks the OCI distribution protocol (version 1.1, and what registries of version 1.0 have in place of
//! referrers). Whatever a registry gives is compared with the digest under which it was asked for; what has no digest
//! yet is bounded in size. A registry's words are a stranger's: cut, cleaned, and never obeyed.
//!
//! Deliberately absent: pulling images into an engine (the engine does that itself), mirrors, what artifacts mean
//! (`catalog`), and where credentials come from: they are asked for through [`Credentials`].

mod artifact;
mod auth;
mod blobs;
mod challenge;
mod client;
mod digest;
mod error;
mod manifest;
mod reference;
mod referrers;
pub mod sign;

pub use artifact::{Artifact, Layer, PulledArtifact};
pub use auth::{Credentials, Login};
pub use client::{Limits, Options, Registries};
pub use digest::Digest;
pub use error::Error;
pub use manifest::{Descriptor, Fetched, Manifest, media};
pub use reference::{Reference, Repository, Target};
