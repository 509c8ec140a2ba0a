//! Who is let in: requests that name a host and come from a web origin that we know (against DNS rebinding and
//! pages that call what runs on the user's machine), with a bearer token.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, Mac as _};
use hyper::{HeaderMap, StatusCode, Uri, header};
use sha2::{Digest as _, Sha256};

use super::{HttpOptions, Refused};
use crate::{Principal, seal};

/// For whom of those that it speaks for another gateway asks; see [`Links`]. At most [`SHARE`] of `[a-z0-9-]`.
const FOR: &str = "dockmaster-for";
/// Which of the clients of another gateway a request is for, where they share all the same: what a server asks or tells in
/// the middle of a call is for the client of that call alone. Made as [`FOR`] is.
pub(crate) const CLIENT: &str = "dockmaster-client";
/// Most characters of either.
const SHARE: usize = 80;

/// Other gateways that may come in, by SHA-256 hashes of their tokens, which have to be random. Clones share the list,
/// which may change while the gateway runs. Each speaks for several that may not share what is a principal's: the header
/// `Dockmaster-For` says for which, and the principal of a request is its own name, a slash and that. `Dockmaster-Client`
/// tells its clients apart where they share.
#[derive(Clone, Default)]
pub struct Links(Arc<RwLock<Vec<Link>>>);

/// Another gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it is called here.
    pub principal: String,
    /// The SHA-256 of its token.
    pub hash: [u8; 32],
}

impl Links {
    /// From now on these and no others.
    pub fn set(&self, links: Vec<Link>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = links;
    }

    fn find(&self, token: &str, headers: &HeaderMap) -> Option<Visitor> {
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let links = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // How many bytes of two hashes agree says nothing about a token that is random.
        let link = links.iter().find(|link| link.hash == given)?;
        let principal = match share(headers, FOR).ok()? {
            None => Principal::new(&link.principal),
            Some(share) => Principal::new(&format!("{}/{share}", link.principal)),
        };
        let behind = share(headers, CLIENT).ok()?.map(Arc::from);
        Some(Visitor { principal, behind })
    }
}

/// What a header names that says who shares; an error where it is there and names nobody.
fn share<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let Some(share) = headers.get(name) else {
        return Ok(None);
    };
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let share = share.to_str().map_err(drop)?;
    let is_name = (1..=SHARE).contains(&share.len()) && share.bytes().all(is_plain);
    is_name.then_some(Some(share)).ok_or(())
}

/// Who is let in.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) principal: Principal,
    /// Where it is another gateway: for which of its clients it asks.
    pub(crate) behind: Option<Arc<str>>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links")
    }
}

pub(crate) struct Gate {
    links: Links,
    hosts: Vec<String>,
    origins: Vec<String>,
    /// With a fresh key for each run, so that the tags say nothing about tokens.
    mac: Hmac<Sha256>,
    tags: Vec<(Principal, [u8; 32])>,
}

impl Gate {
    pub(crate) fn new(options: &HttpOptions, address: SocketAddr) -> std::io::Result<Self> {
        let key: [u8; 32] = seal::random().map_err(std::io::Error::other)?;
        let mac = Hmac::<Sha256>::new_from_slice(&key).map_err(std::io::Error::other)?;
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        if address.ip().is_loopback() {
            hosts.push(match address {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            });
        }
        hosts.extend(options.hosts.iter().map(|host| host.to_ascii_lowercase()));
        Ok(Self {
            links: options.links.clone().unwrap_or_default(),
            hosts,
            origins: options
                .origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
            tags: options
                .keys
                .iter()
                .map(|known| (known.principal.clone(), tag(&mac, known.token.expose())))
                .collect(),
            mac,
        })
    }

    /// Checks where the request wants to go and where it comes from (2026-07-28, Streamable HTTP, "Security &
    /// Endpoint").
    pub(crate) fn place(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refused> {
        // Two Host headers are refused by hyper's parser only in part; a proxy may read the other one.
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(Ok(host)), None) = (hosts.next().map(|host| host.to_str()), hosts.next()) else {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "the request has to have one Host header",
            ));
        };
        let named = uri.authority().map_or(host, |authority| authority.as_str());
        if !self.knows_host(host) || !self.knows_host(named) {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "the Host header names a host that is not allowed here; use localhost or 127.0.0.1, or add the name to \
                 `hosts` under [gateway] in the configuration",
            ));
        }
        let origins = headers.get_all(header::ORIGIN);
        if origins
            .iter()
            .all(|origin| origin.to_str().is_ok_and(|origin| self.knows_origin(origin)))
        {
            return Ok(());
        }
        Err(Refused::new(
            StatusCode::FORBIDDEN,
            "pages of this Origin may not call here; add it to `origins` under [gateway] in the configuration if they may",
        ))
    }

    /// Finds out whose token it is, in the same time for every wrong one.
    pub(crate) fn principal(&self, headers: &HeaderMap) -> Result<Visitor, Refused> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let given = tag(&self.mac, token.unwrap_or_default());
        let mut found = None;
        for (principal, known) in &self.tags {
            // Tags are keyed hashes: how many of their bytes agree says nothing about the token.
            if *known == given && token.is_some() {
                found = Some(Visitor {
                    principal: principal.clone(),
                    behind: None,
                });
            }
        }
        let found = found.or_else(|| self.links.find(token?, headers));
        found.ok_or_else(|| {
            let challenge = match token {
                None => "Bearer realm=\"dockmaster\"",
                Some(_) => "Bearer realm=\"dockmaster\", error=\"invalid_token\"",
            };
            Refused::new(
                StatusCode::UNAUTHORIZED,
                "a bearer token is required: send the header `Authorization: Bearer TOKEN`",
            )
            .with(header::WWW_AUTHENTICATE, challenge)
        })
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        self.hosts.contains(&name)
    }

    fn knows_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return true;
        }
        let rest = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&without_port(host)))
    }
}

fn without_port(host: &str) -> &str {
    // An IPv6 address stands in brackets and holds colons of its own.
    match host.rfind(':') {
        Some(colon)
            if !host[colon..].contains(']') && host[colon + 1..].bytes().all(|b| b.is_ascii_digit()) =>
        {
            &host[..colon]
        }
        _ => host,
    }
}

fn tag(mac: &Hmac<Sha256>, token: &str) -> [u8; 32] {
    mac.clone().chain_update(token).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use hyper::header::HeaderValue;

    use super::*;
    use crate::Key;

    fn gate(hosts: &[&str]) -> Gate {
        let options = HttpOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            keys: vec![
                Key {
                    principal: Principal::new("ann"),
                    token: Secret::new("a-token-of-ann-1"),
                },
                Key {
                    principal: Principal::new("bob"),
                    token: Secret::new("a-token-of-bob-1"),
                },
            ],
            hosts: hosts.iter().map(ToString::to_string).collect(),
            origins: vec!["https://app.example/".to_owned()],
            sse: false,
            links: None,
        };
        Gate::new(&options, "127.0.0.1:8811".parse().unwrap()).unwrap()
    }

    #[test]
    fn hosts_and_origins() {
        for (host, origin, wanted) in [
            (Some("localhost"), None, true),
            (Some("localhost:8811"), None, true),
            (Some("LOCALHOST:8811"), Some("http://localhost:3000"), true),
            (Some("127.0.0.1:8811"), Some("http://127.0.0.1"), true),
            (Some("[::1]:8811"), Some("http://[::1]:8811"), true),
            (Some("box.lan:8811"), None, true),
            (Some("box.lan"), Some("https://app.example"), true),
            (None, None, false),
            (Some(""), None, false),
            (Some("evil.example"), None, false),
            (Some("evil.example:8811"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("localhost:8811.evil.example"), None, false),
            (Some("localhost:x"), None, false),
            (Some("127.0.0.2"), None, false),
            (Some("localhost"), Some("http://evil.example"), false),
            (Some("localhost"), Some("http://localhost.evil.example"), false),
            (Some("localhost"), Some("null"), false),
            (Some("localhost"), Some(""), false),
            (Some("localhost"), Some("file://localhost"), false),
            (Some("localhost"), Some("http://app.example"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, HeaderValue::from_static(host));
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            let passed = gate(&["box.lan"]).place(&headers, &Uri::from_static("/mcp"));
            assert_eq!(passed.is_ok(), wanted, "{host:?} {origin:?}");
        }
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(gate(&[]).place(&two, &Uri::from_static("/mcp")).is_err());
        two.remove(header::HOST);
        two.insert(header::HOST, HeaderValue::from_static("localhost"));
        assert!(
            gate(&[])
                .place(&two, &Uri::from_static("http://evil.example/mcp"))
                .is_err()
        );
    }

    #[test]
    fn tokens() {
        for (value, wanted) in [
            (Some("Bearer a-token-of-ann-1"), Some("ann")),
            (Some("bearer  a-token-of-bob-1"), Some("bob")),
            (Some("Bearer a-token-of-ann-2"), None),
            (Some("Bearer a-token-of-ann-1x"), None),
            (Some("Bearer "), None),
            (Some("Basic a-token-of-ann-1"), None),
            (Some("a-token-of-ann-1"), None),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            match gate(&[]).principal(&headers) {
                Ok(visitor) => assert_eq!(Some(visitor.principal.as_str()), wanted, "{value:?}"),
                Err(refused) => {
                    assert_eq!(wanted, None, "{value:?}");
                    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
                    assert_eq!(refused.header.unwrap().0, header::WWW_AUTHENTICATE);
                }
            }
        }
    }

    #[test]
    fn other_gateways() {
        let links = Links::default();
        let known = HttpOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            keys: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            sse: false,
            links: Some(links.clone()),
        };
        let gate = Gate::new(&known, "127.0.0.1:1".parse().unwrap()).unwrap();
        let check = |token: &str, share: Option<&str>, wanted: Option<&str>| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            headers.insert(header::AUTHORIZATION, value);
            if let Some(share) = share {
                headers.insert(FOR, HeaderValue::from_str(share).unwrap());
            }
            let found = gate.principal(&headers).ok();
            let principal = found.as_ref().map(|visitor| visitor.principal.as_str());
            assert_eq!(principal, wanted, "{token} {share:?}");
            assert_eq!(found.and_then(|visitor| visitor.behind), None);
            // Which of its clients it is makes nobody else of it.
            let given = share.unwrap_or("s-1");
            headers.remove(FOR);
            headers.insert(CLIENT, HeaderValue::from_str(given).unwrap());
            let found = gate.principal(&headers).ok();
            let behind = found.as_ref().and_then(|visitor| visitor.behind.as_deref());
            let is_let_in = wanted.is_some();
            assert_eq!(behind, is_let_in.then_some(given), "{token} {share:?}");
            let principal = found.as_ref().map(|visitor| visitor.principal.as_str());
            assert_eq!(principal, is_let_in.then_some("home"), "{token} {share:?}");
        };
        check("one", None, None);
        let link = |token: &str| Link {
            principal: "home".to_owned(),
            hash: Sha256::digest(token).into(),
        };
        links.set(vec![link("one"), link("two")]);
        check("one", None, Some("home"));
        check("two", Some("p-1f"), Some("home/p-1f"));
        check("three", None, None);
        check("", None, None);
        for share in ["", "A", "a/b", "a b", &"a".repeat(81)] {
            check("one", Some(share), None);
        }
        links.set(vec![link("two")]);
        check("one", None, None);
        check("two", None, Some("home"));
    }
}
