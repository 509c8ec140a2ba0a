//! Values as callers write them, of use to more than one server: "1m30s", "512m", `{"A": "b"}`.
//!
//! Each type accepts the short form people type and the structured form programs send, and turns it into one
//! meaning at the edge. What can't be understood is an error that shows the accepted form.

mod pairs;
mod size;
mod span;
mod words;

pub use pairs::Pairs;
pub use size::Size;
pub use span::Span;
pub use words::Words;

/// A number, or text, where each has its own meaning; anything else is told the form.
///
/// # Errors
/// Neither of them, or one without a meaning.
pub fn number_or_text<'de, D, T>(
    deserializer: D,
    form: &'static str,
    from_number: impl FnOnce(f64) -> Result<T, &'static str>,
) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = &'static str>,
{
    use serde::Deserialize as _;
    use serde::de::Error as _;
    use serde_json::Value;

    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64().ok_or(form).and_then(from_number),
        Value::String(text) => text.parse(),
        _ => Err(form),
    }
    .map_err(D::Error::custom)
}

/// Schema for a type that reads one of the shapes in [`crate::schema`].
#[macro_export]
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
