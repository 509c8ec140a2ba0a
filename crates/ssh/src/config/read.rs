//! Goes through the files from top to bottom and keeps of each option the first value, as `ssh` does.

use super::{Files, Proxy, Resolved, Strict, Target, expand, line, under_home};
use crate::file::text_of;
use crate::{Error, pattern};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How deep files may include one another; as in OpenSSH.
const DEPTH: usize = 16;
/// How many files may be read for one host, so that a folder that includes itself ends.
const FILES: usize = 256;
/// The largest file; a thousand hosts are some 200 KiB.
const SIZE: u64 = 4 << 20;

pub(super) fn resolve(files: &Files, target: &Target) -> Result<Resolved, Error> {
    let mut reader = Reader {
        files,
        target,
        found: Found {
            user: target.user.clone(),
            port: target.port,
            ..Found::default()
        },
        read: 0,
    };
    for (path, folder) in [
        (&files.user, files.home.join(".ssh")),
        (&files.system, PathBuf::from("/etc/ssh")),
    ] {
        if let Some(path) = path {
            reader.file(path, &folder, true, 0)?;
        }
    }
    reader.finish()
}

struct Reader<'a> {
    files: &'a Files,
    target: &'a Target,
    found: Found,
    read: usize,
}

#[derive(Default)]
struct Found {
    host_name: Option<String>,
    key_alias: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    identity_files: Vec<String>,
    certificate_files: Vec<String>,
    identities_only: Option<bool>,
    identity_agent: Option<String>,
    proxy: Option<Proxy>,
    user_known_hosts: Option<Vec<String>>,
    global_known_hosts: Option<Vec<String>>,
    strict: Option<Strict>,
    connect_timeout: Option<Span>,
    alive_interval: Option<Span>,
    alive_count: Option<usize>,
    notes: Vec<String>,
}

impl Reader<'_> {
    /// Reads a file; `may_match` is false for one that was included where nothing applies.
    fn file(&mut self, path: &Path, folder: &Path, may_match: bool, depth: usize) -> Result<(), Error> {
        let fail = |line: usize, reason: String| Error::Config {
            place: format!("{} line {line}", path.display()),
            reason,
        };
        self.read += 1;
        if depth > DEPTH || self.read > FILES {
            return Err(fail(
                1,
                format!("more than {DEPTH} files include one another, or more than {FILES} are read"),
            ));
        }
        let Some(text) =
            text_of(path, SIZE).map_err(|error| fail(1, format!("the file can't be read: {error}")))?
        else {
            return Ok(());
        };
        let mut applies = may_match;
        for (index, text) in text.lines().enumerate() {
            let fail = |reason: String| fail(index + 1, reason);
            let Some(line) = line::split(text).map_err(|reason| fail(reason.into()))? else {
                continue;
            };
            let words = &line.words;
            match line.keyword.as_str() {
                "host" => {
                    let names = words.iter().map(String::as_str);
                    applies = may_match && pattern::list_takes(names, &self.target.host);
                }
                "match" => {
                    let taken = self.criteria(words).map_err(&fail)?;
                    if let Criteria::Unknown(criterion) = &taken
                        && may_match
                    {
                        self.found.notes.push(format!(
                            "{} line {}: a block with 'Match {criterion}' is passed over; only the system's ssh takes it",
                            path.display(),
                            index + 1
                        ));
                    }
                    applies = may_match && matches!(taken, Criteria::Taken);
                }
                "include" => {
                    for written in words {
                        let written = self.files.variables.expand(written).map_err(&fail)?;
                        let file = under_home(&written, &self.files.home);
                        for file in included(&folder.join(file)).map_err(&fail)? {
                            self.file(&file, folder, applies, depth + 1)?;
                        }
                    }
                }
                _ if applies => self.option(&line).map_err(fail)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn criteria(&self, words: &[String]) -> Result<Criteria, String> {
        // `host=name` is one word here and two to OpenSSH.
        let mut words = words.iter().flat_map(|word| word.splitn(2, '=')).peekable();
        if words.peek().is_none() {
            return Err("Match needs a criterion".into());
        }
        let mut taken = true;
        while let Some(criterion) = words.next() {
            let (negated, name) = match criterion.strip_prefix('!') {
                Some(name) => (true, name),
                None => (false, criterion),
            };
            let name = name.to_ascii_lowercase();
            if name == "all" {
                taken &= !negated;
                continue;
            }
            let subject = match name.as_str() {
                "host" => self.host_name()?.to_ascii_lowercase(),
                "originalhost" => self.target.host.to_ascii_lowercase(),
                "user" => self.found.user.as_ref().unwrap_or(&self.files.user_name).clone(),
                "localuser" => self.files.user_name.clone(),
                _ => return Ok(Criteria::Unknown(name)),
            };
            let list = words
                .next()
                .ok_or_else(|| format!("Match {name} needs a list of patterns"))?;
            let folded;
            let list = if name.ends_with("host") {
                folded = list.to_ascii_lowercase();
                &folded
            } else {
                list
            };
            taken &= pattern::list_takes(list.split(','), &subject) != negated;
        }
        Ok(if taken { Criteria::Taken } else { Criteria::Other })
    }

    fn option(&mut self, line: &line::Line<'_>) -> Result<(), String> {
        let (keyword, words) = (&*line.keyword, &line.words);
        let first = words.first().map(String::as_str);
        let value = || {
            first
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("{keyword} has no value"))
        };
        let found = &mut self.found;
        match keyword {
            "hostname" => first_of(&mut found.host_name, value()?.to_owned()),
            "hostkeyalias" => first_of(&mut found.key_alias, value()?.to_owned()),
            "user" => first_of(&mut found.user, value()?.to_owned()),
            "port" => {
                let port = value()?.parse().ok().filter(|port| *port > 0);
                first_of(
                    &mut found.port,
                    port.ok_or("the port is a number from 1 to 65535")?,
                );
            }
            "identityfile" => add(&mut found.identity_files, value()?),
            "certificatefile" => add(&mut found.certificate_files, value()?),
            "identitiesonly" => first_of(&mut found.identities_only, yes(value()?)?),
            "identityagent" => {
                let agent = match value()? {
                    "none" => "",
                    agent => agent,
                };
                first_of(&mut found.identity_agent, agent.to_owned());
            }
            "proxyjump" => first_of(&mut found.proxy, jumps(value()?)?),
            "proxycommand" => {
                value()?;
                let proxy = match line.rest {
                    "none" => Proxy::Direct,
                    command => Proxy::Command(command.to_owned()),
                };
                first_of(&mut found.proxy, proxy);
            }
            "userknownhostsfile" => {
                value()?;
                first_of(&mut found.user_known_hosts, words.clone());
            }
            "globalknownhostsfile" => {
                value()?;
                first_of(&mut found.global_known_hosts, words.clone());
            }
            "stricthostkeychecking" => first_of(&mut found.strict, strict(value()?)?),
            "connecttimeout" => first_of(&mut found.connect_timeout, time(value()?)?),
            "serveraliveinterval" => first_of(&mut found.alive_interval, time(value()?)?),
            "serveralivecountmax" => {
                let count = value()?.parse();
                first_of(
                    &mut found.alive_count,
                    count.map_err(|_| "the count is no number")?,
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// The name to connect to, as far as it is known by now.
    fn host_name(&self) -> Result<String, String> {
        let host = &self.target.host;
        let Some(name) = &self.found.host_name else {
            return Ok(host.clone());
        };
        expand(name, &super::Variables::default(), |token| {
            (token == 'h').then(|| host.clone())
        })
    }

    fn finish(self) -> Result<Resolved, Error> {
        let host_name = self.host_name().map_err(|reason| Error::Config {
            place: format!("HostName of {}", self.target.host),
            reason,
        })?;
        // What comes from a file is handed on like what a person wrote, and is judged like it.
        Target::parse(&format!("[{host_name}]")).map_err(|reason| Error::Config {
            place: format!("HostName of {}", self.target.host),
            reason: reason.into(),
        })?;
        let found = self.found;
        let defaults = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let mut known_hosts = found
            .user_known_hosts
            .unwrap_or_else(|| defaults(["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]));
        known_hosts.extend(
            found
                .global_known_hosts
                .unwrap_or_else(|| defaults(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"])),
        );
        known_hosts.retain(|file| file != "none");
        Ok(Resolved {
            alias: self.target.host.clone(),
            host_name,
            key_alias: found.key_alias,
            user: found.user.unwrap_or_else(|| self.files.user_name.clone()),
            port: found.port.unwrap_or(22),
            identity_files: found.identity_files,
            certificate_files: found.certificate_files,
            identities_only: found.identities_only.unwrap_or_default(),
            // The name of the variable means the agent that the caller knows.
            identity_agent: found.identity_agent.filter(|agent| agent != "SSH_AUTH_SOCK"),
            proxy: found.proxy.unwrap_or(Proxy::Direct),
            known_hosts,
            strict: found.strict.unwrap_or_default(),
            connect_timeout: found.connect_timeout.and_then(|span| span.0),
            alive_interval: found.alive_interval.and_then(|span| span.0),
            alive_count: found.alive_count.unwrap_or(3),
            notes: found.notes,
        })
    }
}

/// A time that is written, which may be none.
struct Span(Option<Duration>);

enum Criteria {
    Taken,
    Other,
    Unknown(String),
}

fn first_of<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn add(files: &mut Vec<String>, value: &str) {
    if !files.iter().any(|file| file == value) {
        files.push(value.to_owned());
    }
}

fn yes(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{value:?} is neither yes nor no")),
    }
}

fn strict(value: &str) -> Result<Strict, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(Strict::Yes),
        "ask" => Ok(Strict::Ask),
        "accept-new" | "no" | "false" | "off" => Ok(Strict::AcceptNew),
        _ => Err(format!("{value:?} is none of yes, ask, accept-new and no")),
    }
}

fn jumps(value: &str) -> Result<Proxy, String> {
    if value == "none" {
        return Ok(Proxy::Direct);
    }
    let jumps: Result<_, _> = value.split(',').map(Target::parse).collect();
    jumps
        .map(Proxy::Jump)
        .map_err(|reason| format!("ProxyJump {value:?}: {reason}"))
}

/// `TIME FORMATS` of `sshd_config(5)`: seconds, or numbers with units. Zero and `none` are no time.
fn time(value: &str) -> Result<Span, String> {
    if value == "none" {
        return Ok(Span(None));
    }
    let fail = || format!("{value:?} is no time; write seconds, or 1m30s");
    let mut seconds: u64 = 0;
    let mut rest = value;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let number: u32 = number.parse().map_err(|_| fail())?;
        let mut unit = after.chars();
        let factor = match unit.next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 3_600,
            Some('d' | 'D') => 86_400,
            Some('w' | 'W') => 604_800,
            Some(_) => return Err(fail()),
        };
        seconds += u64::from(number) * factor;
        rest = unit.as_str();
    }
    if value.is_empty() {
        return Err(fail());
    }
    Ok(Span((seconds > 0).then(|| Duration::from_secs(seconds))))
}

/// The files that a path with `*`, `?` and `[…]` means (`glob(7)`), sorted; without these the path itself.
fn included(path: &Path) -> Result<Vec<PathBuf>, String> {
    const WILD: [char; 3] = ['*', '?', '['];
    let Some(pattern) = path.to_str().filter(|path| path.contains(WILD)) else {
        return Ok(vec![path.to_owned()]);
    };
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    // To this library two stars are any number of folders.
    let mut pattern = pattern.to_owned();
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    let found = glob::glob_with(&pattern, options).map_err(|error| format!("{pattern:?}: {error}"))?;
    // A folder that can't be read has nothing in it to include.
    Ok(found.flatten().take(FILES + 1).collect())
}
