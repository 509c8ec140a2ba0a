//! Catalogs in YAML or JSON, and single entries in their form: the label of an image, our own catalog.

use serde_json::Value;

use super::parts::{about, call_tool, config, filters, oauth, secrets, tool_notes};
use super::{Catalog, server_name};
use crate::entry::{Argument, Declared, Entry, Format, Image, Kind, Note, Package, Run, Variable};
use crate::node::{self, Bad, Fields, Kind as NodeKind, Node};
use crate::plan::{Ecosystem, RemoteTransport, Sharing};
use crate::read::Fault;
use crate::setup::{Capability, Destination, Memory, SetupError};
use crate::template::Template;

/// Reads a catalog: `registry`, a mapping of entries by name; or `servers`, a list, as catalogs in OCI registries have.
pub fn catalog(text: &str) -> Result<Catalog, Bad> {
    match document(text) {
        Ok(root) => read_catalog(&root, Format::Catalog),
        Err(bad) if text.len() <= node::MAX_BYTES => {
            super::salvage::salvage(text, Format::Catalog).ok_or(bad)
        }
        Err(bad) => Err(bad),
    }
}

/// Reads the label `io.docker.server.metadata` of an image: an entry without what is run, which is the image itself.
pub fn label(image: &str, text: &str) -> Result<Entry, Fault> {
    let last = image
        .split('@')
        .next()
        .unwrap_or_default()
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let fallback = last.split(':').next().unwrap_or_default();
    let read = || {
        let node = document(text)?;
        let mut fields = Fields::of("", &node)?;
        let name = fields.text("name")?.unwrap_or_else(|| fallback.to_owned());
        let mut entry = entry(&name, &node, Format::Label, Some(image))?;
        if !matches!(entry.kind, Kind::Container { .. }) {
            return Err(Bad::at(
                0,
                "the label of an image describes a server that is not a container",
            ));
        }
        entry.notes.retain(|note| !note.text.starts_with("name "));
        Ok(entry)
    };
    read().map_err(|bad| Fault::of(fallback, bad))
}

/// Reads the catalog that comes along, which may name what is built in.
pub(crate) fn builtin(text: &str) -> Result<Catalog, Bad> {
    read_catalog(&document(text)?, Format::BuiltIn)
}

/// JSON begins with a brace; everything else is YAML.
fn document(text: &str) -> Result<Node, Bad> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        // A flow mapping of YAML begins with a brace, too.
        return node::json(text).or_else(|bad| node::yaml(text).map_err(|_| bad));
    }
    node::yaml(text)
}

pub(super) fn read_catalog(root: &Node, format: Format) -> Result<Catalog, Bad> {
    let mut fields = Fields::of("", root)?;
    let mut catalog = Catalog {
        name: fields.text("name")?,
        title: fields.text("displayName")?,
        ..Catalog::default()
    };
    catalog.title = catalog.title.or(fields.text("title")?);
    if let Some(version) = fields
        .text("version")?
        .filter(|version| !matches!(version.as_str(), "1" | "2" | "3"))
    {
        let text = format!(
            "its version is {}, which is not known; it is read as version 3",
            base::text::cut(&version, 40)
        );
        catalog.notes.push(Note::at(fields.line(), text));
    }
    let mut found = false;
    if let Some(registry) = fields.take("registry") {
        found = true;
        let NodeKind::Map(pairs) = &registry.kind else {
            return Err(Bad::at(
                registry.line,
                "registry is not a mapping of entries by name",
            ));
        };
        for (key, node) in pairs {
            let read = entry(&key.text, node, format, None);
            catalog.add(&key.text, key.line, read);
        }
    }
    for (place, item) in fields.list("servers").iter().enumerate() {
        found = true;
        let (name, read) = listed(item, place, format);
        catalog.add(&name, item.line, read);
    }
    if !found {
        return Err(Bad::at(
            fields.line(),
            "it has neither `registry` nor `servers`, so it is no catalog",
        ));
    }
    for known in ["ref", "source", "digest", "createdAt", "updatedAt"] {
        let _ = fields.take(known);
    }
    catalog.notes.extend(fields.end());
    Ok(catalog)
}

/// A server in a list: the entry itself, or a reference with a snapshot of the entry.
fn listed(item: &Node, place: usize, format: Format) -> (String, Result<Entry, Bad>) {
    let unnamed = format!("servers[{place}]");
    let mut fields = match Fields::of(&unnamed, item) {
        Ok(fields) => fields,
        Err(bad) => return (unnamed, Err(bad)),
    };
    let snapshot = fields
        .take("snapshot")
        .and_then(|snapshot| Fields::of("snapshot", snapshot).ok()?.take("server"));
    let node = snapshot.unwrap_or(item);
    let image = fields.text("image").ok().flatten();
    let name = Fields::of("", node)
        .ok()
        .and_then(|mut fields| fields.text("name").ok().flatten());
    match name {
        Some(name) => {
            let read = entry(&name, node, format, image.as_deref());
            (name, read)
        }
        None => (
            unnamed,
            Err(Bad::at(item.line, "it has no name and no snapshot of its entry")),
        ),
    }
}

/// Reads an entry. `image` is what runs where the entry itself names none.
pub(crate) fn entry(name: &str, node: &Node, format: Format, image: Option<&str>) -> Result<Entry, Bad> {
    let mut fields = Fields::of("", node)?;
    let (server, published_as) = server_name(name, node.line)?;
    let mut notes = Vec::new();
    if let Some(own) = fields.text("name")?.filter(|own| own != name) {
        notes.push(Note::at(
            fields.line(),
            format!("it calls itself {:?}", base::text::cut(&own, 80)),
        ));
    }
    let tools = fields.list("tools");
    let wanted = fields.text("type")?;
    let mut extension = match fields.take("dockmaster") {
        Some(node) => Fields::of("dockmaster", node)?,
        None => Fields::of("dockmaster", &NOTHING)?,
    };
    let secrets = secrets(fields.list("secrets"), &mut notes)?;
    let kind = match kind_of(wanted.as_deref(), &mut fields, &mut extension, image)? {
        Sort::Server => container(&mut fields, &mut extension, image)?,
        Sort::Remote => remote(&mut fields)?,
        Sort::PerCall => Kind::PerCall(tools.iter().map(call_tool).collect::<Result<_, _>>()?),
        Sort::BuiltIn if format == Format::BuiltIn => Kind::BuiltIn,
        Sort::BuiltIn => {
            return Err(fields.bad(
                "type",
                "is builtin, which only the catalog that comes along may say",
            ));
        }
    };
    let mut entry = Entry::new(server, format, kind);
    entry.published_as = published_as;
    entry.secrets = secrets;
    entry.config = config(name, fields.list("config"))?;
    let prefix = fields.text("prefix")?.map(|prefix| prefix.parse());
    entry.prefix = prefix
        .transpose()
        .map_err(|fault: SetupError| fields.bad("prefix", &fault.to_string()))?;
    entry.tools = tool_notes(tools)?;
    entry.sharing = match (extension.text("sharing")?, fields.flag("longLived")?) {
        (Some(text), _) => Some(
            sharing(&text)
                .ok_or_else(|| extension.bad("sharing", "is none of everyone, principal, session, call"))?,
        ),
        // Whoever marked it so meant that it keeps something between the calls of one client.
        (None, Some(true)) => Some(Sharing::Session),
        (None, _) => None,
    };
    oauth(&mut fields, &mut entry)?;
    about(&mut fields, &mut entry)?;
    entry.about.touches = extension.texts("touches")?;
    let unknown_filters = filters(&entry);
    notes.extend(unknown_filters);
    notes.extend(extension.end());
    notes.extend(fields.end());
    entry.notes = notes;
    Ok(entry)
}

static NOTHING: Node = Node {
    line: 0,
    kind: NodeKind::Null,
};

enum Sort {
    Server,
    Remote,
    PerCall,
    BuiltIn,
}

/// By its type, or by what it has where it names none.
fn kind_of(
    wanted: Option<&str>,
    fields: &mut Fields<'_>,
    extension: &mut Fields<'_>,
    image: Option<&str>,
) -> Result<Sort, Bad> {
    match wanted {
        Some("server") => Ok(Sort::Server),
        Some("remote") => Ok(Sort::Remote),
        Some("poci") => Ok(Sort::PerCall),
        Some("builtin") => Ok(Sort::BuiltIn),
        Some(other) => Err(fields.bad(
            "type",
            &format!(
                "is {:?}, which is none of server, remote, poci",
                base::text::cut(other, 40)
            ),
        )),
        None if fields.has("image") || image.is_some() || extension.has("package") => Ok(Sort::Server),
        None if fields.has("remote") || fields.has("sseEndpoint") => Ok(Sort::Remote),
        None => Err(fields.bad("type", "is missing, and it has neither an image nor a remote")),
    }
}

fn container(fields: &mut Fields<'_>, extension: &mut Fields<'_>, image: Option<&str>) -> Result<Kind, Bad> {
    let own = fields.text("image")?.filter(|image| !image.trim().is_empty());
    let image = match (own.or(image.map(str::to_owned)), extension.take("package")) {
        (Some(image), _) => Image::Reference(image),
        (None, Some(node)) => Image::Package(package(node)?),
        (None, None) => return Err(fields.bad("image", "is missing")),
    };
    let memory = extension
        .text("memory")?
        .map(|text| text.parse::<Memory>())
        .transpose();
    let memory = memory.map_err(|error| extension.bad("memory", &error.to_string()))?;
    let mut run = run(fields)?;
    run.working_dir = extension.text("workingDir")?;
    run.capabilities = capabilities(extension)?;
    run.writable_root = extension.flag("writableRoot")?.unwrap_or(false);
    run.docker_socket = extension.flag("dockerSocket")?.unwrap_or(false);
    run.memory = memory.map(|memory| memory.0);
    Ok(Kind::Container { image, run })
}

/// What catalog entries and the `run` of folders have in common.
pub(super) fn run(fields: &mut Fields<'_>) -> Result<Run, Bad> {
    let templates = |texts: Vec<String>| texts.iter().map(|text| Template::parse(text)).collect::<Vec<_>>();
    let command = templates(fields.texts("command")?)
        .into_iter()
        .map(Argument::plain)
        .collect();
    let volumes = templates(fields.texts("volumes")?);
    let user = fields.text("user")?.map(|user| Template::parse(&user));
    let env = match fields.take("env") {
        None => Vec::new(),
        Some(node) => variables(node)?,
    };
    let hosts = fields.texts("allowHosts")?;
    let disabled = fields.flag("disableNetwork")?.unwrap_or(false);
    let hosts = hosts
        .iter()
        .map(|text| text.parse::<Destination>().map(|host| host.0))
        .collect::<Result<Vec<_>, _>>();
    let hosts =
        hosts.map_err(|error| fields.bad("allowHosts", &format!("has what can't be used: {error}")))?;
    let network = match (disabled, hosts.is_empty()) {
        (true, _) => Declared::None,
        (false, true) => Declared::Unstated,
        (false, false) => Declared::Hosts(hosts),
    };
    let extra_hosts = fields.texts("extraHosts")?;
    let extra_hosts = extra_hosts
        .iter()
        .map(|text| extra_host(text))
        .collect::<Option<Vec<_>>>();
    Ok(Run {
        command,
        env,
        volumes,
        user,
        network,
        extra_hosts: extra_hosts.ok_or_else(|| fields.bad("extraHosts", "has what is not name:address"))?,
        ..Run::default()
    })
}

/// `host:address`, where the address may be `host-gateway`.
fn extra_host(text: &str) -> Option<(String, String)> {
    let (host, address) = text.split_once([':', '='])?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let good = address == "host-gateway" || address.parse::<std::net::IpAddr>().is_ok();
    let host = host.to_ascii_lowercase();
    (good && crate::setup::is_dns_name(&host)).then(|| (host, address.to_owned()))
}

/// `[{name, value}]`, or a mapping.
fn variables(node: &Node) -> Result<Vec<Variable>, Bad> {
    let items = match &node.kind {
        NodeKind::List(items) => items,
        NodeKind::Map(pairs) => {
            let variable = |(key, value): &(node::Key, Node)| Variable {
                name: key.text.clone(),
                value: Template::parse(&value.scalar().unwrap_or_default()),
            };
            return Ok(pairs.iter().map(variable).collect());
        }
        _ => return Err(Bad::at(node.line, "env is neither a list nor a mapping")),
    };
    let mut variables = Vec::with_capacity(items.len());
    for item in items {
        let mut fields = Fields::of("env[]", item)?;
        let name = fields.needed("name")?;
        if !crate::planner::is_variable_name(&name) {
            return Err(Bad::at(
                item.line,
                format!("env: {:?} is not a variable's name", base::text::cut(&name, 80)),
            ));
        }
        let value = fields
            .text("value")?
            .or(fields.text("default")?)
            .unwrap_or_default();
        variables.push(Variable {
            name,
            value: Template::parse(&value),
        });
    }
    Ok(variables)
}

fn remote(fields: &mut Fields<'_>) -> Result<Kind, Bad> {
    if let Some(node) = fields.take("remote") {
        let _ = fields.take("sseEndpoint");
        return remote_of(node);
    }
    let url = fields.needed("sseEndpoint")?;
    Ok(Kind::Remote {
        url: Template::literal(url),
        transport: RemoteTransport::Sse,
        headers: Vec::new(),
    })
}

/// `{url, transport_type, headers}`.
pub(super) fn remote_of(node: &Node) -> Result<Kind, Bad> {
    let mut fields = Fields::of("remote", node)?;
    let url = fields.needed("url")?;
    let transport = match fields.text("transport_type")?.as_deref() {
        Some("sse") => RemoteTransport::Sse,
        None | Some("http" | "streamable" | "streaming" | "streamable-http") => {
            RemoteTransport::StreamableHttp
        }
        Some(other) => {
            let what = format!(
                "is {:?}, which is none of streamable-http and sse",
                base::text::cut(other, 40)
            );
            return Err(fields.bad("transport_type", &what));
        }
    };
    let headers = fields.pairs("headers")?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| Variable {
            name,
            value: Template::parse(&value),
        })
        .collect();
    Ok(Kind::Remote {
        url: Template::parse(&url),
        transport,
        headers,
    })
}

fn package(node: &Node) -> Result<Package, Bad> {
    let mut fields = Fields::of("dockmaster.package", node)?;
    let (ecosystem, name) = match (fields.text("npm")?, fields.text("pypi")?) {
        (Some(name), None) => (Ecosystem::Npm, name),
        (None, Some(name)) => (Ecosystem::Pypi, name),
        _ => return Err(fields.bad("npm", "or pypi names the package, and only one of them")),
    };
    Ok(Package {
        ecosystem,
        name,
        version: fields.text("version")?,
        registry: fields.text("registry")?,
        with: fields.texts("with")?,
        program: fields.text("program")?,
    })
}

fn capabilities(extension: &mut Fields<'_>) -> Result<Vec<String>, Bad> {
    let given = extension.texts("capabilities")?;
    let names = given
        .iter()
        .map(|text| text.parse::<Capability>().map(|name| name.0));
    names
        .collect::<Result<_, _>>()
        .map_err(|_| extension.bad("capabilities", "has what is not a capability's name"))
}

pub(super) fn sharing(text: &str) -> Option<Sharing> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}
