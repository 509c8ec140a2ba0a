//! Small judgements on names, addresses and configurations that a plan rests on.

use serde_json::{Map, Value as Json};

use crate::entry::{Entry, Image, Kind};
use crate::plan::HostPort;
use crate::template::Template;

/// Whether a default of a schema counts. What a mount begins with is the publisher's example where it is a path, and so
/// is every path in a home folder: which part of a machine a server sees is nobody's decision but its user's.
pub(super) fn is_usable_default(is_mounted: bool, value: &Json) -> bool {
    match value {
        Json::String(text) => !(names_home(text) || is_mounted && names_host_path(text)),
        Json::Array(items) => items.iter().all(|item| is_usable_default(is_mounted, item)),
        _ => true,
    }
}

fn names_home(text: &str) -> bool {
    text.starts_with('~') || text.starts_with("$HOME") || text.starts_with("${HOME}")
}

fn names_host_path(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with('/')
}

impl Entry {
    /// Whether this key of the configuration is what a mount begins with.
    pub(super) fn mounts_key(&self, key: &str) -> bool {
        let Kind::Container { run, .. } = &self.kind else {
            return false;
        };
        let own = format!("{}.", self.name.as_str());
        let sources = run
            .volumes
            .iter()
            .filter_map(|volume| volume.split(':').into_iter().next());
        sources.into_iter().any(|source| {
            source
                .keys()
                .any(|path| path.strip_prefix(&own).unwrap_or(path) == key)
        })
    }

    /// Whether one of its templates asks for this key of the configuration, or for something in it.
    pub(super) fn uses_key(&self, key: &str) -> bool {
        let own = format!("{}.", self.name.as_str());
        let asks = |template: &Template| {
            template.keys().any(|path| {
                let path = path.strip_prefix(&own).unwrap_or(path);
                path == key || path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        match &self.kind {
            Kind::Container { run, .. } => {
                run.command
                    .iter()
                    .filter_map(|argument| argument.value.as_ref())
                    .any(asks)
                    || run.env.iter().any(|variable| asks(&variable.value))
                    || run.volumes.iter().any(asks)
                    || run.user.as_ref().is_some_and(asks)
            }
            Kind::Remote { url, headers, .. } => {
                asks(url) || headers.iter().any(|header| asks(&header.value))
            }
            Kind::Process { command, env, .. } => {
                command.iter().any(asks) || env.iter().any(|variable| asks(&variable.value))
            }
            Kind::PerCall(_) | Kind::Tools(_) | Kind::BuiltIn | Kind::Unusable(_) => false,
        }
    }
}

/// Servers that run code, or a browser, for whoever calls keep what a caller left behind; one caller's is not another's.
pub(super) fn keeps_state(entry: &Entry) -> bool {
    const SIGNS: [&str; 9] = [
        "code-interpreter",
        "interpreter",
        "jupyter",
        "notebook",
        "playwright",
        "puppeteer",
        "repl",
        "sandbox",
        "code-runner",
    ];
    let image = match &entry.kind {
        Kind::Container {
            image: Image::Reference(image),
            ..
        } => image.as_str(),
        Kind::Container {
            image: Image::Package(package),
            ..
        } => package.name.as_str(),
        _ => return false,
    };
    let is_sign = |text: &str| {
        let lower = text.to_ascii_lowercase().replace('_', "-");
        SIGNS
            .iter()
            .any(|sign| format!("-{lower}-").contains(&format!("-{sign}-")))
    };
    is_sign(entry.name.as_str()) || image.split(['/', ':', '@']).any(is_sign)
}

/// Keys that are written flat (`jira.url`), and those with the server's own name before them, nested as the schema has
/// them.
pub(super) fn nested(schema: &Json, server: &str, config: &Map<String, Json>) -> Map<String, Json> {
    let properties = schema.get("properties").and_then(Json::as_object);
    let known = |key: &str| properties.is_some_and(|properties| properties.contains_key(key));
    let mut result = Map::new();
    for (key, value) in config {
        let own = key.strip_prefix(server).and_then(|rest| rest.strip_prefix('.'));
        let key = own.filter(|_| !known(key)).unwrap_or(key);
        match key.split_once('.') {
            Some((head, rest)) if !known(key) && known(head) => {
                let inner = result
                    .entry(head.to_owned())
                    .or_insert_with(|| Json::Object(Map::new()));
                if let Json::Object(inner) = inner {
                    inner.insert(rest.to_owned(), value.clone());
                }
            }
            _ => match (result.get_mut(key), value) {
                (Some(Json::Object(before)), Json::Object(more)) => before.extend(more.clone()),
                _ => {
                    result.insert(key.to_owned(), value.clone());
                }
            },
        }
    }
    result
}

/// An example of what a key may hold, from its schema.
pub(super) fn example(schema: &Json, path: &str) -> Option<String> {
    let mut at = schema;
    for key in path.split(['.', '[']).filter(|key| !key.ends_with(']')) {
        at = at.get("properties")?.get(key)?;
    }
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Array(items) => Some(Json::Array(items.clone()).to_string()),
        Json::Null | Json::Object(_) => None,
        other => Some(other.to_string()),
    };
    let choices = at
        .get("enum")
        .and_then(Json::as_array)
        .and_then(|choices| choices.first())
        .and_then(text);
    let written = ["example", "default", "placeholder"]
        .iter()
        .find_map(|word| at.get(*word).and_then(text));
    let examples = at
        .get("examples")
        .and_then(Json::as_array)
        .and_then(|all| all.first())
        .and_then(text);
    let found = choices.or(written).or(examples)?;
    let clean = base::text::clean(&found).into_owned();
    (!clean.is_empty() && clean.len() <= 120 && !clean.contains('\n')).then_some(clean)
}

/// Whether a process can have a variable of this name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

pub(crate) fn is_header_name(name: &str) -> bool {
    // RFC 9110, 5.6.2: a token.
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether an address can be spoken to: HTTPS, or HTTP on this machine.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it has characters that no address has");
    }
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("it is not an address with https:// before it")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it has a user name or password in it; give a header instead");
    }
    let host = authority_host(authority);
    let loopback = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match scheme.to_ascii_lowercase().as_str() {
        _ if host.is_empty() => Err("it names no host"),
        _ if host.contains(['{', '}']) => Err("it still has a place to fill in"),
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err("it is plain HTTP, and anybody on the way could read and change it"),
        _ => Err("only https is spoken, and http on this machine"),
    }
}

fn authority_host(authority: &str) -> String {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

/// Host and port of an address.
pub(super) fn host_of_url(url: &str) -> Option<HostPort> {
    let (scheme, rest) = url.split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" => 443,
        "http" | "ws" => 80,
        _ => 0,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, authority)| authority);
    let host = authority_host(authority);
    let port = authority
        .rsplit_once(':')
        .and_then(|(_, digits)| digits.parse().ok())
        .unwrap_or(usual);
    (port > 0 && (crate::setup::is_dns_name(&host) || host.parse::<std::net::IpAddr>().is_ok()))
        .then_some(HostPort { host, port })
}
