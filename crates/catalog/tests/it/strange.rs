//! Input of strangers: whatever it is, nothing panics, and what comes out keeps the promises of its types.

use catalog::plan::{Source, Target};
use catalog::template::{NoSecrets, Scope, Template};
use catalog::{plan, read, schema};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::{around, setup};

fn json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("type".to_owned()),
        Just("properties".to_owned()),
        Just("required".to_owned()),
        Just("anyOf".to_owned()),
        Just("items".to_owned()),
        Just("$ref".to_owned()),
        Just("#/properties/a".to_owned()),
        Just("object".to_owned()),
        Just("server".to_owned()),
        Just("image".to_owned()),
        Just("name".to_owned()),
        Just("packages".to_owned()),
        Just("registryType".to_owned()),
        Just("npm".to_owned()),
        Just("a".to_owned()),
        "\\PC{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

const YAML: &str = "(registry|servers|type|server|remote|poci|image|a/b|config|env|name|value|volumes|tools|secrets|x|-|:|: |\\{|\\}|\\[|\\]|,|\n|\n  |\n    |'|\"|&a|\\*a|<<|!!int|#|\\||>|%|[0-9]|\\PC){0,40}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_a_catalog_or_an_error(text in YAML) {
        for text in [text.clone(), format!("registry:\n  x:\n    {text}"), format!("registry:\n  x: [\n  y: {text}")] {
            if let Ok(catalog) = read::catalog(&text) {
                for entry in &catalog.entries {
                    let _ = plan(entry, &setup(""), &around());
                }
            }
            let _ = read::folder("x", &text, Some(&text), None);
            let _ = read::label("a/b", &text);
            let _ = catalog::profile::docker(&text);
            let some = Some(text.as_str());
            let _ = catalog::docker_mcp::import(&catalog::docker_mcp::Files { registry: some, config: some, tools: some, secrets: some, catalogs: some });
        }
    }

    #[test]
    fn any_json_is_a_server_or_an_error(value in json(), config in json()) {
        let page = serde_json::json!({"servers": [value, {"server": value}, {"name": "a/b", "packages": [value, {"registryType": "npm", "identifier": "x", "packageArguments": value, "environmentVariables": [value]}]}]});
        let _ = read::server_json(&value.to_string());
        let with = catalog::Setup { config: config.as_object().cloned().unwrap_or_default(), ..setup("") };
        for entry in read::registry(&page.to_string()).map(|page| page.catalog.entries).unwrap_or_default() {
            let _ = plan(&entry, &with, &around());
        }
        let _ = catalog::profile::Profile::parse(&value.to_string());
    }

    #[test]
    fn any_schema_checks_any_value(schema in json(), value in json()) {
        let _ = schema::check(&schema, &value);
        let _ = schema::unchecked(&schema);
        let _ = schema::keys(&schema);
        let _ = schema::value_of(&schema, "a.b", "1");
        let filled = schema::fill(&schema, &value.as_object().cloned().unwrap_or_default(), &|_, _| true);
        prop_assert!(schema::check(&schema, &Value::Object(filled)).len() <= 32);
    }

    #[test]
    fn any_template_is_filled(template in "(\\{\\{|\\}\\}|\\||\\$|:|or|into|volume|mount_as|first|x|\\.|k|\\[|\\]|,|\\PC){0,16}", value in json()) {
        let config = Map::from_iter([("k".to_owned(), value)]);
        let template = Template::parse(&template);
        for filled in template.spread(&Scope { server: "x", config: &config, secret: &NoSecrets }) {
            let parts = filled.split();
            prop_assert!(!parts.is_empty());
            let _ = filled.value();
        }
    }

    /// Whatever a user or a model names as a path, what is mounted of the host is below a root.
    #[test]
    fn no_path_leaves_the_roots(path in "(/|\\.\\.|\\.|:|home|you|work|etc|~|\\$HOME|\\PC){0,12}", read_only in any::<bool>()) {
        let mode = if read_only { ":ro" } else { "" };
        let yaml = format!("registry: {{ x: {{ type: server, image: a/b, volumes: ['{{{{x.p}}}}:/a{mode}', '{{{{x.p|volume}}}}'] }} }}");
        let catalog = read::catalog(&yaml).unwrap();
        let setup = catalog::Setup { config: Map::from_iter([("p".to_owned(), Value::from(path))]), ..setup("") };
        if let Ok(plan) = plan(&catalog.entries[0], &setup, &around()) {
            let Target::Container(container) = plan.target else { panic!("a container") };
            for mount in container.mounts {
                prop_assert!(mount.target.starts_with('/') && !mount.target.split('/').any(|part| part == ".."));
                if let Source::Path(path) = mount.source {
                    prop_assert!(path.starts_with("/home/you") && !path.components().any(|part| part.as_os_str() == ".."));
                    prop_assert!(mount.read_only || path.starts_with("/home/you/proj"));
                }
            }
        }
    }
}
