//! Registries: reading and writing OCI artifacts, and checking signatures.
//!
//! Deliberately absent: pulling images into an engine (the engine does that itself), and what artifacts mean.
