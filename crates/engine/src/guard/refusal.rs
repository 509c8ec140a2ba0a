//! What the guard says when it says no: the rule, the value, the reason, and the line that would allow it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use super::Access;

/// Longest piece of a caller's value that a refusal repeats, in bytes.
const MAX_VALUE: usize = 160;

/// Longest text that is put into a line of configuration, in bytes.
const MAX_ENTRY: usize = 512;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident => $id:literal,)+) => {
        /// The rules of the guard. `docs/guard.md` lists each with its default and its line of configuration.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)+
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name as refusals, logs and the documentation print it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }
        }
    };
}

rules! {
    /// The mode of the host excludes requests of this effect.
    Mode => "mode",
    /// The path is not in the one form that the guard and the daemon read alike.
    Path => "path",
    /// The query is malformed, repeats a parameter, or has one that the endpoint does not know.
    Query => "query",
    /// A header would change how the daemon reads the request.
    Header => "header",
    /// The body is not the JSON that the endpoint takes.
    Body => "body",
    /// The endpoint is not in the guard's table.
    UnknownEndpoint => "unknown-endpoint",
    /// The body has a field that the guard does not know.
    UnknownField => "unknown-field",
    /// What the request refers to could not be looked up, so it could not be judged.
    Lookup => "lookup",
    /// What the request refers to is not there.
    NotFound => "not-found",
    /// Privileged containers.
    Privileged => "privileged",
    /// Namespaces of the host or of another container.
    Namespace => "namespace",
    /// Capabilities beyond Docker's default set.
    Capability => "capability",
    /// Devices of the host and rules for them.
    Device => "device",
    /// Devices handed out by a driver: GPUs, CDI.
    Gpu => "gpu",
    /// Security options that weaken what confines a container.
    SecurityOpt => "security-opt",
    /// Kernel parameters.
    Sysctl => "sysctl",
    /// Another place in the cgroup tree.
    CgroupParent => "cgroup-parent",
    /// Another runtime than the default one.
    Runtime => "runtime",
    /// Protection from the kernel's out-of-memory killer.
    Oom => "oom",
    /// Kernel files that Docker hides or makes read-only.
    MaskedPaths => "masked-paths",
    /// Annotations, which runtimes obey.
    Annotation => "annotation",
    /// Log drivers that send elsewhere.
    LogDriver => "log-driver",
    /// Directories and files of the host, also those disguised as volumes.
    Bind => "bind",
    /// Sockets of the host, the engine's own above all.
    Socket => "socket",
    /// Volume drivers, and file systems of the `local` driver.
    VolumeDriver => "volume-driver",
    /// Mounts taken over from another container.
    VolumesFrom => "volumes-from",
    /// Addresses on which ports are published.
    Publish => "publish",
    /// Drivers and options of networks.
    Network => "network",
    /// Where images may come from and go to.
    Registry => "registry",
    /// Builds, build outputs and what the daemon would fetch for them.
    Build => "build",
    /// Images from archives and URLs.
    Import => "import",
    /// Privileged processes in containers.
    ExecPrivileged => "exec-privileged",
    /// Processes and files in a container that the policy would not have created.
    ExecIntoUnsafe => "exec-into-unsafe",
    /// The swarm itself, its nodes and keys.
    Swarm => "swarm",
    /// Plugins of the daemon.
    Plugin => "plugin",
    /// Sessions of `BuildKit`.
    BuildkitSession => "buildkit-session",
    /// Checkpoints.
    Checkpoint => "checkpoint",
    /// Objects without the label to which this host is confined.
    Scope => "scope",
    /// Dockmaster's own container on this host.
    Bridge => "bridge",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that was not sent, and why. Its text is one a model can act on and a person can trust: values of
/// the caller are cleaned and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule said no.
    pub rule: Rule,
    /// The request and the place in it: `container create: HostConfig.Privileged`.
    pub what: String,
    /// What stood there, cleaned and cut; empty if there is nothing to show.
    pub value: String,
    /// Why it is refused and, where there is one, the way that is allowed.
    pub reason: Cow<'static, str>,
    /// The configuration that would allow it, such as `[hosts.local.guard] privileged = true`; for
    /// [`Rule::Scope`] the line that forbids it. `None` if there is none.
    pub allow: Option<String>,
    /// The file in which that line belongs, if the guard was told.
    pub file: Option<Box<Path>>,
}

impl Refusal {
    /// A refusal that nothing allows, until [`Refusal::allowed_by`] says otherwise.
    pub(crate) fn new(
        rule: Rule,
        what: impl Into<String>,
        value: &str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            rule,
            what: what.into(),
            value: shown(value),
            reason: reason.into(),
            allow: None,
            file: None,
        }
    }

    /// Whether it only says that something is not there: what the daemon would have answered with 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.rule == Rule::NotFound
    }

    /// The key and value that would allow it, without the table: `privileged = true`.
    pub(crate) fn allowed_by(mut self, line: impl Into<String>) -> Self {
        self.allow = Some(line.into());
        self
    }

    /// An entry in a list of texts that would allow it. A text that can't be shown as it is gets no line: it would
    /// be the line for another text.
    pub(crate) fn allowed_by_entry(mut self, list: &str, entry: &str) -> Self {
        self.allow = toml_string(entry).map(|entry| format!("{list} = [{entry}]"));
        self
    }

    /// A root that would allow it.
    pub(crate) fn allowed_by_root(mut self, path: &Path, access: Access) -> Self {
        let write = if access == Access::Write {
            ", write = true"
        } else {
            ""
        };
        let path = path.to_str().and_then(toml_string);
        self.allow = path.map(|path| format!("roots = [{{ path = {path}{write} }}]"));
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guard refused {}", self.what)?;
        if !self.value.is_empty() {
            write!(f, " = {}", self.value)?;
        }
        write!(f, " (rule {}): {}.", self.rule, self.reason)?;
        let Some(allow) = &self.allow else {
            return match self.rule {
                // These are about how the request is written, or about what is not there.
                Rule::Path | Rule::Query | Rule::Header | Rule::Body | Rule::Lookup | Rule::NotFound => {
                    Ok(())
                }
                _ => f.write_str(" No key of the guard allows this."),
            };
        };
        let how = if self.rule == Rule::Scope {
            "by taking out"
        } else {
            "with"
        };
        write!(
            f,
            " Only the owner of the configuration can allow it, {how} `{allow}`"
        )?;
        match &self.file {
            Some(file) => write!(f, " in {}.", file.display()),
            None => f.write_str("."),
        }
    }
}

impl std::error::Error for Refusal {}

/// A caller's text as a refusal repeats it: one line, without control and invisible characters, cut.
pub(crate) fn shown(text: &str) -> String {
    let line = clean(text);
    let cut = base::text::cut(&line, MAX_VALUE);
    if cut.len() < line.len() {
        format!("{cut}…")
    } else {
        line
    }
}

fn clean(text: &str) -> String {
    let clean = base::text::clean(text);
    clean
        .chars()
        .map(|c| if c.is_control() || c == '`' { ' ' } else { c })
        .collect()
}

/// A text as a TOML string, for the lines that refusals recommend. `None` if what it shows would be another text.
fn toml_string(text: &str) -> Option<String> {
    if text.len() > MAX_ENTRY || clean(text) != text {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Some(out)
}
