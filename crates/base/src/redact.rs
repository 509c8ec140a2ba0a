//! Secrets kept out of what is shown, logged or stored.
//!
//! Two ways, used together: by name (`DB_PASSWORD`, `api_key`) and by shape (private keys, bearer tokens,
//! passwords in URLs, the well-known token prefixes). Values that are known are [`Spotter`](crate::Spotter)'s. Redaction is a safety net, not a boundary: a secret with
//! an innocent name and no shape passes. It never removes text around a secret, so that a log stays readable.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use serde_json::Value;
use zeroize::Zeroize as _;

use crate::finder::Finder;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// A secret text. Printing it prints [`REDACTED`]; only [`Secret::expose`] gives it away. Its memory is overwritten when
/// it is dropped.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret into custody.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Whether a variable, label, key or field of this name usually holds a secret. Words are looked for at word
/// boundaries (`_`, `-`, `.`, a change of case), so that `TOKEN` hits `GITHUB_TOKEN` and `accessToken` but not
/// `tokenizer`, and `KEY` alone does not hit `KEYBOARD` or `PUBLIC_KEY`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 18] = [
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "pw",
        "secret",
        "secrets",
        "token",
        "apikey",
        "credential",
        "credentials",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "dsn",
        "pgpassword",
    ];
    const BEFORE_KEY: [&str; 11] = [
        "api",
        "access",
        "private",
        "secret",
        "signing",
        "encryption",
        "master",
        "auth",
        "account",
        "service",
        "ssh",
    ];
    /// Joined spellings that have no boundary to split at.
    const JOINED: [&str; 11] = [
        "password",
        "passwd",
        "passphrase",
        "apikey",
        "secretkey",
        "accesskey",
        "privatekey",
        "authtoken",
        "accesstoken",
        "identitytoken",
        "registrytoken",
    ];

    // The working directory of a shell, in every `env`.
    if name == "PWD" {
        return false;
    }
    // Nearly every name has nothing of the kind, and is told by one look.
    if !STEM.finds(name) {
        return false;
    }
    let words = words(name);
    // File names and switches about secrets are not secrets: POSTGRES_PASSWORD_FILE, AUTH_ENABLED.
    if words.last().is_some_and(|last| {
        [
            "file", "path", "dir", "enabled", "method", "type", "url", "sock", "ttl",
        ]
        .contains(&last.as_str())
    }) && !words.iter().any(|word| word == "webhook")
    {
        return false;
    }
    words.iter().enumerate().any(|(at, word)| {
        let is_key = matches!(word.as_str(), "key" | "keys");
        WORDS.contains(&word.as_str())
            || JOINED.iter().any(|joined| word.contains(joined))
            || is_key
                && at
                    .checked_sub(1)
                    .is_some_and(|before| BEFORE_KEY.contains(&words[before].as_str()))
            || is_key && words.len() == 1
    })
}

fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && before_lower {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// An environment entry `NAME=VALUE` with its value replaced if the name is a secret's, and with secrets of
/// known shape replaced in any value.
#[must_use]
pub fn env_entry(entry: &str) -> Cow<'_, str> {
    match entry.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
            Cow::Owned(format!("{name}={REDACTED}"))
        }
        _ => text(entry),
    }
}

/// Replaces secrets of known shape in free text: PEM private keys, `Bearer`/`Basic` credentials, passwords in
/// URLs, tokens with well-known prefixes, and values assigned to a secret's name (`--password=x`,
/// `"token": "x"`, `API_KEY=x`).
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    let mut spans = spans(text);
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in spans {
        if end <= done {
            continue;
        }
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(REDACTED);
        }
        done = end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Redacts a JSON tree in place: values under secret names (objects and arrays below such a name whole), `Env`
/// arrays entry by entry, the value after a secret flag in `Cmd`, `Args` and `Entrypoint` arrays, and every
/// other text by shape.
pub fn json(value: &mut Value) {
    match value {
        Value::String(content) => {
            if let Cow::Owned(clean) = text(content) {
                *content = clean;
            }
        }
        Value::Array(items) => redact_list(items),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if is_secret_name(name) && holds_something(member) {
                    *member = Value::from(REDACTED);
                } else {
                    json(member);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn holds_something(value: &Value) -> bool {
    match value {
        // A number under such a name counts or refers: `max_token`, `progressToken`.
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(content) => !content.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Entries of a list: `NAME=VALUE` as environment, and the value that follows a secret flag (`--password x`).
fn redact_list(items: &mut [Value]) {
    let mut after_flag = false;
    for item in items {
        let Value::String(content) = item else {
            after_flag = false;
            json(item);
            continue;
        };
        let is_flag = content.starts_with('-');
        if after_flag && !is_flag {
            REDACTED.clone_into(content);
            after_flag = false;
            continue;
        }
        after_flag = is_flag && !content.contains('=') && is_secret_name(content.trim_start_matches('-'));
        if let Cow::Owned(clean) = env_entry(content) {
            *content = clean;
        }
    }
}

/// What every secret's name has in it, so that all others need no closer look.
const STEMS: [&str; 11] = [
    "pass", "pwd", "pw", "secret", "token", "key", "cred", "auth", "bearer", "cookie", "dsn",
];

static STEM: LazyLock<Finder> = LazyLock::new(|| Finder::new(STEMS));

/// How a secret of known shape begins.
#[derive(Clone, Copy)]
enum Shape {
    /// A PEM block, secret if it is a private key's.
    Pem,
    /// `scheme://`, perhaps with a password behind it.
    Url,
    /// The name of an HTTP authentication scheme, in any case, and a space.
    Scheme,
    /// A prefix that tokens of one kind have, exactly so, and their least length.
    Token(usize),
}

const SHAPES: [(&str, Shape); 25] = [
    ("-----BEGIN ", Shape::Pem),
    ("://", Shape::Url),
    ("bearer ", Shape::Scheme),
    ("basic ", Shape::Scheme),
    ("ghp_", Shape::Token(20)),
    ("gho_", Shape::Token(20)),
    ("ghs_", Shape::Token(20)),
    ("ghu_", Shape::Token(20)),
    ("ghr_", Shape::Token(20)),
    ("github_pat_", Shape::Token(30)),
    ("glpat-", Shape::Token(20)),
    ("sk-", Shape::Token(20)),
    ("sk_live_", Shape::Token(16)),
    ("rk_live_", Shape::Token(16)),
    ("xoxb-", Shape::Token(20)),
    ("xoxp-", Shape::Token(20)),
    ("xapp-", Shape::Token(20)),
    ("AKIA", Shape::Token(20)),
    ("ASIA", Shape::Token(20)),
    ("AIza", Shape::Token(35)),
    ("npm_", Shape::Token(30)),
    ("dckr_pat_", Shape::Token(20)),
    ("eyJ", Shape::Token(40)),
    ("SWMTKN-1-", Shape::Token(10)),
    ("SWMKEY-1-", Shape::Token(10)),
];

/// The beginnings of [`SHAPES`], and then the [`STEMS`].
static TRACES: LazyLock<Finder> = LazyLock::new(|| Finder::new(traces()));

/// What every text has in it of which [`text`] changes anything.
pub(crate) fn traces() -> impl Iterator<Item = &'static str> {
    SHAPES.into_iter().map(|(beginning, _)| beginning).chain(STEMS)
}

/// Where secrets of known shape are, and values assigned to a secret's name. One pass, and a closer look only where it
/// finds something: a list of containers is hundreds of texts, an answer may be megabytes, and most hold none.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut names = 0;
    let [mut tokens, mut values, mut keys] = [const { Run(0..0) }; 3];
    for (start, trace) in TRACES.find(text) {
        let Some((beginning, shape)) = SHAPES.get(trace) else {
            // A name may have several stems.
            if start >= names {
                let name = name_around(text, start);
                names = name.end;
                spans.extend(assigned(text, name, &mut values));
            }
            continue;
        };
        let end = start + beginning.len();
        spans.extend(match shape {
            Shape::Pem => pem_key(text, start, &mut keys),
            Shape::Url => url_password(text, end),
            Shape::Scheme => credential(text, end, &mut tokens),
            Shape::Token(least) if text[start..end] == **beginning => token(text, start, *least, &mut tokens),
            Shape::Token(_) => None,
        });
    }
    spans
}

/// The last run of characters of one kind whose end was looked for. Whoever writes beginning after beginning without an
/// end would otherwise have each of them read to the end of the text.
struct Run(Range<usize>);

impl Run {
    /// Where the run that `start` is in ends. `length` finds that in the text from there on; `None`: with the text.
    fn end(&mut self, text: &str, start: usize, length: impl FnOnce(&str) -> Option<usize>) -> usize {
        if !self.0.contains(&start) {
            let rest = &text[start..];
            self.0 = start..start + length(rest).unwrap_or(rest.len());
        }
        self.0.end
    }
}

fn pem_key(text: &str, start: usize, keys: &mut Run) -> Option<(usize, usize)> {
    let head = &text[start..text.floor_char_boundary(start + 80)];
    if !head.lines().next()?.contains("PRIVATE KEY") {
        return None;
    }
    let end = keys.end(text, start, |rest| {
        let tail = rest.find("-----END ")? + 9;
        Some(tail + rest[tail..].find("-----")? + 5)
    });
    Some((start, end))
}

/// The password of `user:password@host`, which begins at `authority`.
fn url_password(text: &str, authority: usize) -> Option<(usize, usize)> {
    let end = text[authority..]
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`'))
        .map_or(text.len(), |end| authority + end);
    let at_sign = text[authority..end].rfind('@')?;
    let colon = text[authority..authority + at_sign].find(':')?;
    (colon + 1 < at_sign).then_some((authority + colon + 1, authority + at_sign))
}

/// The credential behind the name of its scheme.
fn credential(text: &str, start: usize, tokens: &mut Run) -> Option<(usize, usize)> {
    let end = tokens.end(text, start, token_length);
    // Shorter is a word of a sentence ("basic usage"), not a credential.
    (end - start >= 12 && looks_random(&text[start..end])).then_some((start, end))
}

fn token(text: &str, start: usize, least: usize, tokens: &mut Run) -> Option<(usize, usize)> {
    let before = text[..start].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let end = tokens.end(text, start, token_length);
    (end - start >= least).then_some((start, end))
}

/// The name that has the byte at `start` in it.
fn name_around(text: &str, start: usize) -> Range<usize> {
    let is_outside = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let bytes = text.as_bytes();
    let before = bytes[..start].iter().rposition(is_outside);
    let after = bytes[start..].iter().position(is_outside);
    before.map_or(0, |before| before + 1)..after.map_or(bytes.len(), |after| start + after)
}

/// The value given to a secret's name: `NAME=value`, `name: value`, `"name": "value"`, `--name value` after `=`.
fn assigned(text: &str, name: Range<usize>, values: &mut Run) -> Option<(usize, usize)> {
    let behind = &text[name.end..];
    let at = name.end + behind.len() - behind.trim_start_matches(['"', '\'', ' ']).len();
    let separator = text[at..].chars().next().filter(|c| matches!(c, '=' | ':'))?;
    // A gap before `=` is prose or code, and `: ` is only an assignment after a quoted or bare key.
    if at - name.end > 2 || name.len() > 64 || !is_secret_name(&text[name]) {
        return None;
    }
    let is_json_key = separator == ':' && text[..at].trim_end().ends_with('"');
    let (start, end) = value_span(text, at + 1, values)?;
    // A secret in JSON is a string; anything else is left, or it would be JSON no more.
    let would_break = is_json_key && !text[..start].ends_with(['"', '\'']);
    (!would_break && !is_harmless(&text[start..end])).then_some((start, end))
}

fn value_span(text: &str, from: usize, values: &mut Run) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let start = from + (rest.len() - rest.trim_start_matches(' ').len());
    let first = text[start..].chars().next()?;
    if let quote @ ('"' | '\'') = first {
        let inner = start + 1;
        let mut escaped = false;
        let length = text[inner..].find(|c: char| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends || c == '\n'
        });
        let end = length.map_or(text.len(), |length| inner + length);
        return (end > inner).then_some((inner, end));
    }
    let end = values.end(text, start, |rest| {
        rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'' | '&' | ')' | '}' | ']'))
    });
    (end > start).then_some((start, end))
}

/// Values that say something about a secret rather than being one, and those already redacted.
fn is_harmless(value: &str) -> bool {
    const WORDS: [&str; 13] = [
        "true", "false", "null", "none", "yes", "no", "required", "optional", "missing", "invalid", "string",
        "bearer", "basic",
    ];
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
        || value.starts_with("[redacted")
        || value.starts_with("${")
        || value.starts_with("//")
}

fn token_length(text: &str) -> Option<usize> {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | '=' | '~')))
}

fn looks_random(text: &str) -> bool {
    text.bytes()
        .any(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b"_+/=.".contains(&b))
}

#[cfg(test)]
mod tests;
