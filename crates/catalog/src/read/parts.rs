//! What an entry says beside what is run: secrets, configuration, tools, sign-in, and what it is to a reader.

use serde_json::{Map, Value};

use crate::entry::{CallTool, ConfigNeed, Entry, Kind, Note, Oauth, SecretNeed, ToolNote};
use crate::node::{Bad, Fields, Kind as NodeKind, Node};
use crate::template::Template;

/// Secrets of an entry.
pub(super) fn secrets(items: &[Node], notes: &mut Vec<Note>) -> Result<Vec<SecretNeed>, Bad> {
    let mut needs: Vec<SecretNeed> = Vec::with_capacity(items.len());
    for item in items {
        let mut fields = Fields::of("secrets[]", item)?;
        let name = fields.needed("name")?;
        let env = if let Some(env) = fields.text("env")? {
            env
        } else {
            let env = name
                .to_ascii_uppercase()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let text = format!("the secret {name} names no variable; it is given as {env}");
            notes.push(Note::at(item.line, text));
            env
        };
        if !crate::planner::is_variable_name(&env) {
            return Err(Bad::at(
                item.line,
                format!(
                    "secrets: {:?} is not a variable's name",
                    base::text::cut(&env, 80)
                ),
            ));
        }
        let need = SecretNeed {
            required: fields.flag("required")?.unwrap_or(true),
            description: fields.text("description")?,
            example: fields.text("example")?,
            in_environment: true,
            name,
            env,
        };
        notes.extend(fields.end());
        if !needs.iter().any(|other| other.env == need.env) {
            needs.push(need);
        }
    }
    Ok(needs)
}

/// The schemas of `config`, as one: keys of an item that bears the server's name are the server's own, those of another
/// lie below its name.
pub(super) fn config(server: &str, items: &[Node]) -> Result<ConfigNeed, Bad> {
    let mut description = None;
    let mut schemas: Vec<Map<String, Value>> = Vec::new();
    for item in items {
        let Value::Object(mut schema) = item.value() else {
            return Err(Bad::at(item.line, "config is not a list of schemas"));
        };
        let name = schema
            .shift_remove("name")
            .and_then(|name| name.as_str().map(str::to_owned));
        let words = schema
            .shift_remove("description")
            .and_then(|words| words.as_str().map(str::to_owned));
        description = description.or(words);
        if !schema.contains_key("properties")
            && !schema.contains_key("anyOf")
            && !schema.contains_key("oneOf")
        {
            continue;
        }
        schema.entry("type").or_insert_with(|| "object".into());
        if let Some(name) = name.filter(|name| !name.is_empty() && name != server) {
            let below = Map::from_iter([(name, Value::Object(schema))]);
            schema = Map::from_iter([
                ("type".to_owned(), "object".into()),
                ("properties".to_owned(), Value::Object(below)),
            ]);
        }
        schemas.push(schema);
    }
    let schema = match schemas.len() {
        0 => None,
        1 => schemas.pop().map(Value::Object),
        _ => Some(merged(schemas)),
    };
    Ok(ConfigNeed { description, schema })
}

/// One schema that has the properties of all.
fn merged(schemas: Vec<Map<String, Value>>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut rest = Vec::new();
    for mut schema in schemas {
        if let Some(Value::Object(more)) = schema.shift_remove("properties") {
            properties.extend(more);
        }
        if let Some(Value::Array(more)) = schema.shift_remove("required") {
            required.extend(more);
        }
        schema.shift_remove("type");
        if !schema.is_empty() {
            rest.push(Value::Object(schema));
        }
    }
    serde_json::json!({ "type": "object", "properties": properties, "required": required, "allOf": rest })
}

pub(super) fn call_tool(node: &Node) -> Result<CallTool, Bad> {
    let mut fields = Fields::of("tools[]", node)?;
    let name = fields.needed("name")?;
    base::names::ToolName::parse(&name).map_err(|error| Bad::at(node.line, error.to_string()))?;
    let description = fields.text("description")?.unwrap_or_default();
    let container = fields
        .take("container")
        .ok_or_else(|| fields.bad("container", "is missing"))?;
    let mut container = Fields::of(&format!("tools.{name}.container"), container)?;
    let input_schema = match fields.take("parameters") {
        Some(schema) => schema.value(),
        None => schema_of_arguments(fields.list("arguments")),
    };
    Ok(CallTool {
        name,
        description,
        input_schema,
        annotations: fields.take("annotations").map(Node::value),
        image: container.needed("image")?,
        command: container.texts("command")?,
        volumes: container.texts("volumes")?,
        user: container.text("user")?,
    })
}

/// The older way of naming arguments, as a schema.
fn schema_of_arguments(items: &[Node]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for item in items {
        let item = item.value();
        let Some(name) = item.get("name").and_then(Value::as_str) else {
            continue;
        };
        let mut property = Map::new();
        for (ours, theirs) in [("type", "type"), ("description", "desc"), ("items", "items")] {
            if let Some(value) = item.get(theirs).filter(|value| !value.is_null()) {
                property.insert(ours.to_owned(), value.clone());
            }
        }
        if item.get("optional") != Some(&Value::Bool(true)) {
            required.push(Value::from(name));
        }
        properties.insert(name.to_owned(), Value::Object(property));
    }
    serde_json::json!({ "type": "object", "properties": properties, "required": required })
}

/// What is told of tools without asking the server.
pub(super) fn tool_notes(items: &[Node]) -> Result<Vec<ToolNote>, Bad> {
    let note = |item: &Node| {
        if let Some(name) = item.scalar() {
            return Ok(ToolNote {
                name,
                description: None,
                more: Map::new(),
            });
        }
        let Value::Object(mut more) = item.value() else {
            return Err(Bad::at(item.line, "tools is not a list of tools"));
        };
        let mut text = |key: &str| {
            more.shift_remove(key)
                .and_then(|text| text.as_str().map(str::to_owned))
        };
        let name = text("name").ok_or_else(|| Bad::at(item.line, "a tool has no name"))?;
        let description = text("description");
        more.shift_remove("container");
        Ok(ToolNote {
            name,
            description,
            more,
        })
    };
    items.iter().map(note).collect()
}

pub(super) fn oauth(fields: &mut Fields<'_>, entry: &mut Entry) -> Result<(), Bad> {
    let Some(node) = fields.take("oauth") else {
        return Ok(());
    };
    let providers = if let NodeKind::List(items) = &node.kind {
        items.as_slice()
    } else {
        let mut oauth = Fields::of("oauth", node)?;
        entry.oauth_scopes = oauth.texts("scopes")?;
        let providers = oauth.list("providers");
        entry.notes.extend(oauth.end());
        providers
    };
    entry.oauth = oauth_providers(providers)?;
    Ok(())
}

pub(super) fn oauth_providers(items: &[Node]) -> Result<Vec<Oauth>, Bad> {
    let provider = |item: &Node| {
        let mut fields = Fields::of("oauth[]", item)?;
        Ok(Oauth {
            provider: fields.needed("provider")?,
            secret: fields.text("secret")?,
            env: fields.text("env")?,
        })
    };
    items.iter().map(provider).collect()
}

pub(super) fn about(fields: &mut Fields<'_>, entry: &mut Entry) -> Result<(), Bad> {
    let about = &mut entry.about;
    about.title = fields.text("title")?;
    about.description = fields.text("description")?;
    about.icon = fields.text("icon")?;
    about.readme = fields.text("readme")?;
    about.source = fields.text("source")?.or(fields.text("upstream")?);
    about.version = fields.text("ref")?.filter(|version| !version.is_empty());
    for key in ["toolsUrl", "dateAdded", "prompts", "resources", "upstream"] {
        if let Some(node) = fields.take(key) {
            about.more.insert(key.to_owned(), node.value());
        }
    }
    if let Some(node) = fields.take("metadata") {
        let mut metadata = Fields::of("metadata", node)?;
        about.category = metadata.text("category")?;
        about.tags = metadata.texts("tags")?;
        about.license = metadata.text("license")?;
        about.owner = metadata.text("owner")?;
        for key in ["pulls", "stars", "githubStars", "registryUrl"] {
            if let Some(node) = metadata.take(key) {
                about.more.insert(key.to_owned(), node.value());
            }
        }
        entry.notes.extend(metadata.end());
    }
    Ok(())
}

/// Filters that nobody knows.
pub(super) fn filters(entry: &Entry) -> Vec<Note> {
    let Kind::Container { run, .. } = &entry.kind else {
        return Vec::new();
    };
    let templates = run
        .command
        .iter()
        .filter_map(|argument| argument.value.as_ref())
        .chain(&run.volumes)
        .chain(run.env.iter().map(|variable| &variable.value));
    let names = templates.flat_map(Template::unknown_filters);
    names
        .map(|name| {
            Note::at(
                0,
                format!(
                    "a template has the filter {:?}, which is not known and has no effect",
                    base::text::cut(name, 40)
                ),
            )
        })
        .collect()
}
