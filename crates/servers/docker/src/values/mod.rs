//! Values as callers write them: "8080:80", "512m", "1m30s", `["sh", "-c", "…"]`, `{"A": "b"}`.
//!
//! Each type accepts the short form people type and the structured form programs send, and turns it into one
//! meaning at the edge. What can't be understood is an error that shows the accepted form.

mod command;
mod filters;
mod pairs;
mod ports;
mod size;
mod span;
mod volume;
mod when;

pub(crate) use command::{Command, Words};
pub(crate) use filters::Filters;
pub(crate) use pairs::Pairs;
pub(crate) use ports::Ports;
pub(crate) use size::Size;
pub(crate) use span::Span;
pub(crate) use volume::{Access, Source, Volume};
pub(crate) use when::When;

/// Schema for a type that reads one of the shapes in [`crate::schema`].
macro_rules! inline_schema {
    ($type:ty, $schema:path) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $crate::schema::unnamed()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema(generator)
            }
        }
    };
}
use inline_schema;

#[cfg(test)]
mod tests;
