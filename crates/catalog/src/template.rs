//! Templates of catalog entries: `{{server.key|filter}}` from the user's configuration, `$NAME` from the server's own
//! secrets.
//!
//! A template is read once, into pieces. What is filled in is data from then on: it is never looked at for further
//! templates, no shell sees it, and a `:` in a path does not separate the parts of a mount. Deliberately absent: values
//! of secrets; a filled text names them.

use serde_json::{Map, Value as Json};

use crate::plan::{Part, Value};

/// A text with places to fill in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// From the configuration, through filters.
    Config {
        path: String,
        filters: Vec<Filter>,
    },
    /// `$NAME` or `${NAME}`: a secret, if the server has one for that variable, else the text as it stands.
    Variable {
        name: String,
        written: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Volume,
    VolumeTarget,
    Into,
    First,
    Last,
    Or(Vec<String>),
    MountAs { target: String, read_only: bool },
    Unknown(String),
}

/// What templates are filled from.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The server's name, which its own keys begin with.
    pub server: &'a str,
    /// The server's configuration.
    pub config: &'a Map<String, Json>,
    /// The server's secrets.
    pub secret: &'a dyn Secrets,
}

/// Tells what is behind the variables of templates.
pub trait Secrets {
    /// What is behind this variable.
    fn behind(&self, variable: &str) -> Behind;
}

/// No secrets at all: `$NAME` stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn behind(&self, _: &str) -> Behind {
        Behind::Nothing
    }
}

/// What is behind a variable of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    /// The secret that the user keeps under this name.
    Secret(String),
    /// A secret of the server that the user has not given it: what needs it is left out.
    Absent,
    /// No secret of this server; the text stays as it is.
    Nothing,
}

/// A filled text. Only [`Chunk::Text`] is the template's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// In order.
    pub chunks: Vec<Chunk>,
}

/// A piece of a [`Filled`] text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// The template's own.
    Text(String),
    /// From the configuration.
    Data(String),
    /// A secret, by name.
    Secret(String),
    /// A secret of the server that it has not been given.
    Absent,
}

impl Template {
    /// Reads a template. What is not one (`{{` without end, `$` before anything but a name) is text.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            let (before, after) = rest.split_at(at);
            let Some((inner, behind)) = after.get(2..).and_then(|after| after.split_once("}}")) else {
                break;
            };
            variables(before, &mut pieces);
            pieces.push(expression(inner));
            rest = behind;
        }
        variables(rest, &mut pieces);
        Self { pieces }
    }

    /// A text in which nothing is filled in.
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Text(text.into())],
        }
    }

    /// A value of the configuration and nothing else.
    pub(crate) fn config(path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            pieces: vec![Piece::Config {
                path,
                filters: Vec::new(),
            }],
        }
    }

    /// A path of the configuration, or several, mounted where they are on the host.
    pub(crate) fn volume(path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            pieces: vec![Piece::Config {
                path,
                filters: vec![Filter::Volume],
            }],
        }
    }

    /// A secret, by the variable that it is for.
    pub(crate) fn variable(name: &str) -> Self {
        Self {
            pieces: vec![Piece::Variable {
                name: name.to_owned(),
                written: format!("${name}"),
            }],
        }
    }

    /// This template with another behind it.
    pub(crate) fn then(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// The templates between the separators in this one's own text.
    pub(crate) fn split(&self, separator: char) -> Vec<Self> {
        let mut parts = vec![Self::default()];
        for piece in &self.pieces {
            let Piece::Text(text) = piece else {
                parts
                    .last_mut()
                    .into_iter()
                    .for_each(|part| part.pieces.push(piece.clone()));
                continue;
            };
            for (place, text) in text.split(separator).enumerate() {
                if place > 0 {
                    parts.push(Self::default());
                }
                if let Some(part) = parts.last_mut().filter(|_| !text.is_empty()) {
                    part.pieces.push(Piece::Text(text.to_owned()));
                }
            }
        }
        parts
    }

    /// The text, if nothing has to be filled in.
    pub(crate) fn as_literal(&self) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            let Piece::Text(more) = piece else { return None };
            text.push_str(more);
        }
        Some(text)
    }

    /// Keys of the configuration that are asked for, with the server's name where it stands before them.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Config { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// Variables that are asked for.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Filters that are not known, which leave the value as it is.
    pub fn unknown_filters(&self) -> impl Iterator<Item = &str> {
        self.pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Config { filters, .. } => filters.as_slice(),
                _ => &[],
            })
            .filter_map(|filter| match filter {
                Filter::Unknown(name) => Some(name.as_str()),
                _ => None,
            })
    }

    /// Nothing has to be filled in.
    pub fn is_plain(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The template filled in, as one text. A list within it is joined with commas; a missing value is empty.
    pub fn fill(&self, scope: &Scope<'_>) -> Filled {
        let mut chunks = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => chunks.push(Chunk::Text(text.clone())),
                Piece::Variable { name, written } => chunks.push(variable(name, written, scope)),
                Piece::Config { path, filters } => {
                    for (place, item) in evaluate(path, filters, scope).into_iter().enumerate() {
                        if place > 0 {
                            chunks.push(Chunk::Text(",".to_owned()));
                        }
                        chunks.extend(item);
                    }
                }
            }
        }
        Filled { chunks }
    }

    /// The template filled in, as an item of a list: an expression that stands alone and gives a list becomes its
    /// items, and one that gives nothing becomes none.
    pub fn spread(&self, scope: &Scope<'_>) -> Vec<Filled> {
        if let [Piece::Config { path, filters }] = self.pieces.as_slice() {
            let items = evaluate(path, filters, scope);
            return items.into_iter().map(|chunks| Filled { chunks }).collect();
        }
        vec![self.fill(scope)]
    }
}

impl Filled {
    /// The whole as text; `None` when it holds a secret.
    pub fn text(&self) -> Option<String> {
        let mut text = String::new();
        for chunk in &self.chunks {
            match chunk {
                Chunk::Text(piece) | Chunk::Data(piece) => text.push_str(piece),
                Chunk::Absent => {}
                Chunk::Secret(_) => return None,
            }
        }
        Some(text)
    }

    /// The whole as it may be shown: a secret as its name in angle brackets.
    pub fn shown(&self) -> String {
        let piece = |chunk: &Chunk| match chunk {
            Chunk::Text(piece) | Chunk::Data(piece) => piece.clone(),
            Chunk::Secret(name) => format!("<secret {name}>"),
            Chunk::Absent => String::new(),
        };
        self.chunks.iter().map(piece).collect()
    }

    /// The whole as a value of a plan.
    pub fn value(self) -> Value {
        if let Some(text) = self.text() {
            return Value::Plain(text);
        }
        let mut parts: Vec<Part> = Vec::new();
        for chunk in self.chunks {
            match (chunk, parts.last_mut()) {
                (Chunk::Text(text) | Chunk::Data(text), _) if text.is_empty() => {}
                (Chunk::Text(text) | Chunk::Data(text), Some(Part::Text(before))) => before.push_str(&text),
                (Chunk::Text(text) | Chunk::Data(text), _) => parts.push(Part::Text(text)),
                (Chunk::Secret(name), _) => parts.push(Part::Secret(name)),
                (Chunk::Absent, _) => {}
            }
        }
        Value::Parts(parts)
    }

    /// The same with a text before it.
    pub(crate) fn behind_text(mut self, text: &str) -> Self {
        self.chunks.insert(0, Chunk::Text(text.to_owned()));
        self
    }

    /// Names of secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.chunks.iter().filter_map(|chunk| match chunk {
            Chunk::Secret(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(|chunk| match chunk {
            Chunk::Text(text) | Chunk::Data(text) => text.is_empty(),
            Chunk::Secret(_) => false,
            Chunk::Absent => true,
        })
    }

    /// It needs a secret that the server has not been given.
    pub fn lacks_secret(&self) -> bool {
        self.chunks.contains(&Chunk::Absent)
    }

    /// The parts between the `:` that the template itself wrote; those in data do not count.
    pub fn split(&self) -> Vec<Filled> {
        let mut parts = vec![Filled::default()];
        let mut push = |chunk: Chunk, next: bool| {
            if next {
                parts.push(Filled::default());
            }
            if let Some(part) = parts.last_mut() {
                part.chunks.push(chunk);
            }
        };
        for chunk in &self.chunks {
            match chunk {
                Chunk::Text(text) => {
                    for (place, piece) in text.split(':').enumerate() {
                        push(Chunk::Text(piece.to_owned()), place > 0);
                    }
                }
                other => push(other.clone(), false),
            }
        }
        parts
    }

    /// Whether any of it comes from the configuration.
    pub fn has_data(&self) -> bool {
        self.chunks.iter().any(|chunk| matches!(chunk, Chunk::Data(_)))
    }
}

/// The value of `path` in a server's configuration. Keys may be nested or dotted, also in part: `jira.url` finds both
/// `{"jira.url": ...}` and `{"jira": {"url": ...}}`.
pub fn find<'c>(server: &str, config: &'c Map<String, Json>, path: &str) -> Option<&'c Json> {
    let own = path.strip_prefix(server).and_then(|rest| rest.strip_prefix('.'));
    own.and_then(|path| find_nested(config, path))
        .or_else(|| find_nested(config, path))
}

fn find_nested<'c>(map: &'c Map<String, Json>, path: &str) -> Option<&'c Json> {
    if let Some(value) = map.get(path) {
        return (!value.is_null()).then_some(value);
    }
    // The longest key that is there counts, so that a dotted key is not hidden by a shorter one.
    let dots = path.match_indices('.').map(|(at, _)| at).collect::<Vec<_>>();
    dots.into_iter().rev().take(16).find_map(|at| {
        let (key, rest) = path.split_at(at);
        let inner = map.get(key)?.as_object()?;
        find_nested(inner, rest.get(1..)?)
    })
}

/// Where a path of the host is in a container that has it at the same place: `C:\a\b` becomes `/C/a/b`.
pub fn volume_target(path: &str) -> String {
    let bytes = path.as_bytes();
    match bytes {
        [drive, b':', ..] if drive.is_ascii_alphabetic() && !path.starts_with('/') => {
            let below = path.get(2..).unwrap_or_default().replace('\\', "/");
            format!("/{}/{}", char::from(*drive), below.trim_start_matches('/'))
        }
        _ => path.to_owned(),
    }
}

fn variable(name: &str, written: &str, scope: &Scope<'_>) -> Chunk {
    match scope.secret.behind(name) {
        Behind::Secret(secret) => Chunk::Secret(secret),
        Behind::Absent => Chunk::Absent,
        Behind::Nothing => Chunk::Text(written.to_owned()),
    }
}

/// The items that an expression gives, each as chunks. Nothing, null and empty text give none.
fn evaluate(path: &str, filters: &[Filter], scope: &Scope<'_>) -> Vec<Vec<Chunk>> {
    let mut items = match find(scope.server, scope.config, path) {
        None => Vec::new(),
        Some(Json::Array(items)) => items.iter().filter_map(as_text).collect(),
        Some(value) => as_text(value).into_iter().collect(),
    };
    items.retain(|item| !item.is_empty());
    let mut shape = Shape::Plain;
    for filter in filters {
        match filter {
            Filter::Volume => shape = Shape::Volume,
            Filter::VolumeTarget => {
                for item in &mut items {
                    *item = volume_target(item);
                }
            }
            Filter::First => items.truncate(1),
            Filter::Last => items = items.pop().into_iter().collect(),
            Filter::Or(instead) if items.is_empty() => items.clone_from(instead),
            Filter::MountAs { target, read_only } => {
                items.truncate(1);
                shape = Shape::MountAs(target, *read_only);
            }
            Filter::Into | Filter::Or(_) | Filter::Unknown(_) => {}
        }
    }
    items.into_iter().map(|item| shape.apply(item)).collect()
}

enum Shape<'f> {
    Plain,
    Volume,
    MountAs(&'f str, bool),
}

impl Shape<'_> {
    fn apply(&self, item: String) -> Vec<Chunk> {
        let colon = || Chunk::Text(":".to_owned());
        match self {
            Self::Plain => vec![Chunk::Data(item)],
            Self::Volume => {
                let target = volume_target(&item);
                vec![Chunk::Data(item), colon(), Chunk::Data(target)]
            }
            Self::MountAs(target, read_only) => {
                let mode = if *read_only { ":ro" } else { "" };
                vec![Chunk::Data(item), Chunk::Text(format!(":{target}{mode}"))]
            }
        }
    }
}

/// A value as the text of an argument: mappings as JSON.
fn as_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn expression(inner: &str) -> Piece {
    let mut parts = inner.split('|');
    // `{{ server . key }}` is written too.
    let path = parts
        .next()
        .unwrap_or_default()
        .split('.')
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(".");
    Piece::Config {
        path,
        filters: parts.map(filter).collect(),
    }
}

fn filter(text: &str) -> Filter {
    let text = text.trim();
    let (name, argument) = text.split_once(':').unwrap_or((text, ""));
    let argument = argument.trim();
    match name.trim() {
        "volume" => Filter::Volume,
        "volume-target" => Filter::VolumeTarget,
        "into" => Filter::Into,
        "first" => Filter::First,
        "last" => Filter::Last,
        "or" => match argument
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
        {
            Some(inner) => {
                let items = inner.split(',').map(|item| item.trim().to_owned());
                Filter::Or(items.filter(|item| !item.is_empty()).collect())
            }
            None if argument.is_empty() => Filter::Or(Vec::new()),
            None => Filter::Or(vec![argument.to_owned()]),
        },
        "mount_as" => {
            let (target, read_only) = match argument.strip_suffix(":ro") {
                Some(target) => (target.trim(), true),
                None => (argument, false),
            };
            Filter::MountAs {
                target: target.to_owned(),
                read_only,
            }
        }
        _ => Filter::Unknown(text.to_owned()),
    }
}

/// Text with its `$NAME` and `${NAME}`.
fn variables(text: &str, pieces: &mut Vec<Piece>) {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        if let Some((name, written)) = name_behind(after) {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Variable {
                name: name.to_owned(),
                written: written.to_owned(),
            });
            rest = after.get(written.len()..).unwrap_or_default();
        } else {
            plain.push('$');
            rest = after.get(1..).unwrap_or_default();
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
}

/// The name of the variable that `text` begins with, and how it is written.
pub(crate) fn name_behind(text: &str) -> Option<(&str, &str)> {
    let after = text.strip_prefix('$')?;
    if let Some(braced) = after.strip_prefix('{') {
        let (name, _) = braced.split_once('}')?;
        return is_name(name).then(|| (name, text.get(..name.len() + 3).unwrap_or(text)));
    }
    let end = after
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(after.len());
    let name = after.get(..end)?;
    is_name(name).then(|| (name, text.get(..=end).unwrap_or(text)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
