//! A catalog with an entry that is no YAML: the other entries are read all the same.
//!
//! Only for catalogs as people write them, `registry:` at the margin and each entry indented below it: then every entry
//! is a document of its own, and an error of its syntax is its own fault. Other layouts keep the error that they had.

use super::Catalog;
use crate::entry::Format;
use crate::node::{self, Bad, Kind, Node};

/// Where an entry stands.
struct Piece<'t> {
    name: &'t str,
    /// Counted from 1.
    line: u32,
    text: String,
}

/// The catalog without the entries that are no YAML; `None` when nothing can be told apart.
pub(super) fn salvage(text: &str, format: Format) -> Option<Catalog> {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.trim_end() == "registry:")?;
    let behind = lines.get(start + 1..)?;
    let length = behind
        .iter()
        .position(|line| at_margin(line))
        .unwrap_or(behind.len());
    let (block, rest) = behind.split_at_checked(length)?;
    let head = [lines.get(..start)?, rest].concat().join("\n");
    let mut catalog = match node::yaml(&head).ok()?.kind {
        Kind::Null => Catalog::default(),
        _ => super::catalog::read_catalog(&node::yaml(&format!("{head}\nregistry: {{}}\n")).ok()?, format)
            .ok()?,
    };
    let pieces = pieces(block, start + 2)?;
    for piece in pieces {
        let read = node::yaml(&piece.text).map_err(|bad| Bad {
            line: shifted(bad.line, piece.line),
            ..bad
        });
        let read = read.and_then(|node| entry_of(node, &piece, format));
        catalog.add(piece.name, piece.line, read);
    }
    Some(catalog)
}

fn entry_of(mut node: Node, piece: &Piece<'_>, format: Format) -> Result<crate::Entry, Bad> {
    shift(&mut node, piece.line);
    match node.kind {
        Kind::Map(pairs) => match pairs.as_slice() {
            [(key, value)] => super::catalog::entry(&key.text, value, format, None),
            _ => Err(Bad::at(piece.line, "it is not one entry")),
        },
        _ => Err(Bad::at(piece.line, "it is not a mapping")),
    }
}

/// Something other than a comment that begins without indentation.
fn at_margin(line: &str) -> bool {
    !line.is_empty() && !line.starts_with([' ', '\t', '#', '\r'])
}

/// The entries of a block, whose first line is the `first` of the text.
fn pieces<'t>(block: &[&'t str], first: usize) -> Option<Vec<Piece<'t>>> {
    let is_content = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let depth = indent(block.iter().find(is_content)?);
    let mut pieces: Vec<Piece<'t>> = Vec::new();
    for (place, line) in block.iter().enumerate() {
        if is_content(&line) && indent(line) == depth && !line.trim_start().starts_with(['-', '}', ']']) {
            let name = line.split_once(':').map_or(*line, |(name, _)| name);
            let name = name.trim().trim_matches(['\'', '"']);
            let line = u32::try_from(first + place).ok()?;
            pieces.push(Piece {
                name,
                line,
                text: String::new(),
            });
        }
        if let Some(piece) = pieces.last_mut() {
            piece.text.push_str(line);
            piece.text.push('\n');
        }
    }
    Some(pieces)
}

fn shifted(line: u32, start: u32) -> u32 {
    if line == 0 {
        start
    } else {
        line.saturating_add(start).saturating_sub(1)
    }
}

fn shift(node: &mut Node, start: u32) {
    node.line = shifted(node.line, start);
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| shift(item, start)),
        Kind::Map(pairs) => {
            for (key, value) in pairs {
                key.line = shifted(key.line, start);
                shift(value, start);
            }
        }
        _ => {}
    }
}
