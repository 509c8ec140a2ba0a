//! `.dockerignore` as the engine's own client reads it: what the lines mean, and what they say of a path.
//!
//! The last pattern that matches a path decides. A pattern that matches a directory also matches all below it,
//! and an exception (`!`) can take something below back. Not the rules of `.gitignore`: patterns are anchored
//! at the root, and nothing hinges on a slash at the end.

mod pattern;
#[cfg(test)]
mod tests;

use pattern::{Path, Pattern};

/// Longest line that the engine's client accepts.
const LINE: usize = 64 * 1024;

/// The rules of one `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    is_exception: bool,
}

/// A line that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {pattern:?} is not a pattern: {reason}")]
pub struct IgnoreError {
    /// Counted from 1.
    pub line: usize,
    /// The line, made printable and cut to 80 characters.
    pub pattern: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// Which rules matched a directory; what is below it need not be matched against those again.
#[derive(Debug, Clone)]
pub struct Marks(Vec<bool>);

impl Ignore {
    /// Reads the lines: comments (`#` in the first column) and empty lines are left out, white space around
    /// patterns is dropped, paths are cleaned as by Go's `filepath.Clean`, and a slash at the beginning counts
    /// for nothing.
    pub fn parse(content: &[u8]) -> Result<Self, IgnoreError> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let mut rules = Vec::new();
        for (at, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let fault = |reason| IgnoreError {
                line: at + 1,
                pattern: crate::tarball::dir::show(line).chars().take(80).collect(),
                reason,
            };
            if line.len() >= LINE {
                return Err(fault("a line has at most 65,535 bytes"));
            }
            if let Some(pattern) = normalize(line) {
                rules.extend(compile(&pattern).map_err(fault)?);
            }
        }
        Ok(Self { rules })
    }

    /// Whether `path`, relative and `/`-separated, is ignored, and the marks for what is below it.
    /// `above` are the marks of its directory, `None` right below the root.
    pub fn judge(&self, path: &[u8], above: Option<&Marks>) -> (bool, Marks) {
        let path = Path::new(path);
        let mut ignored = false;
        let mut marks = vec![false; self.rules.len()];
        for (at, rule) in self.rules.iter().enumerate() {
            let above_matched = above.is_some_and(|marks| marks.0.get(at) == Some(&true));
            // A rule that would change nothing is not tried, and then counts as no match for what is below.
            if !above_matched && rule.is_exception != ignored {
                continue;
            }
            if above_matched || rule.pattern.matches(&path) {
                marks[at] = true;
                ignored = !rule.is_exception;
            }
        }
        (ignored, Marks(marks))
    }

    /// Whether `path` is ignored, judged from the root.
    pub fn ignores(&self, path: &[u8]) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        ends.fold((false, None), |(_, above), end| {
            let (ignored, marks) = self.judge(&path[..end], above.as_ref());
            (ignored, Some(marks))
        })
        .0
    }

    /// Whether an exception could apply below the directory `dir`. If not, an ignored one need not be read.
    pub fn may_except_below(&self, dir: &[u8]) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.is_exception && rule.pattern.may_match_below(dir))
    }
}

/// The first reading: one line to a cleaned pattern, still with its `!`.
fn normalize(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(b"#") {
        return None;
    }
    let text = trim(line);
    let (mark, text): (&[u8], _) = match text.strip_prefix(b"!") {
        Some(rest) => (b"!", trim(rest)),
        None if text.is_empty() => return None,
        None => (b"", text),
    };
    if text.is_empty() {
        return Some(mark.to_vec());
    }
    let cleaned = clean(text);
    let cleaned = match cleaned.as_slice() {
        [b'/', rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    Some([mark, cleaned].concat())
}

/// The second reading, of what the first gave: it trims, cleans and looks for the `!` anew, so that `/!x` ends
/// up as an exception. So it is with the engine's client, and files in the field may depend on it.
fn compile(pattern: &[u8]) -> Result<Option<Rule>, pattern::Fault> {
    let pattern = trim(pattern);
    if pattern.is_empty() {
        return Ok(None);
    }
    let pattern = clean(pattern);
    let (is_exception, pattern) = match pattern.strip_prefix(b"!") {
        Some([]) => return Err("an exception needs a pattern after its '!'"),
        Some(rest) => (true, rest),
        None => (false, pattern.as_slice()),
    };
    Ok(Some(Rule {
        pattern: Pattern::compile(pattern)?,
        is_exception,
    }))
}

/// Without Unicode white space at both ends.
fn trim(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let Some((c, length)) = first_char(text)
        && c.is_whitespace()
    {
        text = &text[length..];
    }
    while let Some((c, length)) = last_char(text)
        && c.is_whitespace()
    {
        text = &text[..text.len() - length];
    }
    text
}

fn first_char(text: &[u8]) -> Option<(char, usize)> {
    let head = &text[..text.len().min(4)];
    let c = head.utf8_chunks().next()?.valid().chars().next()?;
    Some((c, c.len_utf8()))
}

fn last_char(text: &[u8]) -> Option<(char, usize)> {
    (1..=text.len().min(4)).find_map(|length| {
        let c = std::str::from_utf8(&text[text.len() - length..])
            .ok()?
            .chars()
            .next()?;
        Some((c, length))
    })
}

/// Go's `filepath.Clean`: the shortest text for the same path, by its text alone. Empty becomes `.`.
fn clean(path: &[u8]) -> Vec<u8> {
    let is_separator = |byte: &u8| *byte == b'/' || cfg!(windows) && *byte == b'\\';
    let is_rooted = path.first().is_some_and(is_separator);
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(is_separator) {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (is_rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// A line that matches `path` and nothing else.
pub(super) fn literal(path: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(path.len() + 4);
    for (at, byte) in path.iter().enumerate() {
        if b"*?[]\\".contains(byte) || at == 0 && b"!#".contains(byte) {
            line.push(b'\\');
        }
        line.push(*byte);
    }
    line
}
