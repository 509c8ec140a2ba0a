//! The docker CLI's `config.json`: what it says of credentials and of the current context.
//!
//! Read as loose JSON, because people write these files by hand and programs add to them: what is not known is
//! let be, names of fields match in any case (as in Go), and an entry that is broken hurts only who asks for it.

use std::io;
use std::path::{Path, PathBuf};

use base::Secret;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::auth::{Auth, Login, Origin};
use super::{CredentialsError, RegistryHost, config_path};
use crate::tarball::read_small;

const LIMIT: u64 = 4 << 20;

/// A `config.json` that is JSON.
#[derive(Clone)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl ConfigFile {
    /// Reads `config.json` in `folder`; `None` if there is none.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, CredentialsError> {
        let path = config_path(folder);
        let content = fs_err::File::open(&path).and_then(|file| read_small(&mut file.into_file(), LIMIT));
        match content {
            Ok(content) => Self::parse(path, &content).map(Some),
            Err(cause)
                if matches!(
                    cause.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(cause) => Err(CredentialsError::Unreadable { path, cause }),
        }
    }

    pub(super) fn parse(path: PathBuf, content: &[u8]) -> Result<Self, CredentialsError> {
        let error = |place: String, reason: &str| CredentialsError::Config {
            path: path.clone(),
            place,
            reason: reason.to_owned(),
        };
        if content.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self {
                path,
                fields: Map::new(),
            });
        }
        match serde_json::from_slice(content) {
            Ok(Value::Object(fields)) => Ok(Self { path, fields }),
            Ok(_) => Err(error("its beginning".to_owned(), "it is not a JSON object")),
            // The parser's own words could repeat a piece of a password.
            Err(cause) => Err(error(
                format!("line {}, column {}", cause.line(), cause.column()),
                "it is not valid JSON",
            )),
        }
    }

    /// The name of the context in use, if the file says one.
    pub(crate) fn current_context(&self) -> Result<Option<&str>, CredentialsError> {
        self.text("currentContext")
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The helper that is to be asked for a registry.
    pub(super) fn helper(&self, registry: &RegistryHost) -> Result<Option<&str>, CredentialsError> {
        let helpers = self.object("credHelpers")?;
        let found = helpers.and_then(|helpers| entry(helpers, registry));
        match found {
            // An empty name takes the registry out of the store and back into `auths`.
            Some((_, Value::String(name))) => Ok(Some(name.as_str()).filter(|name| !name.is_empty())),
            Some((key, _)) => Err(self.wrong(format!("credHelpers.{key:?}"), "a helper's name is wanted")),
            None => self.text("credsStore"),
        }
    }

    /// What `auths` holds for a registry; `None` also for the empty entry that stands for a store.
    pub(super) fn auth(&self, registry: &RegistryHost) -> Result<Option<Auth>, CredentialsError> {
        let Some((key, value)) = self.object("auths")?.and_then(|auths| entry(auths, registry)) else {
            return Ok(None);
        };
        let login = match value {
            Value::Null => Login::default(),
            Value::Object(fields) => login(fields)
                .map_err(|(field, reason)| self.wrong(format!("auths.{key:?}.{field}"), reason))?,
            _ => return Err(self.wrong(format!("auths.{key:?}"), "an object is wanted")),
        };
        Ok((!login.is_empty()).then(|| Auth {
            registry: registry.clone(),
            login,
            origin: Origin::Config(self.path.clone()),
        }))
    }

    /// The registries that the file names.
    pub(super) fn registries(&self) -> impl Iterator<Item = RegistryHost> {
        ["auths", "credHelpers"]
            .into_iter()
            .filter_map(|name| field(&self.fields, name)?.as_object())
            .flat_map(|entries| entries.keys())
            .filter_map(|key| RegistryHost::parse(key))
    }

    fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, CredentialsError> {
        match field(&self.fields, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(self.wrong(name.to_owned(), "an object is wanted")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&str>, CredentialsError> {
        match field(&self.fields, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(name.to_owned(), "a text is wanted")),
        }
    }

    fn wrong(&self, place: String, reason: &str) -> CredentialsError {
        CredentialsError::Config {
            path: self.path.clone(),
            place,
            reason: reason.to_owned(),
        }
    }
}

/// The entry of a registry: under its own key, else under another spelling of it.
fn entry<'a>(entries: &'a Map<String, Value>, registry: &RegistryHost) -> Option<(&'a String, &'a Value)> {
    let own = entries.iter().find(|(key, _)| *key == registry.config_key());
    own.or_else(|| {
        entries
            .iter()
            .find(|(key, _)| RegistryHost::parse(key).as_ref() == Some(registry))
    })
}

fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let in_any_case = || fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    fields.get(name).or_else(|| in_any_case().map(|(_, value)| value))
}

/// Reads the Engine API's `AuthConfig` as it stands in configurations.
///
/// # Errors
/// The field, and what is wrong with it.
pub(super) fn login(fields: &Map<String, Value>) -> Result<Login, (&'static str, &'static str)> {
    let text = |name: &'static str| match field(fields, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err((name, "a text is wanted")),
    };
    let mut login = Login {
        username: text("username")?.unwrap_or_default(),
        password: text("password")?.map(Secret::new),
        identity_token: text("identitytoken")?.map(Secret::new),
        registry_token: text("registrytoken")?.map(Secret::new),
    };
    if let Some(auth) = text("auth")? {
        let (username, password) = user_and_password(&auth).map_err(|reason| ("auth", reason))?;
        login.username = username;
        login.password = Some(password).filter(|password| !password.expose().is_empty());
    }
    Ok(login)
}

/// `base64(user:password)`.
fn user_and_password(auth: &str) -> Result<(String, Secret), &'static str> {
    let decoded = decode(auth).ok_or("it is not base64")?;
    let text = String::from_utf8(decoded).map_err(|_| "it is not UTF-8 inside its base64")?;
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Ok((user.to_owned(), Secret::new(password.trim_matches('\0'))))
        }
        _ => Err("user:password is wanted inside its base64"),
    }
}

/// Base64 in either alphabet, with or without padding and line breaks.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text: String = text.split_ascii_whitespace().collect();
    [&alphabet::STANDARD, &alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, CONFIG).decode(&text).ok())
}
