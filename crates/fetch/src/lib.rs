//! Outbound HTTP: one pooled client with TLS, time limits, bounds on size, and rules on which addresses may be
//! reached.
//!
//! Deliberately absent: what is fetched and why, credentials' origin, Docker Engines (`engine` has its own transport),
//! and reading the environment.
