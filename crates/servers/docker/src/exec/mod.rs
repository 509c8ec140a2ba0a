//! Commands in running containers: run to their end, or kept as sessions; and, what the API lacks, ended.

mod output;
mod run;
mod running;
mod sessions;

pub(crate) use run::{Request, run};
pub(crate) use running::{Config, Ended};
pub(crate) use sessions::{Close, Sessions, Status, Taken};
