//! Where an engine is: the `DOCKER_HOST` notation, parsed once into a type that names each kind.
//!
//! Nothing is looked up and no file is read here; which endpoint is meant when nobody says is `discover`'s matter.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of plain TCP where none is written.
const PORT: u16 = 2375;
/// The port of TLS where none is written.
const TLS_PORT: u16 = 2376;
/// Docker Desktop's and the Windows engine's pipe.
const PIPE: &str = r"\\.\pipe\docker_engine";
const SOCKET: &str = "/var/run/docker.sock";

/// One Docker Engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:///var/run/docker.sock`.
    Unix(PathBuf),
    /// `tcp://host:2375`, in the clear.
    Tcp(Authority),
    /// `tcp://host:2376` with TLS.
    Tls(Authority, Box<Tls>),
    /// `npipe:////./pipe/docker_engine` (Windows). The path as the system takes it.
    Npipe(String),
    /// `ssh://user@host:22`. Parsed here and reached by whoever hands [`Engine`](crate::Engine) a
    /// [`Connect`](crate::Connect) for it.
    Ssh(Ssh),
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// The TLS material of an endpoint. Files are read at the first connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Authorities (PEM) that may vouch for the daemon; without one, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Who we are to the daemon.
    pub identity: Option<Identity>,
    /// Whether the daemon must prove who it is.
    pub verify: Verify,
}

/// A client certificate and its key, PEM files both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, the own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whether the daemon must prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Its certificate must bear its name and the signature of a trusted authority.
    #[default]
    Certificate,
    /// Encrypted, but whoever answers is believed. Only for those who ask for it (`DOCKER_TLS_VERIFY` off with
    /// TLS on, `SkipTLSVerify` of a Docker context).
    Nothing,
}

/// Where and as whom to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The user, if the address says one.
    pub user: Option<String>,
    /// A host name, or an alias of `ssh_config`.
    pub host: String,
    /// The port, if the address says one.
    pub port: Option<u16>,
    /// The daemon's socket over there, if the address says one.
    pub socket: Option<PathBuf>,
}

/// Why an endpoint can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text is not an address.
    #[error(
        "{address:?} is not the address of a Docker Engine: {reason}; write unix:///path/to/socket, tcp://host:port or ssh://user@host"
    )]
    Address {
        /// What was given, without a password.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Certificates or a key can't be used.
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// The endpoint.
        address: String,
        /// Which file or setting, and what is wrong with it.
        reason: String,
    },
    /// This build or system can't reach such an endpoint.
    #[error("{address} can't be reached: {reason}")]
    Unsupported {
        /// The endpoint.
        address: String,
        /// What is missing.
        reason: &'static str,
    },
}

impl Endpoint {
    /// Reads the notation of `DOCKER_HOST`. `tcp://` is plain; [`Endpoint::with_tls`] puts TLS on it. `https://`
    /// is TLS with the system's authorities, `http://` is `tcp://`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let fail = |reason| EndpointError::Address {
            address: without_password(text),
            reason,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(fail("the scheme is missing"));
        };
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(SOCKET.into())),
            "unix" if !rest.starts_with('/') => Err(fail("a socket's path is absolute, with three slashes")),
            "unix" if rest.contains('\0') => Err(fail("a path has no zero byte")),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" | "http" => Ok(Self::Tcp(Authority::parse(rest, PORT).map_err(fail)?)),
            "https" => {
                let authority = Authority::parse(rest, TLS_PORT).map_err(fail)?;
                Ok(Self::Tls(authority, Box::default()))
            }
            "npipe" if rest.is_empty() => Ok(Self::Npipe(PIPE.to_owned())),
            "npipe" => Ok(Self::Npipe(rest.replace('/', r"\"))),
            "ssh" => Ok(Self::Ssh(Ssh::parse(rest).map_err(fail)?)),
            _ => Err(fail("the scheme is none of unix, tcp, npipe and ssh")),
        }
    }

    /// The same address with TLS, if it goes over TCP; else unchanged. The port stays what it is: whoever wants TLS's
    /// own default reads the address as `https://`.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        match self {
            Self::Tcp(authority) | Self::Tls(authority, _) => Self::Tls(authority, Box::new(tls)),
            other => other,
        }
    }

    /// Whether the daemon runs on this machine, as far as the address tells: a socket, a pipe, or loopback.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Npipe(_) => true,
            Self::Tcp(authority) | Self::Tls(authority, _) => authority.is_loopback(),
            Self::Ssh(_) => false,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) | Self::Tls(authority, _) => write!(f, "tcp://{authority}"),
            Self::Npipe(path) => write!(f, "npipe://{}", path.replace('\\', "/")),
            Self::Ssh(ssh) => {
                f.write_str("ssh://")?;
                if let Some(user) = &ssh.user {
                    write!(f, "{user}@")?;
                }
                write_host(f, &ssh.host)?;
                if let Some(port) = ssh.port {
                    write!(f, ":{port}")?;
                }
                ssh.socket
                    .as_ref()
                    .map_or(Ok(()), |path| write!(f, "{}", path.display()))
            }
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

impl Authority {
    fn parse(text: &str, default_port: u16) -> Result<Self, &'static str> {
        if text.contains('@') {
            return Err("the Engine API has no user names and passwords");
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.contains(['/', '?', '#']) {
            return Err("a path after the port is not supported");
        }
        let (host, port) = host_and_port(text)?;
        Ok(Self {
            host,
            port: port.unwrap_or(default_port),
        })
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host(f, &self.host)?;
        write!(f, ":{}", self.port)
    }
}

impl Ssh {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (login, path) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        let (user, address) = match login.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, login),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("a password in an address is not accepted; use a key");
        }
        let word =
            |text: &str| !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_whitespace);
        if user.is_some_and(|user| !word(user)) {
            return Err("the user name is empty or begins with a hyphen");
        }
        let (host, port) = host_and_port(address)?;
        let socket = (path.len() > 1).then(|| path.into());
        Ok(Self {
            user: user.map(str::to_owned),
            host,
            port,
            socket,
        })
    }
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("between the brackets is no IPv6 address");
            }
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err("after the brackets comes a port or nothing"),
            }
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address is written in brackets");
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b) || b >= 0x80;
    if host.is_empty() || host.starts_with('-') || !host.bytes().all(plain) {
        return Err("the host name is missing or holds a character that none may hold");
    }
    let Some(port) = port else {
        return Ok((host.to_owned(), None));
    };
    // Checked before it is read, because `u16::from_str` takes a plus sign.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port @ 1..) if digits => Ok((host.to_owned(), Some(port))),
        _ => Err("the port is a number from 1 to 65535"),
    }
}

fn write_host(f: &mut fmt::Formatter<'_>, host: &str) -> fmt::Result {
    if host.contains(':') {
        write!(f, "[{host}]")
    } else {
        f.write_str(host)
    }
}

/// The address for a message: what stands between `:` and `@` is gone.
fn without_password(text: &str) -> String {
    base::redact::text(text).into_owned()
}

#[cfg(test)]
mod tests;
