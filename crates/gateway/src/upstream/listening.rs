//! What a modern server is asked to tell of without being asked each time: changed lists, and changes of resources
//! (2026-07-28, "subscriptions/listen"), which the legacy era tells of unasked and has `resources/subscribe` for.

use std::collections::BTreeSet;

use serde_json::json;
use serde_json::value::RawValue;
use wire::edit::{Object, items, text};
use wire::{Raw, to_raw};

#[derive(Default)]
pub(super) struct Listening {
    watched: tokio::sync::Mutex<Watched>,
}

/// The subscription for resources. Held while it is exchanged for another.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) uris: BTreeSet<String>,
    /// The number of the request that keeps it open.
    pub(super) stream: Option<u64>,
}

impl Listening {
    pub(super) async fn watched(&self) -> tokio::sync::MutexGuard<'_, Watched> {
        self.watched.lock().await
    }

    /// What to listen to: changes of `uris`, or without any those of the lists that the server offers to tell of.
    /// `None`: nothing.
    pub(super) fn filter(capabilities: &RawValue, uris: &[&str]) -> Option<Raw> {
        if !uris.is_empty() {
            return Some(to_raw(&json!({"resourceSubscriptions": uris})));
        }
        let capabilities = Object::parse(capabilities).ok()?;
        let changes = |name: &str| {
            let capability = capabilities.get(name).and_then(|raw| Object::parse(raw).ok());
            capability.is_some_and(|it| it.get("listChanged").is_some_and(|flag| flag.get() == "true"))
        };
        let mut filter = Object::empty();
        for (name, wanted) in [
            ("tools", "toolsListChanged"),
            ("prompts", "promptsListChanged"),
            ("resources", "resourcesListChanged"),
        ] {
            if changes(name) {
                filter.set(wanted, &true);
            }
        }
        (!filter.is_empty()).then(|| filter.to_raw())
    }

    /// Whether the acknowledgement names the resource.
    pub(super) fn grants(acknowledged: &RawValue, uri: &str) -> bool {
        let granted = || {
            let params = Object::parse(acknowledged).ok()?;
            let filter = Object::parse(params.get("notifications")?).ok()?;
            let uris = items(filter.get("resourceSubscriptions")?)?;
            Some(
                uris.into_iter()
                    .any(|granted| text(granted).is_some_and(|granted| granted == uri)),
            )
        };
        granted() == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn filters() {
        let all = r#"{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":true,"subscribe":true}}"#;
        for (capabilities, uris, wanted) in [
            (
                all,
                &[][..],
                Some(r#"{"toolsListChanged":true,"resourcesListChanged":true}"#),
            ),
            (all, &["a:b"], Some(r#"{"resourceSubscriptions":["a:b"]}"#)),
            (r#"{"tools":{"listChanged":false}}"#, &[], None),
            ("[]", &[], None),
        ] {
            let filter = Listening::filter(&raw(capabilities), uris);
            assert_eq!(filter.as_ref().map(|raw| raw.get()), wanted, "{capabilities}");
        }
    }

    #[test]
    fn acknowledgements() {
        for (text, wanted) in [
            (
                r#"{"notifications":{"resourceSubscriptions":["x:y","a:b"]}}"#,
                true,
            ),
            (r#"{"notifications":{"resourceSubscriptions":["x:y"]}}"#, false),
            (r#"{"notifications":{}}"#, false),
            ("7", false),
        ] {
            assert_eq!(Listening::grants(&raw(text), "a:b"), wanted, "{text}");
        }
    }
}
