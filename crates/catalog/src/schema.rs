//! Checks a configuration against a JSON Schema, and fills its defaults in.
//!
//! The part of JSON Schema that descriptions of configurations use, done whole: types, properties, required, enum,
//! const, bounds, patterns, formats, items, additional properties, anyOf, oneOf, allOf, not, local references. A library
//! for all of it would bring along thirty packages. A keyword outside that part is not passed over silently:
//! [`unchecked`] names it. Deliberately absent: references to other documents, and annotations.

use regex::RegexBuilder;
use serde_json::{Map, Value};

/// What a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which value: `jira.url`, `paths[0]`; empty for the whole.
    pub path: String,
    /// The value itself, cut; `None`: there is none.
    pub value: Option<String>,
    /// What is expected instead.
    pub expected: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() {
            "the configuration"
        } else {
            &self.path
        };
        match &self.value {
            Some(value) => write!(f, "{path} is {value}; expected is {}", self.expected),
            None => write!(f, "{path} is missing; expected is {}", self.expected),
        }
    }
}

/// Schemas nest no deeper than this, references followed; below that nothing is checked.
const MAX_DEPTH: usize = 32;
/// More violations than these are not listed.
const MAX_VIOLATIONS: usize = 32;
/// A pattern may not become larger than this when compiled, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// Tells whether a default counts, by the dotted path of its key.
pub type Usable<'u> = &'u dyn Fn(&str, &Value) -> bool;

/// All that `value` breaks.
pub fn check(schema: &Value, value: &Value) -> Vec<Violation> {
    let mut checker = Checker {
        root: schema,
        found: Vec::new(),
    };
    checker.check(schema, value, "", 0);
    checker.found.truncate(MAX_VIOLATIONS);
    checker.found
}

/// `config` with the schema's defaults where it has nothing, and with texts that are the number or truth value which
/// the schema wants (and the other way about) turned into that: configurations come from command lines too.
///
/// `usable` decides which defaults count, by the path of the key and the default.
pub fn fill(schema: &Value, config: &Map<String, Value>, usable: Usable<'_>) -> Map<String, Value> {
    fill_object(schema, schema, config, ("", usable), 0)
}

/// A text of a command line as the value that the schema wants at `path`: `8080` is a number only where one belongs;
/// for a list the text is JSON, or its one item.
pub fn value_of(schema: &Value, path: &str, text: &str) -> Value {
    let Some(wanted) = at(schema, path) else {
        return serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| !value.is_string())
            .unwrap_or_else(|| text.into());
    };
    let types = types(wanted);
    let json = || serde_json::from_str::<Value>(text).ok();
    if types.contains(&"array") {
        if let Some(list @ Value::Array(_)) = json() {
            return list;
        }
        let items = wanted.get("items").unwrap_or(&Value::Null);
        return Value::Array(vec![coerce(items, &text.into())]);
    }
    if types.contains(&"object") {
        return json().filter(Value::is_object).unwrap_or_else(|| text.into());
    }
    coerce(wanted, &text.into())
}

/// The names of the properties that a schema describes, nested ones dotted.
pub fn keys(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_keys(schema, "", 0, &mut found);
    found
}

/// Keywords of the schema that are not checked.
pub fn unchecked(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_unchecked(schema, 0, &mut found);
    found.sort();
    found.dedup();
    found
}

/// The schema of the property at a dotted path.
fn at<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    let properties = schema.get("properties")?;
    if let Some(found) = properties.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (key, rest) = path.split_at(dot);
        at(properties.get(key)?, rest.get(1..)?)
    })
}

fn collect_keys(schema: &Value, path: &str, depth: usize, found: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (key, inner) in properties {
        let path = join(path, key);
        if depth < MAX_DEPTH && inner.get("properties").is_some() {
            collect_keys(inner, &path, depth + 1, found);
        } else {
            found.push(path);
        }
    }
}

const CHECKED: [&str; 30] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "uniqueItems",
    "definitions",
    "$defs",
    "nullable",
    "default",
];
const ANNOTATIONS: [&str; 13] = [
    "$comment",
    "$id",
    "$schema",
    "deprecated",
    "description",
    "example",
    "examples",
    "name",
    "placeholder",
    "readOnly",
    "secret",
    "title",
    "writeOnly",
];

fn collect_unchecked(schema: &Value, depth: usize, found: &mut Vec<String>) {
    let Some(map) = schema.as_object() else { return };
    for (keyword, inner) in map {
        let known = CHECKED.contains(&keyword.as_str())
            || ANNOTATIONS.contains(&keyword.as_str())
            || keyword.starts_with("x-");
        if !known {
            found.push(keyword.clone());
        }
        if depth >= MAX_DEPTH {
            continue;
        }
        match (keyword.as_str(), inner) {
            ("properties" | "definitions" | "$defs", Value::Object(map)) => {
                for inner in map.values() {
                    collect_unchecked(inner, depth + 1, found);
                }
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(list)) => {
                for inner in list {
                    collect_unchecked(inner, depth + 1, found);
                }
            }
            ("items" | "not" | "additionalProperties", inner) => collect_unchecked(inner, depth + 1, found),
            ("format", Value::String(name)) if !FORMATS.contains(&name.as_str()) => {
                found.push(format!("format {name}"));
            }
            ("pattern", Value::String(pattern)) if compile(pattern).is_none() => {
                found.push(format!("pattern {pattern}"));
            }
            _ => {}
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn fill_object(
    root: &Value,
    schema: &Value,
    given: &Map<String, Value>,
    (path, usable): (&str, Usable<'_>),
    depth: usize,
) -> Map<String, Value> {
    let mut filled = given.clone();
    let schema = resolve(root, schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return filled;
    };
    if depth >= MAX_DEPTH {
        return filled;
    }
    for (key, inner) in properties {
        let inner = resolve(root, inner);
        let path = join(path, key);
        match filled.get(key) {
            Some(Value::Object(map)) => {
                let value = fill_object(root, inner, map, (&path, usable), depth + 1);
                filled.insert(key.clone(), Value::Object(value));
            }
            Some(value) if !value.is_null() => {
                let value = coerce(inner, value);
                filled.insert(key.clone(), value);
            }
            _ => {
                filled.shift_remove(key);
                let default = inner.get("default").filter(|default| !default.is_null());
                if let Some(default) = default.filter(|default| usable(&path, default)) {
                    filled.insert(key.clone(), coerce(inner, default));
                }
            }
        }
    }
    filled
}

/// A scalar of the wrong type as the right one, where that loses nothing.
fn coerce(schema: &Value, value: &Value) -> Value {
    let types = types(schema);
    let wants = |name: &str| types.contains(&name);
    match value {
        Value::String(text) if !types.is_empty() && !wants("string") => {
            let number = || text.parse::<i64>().ok().map(Value::from);
            let float = || {
                text.parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite())
                    .map(Value::from)
            };
            let truth = || text.parse::<bool>().ok().map(Value::from);
            let found = if wants("boolean") { truth() } else { None };
            let found = found.or_else(|| {
                if wants("integer") || wants("number") {
                    number()
                } else {
                    None
                }
            });
            let found = found.or_else(|| if wants("number") { float() } else { None });
            found.unwrap_or_else(|| value.clone())
        }
        Value::Number(number) if wants("string") && !wants("number") && !wants("integer") => {
            Value::String(number.to_string())
        }
        Value::Bool(truth) if wants("string") && !wants("boolean") => Value::String(truth.to_string()),
        Value::Array(items) => {
            let inner = schema.get("items").unwrap_or(&Value::Null);
            items.iter().map(|item| coerce(inner, item)).collect()
        }
        other => other.clone(),
    }
}

/// What a local `$ref` leads to; a schema without one is itself. Chains are followed so far as schemas may be deep.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut schema = schema;
    for _ in 0..MAX_DEPTH {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            break;
        };
        let Some(found) = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
        else {
            break;
        };
        schema = found;
    }
    schema
}

struct Checker<'s> {
    root: &'s Value,
    found: Vec<Violation>,
}

impl<'s> Checker<'s> {
    fn check(&mut self, schema: &'s Value, value: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH || self.found.len() > MAX_VIOLATIONS {
            return;
        }
        let schema = resolve(self.root, schema);
        if schema == &Value::Bool(false) {
            return self.fault(path, value, "nothing here".to_owned());
        }
        let Some(keywords) = schema.as_object() else {
            return;
        };
        let types = types(schema);
        if !types.is_empty() && !types.iter().any(|name| is_type(name, value)) {
            let nullable = value.is_null() && keywords.get("nullable") == Some(&Value::Bool(true));
            if !nullable {
                self.fault(
                    path,
                    value,
                    types
                        .iter()
                        .map(|name| type_name(name))
                        .collect::<Vec<_>>()
                        .join(" or "),
                );
            }
            return;
        }
        if let Some(choices) = keywords.get("enum").and_then(Value::as_array)
            && !choices.iter().any(|choice| same(choice, value))
        {
            self.fault(path, value, format!("one of {}", list(choices)));
        }
        if let Some(only) = keywords.get("const")
            && !same(only, value)
        {
            self.fault(path, value, show(only));
        }
        match value {
            Value::Number(number) => self.number(keywords, value, number.as_f64(), path),
            Value::String(text) => self.text(keywords, value, text, path),
            Value::Array(items) => self.items(keywords, value, items, path, depth),
            Value::Object(map) => self.object(keywords, value, map, path, depth),
            Value::Null | Value::Bool(_) => {}
        }
        self.combined(keywords, value, path, depth);
    }

    fn number(&mut self, keywords: &Map<String, Value>, value: &Value, number: Option<f64>, path: &str) {
        let Some(number) = number else { return };
        let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_f64);
        // Draft 4 wrote the exclusive bounds as truth values beside the others.
        let strictly = |keyword: &str| keywords.get(keyword) == Some(&Value::Bool(true));
        let checks = [
            (bound("minimum"), strictly("exclusiveMinimum"), true),
            (bound("maximum"), strictly("exclusiveMaximum"), false),
            (bound("exclusiveMinimum"), true, true),
            (bound("exclusiveMaximum"), true, false),
        ];
        for (bound, strict, least) in checks {
            let Some(bound) = bound else { continue };
            let (inside, words) = match (least, strict) {
                (true, false) => (number >= bound, "at least"),
                (true, true) => (number > bound, "more than"),
                (false, false) => (number <= bound, "at most"),
                (false, true) => (number < bound, "less than"),
            };
            if !inside {
                self.fault(path, value, format!("a number, {words} {bound}"));
            }
        }
        if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
            let times = number / step;
            if (times - times.round()).abs() > 1e-9 {
                self.fault(path, value, format!("a multiple of {step}"));
            }
        }
    }

    fn text(&mut self, keywords: &Map<String, Value>, value: &Value, text: &str, path: &str) {
        let length = text.chars().count() as u64;
        let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        if let Some(least) = bound("minLength").filter(|least| length < *least) {
            let expected = if least == 1 {
                "text that is not empty".to_owned()
            } else {
                format!("at least {least} characters")
            };
            self.fault(path, value, expected);
        }
        if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            self.fault(path, value, format!("at most {most} characters"));
        }
        if let Some(pattern) = keywords.get("pattern").and_then(Value::as_str)
            && compile(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            self.fault(path, value, format!("text that matches {pattern}"));
        }
        if let Some(name) = keywords.get("format").and_then(Value::as_str)
            && let Some(expected) = broken_format(name, text)
        {
            self.fault(path, value, expected.to_owned());
        }
    }

    fn items(
        &mut self,
        keywords: &'s Map<String, Value>,
        value: &Value,
        items: &[Value],
        path: &str,
        depth: usize,
    ) {
        let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        let length = items.len() as u64;
        if let Some(least) = bound("minItems").filter(|least| length < *least) {
            self.fault(path, value, format!("a list of at least {least}"));
        }
        if let Some(most) = bound("maxItems").filter(|most| length > *most) {
            self.fault(path, value, format!("a list of at most {most}"));
        }
        let twice =
            |(place, item): (usize, &Value)| items.iter().take(place).any(|before| same(before, item));
        // Comparing all pairs is bounded: no configuration has more than some hundred items.
        if keywords.get("uniqueItems") == Some(&Value::Bool(true))
            && items.iter().enumerate().take(1000).any(twice)
        {
            self.fault(path, value, "a list without repetition".to_owned());
        }
        if let Some(schema) = keywords.get("items") {
            for (place, item) in items.iter().enumerate() {
                self.check(schema, item, &format!("{path}[{place}]"), depth + 1);
            }
        }
    }

    fn object(
        &mut self,
        keywords: &'s Map<String, Value>,
        value: &Value,
        map: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) {
        let properties = keywords.get("properties").and_then(Value::as_object);
        for name in keywords
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let absent = map.get(name).is_none_or(Value::is_null);
            if absent {
                let schema = properties.and_then(|properties| properties.get(name));
                let expected = schema.map_or_else(
                    || "a value".to_owned(),
                    |schema| describe(resolve(self.root, schema)),
                );
                self.found.push(Violation {
                    path: join(path, name),
                    value: None,
                    expected,
                });
            }
        }
        for (key, inner) in map {
            let path = join(path, key);
            match (
                properties.and_then(|properties| properties.get(key)),
                keywords.get("additionalProperties"),
            ) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                    self.check(schema, inner, &path, depth + 1);
                }
                (None, Some(Value::Bool(false))) => {
                    let known = properties
                        .map(|known| known.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
                    let expected = format!("no such key; there are: {}", known.unwrap_or_default());
                    self.fault(&path, inner, expected);
                }
                (None, _) => {}
            }
        }
        let length = map.len() as u64;
        let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        if bound("minProperties").is_some_and(|least| length < least)
            || bound("maxProperties").is_some_and(|most| length > most)
        {
            self.fault(path, value, "another number of keys".to_owned());
        }
    }

    fn combined(&mut self, keywords: &'s Map<String, Value>, value: &Value, path: &str, depth: usize) {
        for schema in keywords
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.check(schema, value, path, depth + 1);
        }
        if let Some(schemas) = keywords.get("anyOf").and_then(Value::as_array) {
            let results = self.each(schemas, value, path, depth);
            if !schemas.is_empty() && results.iter().all(|found| !found.is_empty()) {
                self.alternatives(&results, path, value, "one of these");
            }
        }
        if let Some(schemas) = keywords.get("oneOf").and_then(Value::as_array) {
            let results = self.each(schemas, value, path, depth);
            match results.iter().filter(|found| found.is_empty()).count() {
                1 => {}
                0 if schemas.is_empty() => {}
                0 => self.alternatives(&results, path, value, "exactly one of these"),
                more => self.fault(
                    path,
                    value,
                    format!(
                        "exactly one of {} alternatives, not {more} of them",
                        schemas.len()
                    ),
                ),
            }
        }
        if let Some(schema) = keywords.get("not")
            && self
                .each(std::slice::from_ref(schema), value, path, depth)
                .iter()
                .all(Vec::is_empty)
        {
            self.fault(path, value, "something else".to_owned());
        }
    }

    fn each(&self, schemas: &'s [Value], value: &Value, path: &str, depth: usize) -> Vec<Vec<Violation>> {
        let one = |schema| {
            let mut inner = Checker {
                root: self.root,
                found: Vec::new(),
            };
            inner.check(schema, value, path, depth + 1);
            inner.found
        };
        schemas.iter().map(one).collect()
    }

    fn alternatives(&mut self, results: &[Vec<Violation>], path: &str, value: &Value, words: &str) {
        let say = |found: &Vec<Violation>| match found.first() {
            Some(Violation {
                path, value: None, ..
            }) => format!("{path} is given"),
            Some(Violation { path, expected, .. }) if path.is_empty() => expected.clone(),
            Some(Violation { path, expected, .. }) => format!("{path} is {expected}"),
            None => String::new(),
        };
        let ways = results.iter().map(say).collect::<Vec<_>>().join("; or ");
        self.fault(path, value, format!("{words}: {ways}"));
    }

    fn fault(&mut self, path: &str, value: &Value, expected: String) {
        self.found.push(Violation {
            path: path.to_owned(),
            value: Some(show(value)),
            expected,
        });
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        // A type that nobody knows restricts nothing.
        _ => true,
    }
}

fn type_name(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        "null" => "nothing",
        other => other,
    }
}

/// What a schema wants, in few words, for somebody who has to give it.
fn describe(schema: &Value) -> String {
    let mut text = match schema.get("enum").and_then(Value::as_array) {
        Some(choices) => format!("one of {}", list(choices)),
        None => match types(schema).as_slice() {
            [] => "a value".to_owned(),
            names => names
                .iter()
                .map(|name| type_name(name))
                .collect::<Vec<_>>()
                .join(" or "),
        },
    };
    if let Some(description) = schema.get("description").and_then(Value::as_str) {
        let line = description.lines().next().unwrap_or_default();
        let clean = base::text::clean(base::text::cut(line, 120)).into_owned();
        if !clean.trim().is_empty() {
            text = format!("{text} ({})", clean.trim().trim_end_matches('.'));
        }
    }
    text
}

/// Equal as JSON Schema means it: `1` and `1.0` are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(a), Some(b)) if !(one.is_u64() && other.is_u64() || one.is_i64() && other.is_i64()) => {
            a.total_cmp(&b).is_eq()
        }
        _ => one == other,
    }
}

/// A value to show. What is called a secret elsewhere never gets here, but somebody may have put one in a wrong place.
fn show(value: &Value) -> String {
    let text = value.to_string();
    let text = base::text::clean(&text).into_owned();
    let cut = base::text::cut(&text, 60);
    if cut.len() < text.len() {
        format!("{cut}…")
    } else {
        text
    }
}

fn list(values: &[Value]) -> String {
    values.iter().take(24).map(show).collect::<Vec<_>>().join(", ")
}

fn compile(pattern: &str) -> Option<regex::Regex> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .build()
        .ok()
}

const FORMATS: [&str; 13] = [
    "date",
    "date-time",
    "email",
    "filepath",
    "hostname",
    "int32",
    "int64",
    "ipv4",
    "ipv6",
    "password",
    "uri",
    "url",
    "uuid",
];

/// What a format expects, if the text breaks it.
fn broken_format(name: &str, text: &str) -> Option<&'static str> {
    let (good, expected) = match name {
        "email" => (is_email(text), "an e-mail address"),
        "uri" | "url" => (is_uri(text), "a URL with its scheme"),
        "hostname" => (
            crate::setup::is_dns_name(&text.to_ascii_lowercase()),
            "a host name",
        ),
        "ipv4" => (text.parse::<std::net::Ipv4Addr>().is_ok(), "an IPv4 address"),
        "ipv6" => (text.parse::<std::net::Ipv6Addr>().is_ok(), "an IPv6 address"),
        "uuid" => (is_shaped(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"), "a UUID"),
        "date" => (is_shaped(text, "9999-99-99"), "a date (2026-01-31)"),
        "date-time" => (
            text.get(..19)
                .is_some_and(|start| is_shaped(&start.replace(['t', ' '], "T"), "9999-99-99T99:99:99")),
            "a time (2026-01-31T12:00:00Z)",
        ),
        _ => return None,
    };
    (!good).then_some(expected)
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else {
        return false;
    };
    !name.is_empty()
        && !host.is_empty()
        && !text.contains(char::is_whitespace)
        && !text.chars().any(char::is_control)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let letters = scheme
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && letters
        && !rest.is_empty()
        && !text.contains(char::is_whitespace)
}

/// `x` stands for a hexadecimal digit, `9` for a decimal one.
fn is_shaped(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, wanted)| match wanted {
                b'x' => byte.is_ascii_hexdigit(),
                b'9' => byte.is_ascii_digit(),
                other => byte == other,
            })
}
