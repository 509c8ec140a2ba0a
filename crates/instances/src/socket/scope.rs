//! What a server's requests to Docker become: lists are filtered by its label, what it makes bears it, and what it
//! makes gets no more than it has itself.
//!
//! This only helps a client that knows nothing of labels. What is forgotten here is not let through but refused: the
//! guard behind it judges the result.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// As in requests of our own.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Lists and prunings, which are filtered.
const FILTERED: [(&str, &str); 12] = [
    ("GET", "/containers/json"),
    ("POST", "/containers/prune"),
    ("GET", "/images/json"),
    ("POST", "/images/prune"),
    ("GET", "/networks"),
    ("POST", "/networks/prune"),
    ("GET", "/volumes"),
    ("POST", "/volumes/prune"),
    ("GET", "/events"),
    ("GET", "/services"),
    ("GET", "/secrets"),
    ("GET", "/configs"),
];

/// Networks that lead outside of the engine.
const OUTSIDE: [&str; 4] = ["", "default", "bridge", "nat"];

/// What one server may see and make.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The label's key and value.
    pub(crate) label: (String, String),
    /// Further labels for what it makes.
    pub(crate) labels: BTreeMap<String, String>,
    /// It may not reach everything itself, so nor may what it makes.
    pub(crate) confined: bool,
    /// Its own bounds, for containers that ask for none.
    pub(crate) memory: u64,
    pub(crate) pids: u32,
}

/// Whether the body is bytes that are not judged.
pub(super) fn is_stream(method: &Method, path: &str) -> bool {
    let archive = path.starts_with("/containers/") && path.ends_with("/archive");
    match *method {
        Method::POST => matches!(path, "/build" | "/images/load" | "/images/create"),
        Method::PUT => archive,
        _ => false,
    }
}

impl Scope {
    /// The query with the label in it.
    pub(super) fn query(&self, method: &Method, path: &str, query: &str) -> Result<String, String> {
        let mut pairs = parse(query);
        if FILTERED.contains(&(method.as_str(), path)) {
            self.filter(&mut pairs)?;
        }
        if *method == Method::POST && path == "/build" {
            self.label_build(&mut pairs)?;
            if self.confined {
                pairs.retain(|(key, _)| key != "networkmode");
                pairs.push(("networkmode".to_owned(), "none".to_owned()));
            }
        }
        Ok(write(&pairs))
    }

    /// The body with the label in it; `None` if it stays as it is.
    pub(super) fn body(&self, method: &Method, path: &str, body: &[u8]) -> Result<Option<String>, String> {
        let makes = matches!(
            path,
            "/containers/create"
                | "/networks/create"
                | "/volumes/create"
                | "/secrets/create"
                | "/configs/create"
        );
        if *method != Method::POST || !makes {
            return Ok(None);
        }
        let mut made: Map<String, Value> = if body.is_empty() {
            Map::new()
        } else {
            serde_json::from_slice(body).map_err(|error| format!("the body is no JSON object: {error}"))?
        };
        self.label_made(&mut made)?;
        match path {
            "/containers/create" => self.bound(&mut made)?,
            "/networks/create" if self.confined => {
                remove(&mut made, "Internal");
                made.insert("Internal".to_owned(), true.into());
            }
            _ => {}
        }
        Ok(Some(Value::Object(made).to_string()))
    }

    fn filter(&self, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
        let mut filters = take_json(pairs, "filters")?;
        let labels = filters.entry("label").or_insert_with(|| json!([]));
        // Clients of before 1.22 write a map of what is wanted.
        if let Value::Object(wanted) = labels {
            let wanted = wanted.iter().filter(|(_, on)| **on == Value::Bool(true));
            *labels = wanted.map(|(label, _)| label.clone()).collect();
        }
        let Value::Array(labels) = labels else {
            return Err("the filter label is no list".to_owned());
        };
        let (key, value) = &self.label;
        labels.push(format!("{key}={value}").into());
        pairs.push(("filters".to_owned(), Value::Object(filters).to_string()));
        Ok(())
    }

    fn label_build(&self, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
        let mut labels = take_json(pairs, "labels")?;
        self.put_labels(&mut labels);
        pairs.push(("labels".to_owned(), Value::Object(labels).to_string()));
        Ok(())
    }

    fn label_made(&self, made: &mut Map<String, Value>) -> Result<(), String> {
        let mut labels = match remove(made, "Labels") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(labels)) => labels,
            Some(_) => return Err("Labels is no object".to_owned()),
        };
        self.put_labels(&mut labels);
        made.insert("Labels".to_owned(), Value::Object(labels));
        Ok(())
    }

    fn put_labels(&self, labels: &mut Map<String, Value>) {
        let own = std::iter::once((&self.label.0, &self.label.1)).chain(&self.labels);
        for (key, value) in own {
            labels.insert(key.clone(), value.clone().into());
        }
    }

    /// No more than the server has itself.
    fn bound(&self, made: &mut Map<String, Value>) -> Result<(), String> {
        let mut host = match remove(made, "HostConfig") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(host)) => host,
            Some(_) => return Err("HostConfig is no object".to_owned()),
        };
        for (key, bound) in [("Memory", self.memory), ("PidsLimit", self.pids.into())] {
            let asked = remove(&mut host, key).and_then(|asked| asked.as_i64());
            let asked = asked
                .and_then(|asked| u64::try_from(asked).ok())
                .filter(|asked| *asked > 0);
            host.insert(
                key.to_owned(),
                asked.map_or(bound, |asked| asked.min(bound)).into(),
            );
        }
        if self.confined {
            let network = remove(&mut host, "NetworkMode");
            let network = network.as_ref().and_then(Value::as_str).unwrap_or_default();
            let network = if OUTSIDE.contains(&network) {
                "none"
            } else {
                network
            };
            host.insert("NetworkMode".to_owned(), network.into());
            let joined = made
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case("NetworkingConfig"))
                .and_then(|(_, networking)| networking.as_object())
                .into_iter()
                .flatten()
                .filter_map(|(_, endpoints)| endpoints.as_object())
                .flat_map(Map::keys);
            let outside: Vec<&String> = joined.filter(|name| OUTSIDE.contains(&name.as_str())).collect();
            if let Some(name) = outside.first() {
                // What the CLI writes for its own default means nothing more than that default.
                if name.as_str() != "default" {
                    return Err(format!(
                        "this server may not reach everything, so nor may what it makes: the network {name} leads outside"
                    ));
                }
                remove(made, "NetworkingConfig");
            }
        }
        made.insert("HostConfig".to_owned(), Value::Object(host));
        Ok(())
    }
}

/// Takes a key out, however it is spelled: the engine does not look at its case.
fn remove(map: &mut Map<String, Value>, key: &str) -> Option<Value> {
    let spelled: Vec<String> = map
        .keys()
        .filter(|own| own.eq_ignore_ascii_case(key))
        .cloned()
        .collect();
    let mut found = None;
    for key in spelled {
        found = map.remove(&key);
    }
    found
}

/// Takes a parameter out that is a JSON object.
fn take_json(pairs: &mut Vec<(String, String)>, key: &str) -> Result<Map<String, Value>, String> {
    let mut found = Map::new();
    for (_, text) in pairs.iter().filter(|(own, _)| own == key) {
        if !text.is_empty() {
            found =
                serde_json::from_str(text).map_err(|error| format!("{key} is no JSON object: {error}"))?;
        }
    }
    pairs.retain(|(own, _)| own != key);
    Ok(found)
}

fn parse(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

fn write(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(confined: bool) -> Scope {
        Scope {
            label: ("for".to_owned(), "me".to_owned()),
            labels: BTreeMap::new(),
            confined,
            memory: 1000,
            pids: 10,
        }
    }

    fn query(method: &Method, path: &str, text: &str) -> Vec<(String, String)> {
        parse(&scope(true).query(method, path, text).unwrap())
    }

    #[test]
    fn lists_are_filtered() {
        let own = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        for (text, expected) in [
            ("", r#"{"label":["for=me"]}"#),
            (
                "filters=%7B%22status%22%3A%5B%22exited%22%5D%7D",
                r#"{"status":["exited"],"label":["for=me"]}"#,
            ),
            (r#"filters={"label":["a=b"]}"#, r#"{"label":["a=b","for=me"]}"#),
            (
                r#"filters={"label":{"a=b":true,"c":false}}"#,
                r#"{"label":["a=b","for=me"]}"#,
            ),
        ] {
            assert_eq!(
                query(&Method::GET, "/containers/json", text),
                own("filters", expected)
            );
        }
        assert_eq!(
            query(&Method::GET, "/containers/x/json", "size=1"),
            own("size", "1")
        );
        assert!(
            scope(true)
                .query(&Method::GET, "/networks", "filters=[]")
                .is_err()
        );
    }

    #[expect(clippy::needless_pass_by_value, reason = "the table reads better")]
    fn check(confined: bool, path: &str, body: Value, expected: Value) {
        let made = scope(confined)
            .body(&Method::POST, path, body.to_string().as_bytes())
            .unwrap();
        let made: Value = serde_json::from_str(&made.unwrap()).unwrap();
        assert_eq!(made, expected);
    }

    #[test]
    fn what_is_made_is_labelled_and_bounded() {
        let bounded = |network: Value| json!({"Labels": {"for": "me"}, "HostConfig": {"Memory": 1000, "PidsLimit": 10, "NetworkMode": network}});
        check(true, "/containers/create", json!({}), bounded("none".into()));
        check(
            true,
            "/containers/create",
            json!({"labels": {"for": "you"}, "hostConfig": {"memory": 9999, "PidsLimit": -1, "NetworkMode": "bridge"}}),
            bounded("none".into()),
        );
        check(
            true,
            "/containers/create",
            json!({"HostConfig": {"NetworkMode": "own"}, "NetworkingConfig": {"EndpointsConfig": {"default": {}}}}),
            bounded("own".into()),
        );
        check(
            false,
            "/containers/create",
            json!({"HostConfig": {"Memory": 5, "PidsLimit": 3}}),
            json!({"Labels": {"for": "me"}, "HostConfig": {"Memory": 5, "PidsLimit": 3}}),
        );
        check(
            true,
            "/networks/create",
            json!({"Name": "n", "internal": false}),
            json!({"Name": "n", "Labels": {"for": "me"}, "Internal": true}),
        );
        let around = json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}}).to_string();
        assert!(
            scope(true)
                .body(&Method::POST, "/containers/create", around.as_bytes())
                .is_err()
        );
        assert_eq!(
            scope(true)
                .body(&Method::POST, "/containers/x/start", b"")
                .unwrap(),
            None
        );
    }
}
