//! One Docker Engine: its transport, the guard on every request, and typed operations.
//!
//! [`Engine::send`] is the only way to the daemon. It asks the guard, puts the negotiated API version before the
//! path, takes a pooled connection and keeps the time limit; all operations end there, and so does bollard, which
//! is used for typed request bodies. Answers that are only read stay the daemon's own JSON.
//!
//! Deliberately absent: choosing among engines (`hosts`), decisions about who may call what (`policy`), anything
//! for people or models to read beyond error messages, and SSH, whose streams come in through [`Connect`]. Nothing
//! here reads the environment, prints or exits.

pub mod context;
pub mod credentials;
pub mod discover;
pub mod guard;
pub mod ops;
pub mod tarball;

mod endpoint;
mod engine;
mod error;
mod negotiate;
mod path;
mod request;
mod stream;
mod transport;
mod trip;
mod typed;

pub use bollard::models;
pub use endpoint::{Authority, Endpoint, EndpointError, Identity, Ssh, Tls, Verify};
pub use engine::{Engine, Options};
pub use error::{Error, Fate};
pub use negotiate::{ApiVersion, Version, VersionError};
pub use path::{Path, Segment};
pub use request::{Body, BodyStream, Filters, Request};
pub use stream::{Demux, Hijacked, Output, Tty, demux};
pub use transport::{Connect, Duplex};
