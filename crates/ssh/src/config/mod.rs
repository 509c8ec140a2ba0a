//! How a host is reached, as the user's `ssh_config(5)` says: `Host` and `Match` blocks, includes, and of each option
//! the first value that applies.
//!
//! Taken are the options that [`Resolved`] holds; others are passed over, as they change nothing here or ask for what
//! this room does not do. Of `Match`, `all`, `host`, `originalhost`, `user` and `localuser` are taken; a block with
//! another criterion does not apply, and [`Resolved::notes`] says so. Deliberately absent: running anything (`Match
//! exec`, `ProxyCommand`), and canonical names.

mod line;
mod read;

use crate::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the files are, and who asks.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The user's configuration, `~/.ssh/config`. It may be missing.
    pub user: Option<PathBuf>,
    /// The system's, `/etc/ssh/ssh_config`. It may be missing.
    pub system: Option<PathBuf>,
    /// What `~` means.
    pub home: PathBuf,
    /// The name of the user on this machine, who is meant where nothing says another.
    pub user_name: String,
    /// What `${NAME}` in a path means.
    pub variables: Variables,
}

/// Variables of the environment, by name. By default there are none.
#[derive(Clone)]
pub struct Variables(fn(&str) -> Option<String>);

impl Variables {
    /// As this function knows them.
    pub fn new(value: fn(&str) -> Option<String>) -> Self {
        Self(value)
    }

    /// Replaces each `${NAME}`; a `$` before anything else stands for itself.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or("a ${ is not closed")?;
            expanded.push_str(before);
            expanded.push_str(&self.value(name)?);
            rest = behind;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn value(&self, name: &str) -> Result<String, String> {
        self.0(name).ok_or_else(|| format!("the variable {name} is not set"))
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self(|_| None)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

/// A host as a person names it: `[user@]host[:port]`, the host being a name, an address or an alias.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Who logs in; before what the configuration says.
    pub user: Option<String>,
    /// A name, an address without brackets, or an alias of the configuration.
    pub host: String,
    /// Before what the configuration says.
    pub port: Option<u16>,
}

/// What is known of a host once the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The name that was asked for.
    pub alias: String,
    /// The name or address to connect to.
    pub host_name: String,
    /// The name under which its key is known, if it is another (`HostKeyAlias`).
    pub key_alias: Option<String>,
    /// Who logs in.
    pub user: String,
    /// The TCP port.
    pub port: u16,
    /// Private keys, as written; [`Resolved::path`] makes them paths. Without any, the usual ones are tried.
    pub identity_files: Vec<String>,
    /// Certificates, as written.
    pub certificate_files: Vec<String>,
    /// Whether only these keys are offered, and of the agent's only those that are among them.
    pub identities_only: bool,
    /// Which agent is asked: `None` for the one that the caller knows, an empty text for none.
    pub identity_agent: Option<String>,
    /// The way there.
    pub proxy: Proxy,
    /// Files of known hosts, as written: the user's, then the system's.
    pub known_hosts: Vec<String>,
    /// What to do with hosts that are not known.
    pub strict: Strict,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// After how much silence the far side is asked whether it is there.
    pub alive_interval: Option<Duration>,
    /// After how many such questions without answer it is not.
    pub alive_count: usize,
    /// What the configuration has that is not taken, for a person to read.
    pub notes: Vec<String>,
}

/// The way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// Straight.
    Direct,
    /// Through these hosts, the first one first.
    Jump(Vec<Target>),
    /// Through a program, which only the system's `ssh` runs.
    Command(String),
}

/// `StrictHostKeyChecking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strict {
    /// Unknown hosts are refused.
    Yes,
    /// Someone is asked.
    #[default]
    Ask,
    /// Unknown hosts are believed, and known from then on. Also what `no` means here: unlike `ssh`, a host whose key
    /// has changed is refused in any case.
    AcceptNew,
}

/// Reads the configuration for a host. Files are read, so not for an async context.
///
/// # Errors
/// [`Error::Config`] with the line: a file that can't be read, or a line that can't be understood.
pub fn resolve(files: &Files, target: &Target) -> Result<Resolved, Error> {
    read::resolve(files, target)
}

impl Target {
    /// Reads `[user@]host[:port]` and `ssh://[user@]host[:port]`; an IPv6 address with a port stands in brackets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let (host, port) = match address.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (
                host,
                Some(port.strip_prefix(':').ok_or("after the brackets comes a port")?),
            ),
            None => match address.split_once(':') {
                Some((_, more)) if more.contains(':') => (address, None),
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        let port = port
            .map(|port| {
                port.parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or("the port is a number from 1 to 65535")
            })
            .transpose()?;
        // A name with a hyphen in front would be an option to whoever hands it to a program.
        let fits = |word: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && !word.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if user.is_some_and(|user| !fits(user)) {
            return Err("the user name is empty, begins with a hyphen or has blanks");
        }
        if !fits(host) || host.contains(['/', '\\', '"', '\'']) {
            return Err("the host name is missing or holds a character that none may hold");
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }
}

impl Resolved {
    /// A file as the configuration writes it, as a path: `~`, `${NAME}`, and the tokens `%d %h %k %n %p %r %u %%`.
    ///
    /// # Errors
    /// The token, or variable, that is not known.
    pub fn path(&self, files: &Files, written: &str) -> Result<PathBuf, String> {
        let text = expand(written, &files.variables, |token| match token {
            'd' => Some(files.home.to_string_lossy().into_owned()),
            'h' => Some(self.host_name.clone()),
            'k' => Some(self.key_alias.as_ref().unwrap_or(&self.alias).clone()),
            'n' => Some(self.alias.clone()),
            'p' => Some(self.port.to_string()),
            'r' => Some(self.user.clone()),
            'u' => Some(files.user_name.clone()),
            _ => None,
        })?;
        // A tilde that a variable brings along is one.
        let path = if written.starts_with('~') {
            under_home(&text, &files.home)
        } else {
            PathBuf::from(text)
        };
        if path.is_absolute() {
            return Ok(path);
        }
        Err("it is a relative path, which depends on where a program was started".into())
    }

    /// The agent's socket as the configuration writes it: a path, or `$NAME` for what that variable holds.
    pub(crate) fn agent_path(&self, files: &Files, written: &str) -> Result<PathBuf, String> {
        match written.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => files.variables.value(name).map(PathBuf::from),
            None => self.path(files, written),
        }
    }

    /// The name under which the host's key is known.
    pub fn key_name(&self) -> &str {
        self.key_alias.as_ref().unwrap_or(&self.host_name)
    }
}

/// Replaces `%x` by what `value` has for it, and `${NAME}`. What comes from a variable is not looked at again.
fn expand(
    text: &str,
    variables: &Variables,
    value: impl Fn(char) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, from) = rest.split_at(at);
        expanded.push_str(before);
        if let Some(token) = from.strip_prefix('%') {
            let token = token.chars().next().ok_or("it ends with a %")?;
            match token {
                '%' => expanded.push('%'),
                token => expanded
                    .push_str(&value(token).ok_or_else(|| format!("the token %{token} is not known here"))?),
            }
            rest = from.get(1 + token.len_utf8()..).unwrap_or_default();
        } else {
            let end = if from.starts_with("${") {
                from.find('}').ok_or("a ${ is not closed")? + 1
            } else {
                1
            };
            let (variable, behind) = from.split_at(end);
            expanded.push_str(&variables.expand(variable)?);
            rest = behind;
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// `~` and `~/…`; everything else as it is.
fn under_home(text: &str, home: &Path) -> PathBuf {
    match text.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests;
