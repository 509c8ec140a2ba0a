//! A folder of public definitions, when the variable `DOCKMASTER_TEST_CATALOG` names one: every entry has to be read, and
//! either planned or to say precisely what it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use catalog::schema;
use catalog::search::Index;
use catalog::{Around, Entry, Known, LackSort, Setup, plan};
use serde_json::{Map, Value};

use crate::{around, lines};

#[test]
fn every_public_definition_is_read_and_planned() {
    #[expect(clippy::disallowed_methods, reason = "tests are told by it where the data is")]
    let folder = std::env::var_os("DOCKMASTER_TEST_CATALOG").map(PathBuf::from);
    let Some(folder) = folder else {
        println!("not run: DOCKMASTER_TEST_CATALOG names no folder of server definitions");
        return;
    };
    let mut entries = Vec::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut notes = 0;
    let mut folders: Vec<PathBuf> = fs_err::read_dir(folder.join("servers"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let yaml = fs_err::read_to_string(folder.join("server.yaml")).unwrap();
        let tools = fs_err::read_to_string(folder.join("tools.json")).ok();
        let entry = catalog::read::folder(&name, &yaml, tools.as_deref(), None)
            .unwrap_or_else(|fault| panic!("{fault}"));
        *kinds.entry(entry.kind_name()).or_default() += 1;
        notes += entry.notes.len();
        entries.push(entry);
    }
    let nothing = Around {
        secrets: Known::These(BTreeSet::new()),
        ..around()
    };
    let (mut at_once, mut lacking, mut with_samples) = (0, BTreeMap::<LackSort, usize>::new(), 0);
    for entry in &entries {
        match plan(entry, &Setup::default(), &nothing) {
            Ok(_) => at_once += 1,
            Err(lacks) => {
                for lack in &lacks {
                    assert!(
                        !lack.mend.is_empty(),
                        "{}: nothing mends {:?}",
                        entry.name,
                        lack.what
                    );
                    *lacking.entry(lack.sort).or_default() += 1;
                }
                // What it lacks is all that it lacks: with that given there is a plan.
                let setup = Setup {
                    config: sample(entry),
                    ..Setup::default()
                };
                let plan = plan(entry, &setup, &around()).unwrap_or_else(|lacks| {
                    panic!("{} with {:?}: {}", entry.name, setup.config, lines(&lacks))
                });
                assert!(
                    !serde_json::to_string(&plan).unwrap().contains("{{"),
                    "{}: something is not filled in",
                    entry.name
                );
                with_samples += 1;
            }
        }
    }
    println!(
        "{} entries {kinds:?}; {at_once} can be enabled at once, {with_samples} once they have what they lack: {lacking:?}; {notes} notes",
        entries.len()
    );
    assert_eq!(at_once + with_samples, entries.len());
    let start = std::time::Instant::now();
    let index = Index::new(&entries);
    let made = start.elapsed();
    let start = std::time::Instant::now();
    let hits: usize = ["github", "search the web", "sql data", "kub"]
        .iter()
        .map(|query| index.find(query, 10).len())
        .sum();
    println!(
        "index of {} entries in {made:?}, 4 queries with {hits} hits in {:?}",
        entries.len(),
        start.elapsed()
    );
    assert!(hits > 20);
}

/// A configuration that an entry's schema accepts.
fn sample(entry: &Entry) -> Map<String, Value> {
    let Some(schema) = &entry.config.schema else {
        return Map::new();
    };
    let Value::Object(mut map) = value_for(schema, "") else {
        return Map::new();
    };
    // Alternatives are told apart by what they require; the first is taken.
    for first in schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(1)
    {
        for key in first["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            map.insert(key.to_owned(), value_for(&schema["properties"][key], key));
        }
    }
    assert_eq!(
        schema::check(schema, &Value::Object(map.clone())),
        [],
        "{}",
        entry.name
    );
    map
}

fn value_for(schema: &Value, key: &str) -> Value {
    if let Some(first) = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|choices| choices.first())
    {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            required
                .map(|key| (key.to_owned(), value_for(&schema["properties"][key], key)))
                .collect::<Map<_, _>>()
                .into()
        }
        Some("array") => vec![value_for(&schema["items"], key)].into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        _ if schema.get("format").is_some_and(|format| format == "email") => "a@example.com".into(),
        _ if schema.get("pattern").is_some() || key.contains("url") || schema.get("format").is_some() => {
            "https://example.com".into()
        }
        _ if key.contains("user") && !key.contains("name") => "1000".into(),
        // Whatever it is, it may be mounted.
        _ => "/home/you/proj/sample".into(),
    }
}
