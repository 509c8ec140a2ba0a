//! Keyword by keyword: what a value breaks of a schema, told for somebody who has to mend it.

use regex::RegexBuilder;
use serde_json::{Map, Value};

use super::formats::broken_format;
use super::{MAX_DEPTH, MAX_PATTERN, MAX_VIOLATIONS, Violation, join, resolve, types};

pub(super) struct Checker<'s> {
    pub(super) root: &'s Value,
    pub(super) found: Vec<Violation>,
}

impl<'s> Checker<'s> {
    pub(super) fn check(&mut self, schema: &'s Value, value: &Value, path: &str, depth: usize) {
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

pub(super) fn compile(pattern: &str) -> Option<regex::Regex> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .build()
        .ok()
}
