//! What became of an entry, in words, for whoever decides whether the new one may run. Deliberately absent: what it would
//! ask for, which depends on the user's own setup; that is compared plan by plan.

use std::collections::BTreeMap;

use crate::entry::{Entry, Image, Kind};

/// What differs, a line for each matter; none if nothing does.
pub fn changes(before: &Entry, now: &Entry) -> Vec<String> {
    let mut lines = Vec::new();
    let (old, new) = (runs(before), runs(now));
    if old != new {
        lines.push(format!("runs: {old} -> {new}"));
    }
    let tools = |entry: &Entry| -> BTreeMap<String, String> {
        let known = entry
            .tools
            .iter()
            .map(|tool| (shown(&tool.name), format!("{tool:?}")));
        known.collect()
    };
    lines.extend(named("tools", &tools(before), &tools(now)));
    let secrets = |entry: &Entry| -> BTreeMap<String, String> {
        let needs = entry
            .secrets
            .iter()
            .map(|need| (shown(&need.name), format!("{}{}", need.env, need.required)));
        needs.collect()
    };
    lines.extend(named("secrets", &secrets(before), &secrets(now)));
    let rest = [
        (
            "how it is run",
            details(&before.kind) != details(&now.kind) || before.sharing != now.sharing,
        ),
        ("its configuration", before.config != now.config),
        (
            "its sign-in",
            (&before.oauth, &before.oauth_scopes) != (&now.oauth, &now.oauth_scopes),
        ),
        ("its description", before.about != now.about),
    ];
    let rest: Vec<_> = rest
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(what, _)| *what)
        .collect();
    if !rest.is_empty() {
        lines.push(format!("changed: {}", rest.join(", ")));
    }
    lines
}

/// What is run or reached, on one line.
fn runs(entry: &Entry) -> String {
    let what = match &entry.kind {
        Kind::Container {
            image: Image::Reference(image),
            ..
        } => image.clone(),
        Kind::Container {
            image: Image::Package(package),
            ..
        } => match &package.version {
            Some(version) => format!("{} {version}", package.name),
            None => package.name.clone(),
        },
        Kind::PerCall(tools) => {
            let mut images: Vec<_> = tools.iter().map(|tool| tool.image.as_str()).collect();
            images.sort_unstable();
            images.dedup();
            images.join(", ")
        }
        Kind::Remote { .. } | Kind::Tools(_) | Kind::Process { .. } | Kind::BuiltIn | Kind::Unusable(_) => {
            entry.kind_name().to_owned()
        }
    };
    shown(&what)
}

/// What is run, without the image, whose change is told by itself.
fn details(kind: &Kind) -> String {
    match kind {
        Kind::Container { run, .. } => format!("{run:?}"),
        other => format!("{other:?}"),
    }
}

fn named(what: &str, before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let mut marks = Vec::new();
    for (name, text) in now {
        match before.get(name) {
            None => marks.push(format!("+ {name}")),
            Some(old) if old != text => marks.push(format!("~ {name}")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    marks.extend(gone.map(|name| format!("- {name}")));
    (!marks.is_empty()).then(|| format!("{what}: {}", marks.join(", ")))
}

/// A publisher's text as a part of a line.
fn shown(text: &str) -> String {
    base::text::clean(base::text::cut(text, 300)).replace('\n', " ")
}
