//! `server.json`: packages and remotes with their inputs, made into one entry.
//!
//! Of several ways to run a server the first that can be run here is taken: an image, an npm or PyPI package, a remote.
//! What else it is published as is noted. Inputs become the schema of its configuration and its secrets; what an
//! author gives to `docker run` or `npx` is understood option by option, and never handed on unread.

use serde_json::{Map, Value};

use super::options::{docker_options, runner_options};
use super::server_name;
use crate::entry::{
    Argument, ConfigNeed, Entry, Format, Image, Kind, Note, Package, Run, SecretNeed, Variable,
};
use crate::node::{Bad, Fields, Kind as NodeKind, Node};
use crate::plan::{Ecosystem, RemoteTransport};
use crate::template::Template;

/// Reads a server. Older schemas write `registry_type` where newer ones write `registryType`; both are read.
pub(super) fn read(name: &str, node: &Node) -> Result<Entry, Bad> {
    let mut fields = Fields::of("", node)?;
    let _ = fields.take("name");
    let (server, published_as) = server_name(name, node.line)?;
    let mut ways: Vec<Way> = Vec::new();
    let mut broken: Vec<Bad> = Vec::new();
    for (place, node) in fields.list("packages").iter().enumerate() {
        match package(server.as_str(), place, node) {
            Ok(way) => ways.push(way),
            Err(bad) => broken.push(bad),
        }
    }
    for (place, node) in fields.list("remotes").iter().enumerate() {
        match remote(server.as_str(), place, node) {
            Ok(way) => ways.push(way),
            Err(bad) => broken.push(bad),
        }
    }
    if ways.is_empty() {
        return Err(broken
            .into_iter()
            .next()
            .unwrap_or_else(|| Bad::at(node.line, "it has neither packages nor remotes")));
    }
    // The order of ways that are equally good stays.
    ways.sort_by_key(|way| way.rank);
    let others: Vec<String> = ways.iter().skip(1).map(|way| way.label.clone()).collect();
    let Some(way) = ways.into_iter().next() else {
        return Err(Bad::at(node.line, "it has neither packages nor remotes"));
    };
    let mut entry = Entry::new(server, Format::Registry, way.kind);
    entry.published_as = published_as;
    entry.secrets = way.inputs.secrets;
    entry.config = ConfigNeed {
        description: None,
        schema: schema(&way.inputs.properties, &way.inputs.required),
    };
    entry.notes = way.inputs.notes;
    if !others.is_empty() {
        entry.notes.push(Note::at(
            0,
            format!("it is published as {} too", others.join(", ")),
        ));
    }
    entry.notes.extend(
        broken
            .into_iter()
            .map(|bad| Note::at(bad.line, format!("a way to run it can't be read: {}", bad.what))),
    );
    about(&mut fields, &mut entry)?;
    entry.notes.extend(fields.end());
    Ok(entry)
}

/// One way to run a server.
struct Way {
    /// Lower is better.
    rank: u8,
    label: String,
    kind: Kind,
    inputs: Inputs,
}

/// What the inputs of a way become.
#[derive(Default)]
pub(super) struct Inputs {
    server: String,
    properties: Map<String, Value>,
    required: Vec<Value>,
    secrets: Vec<SecretNeed>,
    /// Files and folders of the host among them, to be mounted.
    paths: Vec<String>,
    notes: Vec<Note>,
}

/// One input.
struct Input {
    description: Option<String>,
    required: bool,
    secret: bool,
    format: Option<String>,
    value: Option<String>,
    default: Option<String>,
    example: Option<String>,
    choices: Vec<String>,
    repeated: bool,
    variables: Vec<(String, Input)>,
}

impl Input {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Bad> {
        let variables = match fields.take("variables") {
            None => Vec::new(),
            Some(node) => variables(node)?,
        };
        let default = fields.text("default")?;
        Ok(Self {
            description: fields.text("description")?,
            required: flag(fields, &["isRequired", "is_required"])?,
            secret: flag(fields, &["isSecret", "is_secret"])?,
            repeated: flag(fields, &["isRepeated", "is_repeated"])?,
            format: fields.text("format")?,
            value: fields.text("value")?,
            example: fields.text("placeholder")?,
            choices: fields.texts("choices")?,
            default,
            variables,
        })
    }

    fn schema(&self) -> Value {
        let kind = match self.format.as_deref() {
            Some("number") => "number",
            Some("boolean") => "boolean",
            _ => "string",
        };
        let mut one = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        if !self.choices.is_empty() {
            one.insert("enum".to_owned(), self.choices.clone().into());
        }
        let mut schema = one;
        if self.repeated {
            schema = Map::from_iter([
                ("type".to_owned(), "array".into()),
                ("items".to_owned(), Value::Object(schema)),
            ]);
        }
        let mut put = |key: &str, value: &Option<String>| {
            if let Some(text) = value.as_ref().filter(|text| !text.is_empty()) {
                let value = if self.repeated && key == "default" {
                    vec![text.clone()].into()
                } else {
                    text.clone().into()
                };
                schema.insert(key.to_owned(), value);
            }
        };
        put("description", &self.description);
        put("default", &self.default);
        put("example", &self.example);
        Value::Object(schema)
    }
}

impl Inputs {
    fn of(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            ..Self::default()
        }
    }

    /// The value of an input that is called `key`: fixed, with its variables, or asked of the user.
    fn template(&mut self, key: &str, input: &Input) -> Template {
        match &input.value {
            Some(value) => self.braces(value, &input.variables),
            None => self.ask(key, input),
        }
    }

    /// A text in which `{name}` is a variable, if there is one of that name.
    fn braces(&mut self, text: &str, variables: &[(String, Input)]) -> Template {
        let mut template = Template::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let found = after.split_once('}').and_then(|(name, behind)| {
                let (_, input) = variables.iter().find(|(known, _)| known == name)?;
                Some((name, input, behind))
            });
            if let Some((name, input, behind)) = found {
                let value = self.template(name, input);
                template = template.then(Template::literal(before)).then(value);
                rest = behind;
            } else {
                template = template.then(Template::literal(format!("{before}{{")));
                rest = after;
            }
        }
        template.then(Template::literal(rest))
    }

    /// A value that the user gives: a secret, or a key of the configuration.
    fn ask(&mut self, key: &str, input: &Input) -> Template {
        if input.secret {
            self.secret(key, input, false);
            return Template::variable(key);
        }
        if !self.properties.contains_key(key) {
            self.properties.insert(key.to_owned(), input.schema());
            if input.required && input.default.is_none() {
                self.required.push(key.into());
            }
            if input.format.as_deref() == Some("filepath") {
                self.paths.push(key.to_owned());
            }
        }
        Template::config(key)
    }

    fn secret(&mut self, key: &str, input: &Input, in_environment: bool) {
        if let Some(known) = self.secrets.iter_mut().find(|need| need.env == key) {
            known.in_environment |= in_environment;
            return;
        }
        self.secrets.push(SecretNeed {
            name: format!("{}.{}", self.server, key.to_ascii_lowercase()),
            env: key.to_owned(),
            required: input.required,
            description: input.description.clone(),
            example: input.example.clone(),
            in_environment,
        });
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push(Note::at(0, text));
    }

    /// `environmentVariables` and `headers`: inputs with names.
    fn named(&mut self, items: &[Node], what: &str, in_environment: bool) -> Result<Vec<Variable>, Bad> {
        let mut all = Vec::new();
        for item in items {
            let mut fields = Fields::of(what, item)?;
            let name = fields.needed("name")?;
            let input = Input::read(&mut fields)?;
            self.notes.extend(fields.end());
            if in_environment && !crate::planner::is_variable_name(&name) {
                return Err(Bad::at(
                    item.line,
                    format!(
                        "{what}: {:?} is not a variable's name",
                        base::text::cut(&name, 80)
                    ),
                ));
            }
            if input.secret && input.value.is_none() && in_environment {
                self.secret(&name, &input, true);
                continue;
            }
            let value = self.template(&name, &input);
            all.push(Variable { name, value });
        }
        Ok(all)
    }

    /// `packageArguments`: what the program gets.
    fn arguments(&mut self, items: &[Node], what: &str) -> Result<Vec<Argument>, Bad> {
        let mut all = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let mut fields = Fields::of(what, item)?;
            let kind = fields.text("type")?.unwrap_or_else(|| "positional".to_owned());
            let hint = fields.either(&["valueHint", "value_hint"]).and_then(Node::scalar);
            let name = fields.text("name")?;
            let input = Input::read(&mut fields)?;
            self.notes.extend(fields.end());
            let argument = match (kind.as_str(), name) {
                ("positional", _) => {
                    let key = hint.unwrap_or_else(|| format!("argument{}", place + 1));
                    let value = self.template(&key, &input);
                    Argument {
                        flag: None,
                        value: Some(value),
                        optional: !input.required,
                    }
                }
                ("named", Some(name)) => self.flag(&name, hint, &input),
                ("named", None) => {
                    return Err(Bad::at(
                        item.line,
                        format!("{what}: a named argument has no name"),
                    ));
                }
                (other, _) => {
                    return Err(Bad::at(
                        item.line,
                        format!("{what}: {:?} is no type of argument", base::text::cut(other, 40)),
                    ));
                }
            };
            all.push(argument);
        }
        Ok(all)
    }

    /// A named argument. With nothing to ask for it is a flag that stands alone; a truth value is joined to it, as
    /// programs take `--flag=false` and not `--flag false`; everything else is an argument of its own behind it.
    fn flag(&mut self, name: &str, hint: Option<String>, input: &Input) -> Argument {
        let asks = input.value.is_some()
            || input.default.is_some()
            || input.example.is_some()
            || input.format.is_some()
            || input.required
            || input.secret
            || input.repeated
            || !input.choices.is_empty()
            || hint.is_some();
        if !asks {
            return Argument {
                flag: Some(name.to_owned()),
                value: None,
                optional: false,
            };
        }
        let key = hint.unwrap_or_else(|| name.trim_start_matches('-').trim_end_matches('=').to_owned());
        let value = self.template(&key, input);
        let joined = input.format.as_deref() == Some("boolean") && !name.ends_with('=');
        let flag = if joined {
            format!("{name}=")
        } else {
            name.to_owned()
        };
        Argument {
            flag: Some(flag),
            value: Some(value),
            optional: !input.required || input.value.is_some(),
        }
    }
}

fn variables(node: &Node) -> Result<Vec<(String, Input)>, Bad> {
    let NodeKind::Map(pairs) = &node.kind else {
        return Err(Bad::at(node.line, "variables is not a mapping"));
    };
    let variable = |(key, value): &(crate::node::Key, Node)| {
        let mut fields = Fields::of("variables", value)?;
        // Variables have none of their own.
        let _ = fields.take("variables");
        Ok((key.text.clone(), Input::read(&mut fields)?))
    };
    pairs.iter().map(variable).collect()
}

fn flag(fields: &mut Fields<'_>, names: &[&str]) -> Result<bool, Bad> {
    match fields.either(names).map(|node| &node.kind) {
        None => Ok(false),
        Some(NodeKind::Bool(value)) => Ok(*value),
        Some(_) => Err(fields.bad(names.first().unwrap_or(&""), "is neither true nor false")),
    }
}

fn schema(properties: &Map<String, Value>, required: &[Value]) -> Option<Value> {
    let schema = serde_json::json!({ "type": "object", "properties": properties, "required": required });
    (!properties.is_empty()).then_some(schema)
}

/// The package manager of a type of package; none for images. What can't be run here says why.
fn ecosystem(kind: &str, shown: &str) -> Result<Option<Ecosystem>, String> {
    const ONLY: &str = "only images, npm and PyPI packages are run";
    match kind {
        "oci" | "docker" => Ok(None),
        "npm" => Ok(Some(Ecosystem::Npm)),
        "pypi" => Ok(Some(Ecosystem::Pypi)),
        "nuget" => Err(format!("{shown} is a NuGet package, which needs .NET; {ONLY}")),
        "mcpb" => Err(format!(
            "{shown} is an MCP bundle, which is installed by a desktop application; {ONLY}"
        )),
        other => {
            let other = base::text::cut(other, 40);
            Err(format!(
                "{shown} comes from {other:?}, which is not known; {ONLY}"
            ))
        }
    }
}

fn package(server: &str, place: usize, node: &Node) -> Result<Way, Bad> {
    let path = format!("packages[{place}]");
    let mut fields = Fields::of(&path, node)?;
    let kind = fields
        .either(&["registryType", "registry_type", "registry_name"])
        .and_then(Node::scalar);
    let kind = kind.ok_or_else(|| fields.bad("registryType", "is missing"))?;
    let identifier = fields
        .either(&["identifier", "name"])
        .and_then(Node::scalar)
        .filter(|name| !name.trim().is_empty());
    let identifier = identifier.ok_or_else(|| fields.bad("identifier", "is missing"))?;
    let version = fields
        .text("version")?
        .filter(|version| !version.is_empty() && version != "latest");
    let base = fields
        .either(&["registryBaseUrl", "registry_base_url"])
        .and_then(Node::scalar);
    let hint = fields
        .either(&["runtimeHint", "runtime_hint"])
        .and_then(Node::scalar);
    let transport = transport(fields.take("transport"))?;
    let label = format!("{kind} {identifier}");
    let mut inputs = Inputs::of(server);
    let unusable = |why: String, inputs: Inputs| Way {
        rank: 9,
        label: label.clone(),
        kind: Kind::Unusable(why),
        inputs,
    };
    let shown = base::text::cut(&identifier, 120).to_owned();
    let ecosystem = match ecosystem(&kind, &shown) {
        Ok(ecosystem) => ecosystem,
        Err(why) => return Ok(unusable(why, inputs)),
    };
    if let Some(transport) = transport.filter(|transport| transport != "stdio") {
        let why = format!("{shown} serves {transport} from where it runs; packages are run over stdio only");
        return Ok(unusable(why, inputs));
    }
    let mut run = Run {
        env: inputs.named(
            either_list(&mut fields, &["environmentVariables", "environment_variables"]),
            &format!("{path}.environmentVariables[]"),
            true,
        )?,
        ..Run::default()
    };
    let runtime = inputs.arguments(
        either_list(&mut fields, &["runtimeArguments", "runtime_arguments"]),
        &format!("{path}.runtimeArguments[]"),
    )?;
    run.command = inputs.arguments(
        either_list(&mut fields, &["packageArguments", "package_arguments"]),
        &format!("{path}.packageArguments[]"),
    )?;
    if fields.either(&["fileSha256", "file_sha256"]).is_some() {
        inputs.note(
            "the checksum of its file is not looked at: it is installed by its package manager".to_owned(),
        );
    }
    let image = match ecosystem {
        None => {
            docker_options(&runtime, &mut run, &mut inputs);
            Image::Reference(image_reference(&identifier, version.as_deref(), base.as_deref()))
        }
        Some(ecosystem) => {
            let mut package = Package {
                ecosystem,
                name: identifier.clone(),
                version,
                registry: base.filter(|base| !is_usual_registry(base)),
                with: Vec::new(),
                program: None,
            };
            runner_options(&runtime, hint.as_deref(), &mut package, &mut inputs);
            Image::Package(package)
        }
    };
    // A path that a program is given is mounted where it is on the host, so that it means the same there.
    for path in std::mem::take(&mut inputs.paths) {
        let is_mounted = run
            .volumes
            .iter()
            .any(|volume| volume.keys().any(|key| key == path));
        if !is_mounted {
            run.volumes.push(Template::volume(path));
        }
    }
    inputs.notes.extend(fields.end());
    let rank = u8::from(ecosystem.is_some());
    Ok(Way {
        rank,
        label,
        kind: Kind::Container { image, run },
        inputs,
    })
}

fn either_list<'n>(fields: &mut Fields<'n>, names: &[&str]) -> &'n [Node] {
    match fields.either(names) {
        None => &[],
        Some(Node {
            kind: NodeKind::List(items),
            ..
        }) => items,
        Some(node) => std::slice::from_ref(node),
    }
}

fn transport(node: Option<&Node>) -> Result<Option<String>, Bad> {
    let Some(node) = node else { return Ok(None) };
    if let Some(text) = node.scalar() {
        return Ok(Some(text));
    }
    Fields::of("transport", node)?.text("type")
}

/// Whether this is the registry that the ecosystem's own package manager asks by itself.
fn is_usual_registry(base: &str) -> bool {
    let host = base.trim_end_matches('/').trim_start_matches("https://");
    matches!(
        host.strip_prefix("registry.").unwrap_or(host),
        "npmjs.org" | "npmjs.com" | "pypi.org" | "pypi.org/simple"
    )
}

/// Newer schemas have the tag in the identifier, older ones beside it, and the registry's host too.
fn image_reference(identifier: &str, version: Option<&str>, base: Option<&str>) -> String {
    let host = base
        .and_then(|base| base.split_once("://"))
        .map(|(_, host)| host.trim_end_matches('/'));
    let has_host = identifier
        .split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
    let name = match host {
        Some(host) if !has_host && !host.is_empty() => format!("{host}/{identifier}"),
        _ => identifier.to_owned(),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match version {
        Some(version) if !last.contains([':', '@']) => format!("{name}:{version}"),
        _ => name,
    }
}

fn remote(server: &str, place: usize, node: &Node) -> Result<Way, Bad> {
    let path = format!("remotes[{place}]");
    let mut fields = Fields::of(&path, node)?;
    let kind = fields
        .either(&["type", "transport_type", "transport"])
        .and_then(Node::scalar);
    let (rank, transport) = match kind.as_deref() {
        Some("streamable-http" | "streamable" | "http") => (2, RemoteTransport::StreamableHttp),
        Some("sse") => (3, RemoteTransport::Sse),
        other => {
            let what = format!(
                "is {:?}, which is none of streamable-http and sse",
                base::text::cut(other.unwrap_or("missing"), 40)
            );
            return Err(fields.bad("type", &what));
        }
    };
    let url = fields.needed("url")?;
    let mut inputs = Inputs::of(server);
    let variables = match fields.take("variables") {
        None => Vec::new(),
        Some(node) => variables(node)?,
    };
    let template = inputs.braces(&url, &variables);
    let headers = inputs.named(fields.list("headers"), &format!("{path}.headers[]"), false)?;
    inputs.notes.extend(fields.end());
    Ok(Way {
        rank,
        label: format!(
            "{} {}",
            if rank == 2 { "streamable-http" } else { "sse" },
            base::text::cut(&url, 120)
        ),
        kind: Kind::Remote {
            url: template,
            transport,
            headers,
        },
        inputs,
    })
}

fn about(fields: &mut Fields<'_>, entry: &mut Entry) -> Result<(), Bad> {
    entry.about.title = fields.text("title")?;
    entry.about.description = fields.text("description")?;
    entry.about.version = fields.text("version")?;
    if let Some(detail) = fields.either(&["version_detail"]) {
        entry.about.version = entry
            .about
            .version
            .take()
            .or(Fields::of("version_detail", detail)?.text("version")?);
    }
    if let Some(node) = fields.take("repository") {
        entry.about.source = Fields::of("repository", node)?.text("url")?;
    }
    if let Some(icon) = fields.list("icons").first() {
        entry.about.icon = Fields::of("icons[]", icon)?.text("src")?;
    }
    for key in ["$schema", "websiteUrl", "website_url", "_meta", "status"] {
        if let Some(node) = fields.take(key) {
            entry.about.more.insert(key.to_owned(), node.value());
        }
    }
    Ok(())
}
