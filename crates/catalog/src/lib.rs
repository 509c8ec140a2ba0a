//! What servers exist, which are switched on, how each is configured, and the exact plan of what would run.
//!
//! All of it is data and pure functions: [`read`] makes an [`Entry`] of whatever a catalog, an image or a registry says
//! of a server; [`Setup`] is what the user says of it; [`plan()`] makes of both exactly what would run, or all that is
//! missing for that. Deliberately absent: I/O beyond reading text that was handed in, values of secrets (`secrets`),
//! running anything (`instances`), and asking registries (`oci`, `fetch`).

pub mod call;
mod changes;
pub mod docker_mcp;
pub mod entry;
mod lack;
mod mounts;
pub mod node;
pub mod ours;
mod packages;
pub mod place;
pub mod plan;
mod planner;
pub mod profile;
pub mod read;
pub mod schema;
pub mod search;
pub mod setup;
pub mod template;
pub mod tools;

pub use changes::changes;
pub use entry::Entry;
pub use lack::{Lack, LackSort};
pub use packages::{Bases, NODE, PYTHON, is_version};
pub use place::Place;
pub use planner::{Around, Beside, Known, Processes, There, plan};
pub use setup::Setup;
