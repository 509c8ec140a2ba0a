//! One line of a `known_hosts` file, taken apart. What it means for a host is its parent's matter.

use russh::keys::PublicKey;

/// What a line says.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) mark: Mark,
    pub(super) names: Names,
    pub(super) key: PublicKey,
}

/// What a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The host's own key.
    Host,
    /// `@cert-authority`.
    Authority,
    /// `@revoked`.
    Revoked,
}

/// Which hosts a line is about.
#[derive(Debug, Clone)]
pub(super) enum Names {
    /// Lower-case patterns.
    Patterns(Vec<String>),
    /// One name, as HMAC-SHA1 with a salt.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl Line {
    /// `None` for what says nothing: an empty line, a comment.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        let mut rest = text.trim_matches([' ', '\t', '\r']);
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(None);
        }
        let mut mark = Mark::Host;
        if rest.starts_with('@') {
            mark = match word(&mut rest) {
                "@cert-authority" => Mark::Authority,
                "@revoked" => Mark::Revoked,
                _ => return Err("its marker is neither @cert-authority nor @revoked"),
            };
        }
        let names = word(&mut rest);
        let kind = word(&mut rest);
        let key = word(&mut rest);
        if key.is_empty() {
            return Err("it has no key after the host names");
        }
        let names = match names.strip_prefix("|1|") {
            Some(hashed) => Names::hashed(hashed).ok_or("its hashed host name is damaged")?,
            None if names.starts_with('|') => return Err("its host name is hashed in an unknown way"),
            None => Names::Patterns(names.split(',').map(str::to_ascii_lowercase).collect()),
        };
        let key = PublicKey::from_openssh(&format!("{kind} {key}"))
            .map_err(|_| "its key is damaged, or of a kind that is not supported")?;
        Ok(Some(Self { mark, names, key }))
    }
}

/// Takes the next word off; blanks and tabs both separate.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let (word, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    *rest = after.trim_start_matches([' ', '\t']);
    word
}
