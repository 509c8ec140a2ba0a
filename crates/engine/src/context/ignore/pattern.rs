//! One pattern: Go's `filepath.Match` and `**`.
//!
//! The engine's own client makes a regular expression of a pattern, and the kinds here follow that
//! construction, down to its habits: `a/**` does not match `a` itself, `**.log` matches every name that ends
//! so, `a**b` matches `ab` and `a…/b`. Two accidents of it are left out, since they contradict its
//! documentation: an escaped letter is that letter (there, `\d` is any digit), and `*`, `?` and `\` in a class
//! stand for themselves.

use std::cell::OnceCell;

/// A pattern ready to match paths whose parts are separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This very path.
    Exact(Vec<u8>),
    /// Everything that begins so: `docs/**`.
    Prefix(Vec<u8>),
    /// Everything that ends so, or the whole of it after a slash: `**/docs`, `**.log`.
    Suffix(Vec<u8>),
    Glob(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Char(char),
    /// `?`: any character but `/`.
    One,
    /// `*`: any number of characters but `/`.
    Star,
    /// `**` before something: nothing, or anything that ends in `/`.
    Directories,
    /// The part of [`Token::Directories`] that has begun and ends with a `/`. Stands after it, always.
    Within,
    /// `**` at the end: anything.
    Rest,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A path to be matched, decoded once for all patterns that want its characters.
pub(super) struct Path<'a> {
    bytes: &'a [u8],
    chars: OnceCell<Vec<char>>,
}

impl<'a> Path<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            chars: OnceCell::new(),
        }
    }

    fn chars(&self) -> &[char] {
        self.chars.get_or_init(|| chars(self.bytes))
    }
}

/// What is wrong with a pattern, in words that go after it.
pub(super) type Fault = &'static str;

impl Pattern {
    /// Compiles a pattern that has been cleaned.
    pub(super) fn compile(pattern: &[u8]) -> Result<Self, Fault> {
        #[derive(PartialEq)]
        enum Shape {
            Exact,
            Prefix,
            Suffix,
            Glob,
        }

        let mut tokens = Vec::new();
        let mut shape = Shape::Exact;
        let text = chars(pattern);
        let mut rest = text.as_slice();
        let mut is_first = true;
        while let [next, after @ ..] = rest {
            rest = after;
            match *next {
                '*' if rest.first() == Some(&'*') => {
                    rest = rest[1..].strip_prefix(&['/']).unwrap_or(&rest[1..]);
                    shape = match (rest.is_empty(), &shape) {
                        (true, Shape::Exact) => Shape::Prefix,
                        (true, _) => {
                            tokens.push(Token::Rest);
                            Shape::Glob
                        }
                        (false, _) => {
                            tokens.extend([Token::Directories, Token::Within]);
                            Shape::Glob
                        }
                    };
                    if is_first {
                        shape = Shape::Suffix;
                    }
                }
                '*' => {
                    tokens.push(Token::Star);
                    shape = Shape::Glob;
                }
                '?' => {
                    tokens.push(Token::One);
                    shape = Shape::Glob;
                }
                '[' => {
                    let (class, after) = class(rest)?;
                    tokens.push(class);
                    rest = after;
                    shape = Shape::Glob;
                }
                '\\' => {
                    let [escaped, after @ ..] = rest else {
                        return Err("a backslash at the end escapes nothing");
                    };
                    tokens.push(Token::Char(*escaped));
                    rest = after;
                    shape = Shape::Glob;
                }
                ']' => {
                    tokens.push(Token::Char(']'));
                    shape = Shape::Glob;
                }
                other => tokens.push(Token::Char(other)),
            }
            is_first = false;
        }
        Ok(match shape {
            Shape::Exact => Self::Exact(pattern.to_vec()),
            Shape::Prefix => Self::Prefix(pattern[..pattern.len() - 2].to_vec()),
            Shape::Suffix => Self::Suffix(pattern[2..].to_vec()),
            Shape::Glob => Self::Glob(tokens),
        })
    }

    /// Whether it matches `path` as a whole.
    pub(super) fn matches(&self, path: &Path<'_>) -> bool {
        let bytes = path.bytes;
        match self {
            Self::Exact(wanted) => bytes == wanted,
            Self::Prefix(start) => bytes.starts_with(start),
            Self::Suffix(end) => bytes.ends_with(end) || end.strip_prefix(b"/") == Some(bytes),
            Self::Glob(tokens) => run(tokens, path.chars()).contains(&tokens.len()),
        }
    }

    /// Whether it could match any path below the directory `dir`.
    pub(super) fn may_match_below(&self, dir: &[u8]) -> bool {
        let dir = [dir, b"/"].concat();
        match self {
            Self::Exact(wanted) => wanted.starts_with(&dir),
            Self::Prefix(start) => start.starts_with(&dir) || dir.starts_with(start),
            Self::Suffix(_) => true,
            // A place before the end that survives the directory's name is one from which a match can be made.
            Self::Glob(tokens) => run(tokens, &chars(&dir))
                .iter()
                .any(|place| *place < tokens.len()),
        }
    }
}

/// The places between tokens that can be reached by reading all of `path`. All at once, so that no pattern
/// takes longer than its length times the path's.
fn run(tokens: &[Token], path: &[char]) -> Vec<usize> {
    let mut places = Vec::with_capacity(tokens.len() + 1);
    let mut next = Vec::with_capacity(tokens.len() + 1);
    reach(tokens, 0, &mut places);
    for &c in path {
        for place in places.drain(..) {
            let Some(token) = tokens.get(place) else {
                continue;
            };
            match token {
                Token::Star if c != '/' => reach(tokens, place, &mut next),
                Token::Rest => reach(tokens, place, &mut next),
                Token::Within => {
                    reach(tokens, place, &mut next);
                    if c == '/' {
                        reach(tokens, place + 1, &mut next);
                    }
                }
                Token::Char(wanted) if *wanted == c => reach(tokens, place + 1, &mut next),
                Token::One if c != '/' => reach(tokens, place + 1, &mut next),
                Token::Class { negated, ranges }
                    if ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated =>
                {
                    reach(tokens, place + 1, &mut next);
                }
                // `Directories` reads nothing itself; the token after it does.
                Token::Star | Token::Directories | Token::Char(_) | Token::One | Token::Class { .. } => {}
            }
        }
        std::mem::swap(&mut places, &mut next);
        if places.is_empty() {
            break;
        }
    }
    places
}

/// Adds `place` and what is reached from it without reading.
fn reach(tokens: &[Token], place: usize, places: &mut Vec<usize>) {
    if places.contains(&place) {
        return;
    }
    places.push(place);
    match tokens.get(place) {
        Some(Token::Star | Token::Rest) => reach(tokens, place + 1, places),
        Some(Token::Directories) => {
            reach(tokens, place + 1, places);
            reach(tokens, place + 2, places);
        }
        _ => {}
    }
}

const DASH: Fault = r"a '-' in a class stands between two characters, or is written '\-'";

/// A class after its `[`, and what follows its `]`.
fn class(text: &[char]) -> Result<(Token, &[char]), Fault> {
    let (negated, mut rest) = match text {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        if let [']', after @ ..] = rest
            && !ranges.is_empty()
        {
            return Ok((Token::Class { negated, ranges }, after));
        }
        let (low, after) = class_char(rest)?;
        let (high, after) = match after {
            ['-', ']', ..] => return Err(DASH),
            ['-', after @ ..] => class_char(after)?,
            after => (low, after),
        };
        ranges.push((low, high));
        rest = after;
    }
}

fn class_char(text: &[char]) -> Result<(char, &[char]), Fault> {
    const OPEN: Fault = "a '[' has no ']' that closes it";
    match text {
        [] | ['\\'] => Err(OPEN),
        ['-', ..] => Err(DASH),
        [']', ..] => Err("a class must not be empty, and a ']' in it is written '\\]'"),
        ['\\', escaped, rest @ ..] => Ok((*escaped, rest)),
        [plain, rest @ ..] => Ok((*plain, rest)),
    }
    .and_then(|(found, rest)| {
        if rest.is_empty() {
            Err(OPEN)
        } else {
            Ok((found, rest))
        }
    })
}

/// Characters as Go reads them: a byte that is not UTF-8 is one replacement character.
fn chars(text: &[u8]) -> Vec<char> {
    let mut chars = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        chars.extend(chunk.valid().chars());
        chars.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    chars
}
