//! Documents of strangers as a tree that knows its lines, and the reading of fields out of it.
//!
//! YAML and JSON both become a [`Node`], so that every format is read by the same means and a fault can say where it
//! is. Size, depth, nodes and aliases are bounded: an alias bomb ends as an error. Deliberately absent: what any field
//! means.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::entry::Note;

/// Documents larger than this are refused. The largest catalog in the field (328 entries with all tools) has 1.5 MB.
pub const MAX_BYTES: usize = 16 << 20;
/// Deeper nesting is refused.
const MAX_DEPTH: usize = 48;
/// More values than these, aliases followed, are refused.
const MAX_NODES: usize = 200_000;

/// A value and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Counted from 1; 0 where the format does not tell (JSON).
    pub line: u32,
    /// The value.
    pub kind: Kind,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in its order. A key that stands there twice is there twice.
    Map(Vec<(Key, Node)>),
}

/// A key and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As [`Node::line`].
    pub line: u32,
    /// The key; numbers and booleans as they are written.
    pub text: String,
}

/// Why something can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Bad {
    /// Where, as [`Node::line`].
    pub line: u32,
    /// What is wrong, with the field's path where there is one.
    pub what: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl Bad {
    pub(crate) fn at(line: u32, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }
}

/// Reads one YAML document (1.2, core schema).
pub fn yaml(text: &str) -> Result<Node, Bad> {
    within_bounds(text)?;
    let budget = serde_saphyr::budget! {
        max_depth: MAX_DEPTH,
        max_nodes: MAX_NODES,
        max_events: 4 * MAX_NODES,
        max_documents: 1,
        max_aliases: 2_000,
        max_anchors: 2_000,
        max_merge_keys: 500,
        max_recorded_anchor_bytes: MAX_BYTES,
    };
    let options = serde_saphyr::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 16,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    let spanned: Spanned<Loose> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(0, |location| line(location.line()));
        Bad::at(
            line,
            format!("it is not YAML that can be read: {}", first_line(&error)),
        )
    })?;
    Ok(node(spanned))
}

/// Reads one JSON document.
pub fn json(text: &str) -> Result<Node, Bad> {
    within_bounds(text)?;
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Bad::at(
            line(error.line() as u64),
            format!("it is not JSON that can be read: {error}"),
        )
    })?;
    Ok(Node::from(value))
}

fn within_bounds(text: &str) -> Result<(), Bad> {
    if text.len() > MAX_BYTES {
        let limit = base::text::bytes(MAX_BYTES as u64);
        return Err(Bad::at(
            0,
            format!("it is larger than {limit}, which is the most that is read"),
        ));
    }
    Ok(())
}

/// What a parser says of text that it was given may quote that text; only its first line, and not all of it.
fn first_line(error: &dyn fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    base::text::cut(&base::text::clean(line), 240).to_owned()
}

fn line(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A value without its own line; the lines of what is in it are kept.
struct Loose(Kind);

fn node(spanned: Spanned<Loose>) -> Node {
    Node {
        line: line(spanned.referenced.line()),
        kind: spanned.value.0,
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor).map(Self)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        Number::from_f64(value)
            .map(Kind::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Loose>>()? {
            list.push(node(item));
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Kind, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = pairs.next_key::<Spanned<String>>()? {
            let value = pairs.next_value::<Spanned<Loose>>()?;
            let key = Key {
                line: line(key.referenced.line()),
                text: key.value,
            };
            map.push((key, node(value)));
        }
        Ok(Kind::Map(map))
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(value),
            Value::Number(value) => Kind::Number(value),
            Value::String(value) => Kind::Text(value),
            Value::Array(items) => Kind::List(items.into_iter().map(Self::from).collect()),
            Value::Object(map) => {
                let key = |text| Key { line: 0, text };
                Kind::Map(
                    map.into_iter()
                        .map(|(text, value)| (key(text), value.into()))
                        .collect(),
                )
            }
        };
        Self { line: 0, kind }
    }
}

impl Node {
    /// The value without lines. Of a key that is there twice, the first counts.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Self::value).collect(),
            Kind::Map(pairs) => {
                let mut map = Map::new();
                for (key, value) in pairs {
                    map.entry(key.text.clone()).or_insert_with(|| value.value());
                }
                Value::Object(map)
            }
        }
    }

    /// A scalar as text, as it would be written in a command; `None` for lists, mappings and null.
    pub fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Number(value) => Some(value.to_string()),
            Kind::Text(value) => Some(value.clone()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// The fields of one mapping, taken one by one. What nobody took is reported as a note by [`Fields::end`].
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    path: String,
    line: u32,
    left: Vec<(&'n Key, &'n Node)>,
    /// What was noticed and is no fault.
    pub(crate) notes: Vec<Note>,
}

impl<'n> Fields<'n> {
    /// The fields of `node`, which is called `path` in what is said about it. Null has none.
    pub(crate) fn of(path: &str, node: &'n Node) -> Result<Self, Bad> {
        let pairs: &[(Key, Node)] = match &node.kind {
            Kind::Map(pairs) => pairs,
            Kind::Null => &[],
            _ => return Err(wrong(path, node, "a mapping")),
        };
        let mut fields = Self {
            path: path.to_owned(),
            line: node.line,
            left: Vec::with_capacity(pairs.len()),
            notes: Vec::new(),
        };
        for (key, value) in pairs {
            if fields.left.iter().any(|(other, _)| other.text == key.text) {
                let text = format!("{} stands there twice; the first counts", fields.named(&key.text));
                fields.notes.push(Note::at(key.line, text));
            } else {
                fields.left.push((key, value));
            }
        }
        Ok(fields)
    }

    /// Where the mapping begins.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// The field's whole path.
    pub(crate) fn named(&self, field: &str) -> String {
        let field = base::text::clean(base::text::cut(field, 80));
        if self.path.is_empty() {
            field.into_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }

    /// Whether a field is there and not null.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.left
            .iter()
            .any(|(key, node)| key.text == field && node.kind != Kind::Null)
    }

    /// Takes a field; null counts as absent.
    pub(crate) fn take(&mut self, field: &str) -> Option<&'n Node> {
        let place = self.left.iter().position(|(key, _)| key.text == field)?;
        let (_, node) = self.left.swap_remove(place);
        (node.kind != Kind::Null).then_some(node)
    }

    /// Takes the first of these that is there: spellings of one field.
    pub(crate) fn either(&mut self, fields: &[&str]) -> Option<&'n Node> {
        let mut found = None;
        for field in fields {
            let node = self.take(field);
            found = found.or(node);
        }
        found
    }

    /// A text; numbers and booleans are taken as they are written.
    pub(crate) fn text(&mut self, field: &str) -> Result<Option<String>, Bad> {
        let Some(node) = self.take(field) else {
            return Ok(None);
        };
        let text = node
            .scalar()
            .ok_or_else(|| wrong(&self.named(field), node, "text"))?;
        Ok(Some(text))
    }

    /// A text that has to be there and not be empty.
    pub(crate) fn needed(&mut self, field: &str) -> Result<String, Bad> {
        match self.text(field)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(Bad::at(self.line, format!("{} is missing", self.named(field)))),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, field: &str) -> Result<Option<bool>, Bad> {
        match self.take(field) {
            None => Ok(None),
            Some(Node {
                kind: Kind::Bool(value),
                ..
            }) => Ok(Some(*value)),
            Some(node) => Err(wrong(&self.named(field), node, "true or false")),
        }
    }

    /// A list of anything; one thing alone is a list of it.
    pub(crate) fn list(&mut self, field: &str) -> &'n [Node] {
        match self.take(field) {
            None => &[],
            Some(Node {
                kind: Kind::List(items),
                ..
            }) => items,
            Some(node) => std::slice::from_ref(node),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, field: &str) -> Result<Vec<String>, Bad> {
        let path = self.named(field);
        let text = |item: &Node| item.scalar().ok_or_else(|| wrong(&path, item, "a list of texts"));
        self.list(field).iter().map(text).collect()
    }

    /// The pairs of a mapping whose values are texts.
    pub(crate) fn pairs(&mut self, field: &str) -> Result<Vec<(String, String)>, Bad> {
        let path = self.named(field);
        let Some(node) = self.take(field) else {
            return Ok(Vec::new());
        };
        let Kind::Map(pairs) = &node.kind else {
            return Err(wrong(&path, node, "a mapping of texts"));
        };
        let pair = |(key, value): &(Key, Node)| match value.scalar() {
            Some(text) => Ok((key.text.clone(), text)),
            None => Err(wrong(&format!("{path}.{}", key.text), value, "text")),
        };
        pairs.iter().map(pair).collect()
    }

    /// A fault of the field.
    pub(crate) fn bad(&self, field: &str, what: &str) -> Bad {
        Bad::at(self.line, format!("{} {what}", self.named(field)))
    }

    /// Notes what is left, and gives all notes.
    pub(crate) fn end(mut self) -> Vec<Note> {
        for (key, _) in std::mem::take(&mut self.left) {
            let text = format!("{} is not known here and has no effect", self.named(&key.text));
            self.notes.push(Note::at(key.line, text));
        }
        self.notes
    }

    /// Ends without a word on what is left, which is known and of no use here.
    pub(crate) fn end_quietly(self) -> Vec<Note> {
        self.notes
    }
}

fn wrong(path: &str, node: &Node, wanted: &str) -> Bad {
    let path = if path.is_empty() { "it" } else { path };
    Bad::at(
        node.line,
        format!("{path} is {}; {wanted} is expected", node.what()),
    )
}
