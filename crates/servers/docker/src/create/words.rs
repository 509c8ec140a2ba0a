//! Settings that people write in the short forms of `docker run`.

use crate::values::{Command, Pairs, Size, Span, Words};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::str::FromStr;

/// What the engine does when a container ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restart {
    name: &'static str,
    retries: u32,
}

impl Restart {
    /// As the engine takes it.
    pub(crate) fn body(&self) -> Value {
        json!({ "Name": self.name, "MaximumRetryCount": self.retries })
    }
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (name, retries) = text.split_once(':').unwrap_or((&text, "0"));
        let known = ["no", "always", "unless-stopped", "on-failure"]
            .into_iter()
            .find(|known| *known == name);
        match (known, retries.parse()) {
            (Some(name), Ok(retries)) if retries == 0 || name == "on-failure" => Ok(Self { name, retries }),
            _ => Err(D::Error::custom(format!(
                "{:?} is no restart policy: write no, always, unless-stopped or on-failure[:times]",
                base::text::cut(&text, 60)
            ))),
        }
    }
}

/// How the engine finds out whether a container is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Healthcheck(Value);

impl Healthcheck {
    /// As the engine takes it.
    pub(crate) fn body(&self) -> &Value {
        &self.0
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    test: Option<Words>,
    interval: Option<Span>,
    timeout: Option<Span>,
    retries: Option<u32>,
    start_period: Option<Span>,
    #[serde(default)]
    disable: bool,
}

impl<'de> Deserialize<'de> for Healthcheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let check = match Value::deserialize(deserializer)? {
            object @ Value::Object(_) => serde_json::from_value(object).map_err(D::Error::custom)?,
            words => Check {
                test: Some(serde_json::from_value(words).map_err(D::Error::custom)?),
                interval: None,
                timeout: None,
                retries: None,
                start_period: None,
                disable: false,
            },
        };
        let mut body = serde_json::Map::new();
        let test = match check.test {
            _ if check.disable => Some(vec!["NONE".to_owned()]),
            Some(Words::Text(text)) if text == "NONE" || text == "none" => Some(vec!["NONE".to_owned()]),
            Some(Words::Text(text)) => Some(vec!["CMD-SHELL".to_owned(), text]),
            Some(Words::List(list)) => Some(with_kind(list)),
            None => None,
        };
        if let Some(test) = test {
            body.insert("Test".to_owned(), test.into());
        }
        for (key, span) in [
            ("Interval", check.interval),
            ("Timeout", check.timeout),
            ("StartPeriod", check.start_period),
        ] {
            if let Some(span) = span {
                body.insert(key.to_owned(), span.nanoseconds().into());
            }
        }
        if let Some(retries) = check.retries {
            body.insert("Retries".to_owned(), retries.into());
        }
        Ok(Self(body.into()))
    }
}

/// The engine wants to be told first how the words are meant; a list without that is a command.
fn with_kind(list: Vec<String>) -> Vec<String> {
    match list.first().map(String::as_str) {
        Some("CMD" | "CMD-SHELL" | "NONE") => list,
        _ => std::iter::once("CMD".to_owned()).chain(list).collect(),
    }
}

/// Soft and hard limit: `1024`, `"1024:2048"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ulimit {
    soft: i64,
    hard: i64,
}

impl Ulimit {
    /// As the engine takes it.
    fn body(self, name: &str) -> Value {
        json!({ "Name": name, "Soft": self.soft, "Hard": self.hard })
    }
}

impl FromStr for Ulimit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        match (soft.parse(), hard.parse()) {
            (Ok(soft), Ok(hard)) => Ok(Self { soft, hard }),
            _ => Err("a limit is written soft[:hard], both whole numbers"),
        }
    }
}

/// Limits by name, in the order in which they came: `{"nofile": "1024:2048"}`; `"nofile=1024:2048"` or a list of such
/// texts, as `docker run` takes them; `{"nofile": {"soft": 1024, "hard": 2048}}`, as Compose does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ulimits(Vec<(String, Ulimit)>);

impl Ulimits {
    /// As the engine takes them.
    pub(crate) fn body(&self) -> Vec<Value> {
        self.0.iter().map(|(name, limit)| limit.body(name)).collect()
    }
}

impl<'de> Deserialize<'de> for Ulimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut given = Value::deserialize(deserializer)?;
        if given.is_string() {
            given = Value::Array(vec![given]);
        }
        if let Value::Object(limits) = &mut given {
            limits.values_mut().for_each(flatten);
        }
        let pairs = Pairs::deserialize(given).map_err(D::Error::custom)?;
        pairs
            .iter()
            .map(|(name, limit)| Ok((name.to_owned(), limit.parse().map_err(D::Error::custom)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// `{"soft": 1024, "hard": 2048}` as `"1024:2048"`. What is anything else stays, and is refused later if it has to be.
fn flatten(limit: &mut Value) {
    if let Some(parts) = limit.as_object()
        && parts.len() == 2
        && let (Some(soft), Some(hard)) = (parts.get("soft"), parts.get("hard"))
        && let (Some(soft), Some(hard)) = (soft.as_i64(), hard.as_i64())
    {
        *limit = format!("{soft}:{hard}").into();
    }
}

/// A device of the host: `/dev/ttyUSB0[:/dev/tty0[:rwm]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    host: String,
    container: String,
    access: String,
}

impl Device {
    /// As the engine takes it.
    pub(crate) fn body(&self) -> Value {
        json!({ "PathOnHost": self.host, "PathInContainer": self.container, "CgroupPermissions": self.access })
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts: Vec<&str> = text.split(':').collect();
        let is_access = |text: &str| !text.is_empty() && text.bytes().all(|b| b"rwm".contains(&b));
        let (host, container, access) = match parts.as_slice() {
            [host] => (*host, *host, "rwm"),
            [host, access] if is_access(access) => (*host, *host, *access),
            [host, container] => (*host, *container, "rwm"),
            [host, container, access] if is_access(access) => (*host, *container, *access),
            _ => {
                return Err(D::Error::custom(
                    "a device is written /dev/host[:/dev/container][:rwm]",
                ));
            }
        };
        if !host.starts_with('/') || !container.starts_with('/') {
            return Err(D::Error::custom(
                "a device is an absolute path such as /dev/ttyUSB0",
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            container: container.to_owned(),
            access: access.to_owned(),
        })
    }
}

/// Which GPUs: `all`, a number, or `device=0,1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gpus {
    All,
    Count(u32),
    Devices(Vec<String>),
}

impl Gpus {
    /// As the engine takes it.
    pub(crate) fn body(&self) -> Value {
        match self {
            Self::All => json!([{ "Driver": "", "Count": -1, "Capabilities": [["gpu"]] }]),
            Self::Count(count) => json!([{ "Driver": "", "Count": count, "Capabilities": [["gpu"]] }]),
            Self::Devices(ids) => json!([{ "Driver": "", "DeviceIDs": ids, "Capabilities": [["gpu"]] }]),
        }
    }
}

impl<'de> Deserialize<'de> for Gpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let devices = text.trim_matches('"').strip_prefix("device=");
        match (text.as_str(), devices, text.parse()) {
            ("all", ..) => Ok(Self::All),
            (_, Some(devices), _) if !devices.is_empty() => {
                Ok(Self::Devices(devices.split(',').map(str::to_owned).collect()))
            }
            (_, _, Ok(count)) if count > 0 => Ok(Self::Count(count)),
            _ => Err(D::Error::custom(
                "it is all, a number, or device= and ids joined by commas",
            )),
        }
    }
}

/// Memory mounted as a directory: `/run[:size=64m,mode=1777]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tmpfs {
    pub(crate) target: String,
    pub(crate) options: String,
}

impl<'de> Deserialize<'de> for Tmpfs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        if !target.starts_with('/') {
            return Err(D::Error::custom("a tmpfs is written /target[:options]"));
        }
        if let Some(size) = options.split(',').find_map(|option| option.strip_prefix("size="))
            && !size.ends_with('%')
        {
            size.parse::<Size>().map_err(D::Error::custom)?;
        }
        Ok(Self {
            target: target.to_owned(),
            options: options.to_owned(),
        })
    }
}

/// The words of a command for the engine's body.
pub(crate) fn command(command: &Command, parameter: &str) -> Result<Value, crate::error::ToolError> {
    let words = command
        .for_container()
        .map_err(|error| crate::error::ToolError::arguments(format!("parameter {parameter}: {error}")))?;
    Ok(words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: for<'a> Deserialize<'a>>(
        value: Value,
        body: impl Fn(T) -> Value,
        expected: impl Into<Option<Value>>,
    ) {
        let shown = value.to_string();
        let expected = expected.into();
        assert_eq!(
            serde_json::from_value::<T>(value).ok().map(body),
            expected,
            "{shown}"
        );
    }

    #[test]
    fn restart_policies() {
        let policy = |name: &str, times: u32| Some(json!({ "Name": name, "MaximumRetryCount": times }));
        for (text, expected) in [
            ("always", policy("always", 0)),
            ("on-failure:5", policy("on-failure", 5)),
            ("no", policy("no", 0)),
            ("always:3", None),
            ("sometimes", None),
            ("on-failure:x", None),
        ] {
            check(json!(text), |restart: Restart| restart.body(), expected);
        }
    }

    #[test]
    fn health_checks() {
        let body = |check: Healthcheck| check.body().clone();
        check(
            json!("wget -q localhost"),
            body,
            Some(json!({ "Test": ["CMD-SHELL", "wget -q localhost"] })),
        );
        check(json!(["true"]), body, Some(json!({ "Test": ["CMD", "true"] })));
        check(
            json!({ "disable": true }),
            body,
            Some(json!({ "Test": ["NONE"] })),
        );
        check(
            json!({ "test": ["CMD", "true"], "interval": "1m30s", "retries": 3, "timeout": 2 }),
            body,
            Some(json!({
                "Test": ["CMD", "true"], "Interval": 90_000_000_000_i64, "Timeout": 2_000_000_000_i64, "Retries": 3,
            })),
        );
        check(json!({ "tests": "x" }), body, None);
    }

    #[test]
    fn limits_devices_gpus_and_tmpfs() {
        let limits = |limits: Ulimits| Value::from(limits.body());
        let two = json!([
            { "Name": "nofile", "Soft": 1024, "Hard": 2048 },
            { "Name": "core", "Soft": -1, "Hard": -1 },
        ]);
        check(
            json!({ "nofile": "1024:2048", "core": -1 }),
            limits,
            Some(two.clone()),
        );
        check(
            json!({ "nofile": { "soft": 1024, "hard": 2048 }, "core": -1 }),
            limits,
            Some(two.clone()),
        );
        check(json!(["nofile=1024:2048", "core=-1"]), limits, Some(two));
        check(
            json!("nofile=1024:2048"),
            limits,
            Some(json!([{ "Name": "nofile", "Soft": 1024, "Hard": 2048 }])),
        );
        check(json!({ "nofile": { "soft": 1024 } }), limits, None);
        check(
            json!({ "nofile": { "soft": 1, "hard": 2, "more": 3 } }),
            limits,
            None,
        );
        check(json!({ "nofile": "many" }), limits, None);
        check(json!(["nofile"]), limits, None);
        check(json!("nofile"), limits, None);
        check(json!(1024), limits, None);
        let device = |device: Device| device.body();
        check(
            json!("/dev/a:/dev/b:r"),
            device,
            Some(json!({ "PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r" })),
        );
        check(json!("a"), device, None);
        let gpus = |gpus: Gpus| gpus.body()[0]["Count"].clone();
        check(json!("all"), gpus, Some(json!(-1)));
        check(json!(2), gpus, Some(json!(2)));
        check(
            json!("device=0,1"),
            |gpus: Gpus| gpus.body()[0]["DeviceIDs"].clone(),
            Some(json!(["0", "1"])),
        );
        check(json!("none"), gpus, None);
        let tmpfs = |tmpfs: Tmpfs| json!([tmpfs.target, tmpfs.options]);
        check(json!("/run:size=64m"), tmpfs, Some(json!(["/run", "size=64m"])));
        check(json!("run"), tmpfs, None);
        check(json!("/run:size=big"), tmpfs, None);
    }
}
