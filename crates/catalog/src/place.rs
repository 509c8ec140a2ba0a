//! Where a server's containers run: on a host by name, or on whichever fits.

use std::fmt;

use base::names::HostName;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::setup::Memory;

/// Where containers run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// On this host.
    On(HostName),
    /// On the one of those that fit which has the most memory free.
    Where(Fitting),
}

impl Place {
    /// Whether it is, or may come to be, the host of this name that has these labels.
    pub fn may_be(&self, host: &str, labels: &[String]) -> bool {
        match self {
            Self::On(name) => name.as_str() == host,
            Self::Where(fitting) => fitting.is_for(labels),
        }
    }
}

/// What a host has to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitting {
    /// One of its labels; without one any host will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// So much memory has to be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

impl Fitting {
    /// Whether a host with these labels fits, as far as they tell.
    pub fn is_for(&self, labels: &[String]) -> bool {
        self.label.as_ref().is_none_or(|label| labels.contains(label))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(host) => write!(f, "the host {host}"),
            Self::Where(Fitting { label, memory }) => {
                f.write_str("a host")?;
                if let Some(label) = label {
                    write!(f, " with the label {label}")?;
                }
                match memory {
                    Some(memory) => write!(f, " that has {} of memory free", base::text::bytes(memory.0)),
                    None => Ok(()),
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    /// By hand: an untagged enum would only say that nothing fits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a host, or { label = \"gpu\", memory = \"4GiB\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Place, E> {
                HostName::parse(text).map(Place::On).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Place, A::Error> {
                Fitting::deserialize(MapAccessDeserializer::new(map)).map(Place::Where)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str, expected: &str) {
        #[derive(Deserialize, Serialize)]
        struct Table {
            host: Place,
        }
        match toml::from_str::<Table>(toml) {
            Ok(table) => {
                assert_eq!(table.host.to_string(), expected, "{toml}");
                let again: Table = toml::from_str(&toml::to_string(&table).unwrap()).unwrap();
                assert_eq!(again.host, table.host);
            }
            Err(error) => assert!(error.message().contains(expected), "{toml}: {error}"),
        }
    }

    #[test]
    fn places_as_they_are_written() {
        check("host = 'prod'", "the host prod");
        check("host = { label = 'gpu' }", "a host with the label gpu");
        check(
            "host = { label = 'zone=eu', memory = '4GiB' }",
            "a host with the label zone=eu that has 4 GiB of memory free",
        );
        check(
            "host = { memory = '512MiB' }",
            "a host that has 512 MiB of memory free",
        );
        check("host = {}", "a host");
        check("host = 'a b'", "\"a b\" is not a valid host name");
        check(
            "host = ['a']",
            "the name of a host, or { label = \"gpu\", memory = \"4GiB\" }",
        );
        check("host = { labels = 'gpu' }", "unknown field `labels`");
    }
}
