//! Filters of lists, as the engine knows them.

use serde::Deserialize;
use server_kit::inline_schema;
use server_kit::values::Words;
use std::collections::BTreeMap;

/// `{"label": "a=b", "status": ["exited", "dead"]}`: the engine's own filters; it refuses those it doesn't know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Filters(BTreeMap<String, Filter>);

inline_schema!(Filters, server_kit::schema::map);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "text, a list of text, or true or false")]
enum Filter {
    Words(Words),
    Flag(bool),
}

impl Filters {
    /// As the engine takes them.
    pub(crate) fn to_engine(&self) -> engine::Filters {
        let mut filters = engine::Filters::new();
        for (name, filter) in &self.0 {
            match filter {
                Filter::Words(words) => {
                    for value in words.clone().into_list() {
                        filters.add(name, value);
                    }
                }
                Filter::Flag(flag) => filters.add(name, flag.to_string()),
            }
        }
        filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_for_the_engine() {
        for (value, expected) in [
            (json!({}), Ok(json!({}))),
            (json!({ "label": "a=b" }), Ok(json!({ "label": ["a=b"] }))),
            (
                json!({ "status": ["exited", "dead"], "dangling": true }),
                Ok(json!({ "dangling": ["true"], "status": ["exited", "dead"] })),
            ),
            (json!({ "label": 5 }), Err(())),
        ] {
            let filters = serde_json::from_value::<Filters>(value).map_err(drop);
            let filters = filters.map(|filters| serde_json::to_value(filters.to_engine()).unwrap());
            assert_eq!(filters, expected);
        }
    }
}
