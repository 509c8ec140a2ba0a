//! HTTP headers that mirror the body of a modern request (2026-07-28, Streamable HTTP, "Request Metadata").

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The revision of the request.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// Its method.
pub const METHOD: &str = "mcp-method";
/// The tool, prompt or resource that it names.
pub const NAME: &str = "mcp-name";
/// Before the name that a tool's schema gives to a mirrored parameter.
pub const PARAM_PREFIX: &str = "mcp-param-";
/// A legacy session.
pub const SESSION_ID: &str = "mcp-session-id";

/// The keyword in a tool's `inputSchema` that asks for a parameter to be mirrored.
const ANNOTATION: &str = "x-mcp-header";

/// A header value with the Base64 wrapping (`=?base64?…?=`) undone; `None` if what is wrapped is not Base64 of
/// UTF-8 text. A value without the wrapping stands for itself.
#[must_use]
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    let Some(wrapped) = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    String::from_utf8(STANDARD.decode(wrapped).ok()?)
        .ok()
        .map(Cow::Owned)
}

/// A text as a header value: wrapped where it would not arrive as it is, or would be taken for wrapped.
#[must_use]
pub fn encode(text: &str) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && text.trim_ascii() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if is_plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(text)))
    }
}

/// A parameter that a tool's schema wants mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The header, in lower case, with its prefix.
    pub header: String,
    /// Member names from the arguments down to the value.
    pub path: Vec<String>,
}

/// Why a tool's definition is invalid: a parameter is marked as none may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismarked {
    /// The mark is no header name.
    #[error("{ANNOTATION} of parameter {path:?} is {mark}, not a header name")]
    Name {
        /// The parameter, its member names joined by dots.
        path: String,
        /// What stands there, as JSON.
        mark: String,
    },
    /// The parameter is none of the types that a header can carry.
    #[error("{ANNOTATION} stands at parameter {path:?}, which is no string, integer or boolean")]
    Type {
        /// The parameter.
        path: String,
    },
    /// Another parameter has the same header.
    #[error("{ANNOTATION} of parameter {path:?} is {header:?}, which another has too")]
    Taken {
        /// The parameter.
        path: String,
        /// The header, in lower case, with its prefix.
        header: String,
    },
    /// It stands where no parameter of a call can be found by its path alone: at the root, in an array's items, behind
    /// a reference or a condition.
    #[error("{ANNOTATION} stands at a place that no chain of properties leads to")]
    Place,
}

impl Mirrored {
    /// The parameters which `schema` mirrors: those marked along chains of `properties`, the only place where the mark
    /// may stand (2026-07-28, Streamable HTTP, "Schema Extension").
    ///
    /// # Errors
    /// One mark that breaks the rules makes the whole definition invalid; a client over HTTP then leaves the tool out.
    pub fn of_schema(schema: &Value) -> Result<Vec<Self>, Mismarked> {
        let mut found = Vec::new();
        collect(schema, Some(&mut Vec::new()), &mut found)?;
        Ok(found)
    }

    /// The header value for a call with these arguments; `None`: no header.
    #[must_use]
    pub fn header_value(&self, arguments: &Value) -> Option<String> {
        let mut path = self.path.iter();
        match path.try_fold(arguments, |value, name| value.get(name))? {
            Value::String(text) => Some(encode(text).into_owned()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Whether `header` (still wrapped, `None` if absent) agrees with the arguments.
    #[must_use]
    pub fn agrees(&self, arguments: &Value, header: Option<&str>) -> bool {
        let value = self
            .path
            .iter()
            .try_fold(arguments, |value, name| value.get(name));
        let header = header.map(decode);
        match (value, header) {
            (None | Some(Value::Null), header) => header.is_none(),
            (Some(Value::String(text)), Some(Some(header))) => *text == header,
            (Some(Value::Bool(flag)), Some(Some(header))) => header == if *flag { "true" } else { "false" },
            // Numbers compare as numbers: 42 and 42.0 are the same (section "Server Validation").
            (Some(Value::Number(number)), Some(Some(header))) => {
                match (number.as_i64(), header.parse::<i64>()) {
                    (Some(number), Ok(header)) => number == header,
                    _ => header
                        .parse::<f64>()
                        .is_ok_and(|header| number.as_f64() == Some(header)),
                }
            }
            _ => false,
        }
    }
}

/// Adds what is marked in `schema`, to which `path` leads; `None`: no chain of properties does.
fn collect(
    schema: &Value,
    mut path: Option<&mut Vec<String>>,
    found: &mut Vec<Mirrored>,
) -> Result<(), Mismarked> {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(schemas) => return schemas.iter().try_for_each(|it| collect(it, None, found)),
        _ => return Ok(()),
    };
    if let Some(mark) = members.get(ANNOTATION) {
        let path = path.as_deref().filter(|path| !path.is_empty());
        let one = marked(mark, members.get("type"), path.ok_or(Mismarked::Place)?, found)?;
        found.push(one);
    }
    for (keyword, value) in members {
        match (keyword.as_str(), value) {
            // Values, in which the word would be a value too.
            (ANNOTATION | "const" | "default" | "enum" | "examples", _) => {}
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let Some(path) = path.as_deref_mut() else {
                        collect(property, None, found)?;
                        continue;
                    };
                    path.push(name.clone());
                    collect(property, Some(&mut *path), found)?;
                    path.pop();
                }
            }
            // Here the members are names and no keywords.
            ("patternProperties" | "dependentSchemas" | "$defs" | "definitions", Value::Object(schemas)) => {
                schemas.values().try_for_each(|it| collect(it, None, found))?;
            }
            _ => collect(value, None, found)?,
        }
    }
    Ok(())
}

/// The parameter at `path`, of this type, with this mark.
fn marked(
    mark: &Value,
    kind: Option<&Value>,
    path: &[String],
    found: &[Mirrored],
) -> Result<Mirrored, Mismarked> {
    let at = || path.join(".");
    let Some(name) = mark.as_str().filter(|name| is_token(name)) else {
        return Err(Mismarked::Name {
            path: at(),
            mark: mark.to_string(),
        });
    };
    // A `number` has no text that all agree on.
    if !matches!(
        kind.and_then(Value::as_str),
        Some("string" | "integer" | "boolean")
    ) {
        return Err(Mismarked::Type { path: at() });
    }
    let header = format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase());
    if found.iter().any(|other| other.header == header) {
        return Err(Mismarked::Taken { path: at(), header });
    }
    Ok(Mirrored {
        header,
        path: path.to_vec(),
    })
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
