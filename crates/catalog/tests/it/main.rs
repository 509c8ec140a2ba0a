//! Tests of the catalog through its public face: data in, entries and plans out.
#![expect(
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, and tables of cases are long"
)]

mod field;
mod import;
mod ours;
mod planning;
mod reading;
mod registry;
mod schemas;
mod search;
mod strange;
mod templates;
mod tools;

use catalog::{Around, Entry, Lack, Setup};

/// A catalog with one entry.
fn entry(yaml: &str) -> Entry {
    let catalog = catalog::read::catalog(&format!("registry:\n{yaml}")).unwrap();
    assert_eq!(catalog.faults, [], "{yaml}");
    catalog.entries.into_iter().next().unwrap()
}

fn setup(toml: &str) -> Setup {
    toml::from_str(toml).unwrap()
}

/// Somebody with a readable and a writable root.
fn around() -> Around {
    let root = |path: &str, write| catalog::plan::Root {
        path: path.into(),
        write,
    };
    Around {
        roots: vec![root("/home/you", false), root("/home/you/proj", true)],
        home: Some("/home/you".into()),
        ..Around::default()
    }
}

fn lines(lacks: &[Lack]) -> String {
    lacks
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
