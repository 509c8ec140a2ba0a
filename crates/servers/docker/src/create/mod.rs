//! Making containers: what can be set, the engine's body for it, and doing it without leaving halves behind.

mod body;
mod make;
mod settings;
mod words;

pub(crate) use body::{Body, nano_cpus};
pub(crate) use make::{Made, create, create_and_start, create_from, report, run_to_end, start_made};
pub(crate) use settings::Settings;
pub(crate) use words::Restart;
