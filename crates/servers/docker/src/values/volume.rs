//! What is mounted into a container.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::str::FromStr;

/// One mount: text `source:/target[:ro]` as the engine's client takes it, or an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) source: Source,
    /// Absolute path in the container.
    pub(crate) target: String,
    pub(crate) access: Access,
}

/// Where the content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path of the host.
    Host(String),
    /// A volume of this name.
    Named(String),
    /// A volume without a name, which goes with the container.
    Anonymous,
}

/// Whether the container may write there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

impl schemars::JsonSchema for Volume {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        server_kit::schema::unnamed()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

const FORM: &str = "a volume is written source:/target[:ro], where source is a volume name or an absolute path of the \
                    host, or as an object with source, target, read_only";

impl FromStr for Volume {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, mode) = match text.rsplit_once(':') {
            Some((rest, mode)) if !mode.starts_with('/') => (rest, Some(mode)),
            _ => (text, None),
        };
        let access = access(mode.unwrap_or_default())?;
        match rest.rsplit_once(':') {
            Some((source, target)) => Self::new(source, target, access),
            None => Self::new("", rest, access),
        }
    }
}

impl Volume {
    fn new(source: &str, target: &str, access: Access) -> Result<Self, &'static str> {
        if !target.starts_with('/') {
            return Err(FORM);
        }
        let source = match source {
            "" => Source::Anonymous,
            path if path.starts_with('/') => Source::Host(path.to_owned()),
            // A drive letter of Windows, or a path relative to nobody knows what.
            path if path.contains(['/', '\\']) || path.starts_with(['.', '~']) => {
                return Err("a path of the host is absolute; give it in full");
            }
            name => Source::Named(name.to_owned()),
        };
        Ok(Self {
            source,
            target: target.to_owned(),
            access,
        })
    }
}

fn access(mode: &str) -> Result<Access, &'static str> {
    match mode {
        "" | "rw" => Ok(Access::ReadWrite),
        "ro" => Ok(Access::ReadOnly),
        _ => Err("the mode of a volume is ro or rw"),
    }
}

/// A mount as an object, in the words of the engine's client, of docker-py and of compose.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    #[serde(default, alias = "host_path", alias = "src", alias = "name", alias = "volume")]
    source: Option<String>,
    #[serde(
        alias = "container_path",
        alias = "dst",
        alias = "destination",
        alias = "path",
        alias = "bind"
    )]
    target: String,
    #[serde(default, alias = "readonly", alias = "ro")]
    read_only: bool,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

impl<'de> Deserialize<'de> for Volume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => text
                .parse()
                .map_err(|error| D::Error::custom(format!("{:?}: {error}", base::text::cut(&text, 100)))),
            object @ Value::Object(_) => {
                let object: Object = serde_json::from_value(object).map_err(D::Error::custom)?;
                let access =
                    match access(object.mode.as_deref().unwrap_or_default()).map_err(D::Error::custom)? {
                        Access::ReadWrite if object.read_only => Access::ReadOnly,
                        access => access,
                    };
                let volume = Self::new(
                    object.source.as_deref().unwrap_or_default(),
                    &object.target,
                    access,
                )
                .map_err(D::Error::custom)?;
                let fits = match object.kind.as_deref() {
                    None => true,
                    Some("bind") => matches!(volume.source, Source::Host(_)),
                    Some("volume") => !matches!(volume.source, Source::Host(_)),
                    Some(_) => false,
                };
                if !fits {
                    return Err(D::Error::custom(
                        "type and source do not fit: bind takes a path, volume a name",
                    ));
                }
                Ok(volume)
            }
            _ => Err(D::Error::custom(FORM)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes() {
        for (value, expected) in [
            (
                json!("data:/var/lib/x"),
                Some("Named(\"data\") /var/lib/x ReadWrite"),
            ),
            (json!("/srv/x:/x:ro"), Some("Host(\"/srv/x\") /x ReadOnly")),
            (json!("/cache"), Some("Anonymous /cache ReadWrite")),
            (
                json!({ "source": "data", "target": "/x", "read_only": true }),
                Some("Named(\"data\") /x ReadOnly"),
            ),
            (
                json!({ "host_path": "/srv", "container_path": "/x", "mode": "ro" }),
                Some("Host(\"/srv\") /x ReadOnly"),
            ),
            (json!({ "type": "bind", "source": "data", "target": "/x" }), None),
            (json!({ "target": "/x", "propagation": "shared" }), None),
            (json!("./x:/x"), None),
            (json!("~/x:/x"), None),
            (json!("data:x"), None),
            (json!("data:/x:rw,z"), None),
            (json!(7), None),
        ] {
            let volume = serde_json::from_value::<Volume>(value.clone())
                .ok()
                .map(|volume| format!("{:?} {} {:?}", volume.source, volume.target, volume.access));
            assert_eq!(volume.as_deref(), expected, "{value}");
        }
    }
}
