//! The user's own servers: the tables `[servers.NAME]` of the configuration file.

use std::collections::BTreeMap;

use base::names::ServerName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fault;
use crate::entry::{
    Argument, Declared, Entry, Format, Image, Kind, Package, Run, SecretNeed, ToolNote, Variable,
};
use crate::node::Bad;
use crate::plan::{Ecosystem, RemoteTransport, Sharing};
use crate::setup::{Destination, Memory, Prefix};
use crate::template::Template;
use crate::tools::file::Container;
use crate::tools::{Tool, Tools};

/// A server that the user defines: exactly one of `image`, `npm`, `pypi`, `url`, `command` and `tools` says what it is.
/// Beside the first three, `args` are its arguments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Own {
    /// A container of this image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A container made for this npm package: `name` or `name@version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npm: Option<String>,
    /// A container made for this PyPI package: `name` or `name==version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pypi: Option<String>,
    /// Further packages to install with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// The package's program, when it is not the one that the package names first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Somewhere else, by HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How the URL is spoken to; streamable HTTP, falling back to SSE, if this is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<RemoteTransport>,
    /// Headers for the URL; `$NAME` is a secret of `secrets`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A process on this machine: program and arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// A file that declares its tools one by one. They stand in a file of their own, not here: such a file can be written,
    /// tested, given to others and kept under version control by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// Arguments of an image or package.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment; `$NAME` is a secret of `secrets`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// By variable, the name of the secret that it holds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// By absolute path in the container, the name of the secret that is in the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_files: BTreeMap<String, String>,
    /// `source:target[:ro]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Hosts that it has to reach; left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<Destination>>,
    /// `user[:group]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Capabilities that it can't do without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// It writes outside `/tmp` and its volumes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writable_root: bool,
    /// It drives Docker, by a filtered socket.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub docker_socket: bool,
    /// Memory, when more than usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Who may share a running copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// Before the names of its tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its configuration, for `{{NAME.key}}` in its templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// The entry of a server that the user defines. `tools` is what stands in the file that it names, if it names one.
pub fn own(name: &ServerName, own: &Own, tools: Option<&Tools>) -> Result<Entry, Fault> {
    let kind = kind(own, tools).map_err(|bad| Fault::of(name.as_str(), bad))?;
    let mut entry = Entry::new(name.clone(), Format::Own, kind);
    entry.about.title.clone_from(&own.title);
    entry.about.description.clone_from(&own.description);
    entry.config.schema.clone_from(&own.config);
    entry.sharing = own.sharing;
    entry.prefix.clone_from(&own.prefix);
    let is_in_templates = own.url.is_some() || own.tools.is_some();
    if let Some(tools) = tools {
        let or = |own: &Option<String>, file: &Option<String>| own.clone().or_else(|| file.clone());
        entry.about.title = or(&own.title, &tools.title);
        entry.about.description = or(&own.description, &tools.description);
        entry.tools = tools.tools.iter().map(note).collect();
    }
    entry.secrets = tools
        .map_or(&own.secrets, |tools| &tools.secrets)
        .iter()
        .map(|(env, name)| SecretNeed {
            name: name.clone(),
            env: env.clone(),
            required: true,
            description: None,
            example: None,
            in_environment: !is_in_templates,
        })
        .collect();
    Ok(entry)
}

/// What the gateway knows of a tool without asking.
fn note(tool: &Tool<Container>) -> ToolNote {
    let text = |key: &str| {
        tool.definition
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let annotations = tool.definition.get("annotations").cloned().unwrap_or_default();
    ToolNote {
        name: tool.name.clone(),
        description: text("description"),
        more: [("annotations".to_owned(), annotations)].into_iter().collect(),
    }
}

/// What stands in the file of tools is all there; of the table only this may stand beside it.
fn only_tools(own: &Own) -> bool {
    let told = Own {
        tools: own.tools.clone(),
        secrets: own.secrets.clone(),
        sharing: own.sharing,
        prefix: own.prefix.clone(),
        title: own.title.clone(),
        description: own.description.clone(),
        ..Own::default()
    };
    *own == told
}

fn check_given(own: &Own) -> Result<(), Bad> {
    for env in own.env.keys().chain(own.secrets.keys()) {
        if !crate::planner::is_variable_name(env) {
            return Err(Bad::at(
                0,
                format!("{:?} is not a variable's name", base::text::cut(env, 80)),
            ));
        }
    }
    let is_container = own.image.is_some() || own.npm.is_some() || own.pypi.is_some();
    if !own.secret_files.is_empty() && !is_container {
        return Err(Bad::at(
            0,
            "secret_files are for containers: an image or a package",
        ));
    }
    Ok(())
}

fn kind(own: &Own, tools: Option<&Tools>) -> Result<Kind, Bad> {
    let bad = |what: &str| Err(Bad::at(0, what));
    let ways = [
        own.image.is_some(),
        own.npm.is_some(),
        own.pypi.is_some(),
        own.url.is_some(),
        !own.command.is_empty(),
        own.tools.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() != 1 {
        return bad("exactly one of image, npm, pypi, url, command and tools says what it is");
    }
    check_given(own)?;
    if own.tools.is_some() {
        return match tools {
            _ if !only_tools(own) => bad(
                "beside tools stand secrets, sharing, prefix, title and description; the rest belongs to each tool in the file",
            ),
            Some(tools) => Ok(Kind::Tools(tools.tools.clone())),
            None => bad("the file of its tools was not read"),
        };
    }
    let templates = |texts: &[String]| texts.iter().map(|text| Template::parse(text)).collect::<Vec<_>>();
    let pairs = |map: &BTreeMap<String, String>| {
        let variable = |(name, value): (&String, &String)| Variable {
            name: name.clone(),
            value: Template::parse(value),
        };
        map.iter().map(variable).collect::<Vec<_>>()
    };
    if let Some(url) = &own.url {
        return Ok(Kind::Remote {
            url: Template::parse(url),
            transport: own.transport.unwrap_or(RemoteTransport::StreamableHttp),
            headers: pairs(&own.headers),
        });
    }
    if !own.headers.is_empty() || own.transport.is_some() {
        return bad("headers and transport belong to a url");
    }
    if !own.command.is_empty() {
        if !own.args.is_empty() {
            return bad("the arguments of a command stand in it, not in args");
        }
        return Ok(Kind::Process {
            command: templates(&own.command),
            env: pairs(&own.env),
            working_dir: own.working_dir.clone(),
        });
    }
    let package = |ecosystem, name: &str, version: Option<&str>| {
        Image::Package(Package {
            ecosystem,
            name: name.to_owned(),
            version: version.map(str::to_owned),
            registry: None,
            with: own.with.clone(),
            program: own.program.clone(),
        })
    };
    let image = match (&own.image, &own.npm, &own.pypi) {
        (Some(image), _, _) => Image::Reference(image.clone()),
        (_, Some(npm), _) => {
            // The first character may be the @ of a scope.
            let at = npm
                .char_indices()
                .skip(1)
                .find(|(_, c)| *c == '@')
                .map(|(at, _)| at);
            let (name, version) = at.and_then(|at| npm.split_at_checked(at)).unwrap_or((npm, ""));
            package(Ecosystem::Npm, name, version.strip_prefix('@'))
        }
        (_, _, Some(pypi)) => {
            let (name, version) = pypi
                .split_once("==")
                .map_or((pypi.as_str(), None), |(name, version)| (name, Some(version)));
            package(Ecosystem::Pypi, name, version)
        }
        _ => return bad("it says nowhere what it is"),
    };
    let network = match &own.hosts {
        None => Declared::Unstated,
        Some(hosts) if hosts.is_empty() => Declared::None,
        Some(hosts) => Declared::Hosts(hosts.iter().map(|host| host.0.clone()).collect()),
    };
    let run = Run {
        command: templates(&own.args).into_iter().map(Argument::plain).collect(),
        env: pairs(&own.env),
        volumes: templates(&own.volumes),
        secret_files: own.secret_files.clone(),
        user: own.user.as_deref().map(Template::parse),
        network,
        extra_hosts: Vec::new(),
        working_dir: own.working_dir.clone(),
        capabilities: own.capabilities.clone(),
        writable_root: own.writable_root,
        docker_socket: own.docker_socket,
        memory: own.memory.map(|memory| memory.0),
    };
    Ok(Kind::Container { image, run })
}
