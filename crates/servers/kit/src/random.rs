//! Numbers that nobody outside this process can guess: marks of frames, cursors, handles of plans and sessions.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that was not given before, and that can't be told from the ones given before.
///
/// The keys of `RandomState` come from the operating system; `SipHash` of a counter under such a key is as good as
/// random to everybody who doesn't have the key, and needs no further crate and no fallible call.
pub fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed))
}
