//! The catalog that comes along, so that there is something to switch on from the first minute.

use std::sync::LazyLock;

use crate::read::{self, Catalog};

/// Its text, in the catalog format.
pub const TEXT: &str = include_str!("ours.yaml");

/// The catalog that comes along. A test sees to it that all of it can be read.
pub fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| read::builtin(TEXT).unwrap_or_default());
    &CATALOG
}
