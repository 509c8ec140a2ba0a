//! Published ports.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Ports to publish, as a list of `[address:][host:]container[/protocol]`; numbers are container ports. An object
/// of container port to host port is understood too, as some clients of the engine write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ports(pub(crate) Vec<Port>);

impl schemars::JsonSchema for Ports {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        server_kit::schema::unnamed()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Vec::<String>::json_schema(generator)
    }
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// Address of the host; the loopback address unless another is given.
    pub(crate) address: IpAddr,
    /// Port of the host; `None` lets the engine choose.
    pub(crate) host: Option<u16>,
    /// Port in the container.
    pub(crate) container: u16,
    /// `tcp`, `udp` or `sctp`.
    pub(crate) protocol: &'static str,
}

const FORM: &str = "a port is written [address:][host port:]container port[/udp], such as 8080:80";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A range that is longer is a mistake, or wants another network mode.
const LONGEST_RANGE: usize = 200;

impl Port {
    /// As the engine names a container's port: `80/tcp`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.container, self.protocol)
    }
}

impl FromStr for Ports {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ports, protocol) = match text.trim().rsplit_once('/') {
            Some((ports, "tcp")) => (ports, "tcp"),
            Some((ports, "udp")) => (ports, "udp"),
            Some((ports, "sctp")) => (ports, "sctp"),
            Some(_) => return Err(FORM),
            None => (text.trim(), "tcp"),
        };
        let (address, ports) = address(ports)?;
        let (host, container) = match ports.rsplit_once(':') {
            Some(("", container)) => (None, range(container)?),
            Some((host, container)) => (Some(range(host)?), range(container)?),
            None => (None, range(ports)?),
        };
        if host.as_ref().is_some_and(|host| host.len() != container.len()) {
            return Err("the ranges of host and container ports differ in length");
        }
        let ports = container.into_iter().enumerate().map(|(n, container)| {
            let host = host
                .as_ref()
                .and_then(|host| host.get(n).copied())
                .filter(|port| *port != 0);
            Port {
                address,
                host,
                container,
                protocol,
            }
        });
        Ok(Self(ports.collect()))
    }
}

fn address(ports: &str) -> Result<(IpAddr, &str), &'static str> {
    if let Some((address, ports)) = ports.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return Ok((address.parse().map_err(|_| FORM)?, ports));
    }
    match ports.splitn(3, ':').collect::<Vec<_>>().as_slice() {
        [address, _, _] => {
            let parsed = if *address == "localhost" {
                LOOPBACK
            } else {
                address.parse().map_err(|_| FORM)?
            };
            Ok((parsed, &ports[address.len() + 1..]))
        }
        _ => Ok((LOOPBACK, ports)),
    }
}

fn range(text: &str) -> Result<Vec<u16>, &'static str> {
    let parse = |text: &str| text.parse::<u16>().map_err(|_| FORM);
    let ports: Vec<u16> = match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (parse(first)?, parse(last)?);
            if first > last || usize::from(last - first) >= LONGEST_RANGE {
                return Err("a range of ports goes upward and is no longer than 200");
            }
            (first..=last).collect()
        }
        None => vec![parse(text)?],
    };
    Ok(ports)
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts: Vec<String> = match Value::deserialize(deserializer)? {
            Value::Array(list) => list.iter().map(written).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(container, host)| mapped(container, host))
                .collect(),
            one @ (Value::String(_) | Value::Number(_)) => vec![written(&one)],
            _ => return Err(D::Error::custom(FORM)),
        };
        let mut ports = Vec::new();
        for text in texts {
            let parsed: Self = text
                .parse()
                .map_err(|error| D::Error::custom(format!("{:?}: {error}", base::text::cut(&text, 60))))?;
            ports.extend(parsed.0);
        }
        if ports.iter().any(|port| port.container == 0) {
            return Err(D::Error::custom("port 0 is no port of a container"));
        }
        Ok(Self(ports))
    }
}

fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `{"80/tcp": 8080}` is `8080:80/tcp`; `null` lets the engine choose.
fn mapped(container: &str, host: &Value) -> String {
    match host {
        Value::Null => container.to_owned(),
        // Two elements are address and port.
        Value::Array(parts) => {
            let parts: Vec<String> = parts.iter().map(written).collect();
            format!("{}:{container}", parts.join(":"))
        }
        host => format!("{}:{container}", written(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: &Value, expected: Result<&str, &str>) {
        let shown = serde_json::from_value::<Ports>(value.clone())
            .map_err(|error| error.to_string())
            .map(|ports| {
                let ports = ports.0.iter().map(|port| {
                    let host = port.host.map_or_else(|| "*".to_owned(), |host| host.to_string());
                    format!("{} {host} {}", port.address, port.key())
                });
                ports.collect::<Vec<_>>().join(", ")
            });
        match expected {
            Ok(ports) => assert_eq!(shown.as_deref(), Ok(ports), "{value}"),
            Err(part) => assert!(
                shown.as_ref().is_err_and(|error| error.contains(part)),
                "{value}: {shown:?}"
            ),
        }
    }

    #[test]
    fn ports() {
        check(&json!(["8080:80"]), Ok("127.0.0.1 8080 80/tcp"));
        check(&json!(["127.0.0.1:53:53/udp"]), Ok("127.0.0.1 53 53/udp"));
        check(
            &json!(["0.0.0.0::80", "80", 443]),
            Ok("0.0.0.0 * 80/tcp, 127.0.0.1 * 80/tcp, 127.0.0.1 * 443/tcp"),
        );
        check(&json!(["[::1]:8080:80"]), Ok("::1 8080 80/tcp"));
        check(
            &json!(["8000-8001:80-81"]),
            Ok("127.0.0.1 8000 80/tcp, 127.0.0.1 8001 81/tcp"),
        );
        check(
            &json!({ "80/tcp": 8080, "53/udp": null }),
            Ok("127.0.0.1 8080 80/tcp, 127.0.0.1 * 53/udp"),
        );
        check(&json!({ "80": ["0.0.0.0", 8080] }), Ok("0.0.0.0 8080 80/tcp"));
        check(&json!(["8080:80/icmp"]), Err(FORM));
        check(&json!(["web:80"]), Err(FORM));
        check(&json!(["70000:80"]), Err(FORM));
        check(&json!(["1-2:80"]), Err("differ in length"));
        check(&json!(["9-1:9-1"]), Err("goes upward"));
        check(&json!(["8080:0"]), Err("port 0"));
        check(&json!(true), Err(FORM));
    }
}
