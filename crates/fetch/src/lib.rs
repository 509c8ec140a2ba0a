//! Outbound HTTP: one pooled client with TLS, time limits, bounds on size, and rules on which addresses may be
//! reached.
//!
//! A [`Client`] is cheap to clone. What it may reach is part of it ([`Options`]), and is checked on the very address
//! that is then connected to, at each hop of a redirect again. Bodies stream in both directions; server-sent events
//! are read by [`Events`]. The one place that knows how TLS is set up is [`tls`]. HTTP/1.1 alone is spoken: every
//! server that matters here does, and a stream that one drops is then one connection closed.
//!
//! Deliberately absent: what is fetched and why, credentials' origin, Docker Engines (`engine` has its own transport),
//! cookies, caches, compression, and reading the environment (proxies are [`Options`]).

mod addresses;
mod client;
mod connect;
mod error;
mod request;
mod response;
mod sse;
mod stream;
pub mod tls;

pub use addresses::{Addresses, Class, Range, RangeError};
pub use client::{Client, Limits, Options, Plain};
pub use connect::{Dial, Proxy, attend, dial};
pub use error::{Error, Kind, shown};
pub use request::{Body, Redirects, Request};
pub use response::{Response, excerpt};
pub use sse::{Event, EventLimits, Events, Parser};
pub use stream::{Duplex, Stream, Tasks};

pub use http::{HeaderMap, Method, StatusCode, header};
pub use url::Url;
