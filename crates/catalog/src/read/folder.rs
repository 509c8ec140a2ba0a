//! `server.yaml` folders: the source form of public registries, with `tools.json` and a readme beside it.

use serde_json::Value;

use super::{Fault, catalog, parts, server_name};
use crate::entry::{ConfigNeed, Entry, Format, Image, Kind, Note, Run, SecretNeed, Variable};
use crate::node::{self, Bad, Fields, Kind as NodeKind, Node};
use crate::plan::Sharing;
use crate::template::Template;

/// Reads the folder of a server. `folder` is its name, which the entry should bear.
pub fn folder(
    folder: &str,
    server_yaml: &str,
    tools_json: Option<&str>,
    readme: Option<&str>,
) -> Result<Entry, Fault> {
    let read = || {
        let node = node::yaml(server_yaml)?;
        let mut entry = read(folder, &node)?;
        if let Some(text) = tools_json {
            let tools = node::json(text).map_err(|bad| Bad::at(0, format!("tools.json: {bad}")))?;
            let NodeKind::List(items) = &tools.kind else {
                return Err(Bad::at(0, "tools.json is not a list of tools"));
            };
            entry.tools = parts::tool_notes(items).map_err(|bad| Bad::at(0, format!("tools.json: {bad}")))?;
        }
        if let Some(readme) = readme {
            entry.about.readme = Some(readme.to_owned());
        }
        Ok(entry)
    };
    read().map_err(|bad| Fault::of(folder, bad))
}

fn read(folder: &str, node: &Node) -> Result<Entry, Bad> {
    let mut fields = Fields::of("", node)?;
    let name = fields.text("name")?.unwrap_or_else(|| folder.to_owned());
    let (server, published_as) = server_name(&name, node.line)?;
    let mut notes = Vec::new();
    if name != folder {
        notes.push(Note::at(node.line, format!("its folder is {folder:?}")));
    }
    let tools = fields.list("tools");
    let run_node = fields.take("run");
    let mut run = Run::default();
    if let Some(node) = run_node {
        let mut inner = Fields::of("run", node)?;
        run = catalog::run(&mut inner)?;
        notes.extend(inner.end());
    }
    let mut entry = Entry::new(server, Format::Folder, Kind::BuiltIn);
    entry.published_as = published_as;
    if let Some(node) = fields.take("config") {
        config(node, &mut run, &mut entry, &mut notes)?;
    }
    entry.kind = match fields.needed("type")?.as_str() {
        "server" => {
            let image = fields.needed("image")?;
            Kind::Container {
                image: Image::Reference(image),
                run,
            }
        }
        "remote" => match fields.take("remote") {
            Some(node) => catalog::remote_of(node)?,
            None => return Err(fields.bad("remote", "is missing")),
        },
        "poci" => {
            let node = Node {
                line: node.line,
                kind: NodeKind::List(tools.to_vec()),
            };
            catalog_tools(&name, &node)?
        }
        other => {
            return Err(fields.bad(
                "type",
                &format!(
                    "is {:?}, which is none of server, remote, poci",
                    base::text::cut(other, 40)
                ),
            ));
        }
    };
    entry.tools = parts::tool_notes(tools)?;
    entry.sharing = fields
        .flag("longLived")?
        .filter(|long| *long)
        .map(|_| Sharing::Session);
    entry.oauth = parts::oauth_providers(fields.list("oauth"))?;
    about(&mut fields, &mut entry, &mut notes)?;
    notes.extend(parts::filters(&entry));
    notes.extend(fields.end());
    entry.notes = notes;
    Ok(entry)
}

/// Per-call tools are written as in a catalog.
fn catalog_tools(name: &str, tools: &Node) -> Result<Kind, Bad> {
    let key = |text: &str| node::Key {
        line: 0,
        text: text.to_owned(),
    };
    let text = |text: &str| Node {
        line: 0,
        kind: NodeKind::Text(text.to_owned()),
    };
    let node = Node {
        line: tools.line,
        kind: NodeKind::Map(vec![(key("type"), text("poci")), (key("tools"), tools.clone())]),
    };
    catalog::entry(name, &node, Format::Folder, None).map(|entry| entry.kind)
}

/// `config{description, secrets[], env[], parameters(schema), anyOf}`.
fn config(node: &Node, run: &mut Run, entry: &mut Entry, notes: &mut Vec<Note>) -> Result<(), Bad> {
    let mut fields = Fields::of("config", node)?;
    entry.secrets = parts::secrets(fields.list("secrets"), notes)?;
    let mut own = Vec::new();
    for item in fields.list("env") {
        let mut inner = Fields::of("config.env[]", item)?;
        let variable = inner.needed("name")?;
        // A secret that was put among the variables: it says for which variable it is.
        if let Some(env) = inner.text("env")? {
            notes.push(Note::at(
                item.line,
                format!("{variable} stands under env and is taken as a secret, as it names its variable"),
            ));
            entry.secrets.push(SecretNeed {
                name: variable,
                env,
                required: inner.flag("required")?.unwrap_or(true),
                description: inner.text("description")?,
                example: inner.text("example")?,
                in_environment: true,
            });
            continue;
        }
        if !crate::planner::is_variable_name(&variable) {
            return Err(Bad::at(
                item.line,
                format!(
                    "config.env: {:?} is not a variable's name",
                    base::text::cut(&variable, 80)
                ),
            ));
        }
        let value = inner.text("value")?.or(inner.text("default")?);
        if value.is_none() {
            notes.push(Note::at(
                item.line,
                format!("{variable} has no value; give it one in `env`"),
            ));
        }
        own.push(Variable {
            name: variable,
            value: Template::parse(&value.unwrap_or_default()),
        });
    }
    // What stands in `run` comes behind what stands here.
    own.append(&mut run.env);
    run.env = own;
    let description = fields.text("description")?;
    let mut schema = fields.take("parameters").map(Node::value).unwrap_or_default();
    // Some have the schema one level higher than it belongs.
    let misplaced: Vec<(&str, Value)> = ["type", "properties", "required", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| Some((key, fields.take(key)?.value())))
        .collect();
    if !misplaced.is_empty() {
        let mut map = schema.as_object().cloned().unwrap_or_default();
        for (key, value) in misplaced {
            map.entry(key).or_insert(value);
        }
        schema = Value::Object(map);
    }
    notes.extend(fields.end());
    entry.config = ConfigNeed {
        description,
        schema: schema.get("properties").is_some().then_some(schema),
    };
    Ok(())
}

fn about(fields: &mut Fields<'_>, entry: &mut Entry, notes: &mut Vec<Note>) -> Result<(), Bad> {
    if let Some(node) = fields.take("about") {
        let mut inner = Fields::of("about", node)?;
        entry.about.title = inner.text("title")?;
        entry.about.description = inner.text("description")?.map(|text| text.trim().to_owned());
        entry.about.icon = inner.text("icon")?;
        notes.extend(inner.end());
    }
    if let Some(node) = fields.take("meta") {
        let mut inner = Fields::of("meta", node)?;
        entry.about.category = inner.text("category")?;
        entry.about.tags = inner.texts("tags")?;
        notes.extend(inner.end());
    }
    if let Some(node) = fields.take("source") {
        let mut inner = Fields::of("source", node)?;
        entry.about.source = inner.text("project")?;
        entry.about.version = inner.text("commit")?;
        notes.extend(inner.end_quietly());
        entry.about.more.insert("source".to_owned(), node.value());
    }
    if let Some(node) = fields.take("dynamic") {
        entry.about.more.insert("dynamic".to_owned(), node.value());
    }
    if let Some(requirement) = fields.text("requirement")? {
        notes.push(Note::at(
            0,
            format!("it needs {requirement}, which it does not bring along"),
        ));
    }
    Ok(())
}
