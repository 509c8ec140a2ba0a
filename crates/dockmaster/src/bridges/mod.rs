//! Bridges: Dockmaster itself on other hosts, as this executable sees them from both ends.
//!
//! On this side a *record* of each host's bridge (its id, version and key) lies in the state folder; a *parcel* is what a
//! bridge works with: its configuration, hashes of keys, and the servers that are placed on its host with their secrets;
//! *ways* lead calls to it, its audit comes back, and *errands* are what commands want of it. Whoever *reaches* it puts right
//! first what an upgrade that was broken off has left. On the other side (`inside`) an ordinary gateway serves what the
//! last parcel says. How a bridge gets there, and what it is made of, is the room `bridge`.

pub(crate) mod audit;
pub(crate) mod errands;
#[cfg(unix)]
pub(crate) mod inside;
pub(crate) mod parcel;
pub(crate) mod reach;
pub(crate) mod record;
pub(crate) mod states;
pub(crate) mod versions;
pub(crate) mod ways;

pub(crate) use record::Record;
