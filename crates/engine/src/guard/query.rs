//! The query of a request, read so strictly that the daemon can't read it otherwise.
//!
//! The daemon takes the first of several values of a parameter, drops what it can't decode, and gives a parameter
//! of a form body precedence over the query. Here a parameter may be repeated only where the API takes a list.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde_json::Value;

use super::body;
use super::refusal::{Refusal, Rule};

/// Longest query, in bytes. Build arguments and labels travel in it.
const MAX_QUERY: usize = 256 * 1024;

/// Parameters that the API reads as lists, on whichever endpoint.
const REPEATED: [&str; 8] = [
    "t",
    "names",
    "changes",
    "extrahosts",
    "platform",
    "platforms",
    "type",
    "securityopt",
];

/// The decoded parameters, in order.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads a query without `?`.
    pub(super) fn parse(query: &'a str) -> Result<Self, Refusal> {
        let refuse = |value: &str, reason: &'static str| {
            Refusal::new(Rule::Query, "the request's query", value, reason)
        };
        if query.len() > MAX_QUERY {
            return Err(refuse("", "it is over 256 KiB"));
        }
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode(key).map_err(|reason| refuse(pair, reason))?;
            let value = decode(value).map_err(|reason| refuse(pair, reason))?;
            if !REPEATED.contains(&&*key) && pairs.iter().any(|(other, _)| *other == key) {
                return Err(refuse(&key, "the parameter stands there twice"));
            }
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    /// Refuses parameters that the endpoint does not have.
    pub(super) fn only(&self, known: &[&str], doing: &str) -> Result<(), Refusal> {
        match self.pairs.iter().find(|(key, _)| !known.contains(&&**key)) {
            None => Ok(()),
            Some((key, _)) => Err(Refusal::new(
                Rule::Query,
                format!("{doing}: a query parameter"),
                key,
                "the guard does not know this parameter of the endpoint",
            )),
        }
    }

    /// The value of a parameter; `None` if it is absent or empty, which the daemon takes as the same.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).find(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(own, _)| own == key)
            .map(|(_, value)| &**value)
    }

    /// The value of a parameter that is a JSON text; `None` if it is absent or empty.
    pub(super) fn json(&self, key: &str, doing: &str) -> Result<Option<Value>, Refusal> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        body::parse(text.as_bytes()).map(Some).map_err(|problem| {
            Refusal::new(
                Rule::Query,
                format!("{doing}: the query parameter {key}"),
                "",
                problem.to_string(),
            )
        })
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text
        .bytes()
        .any(|b| b == b';' || b == b'#' || !b.is_ascii_graphic())
    {
        return Err("it holds a character that must be escaped");
    }
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_escape = || bytes.clone().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        if byte == b'%' && !is_escape() {
            return Err("it holds an escape that is not '%' and two hexadecimal digits");
        }
    }
    let spaced: Cow<'_, [u8]> = if text.contains('+') {
        Cow::Owned(text.replace('+', " ").into_bytes())
    } else {
        Cow::Borrowed(text.as_bytes())
    };
    let decoded = match spaced {
        Cow::Borrowed(bytes) => percent_decode(bytes).decode_utf8(),
        Cow::Owned(bytes) => percent_decode(&bytes)
            .decode_utf8()
            .map(|text| Cow::Owned(text.into_owned())),
    };
    let decoded = decoded.map_err(|_| "it is not UTF-8")?;
    if decoded.contains('\0') {
        return Err("it holds a NUL");
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        for (query, wanted) in [
            ("", Some(vec![])),
            ("all=1", Some(vec![("all", "1")])),
            ("all", Some(vec![("all", "")])),
            ("a=b=c&d=%C3%A9+x", Some(vec![("a", "b=c"), ("d", "é x")])),
            ("t=a&t=b", Some(vec![("t", "a"), ("t", "b")])),
            ("&&a=1&", Some(vec![("a", "1")])),
            ("fromImage=a&fromImage=b", None),
            ("fromImage=a&from%49mage=b", None),
            ("a=1;b=2", None),
            ("a=%", None),
            ("a=%4", None),
            ("a=%zz", None),
            ("a=%FF", None),
            ("a=%00", None),
            ("a=é", None),
            ("a=b c", None),
            ("a=b#c", None),
        ] {
            let parsed = Query::parse(query).ok();
            let parsed = parsed.as_ref().map(|query| {
                let pairs = query.pairs.iter();
                pairs.map(|(key, value)| (&**key, &**value)).collect::<Vec<_>>()
            });
            assert_eq!(parsed, wanted, "{query:?}");
        }
    }
}
