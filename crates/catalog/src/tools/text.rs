//! A text with places for arguments, `{{name}}`, and for secrets, `$NAME`.
//!
//! It is read once, into pieces. What fills a place is never read again. Stricter than the templates of catalogs: what is
//! written between braces and names no argument is a fault of the file, and braces that stay are written `{{'{{'}}`.

use std::fmt;

use base::Secret;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::template::name_behind;

/// A text with places. Serialises as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Argument(String),
    /// By its variable; after planning, by the name under which the user keeps it.
    Secret(String),
}

/// A text with its places filled.
pub(super) struct Filled {
    pub(super) text: Secret,
    pub(super) is_secret: bool,
}

impl Text {
    /// Reads a text; `$NAME` is a place where `is_secret` says that there is such a secret.
    pub(super) fn parse(written: &str, is_secret: &dyn Fn(&str) -> bool) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = written;
        while let Some(at) = rest.find("{{") {
            let (before, after) = rest.split_at(at);
            literal(before, is_secret, &mut pieces);
            let (piece, behind) = expression(after.get(2..).unwrap_or_default())?;
            push(piece, &mut pieces);
            rest = behind;
        }
        literal(rest, is_secret, &mut pieces);
        Ok(Self {
            written: written.to_owned(),
            pieces,
        })
    }

    /// The names of arguments in it, each as often as it stands there.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Secret(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// As it was written.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The text, if nothing is filled in.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The argument that it is and nothing else.
    pub(super) fn whole(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Argument(name)] => Some(name),
            _ => None,
        }
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What stands before the first place.
    pub(super) fn head(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// The same with other names for its secrets; `None` when one is not to be had.
    pub(crate) fn with_secrets(&self, name: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Secret(variable) => name(variable).map(Piece::Secret),
            other => Some(other.clone()),
        });
        Some(Self {
            written: self.written.clone(),
            pieces: pieces.collect::<Option<_>>()?,
        })
    }

    /// The text; `None` when an argument in it is not given. A list or a mapping in it is JSON.
    pub(super) fn fill(&self, arguments: &Map<String, Json>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Argument(name) => text.push_str(&as_text(arguments.get(name)?)?),
                Piece::Secret(_) => return None,
            }
        }
        Some(text)
    }

    /// The same with secrets. `Ok(None)`: an argument is not given; `Err`: the name of a secret without a value.
    pub(super) fn fill_with(
        &self,
        arguments: &Map<String, Json>,
        secret: &dyn Fn(&str) -> Option<Secret>,
    ) -> Result<Option<Filled>, String> {
        let mut text = String::new();
        let mut is_secret = false;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Argument(name) => match arguments.get(name).and_then(as_text) {
                    Some(value) => text.push_str(&value),
                    None => return Ok(None),
                },
                Piece::Secret(name) => {
                    text.push_str(secret(name).ok_or_else(|| name.clone())?.expose());
                    is_secret = true;
                }
            }
        }
        Ok(Some(Filled {
            text: Secret::new(text),
            is_secret,
        }))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

/// A value as text; null is none.
pub(super) fn as_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn literal(text: &str, is_secret: &dyn Fn(&str) -> bool, pieces: &mut Vec<Piece>) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        push(Piece::Literal(before.to_owned()), pieces);
        if let Some((name, written)) = name_behind(after).filter(|(name, _)| is_secret(name)) {
            push(Piece::Secret(name.to_owned()), pieces);
            rest = after.get(written.len()..).unwrap_or_default();
        } else {
            push(Piece::Literal("$".to_owned()), pieces);
            rest = after.get(1..).unwrap_or_default();
        }
    }
    push(Piece::Literal(rest.to_owned()), pieces);
}

fn push(piece: Piece, pieces: &mut Vec<Piece>) {
    match (piece, pieces.last_mut()) {
        (Piece::Literal(text), _) if text.is_empty() => {}
        (Piece::Literal(text), Some(Piece::Literal(before))) => before.push_str(&text),
        (piece, _) => pieces.push(piece),
    }
}

/// What stands behind `{{`, and the rest behind its `}}`.
fn expression(text: &str) -> Result<(Piece, &str), String> {
    let inner = text.trim_start();
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote)
            && let Some((kept, behind)) = quoted.split_once(quote)
            && let Some(rest) = behind.trim_start().strip_prefix("}}")
        {
            return Ok((Piece::Literal(kept.to_owned()), rest));
        }
    }
    let (name, rest) = text
        .split_once("}}")
        .ok_or_else(|| format!("{{{{ has no }}}} behind it; {KEPT}"))?;
    let name = name.trim();
    if is_name(name) {
        return Ok((Piece::Argument(name.to_owned()), rest));
    }
    let shown = base::text::clean(base::text::cut(name, 60)).replace('\n', " ");
    Err(format!("{{{{{shown}}}}} names no argument; {KEPT}"))
}

const KEPT: &str = "braces that stay are written {{'{{'}}";

/// Whether an argument of this name can be filled in.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}
