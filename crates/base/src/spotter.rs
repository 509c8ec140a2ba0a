//! Secret values found in text that leaves, also when they are encoded.
//!
//! A value is looked for as it is, in Base64 (both alphabets, wherever it stands in what was encoded, also across line
//! breaks), in hexadecimal, URL-encoded and JSON-escaped (once and twice). Deliberately absent: values that are
//! compressed, encrypted, reversed or cut in pieces, which no search finds; and secrets that are told by their shape,
//! which are [`redact::text`](crate::redact::text)'s.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::Secret;
use crate::redact::REDACTED;

/// Values of fewer bytes are not looked for: they would hit innocent text.
pub const SHORTEST: usize = 8;
/// Words of fewer bytes are not looked for by themselves where the value has several lines.
const SHORTEST_WORD: usize = 24;
/// Most words of one value that are looked for by themselves.
const MOST_WORDS: usize = 256;

/// Knows some secret values and finds them in text.
///
/// One pass, whatever the number of values: eight bytes of the text are looked up in a table of 8 KiB, which stays in the
/// processor's first cache, and only what is found there is compared. An automaton over the same forms of fifty values
/// would fill 20 MB. As long as there are few values and no short ones, a step is of several bytes.
pub struct Spotter {
    /// Bits at the hashes of all anchors.
    filter: Box<[u64; FILTER_WORDS]>,
    /// Eight bytes of a form → the form and where in it they stand.
    anchors: HashMap<u64, Vec<(usize, usize)>>,
    forms: Vec<Form>,
    /// So many bytes further on in the text is the next look.
    stride: usize,
    /// In JSON some form may stand with an escape in each of its parts that are looked up.
    hides_in_escapes: bool,
}

/// The secret values that this process has come to know. A handle: who looks a value up adds it to a clone, before the
/// value goes anywhere, and who screens text sees it from then on.
#[derive(Clone, Default)]
pub struct KnownSecrets(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    values: Vec<Secret>,
    spotter: Arc<Spotter>,
}

impl KnownSecrets {
    /// Adds values. Nothing is ever forgotten: a value that was replaced may still be in a server's memory.
    pub fn learn(&self, values: impl IntoIterator<Item = Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.values.len();
        for value in values {
            if value.expose().len() >= SHORTEST && !known.values.contains(&value) {
                let words: Vec<Secret> = words(value.expose()).map(Secret::new).collect();
                known.values.push(value);
                for word in words {
                    if !known.values.contains(&word) {
                        known.values.push(word);
                    }
                }
            }
        }
        if known.values.len() > before {
            known.spotter = Arc::new(Spotter::new(&known.values));
        }
    }

    /// What finds the values that are known now.
    #[must_use]
    pub fn spotter(&self) -> Arc<Spotter> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).spotter)
    }
}

impl FromIterator<Secret> for KnownSecrets {
    fn from_iter<T: IntoIterator<Item = Secret>>(values: T) -> Self {
        let known = Self::default();
        known.learn(values);
        known
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets")
    }
}

/// What of a value of several lines or fields, such as a key, a kubeconfig or the JSON of an account, is secret by itself
/// when it is written piece by piece, as in a log: long words with letters and digits, without what a file's format puts
/// around them. Addresses without a password in them are no secrets.
fn words(value: &str) -> impl Iterator<Item = &str> {
    let has_parts = value.trim_end().contains('\n') || value.trim_start().starts_with('{');
    // In JSON the lines of a key are parted by the two characters of an escape.
    let lines = value.split("\\n").filter(move |_| has_parts);
    let words = lines.flat_map(|line| {
        line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '{' | '}' | '[' | ']'))
    });
    let is_secret = |word: &&str| {
        let has = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
        let is_address = word.starts_with("arn:") || word.contains("://") && !word.contains('@');
        word.len() >= SHORTEST_WORD && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) && !is_address
    };
    words.map(behind_name).filter(is_secret).take(MOST_WORDS)
}

/// The value in `NAME=value` and `name:value`.
fn behind_name(word: &str) -> &str {
    let is_name = |text: &str| {
        let mut bytes = text.bytes();
        bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    match word.split_once(['=', ':']) {
        // What follows the padding of Base64 is no value, and what follows a scheme is an address.
        Some((name, value))
            if is_name(name) && !value.trim_start_matches('=').is_empty() && !value.starts_with("//") =>
        {
            value
        }
        _ => word,
    }
}

/// Bits of a hash.
const FILTER_BITS: u32 = 16;
const FILTER_WORDS: usize = 1 << (FILTER_BITS - 6);
const ANCHOR: usize = size_of::<u64>();

/// One way to write a value.
struct Form {
    text: Zeroizing<Vec<u8>>,
    writing: Writing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Writing {
    Plain,
    /// May be broken into lines. The character before and the one behind can hold bits of the value.
    Base64 {
        bits_before: bool,
        bits_behind: bool,
    },
}

impl Spotter {
    /// Values shorter than [`SHORTEST`] bytes are left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            if value.expose().len() >= SHORTEST {
                write_forms(value.expose(), &mut forms);
            }
        }
        let mut spotter = Self {
            filter: Box::new([0; FILTER_WORDS]),
            anchors: HashMap::new(),
            stride: stride(&forms),
            forms: Vec::with_capacity(forms.len()),
            hides_in_escapes: false,
        };
        for (text, writing) in forms {
            spotter.add(Form {
                text: Zeroizing::new(text),
                writing,
            });
        }
        spotter
    }

    /// Whether there is anything to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Whether a string of a JSON text may have a value in it. It looks at the text as it is written, where nothing is
    /// escaped but control characters, `"`, `\`, `&` and what is not ASCII; see
    /// [`suspect::is_innocent_json`](crate::suspect::is_innocent_json).
    #[must_use]
    #[inline(never)]
    pub fn may_be_in_json(&self, json: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        if self.hides_in_escapes && json.contains('\\') {
            return true;
        }
        // Not by `any`, which is not put into this place and calls itself for each step.
        for window in json.as_bytes().windows(ANCHOR).step_by(self.stride) {
            let key = anchor_key(window);
            if self.may_have(key) && self.anchors.contains_key(&key) {
                return true;
            }
        }
        false
    }

    /// The text with [`REDACTED`] for each value; `None` if there is none in it.
    #[must_use]
    pub fn replace(&self, text: &str) -> Option<String> {
        self.replace_with(text, |_| REDACTED.into())
    }

    /// The same for a text that is Base64 as a whole, an image or a file: what is found becomes `A`s, so that the
    /// rest can still be decoded.
    #[must_use]
    pub fn blank_in_base64(&self, text: &str) -> Option<String> {
        self.replace_with(text, |found| {
            let blank = |c: char| if matches!(c, '\n' | '\r') { c } else { 'A' };
            found.chars().map(blank).collect()
        })
    }

    fn replace_with(&self, text: &str, replacement: impl Fn(&str) -> String) -> Option<String> {
        let spans = self.find(text.as_bytes());
        if spans.is_empty() {
            return None;
        }
        // Forms are whole characters, so their ends are boundaries.
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end) in spans {
            out.push_str(part(done, start));
            out.push_str(&replacement(part(start, end)));
            done = end;
        }
        out.push_str(part(done, text.len()));
        Some(out)
    }

    /// Where values stand; ordered, and none touches another.
    fn find(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        if self.is_empty() {
            return spans;
        }
        for (at, window) in text.windows(ANCHOR).enumerate().step_by(self.stride) {
            let key = anchor_key(window);
            if !self.may_have(key) {
                continue;
            }
            for &(form, within) in self.anchors.get(&key).into_iter().flatten() {
                let found = self
                    .forms
                    .get(form)
                    .and_then(|form| form.around(text, at, within));
                let Some((start, end)) = found else {
                    continue;
                };
                match spans.last_mut() {
                    Some(last) if (last.0..=last.1).contains(&start) => last.1 = last.1.max(end),
                    _ => spans.push((start, end)),
                }
            }
        }
        merge(spans)
    }

    fn add(&mut self, form: Form) {
        let whole = self.stride + ANCHOR - 1;
        let is_plain = |within: usize| form.text.get(within..within + whole).is_some_and(is_unescaped);
        let mut runs = form.runs(whole);
        // One of them at least has to stand in JSON as it is; those of Base64 always do.
        if !runs.iter().all(|within| is_plain(*within)) {
            let plain = (0..form.text.len()).find(|within| is_plain(*within));
            self.hides_in_escapes |= plain.is_none();
            runs.extend(plain);
        }
        let anchors: BTreeSet<_> = runs
            .into_iter()
            .flat_map(|within| within..within + self.stride)
            .collect();
        for within in anchors {
            let Some(window) = form.text.get(within..within + ANCHOR) else {
                continue;
            };
            let key = anchor_key(window);
            let (word, bit) = place(key);
            if let Some(word) = self.filter.get_mut(word) {
                *word |= bit;
            }
            self.anchors
                .entry(key)
                .or_default()
                .push((self.forms.len(), within));
        }
        self.forms.push(form);
    }

    fn may_have(&self, key: u64) -> bool {
        let (word, bit) = place(key);
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Default for Spotter {
    fn default() -> Self {
        Self::new([])
    }
}

impl fmt::Debug for Spotter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spotter({} forms)", self.forms.len())
    }
}

impl Form {
    /// Where runs of so many bytes begin that are looked up. Base64 may be broken into lines, at one place or more; with
    /// runs at both ends and in the middle, one of them is nearly always whole.
    fn runs(&self, whole: usize) -> BTreeSet<usize> {
        let last = self.text.len().saturating_sub(whole);
        match self.writing {
            Writing::Plain => BTreeSet::from([0]),
            Writing::Base64 { .. } => BTreeSet::from([0, last / 2, last]),
        }
    }

    /// Where this form stands in the text, if what is at `within` in it stands at `at` there.
    fn around(&self, text: &[u8], at: usize, within: usize) -> Option<(usize, usize)> {
        let Writing::Base64 {
            bits_before,
            bits_behind,
        } = self.writing
        else {
            let start = at.checked_sub(within)?;
            let is_here = text.get(start..)?.starts_with(&self.text);
            return is_here.then_some((start, start + self.text.len()));
        };
        let is_break = |byte: u8| matches!(byte, b'\n' | b'\r');
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let mut end = at;
        for &wanted in self.text.get(within..)? {
            while is_break(*text.get(end)?) {
                end += 1;
            }
            if text.get(end) != Some(&wanted) {
                return None;
            }
            end += 1;
        }
        let mut start = at;
        for &wanted in self.text.get(..within)?.iter().rev() {
            start = start.checked_sub(1)?;
            while is_break(*text.get(start)?) {
                start = start.checked_sub(1)?;
            }
            if text.get(start) != Some(&wanted) {
                return None;
            }
        }
        if bits_before && start > 0 && text.get(start - 1).is_some_and(is_digit) {
            start -= 1;
        }
        if bits_behind && text.get(end).is_some_and(is_digit) {
            end += 1;
        }
        Some((start, end))
    }
}

/// The longest step at which a look falls into each form: all of eight bytes in it that begin at one of so many places in
/// a row are known. That takes room, in the filter too, so with many forms it is one byte.
fn stride(forms: &Forms) -> usize {
    const LONGEST: usize = 4;
    const FEW: usize = 400;
    let shortest = forms.iter().map(|(text, _)| text.len()).min().unwrap_or(ANCHOR);
    match forms.len() {
        0..=FEW => (shortest + 1).saturating_sub(ANCHOR).clamp(1, LONGEST),
        _ => 1,
    }
}

/// Whether these bytes are never escaped in JSON, or only in ways that tell.
fn is_unescaped(window: &[u8]) -> bool {
    window
        .iter()
        .all(|byte| matches!(byte, 0x20..0x7f) && !matches!(byte, b'"' | b'\\' | b'&'))
}

fn anchor_key(window: &[u8]) -> u64 {
    window
        .first_chunk::<ANCHOR>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The word and the bit of a key in the filter, by Fibonacci hashing.
fn place(key: u64) -> (usize, u64) {
    let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FILTER_BITS);
    (usize::try_from(hash >> 6).unwrap_or(0), 1 << (hash & 63))
}

fn merge(mut spans: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    spans.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

type Forms = BTreeSet<(Vec<u8>, Writing)>;

fn write_forms(value: &str, forms: &mut Forms) {
    let mut plain = |text: String| {
        forms.insert((text.into_bytes(), Writing::Plain));
    };
    plain(value.to_owned());
    plain(hex(value));
    plain(hex(value).to_ascii_uppercase());
    for keeps in [UNRESERVED, COMPONENT, FORM, PATH, ""] {
        for upper in [true, false] {
            plain(url_encoded(value, keeps, upper));
        }
    }
    plain(url_encoded(value, FORM, true).replace("%20", "+"));
    plain(url_encoded(value, FORM, false).replace("%20", "+"));
    for escapes in Escapes::ALL {
        let once = json_escaped(value, escapes);
        plain(json_escaped(&once, Escapes::Needed));
        plain(once);
    }
    base64_forms(value, forms);
}

/// What is left as it is beside letters and digits (RFC 3986 section 2.3).
const UNRESERVED: &str = "-._~";
/// The same for JavaScript's `encodeURIComponent`.
const COMPONENT: &str = "-._~!*'()";
/// `application/x-www-form-urlencoded`, as the URL Standard has it.
const FORM: &str = "-._*";
/// A path segment (RFC 3986 section 3.3), with the slash between segments.
const PATH: &str = "-._~!$&'()*+,;=:@/";

fn url_encoded(value: &str, keeps: &str, upper: bool) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        let c = char::from(byte);
        // Nothing to keep is every byte encoded, as some do who want to hide something.
        let is_kept =
            !keeps.is_empty() && (byte.is_ascii_alphanumeric() || byte.is_ascii() && keeps.contains(c));
        let _infallible = match (is_kept, upper) {
            (true, _) => out.write_char(c),
            (false, true) => write!(out, "%{byte:02X}"),
            (false, false) => write!(out, "%{byte:02x}"),
        };
    }
    out
}

fn hex(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        let _infallible = write!(out, "{byte:02x}");
    }
    out
}

/// What an encoder escapes beyond what JSON demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Needed,
    /// All but ASCII, as Python does.
    NonAscii,
    /// The same with digits in upper case.
    NonAsciiUpper,
    Slash,
    /// Both, as PHP does.
    SlashAndNonAscii,
    /// `<`, `>` and `&`, as Go does.
    Html,
}

impl Escapes {
    const ALL: [Self; 6] = [
        Self::Needed,
        Self::NonAscii,
        Self::NonAsciiUpper,
        Self::Slash,
        Self::SlashAndNonAscii,
        Self::Html,
    ];

    fn has(self, c: char) -> bool {
        match self {
            Self::Needed => false,
            Self::NonAscii | Self::NonAsciiUpper => !c.is_ascii(),
            Self::Slash => c == '/',
            Self::SlashAndNonAscii => c == '/' || !c.is_ascii(),
            Self::Html => matches!(c, '<' | '>' | '&'),
        }
    }
}

fn json_escaped(value: &str, escapes: Escapes) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if escapes.has(c) => out.push_str("\\/"),
            c if c.is_ascii_control() || escapes.has(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _infallible = match escapes {
                        Escapes::NonAsciiUpper => write!(out, "\\u{unit:04X}"),
                        _ => write!(out, "\\u{unit:04x}"),
                    };
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// The characters that the value alone decides, for each of the three places that it can have in what is encoded.
fn base64_forms(value: &str, forms: &mut Forms) {
    for shift in 0..3_usize {
        let mut bytes = Zeroizing::new(vec![0; shift]);
        bytes.extend_from_slice(value.as_bytes());
        // Characters that hold bits of what stands before, and of what stands behind.
        let (before, behind) = (shift + usize::from(shift > 0), usize::from(bytes.len() % 3 != 0));
        let writing = Writing::Base64 {
            bits_before: before > 0,
            bits_behind: behind > 0,
        };
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = Zeroizing::new(engine.encode(&*bytes).into_bytes());
            let inner = encoded
                .get(before..encoded.len().saturating_sub(behind))
                .unwrap_or_default();
            forms.insert((inner.to_vec(), writing));
        }
    }
}

#[cfg(test)]
mod tests;
