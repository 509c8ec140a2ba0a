//! Small things that every room needs: validated names, redaction, text made safe to show, and the clock.
//!
//! Deliberately absent: anything that does I/O, knows a protocol, or holds state. A helper that only one room
//! uses belongs in that room.

pub mod clock;
mod finder;
pub mod names;
pub mod redact;
mod size;
mod span;
mod spotter;
pub mod suspect;
pub mod text;

pub use redact::Secret;
pub use size::{Size, SizeError};
pub use span::{Span, SpanError};
pub use spotter::{KnownSecrets, SHORTEST as SHORTEST_SPOTTED, Spotter};
