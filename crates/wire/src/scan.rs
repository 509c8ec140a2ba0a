//! Walking JSON text once, without making anything of it: where values begin and end.
//!
//! `serde_json` walks as well, but for each level anew, and it reads escapes and numbers for what they mean. An answer
//! may be megabytes. What is found here is what it would find (properties compare the two); where something is
//! wrong with a text, it is asked what.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::value::RawValue;

use crate::Raw;

/// `text`, which is known to be JSON, as a raw value without walking it once more. If it can't be had this way it is
/// walked, and what is no JSON after all is `null`.
pub(crate) fn known(text: &str) -> Raw {
    /// How `serde_json` writes a raw value itself. It is not said to stay so, hence the comparison below.
    struct Known<'a>(&'a str);

    impl Serialize for Known<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            const TOKEN: &str = "$serde_json::private::RawValue";
            let mut raw = serializer.serialize_struct(TOKEN, 1)?;
            raw.serialize_field(TOKEN, self.0)?;
            raw.end()
        }
    }

    let raw = crate::to_raw(&Known(text));
    if raw.get().len() == text.len() {
        return raw;
    }
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// So far is looked byte by byte before it is worth while to begin something faster.
const NEAR: usize = 16;

/// A walk along a JSON text.
pub(crate) struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Most levels inside each other; at most 128.
    depth: usize,
    /// The text was found to be JSON before, so nothing need be looked for but ends.
    is_known: bool,
}

/// So many levels fit into the bits that say which of them are objects.
const DEEPEST: usize = 128;

impl<'a> Walk<'a> {
    /// Along text that may be anything.
    pub(crate) fn checking(text: &'a str, depth: usize) -> Self {
        Self {
            text,
            at: 0,
            depth: depth.min(DEEPEST),
            is_known: false,
        }
    }

    /// Along text that is known to be JSON: of a raw value, or a part of one.
    pub(crate) fn along(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: DEEPEST,
            is_known: true,
        }
    }

    /// Gives each member of the object that the text is: its name as it is written, with quotes, and its value. `None`:
    /// it is no object, is too deep, or has something behind it; what was given until then counts for nothing.
    pub(crate) fn members(mut self, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
        self.object(|walk, name| {
            each(name, walk.value(1)?);
            Some(())
        })?;
        self.end()
    }

    /// Goes over the object that begins here, and has `each` go over the value of each member.
    #[inline]
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.blanks();
        self.expect(b'{')?;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.blanks();
            let name = self.string()?;
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            each(self, name)?;
            self.blanks();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Goes over the array that begins here, and has `each` go over each item.
    #[inline]
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.blanks();
        self.expect(b'[')?;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.blanks();
            each(self)?;
            self.blanks();
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// What `over` goes over, as it is written.
    #[inline]
    pub(crate) fn over(&mut self, over: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'a str> {
        let start = self.at;
        over(self)?;
        self.text.get(start..self.at)
    }

    /// Whether an array begins here.
    pub(crate) fn is_at_array(&self) -> bool {
        self.peek() == Some(b'[')
    }

    /// The value that begins here, below so many levels.
    pub(crate) fn value(&mut self, above: usize) -> Option<&'a str> {
        let start = self.at;
        // Whether each open level is an object, the innermost in the lowest bit.
        let (mut levels, mut open) = (0u128, 0);
        loop {
            match self.peek()? {
                b'"' => self.pass_string()?,
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    open += 1;
                    if above + open > self.depth {
                        return None;
                    }
                    let is_object = bracket == b'{';
                    levels = levels << 1 | u128::from(is_object);
                    self.blanks();
                    if self.peek()? != if is_object { b'}' } else { b']' } {
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return None,
            }
            // Behind a value, or before the end of what is empty.
            loop {
                if open == 0 {
                    return self.text.get(start..self.at);
                }
                self.blanks();
                let is_object = levels & 1 == 1;
                match (self.next()?, is_object) {
                    (b',', true) => {
                        self.blanks();
                        self.name()?;
                        break;
                    }
                    (b',', false) => {
                        self.blanks();
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        levels >>= 1;
                        open -= 1;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// A member's name and the colon behind it.
    #[inline]
    fn name(&mut self) -> Option<()> {
        self.pass_string()?;
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        Some(())
    }

    /// The string literal that begins here, with its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.pass_string()?;
        self.text.get(start..self.at)
    }

    #[inline]
    fn pass_string(&mut self) -> Option<()> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        self.expect(b'"')?;
        self.at = if self.is_known {
            string_end(bytes, start)
        } else {
            checked_end(bytes, start)?
        };
        Some(())
    }

    /// RFC 8259 section 6.
    #[inline]
    fn number(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let byte = |at: usize| bytes.get(at).copied();
        let digits = |at: usize| {
            let rest = bytes.get(at..).unwrap_or_default();
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (count > 0).then_some(at + count)
        };
        let start = self.at + usize::from(byte(self.at) == Some(b'-'));
        let mut end = digits(start)?;
        // No zeros before others.
        if byte(start) == Some(b'0') && end > start + 1 {
            return None;
        }
        if byte(end) == Some(b'.') {
            end = digits(end + 1)?;
        }
        if matches!(byte(end), Some(b'e' | b'E')) {
            end += 1 + usize::from(matches!(byte(end + 1), Some(b'+' | b'-')));
            end = digits(end)?;
        }
        self.at = end;
        Some(())
    }

    fn literal(&mut self, wanted: &str) -> Option<()> {
        let is_it = self.rest().starts_with(wanted.as_bytes());
        self.at += wanted.len();
        is_it.then_some(())
    }

    #[inline]
    fn blanks(&mut self) {
        // Most that is looked at is none.
        while self
            .peek()
            .is_some_and(|byte| byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\t' | b'\r'))
        {
            self.at += 1;
        }
    }

    /// Nothing is behind it but blanks.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.blanks();
        (self.at == self.text.len()).then_some(())
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

/// Where the string that opens at `start` ends, past its closing quote, if it is one.
#[inline]
fn checked_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = plain_end(bytes, start + 1);
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match *bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    unit(bytes, at + 2)?;
                    at += 6;
                }
                _ => return None,
            },
            // A control character.
            _ => return None,
        }
        // Escapes come in flocks, between which it is not worth while to begin anything.
        let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
        let mut near = 0;
        while near < 4 && bytes.get(at).is_some_and(is_plain) {
            at += 1;
            near += 1;
        }
        if near == 4 {
            at = plain_end(bytes, at);
        }
    }
}

/// The place from `at` on of the next quote, backslash or control character: eight bytes at a time.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte that is zero; above the lowest of them others may be set in vain.
    let zeros = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let chunk = u64::from_le_bytes(*chunk);
        let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
        let quotes = zeros(chunk ^ (ONES * u64::from(b'"')));
        let found = (control | quotes | zeros(chunk ^ (ONES * u64::from(b'\\')))) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(is_end).unwrap_or(rest.len())
}

/// The same in text that is known to be JSON.
#[inline]
pub(crate) fn string_end(bytes: &[u8], start: usize) -> usize {
    // Most are short.
    let mut at = start + 1;
    while at <= start + NEAR {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
    let inner = bytes.get(at..).unwrap_or_default();
    for quote in memchr::memchr_iter(b'"', inner) {
        let before = inner.iter().take(quote).rev();
        let backslashes = before.take_while(|byte| **byte == b'\\').count();
        if backslashes.is_multiple_of(2) {
            return at + quote + 1;
        }
    }
    bytes.len()
}

/// The text of a string literal; `None` for one that holds half of a surrogate pair, and for what is no string.
pub(crate) fn decode(literal: &str) -> Option<Cow<'_, str>> {
    unescape(inner(literal)?, usize::MAX, None).map(|(text, _)| text)
}

/// The same with U+FFFD for half of a surrogate pair, as most who read JSON have it.
pub(crate) fn decode_lossy(literal: &str) -> Option<Cow<'_, str>> {
    unescape(inner(literal)?, usize::MAX, Some(char::REPLACEMENT_CHARACTER)).map(|(text, _)| text)
}

/// The first characters of what stands between the quotes of a literal, as many as have at most so many bytes, and what
/// stands behind them, as it is written. Half of a surrogate pair is U+FFFD.
pub(crate) fn front(inner: &str, most: usize) -> (Cow<'_, str>, &str) {
    match unescape(inner, most, Some(char::REPLACEMENT_CHARACTER)) {
        Some((text, end)) => (text, inner.get(end..).unwrap_or_default()),
        None => (Cow::Borrowed(""), ""),
    }
}

/// What stands between the quotes.
pub(crate) fn inner(literal: &str) -> Option<&str> {
    literal.strip_prefix('"')?.strip_suffix('"')
}

/// At most `most` bytes of the text that is written so, and where in `inner` they end. `lone` stands for half of a pair.
fn unescape(inner: &str, most: usize, lone: Option<char>) -> Option<(Cow<'_, str>, usize)> {
    let bytes = inner.as_bytes();
    let up_to = |at: usize, length: usize| inner.floor_char_boundary(at.saturating_add(length));
    let first = memchr::memchr(b'\\', bytes).unwrap_or(bytes.len());
    if first == bytes.len() || first > most {
        let end = up_to(0, most);
        return Some((Cow::Borrowed(inner.get(..end)?), end));
    }
    let mut text = String::with_capacity(inner.len().min(most));
    text.push_str(inner.get(..first)?);
    let mut at = first;
    // Escapes come in flocks, between which it is not worth while to look far ahead.
    let mut near = 0;
    while let Some(&byte) = bytes.get(at) {
        let room = most - text.len();
        if byte != b'\\' {
            if byte.is_ascii() && near < NEAR && room > 0 {
                text.push(char::from(byte));
                at += 1;
                near += 1;
                continue;
            }
            let rest = bytes.get(at..)?;
            let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
            let end = up_to(at, plain.min(room));
            text.push_str(inner.get(at..end)?);
            let is_full = end < at + plain;
            at = end;
            if is_full {
                break;
            }
            continue;
        }
        near = 0;
        let (character, length) = match *bytes.get(at + 1)? {
            b'n' => ('\n', 2),
            b't' => ('\t', 2),
            b'r' => ('\r', 2),
            b'b' => ('\x08', 2),
            b'f' => ('\x0c', 2),
            c @ (b'"' | b'\\' | b'/') => (char::from(c), 2),
            b'u' => match unit_or_pair(bytes, at + 2) {
                Some((character, digits)) => (character, 2 + digits),
                None => (unit(bytes, at + 2).and(lone)?, 6),
            },
            _ => return None,
        };
        if character.len_utf8() > room {
            break;
        }
        text.push(character);
        at += length;
    }
    Some((Cow::Owned(text), at))
}

/// The character that `\u` with these digits stands for, alone or with the pair's other half; and how many bytes there are.
fn unit_or_pair(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let high = unit(bytes, at)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 4));
    }
    let is_pair = bytes.get(at + 4..at + 6)? == br"\u";
    let low = unit(bytes, at + 6).filter(|unit| is_pair && (0xdc00..0xe000).contains(unit))?;
    Some((
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?,
        10,
    ))
}

/// The number that four hexadecimal digits write.
#[inline]
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    let [a, b, c, d] = digits.map(|digit| u32::from(HEX[usize::from(digit)]));
    // What is no digit has a bit beyond those of digits.
    (a | b | c | d < 16).then_some(a << 12 | b << 8 | c << 4 | d)
}

/// What each byte is worth as a hexadecimal digit; 255: nothing.
const HEX: [u8; 256] = {
    let mut worth = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 10 {
        worth[(b'0' + digit) as usize] = digit;
        digit += 1;
    }
    while digit < 16 {
        worth[(b'a' - 10 + digit) as usize] = digit;
        worth[(b'A' - 10 + digit) as usize] = digit;
        digit += 1;
    }
    worth
};
