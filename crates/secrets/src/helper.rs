//! Keyrings, through Docker credential helpers: `docker-credential-secretservice` (the Secret Service of desktop Linux),
//! `pass`, `osxkeychain`, `wincred`, or any other that speaks their protocol (`get`, `store`, `list`, `erase`; a request
//! on stdin, an answer in JSON). Speaking to the Secret Service ourselves would take a D-Bus client of some sixty
//! packages, and three more for the other systems.
//!
//! A helper keeps logins by URL. Secrets are kept under a host name that can't exist (RFC 6761), each as a path of it,
//! which is how every helper can take it apart and put it together again.

use std::collections::BTreeMap;

use base::Secret;
use programs::{Answer, Programs};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::program::told;
use crate::{Error, Fault, SecretName};

const BASE: &str = "https://secrets.dockmaster.invalid/";
/// Helpers want a user name; ours has no meaning.
const USER: &str = "dockmaster";
/// What helpers say when they have nothing of this name. `pass` and the others agree on the word.
const NOT_FOUND: &str = "credentials not found";

/// A credential helper.
#[derive(Debug, Clone)]
pub struct Helper {
    program: String,
    programs: Programs,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Store<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    secret: Secret,
}

impl Helper {
    /// The helper `docker-credential-NAME`.
    ///
    /// # Errors
    /// The name can't be part of a program's name.
    pub fn new(name: &str, programs: Programs) -> Result<Self, Error> {
        // The same letters as secrets' names have, and none that climbs out of a folder.
        let name = SecretName::parse(name).map_err(|_| {
            let shown = base::text::clean(name).chars().take(80).collect::<String>();
            Fault::error(
                "the credential helper",
                format!("choosing {shown:?}"),
                "it is no program name",
                "give the part behind docker-credential-, such as secretservice, pass, osxkeychain or wincred",
            )
        })?;
        Ok(Self {
            program: format!("docker-credential-{name}"),
            programs,
        })
    }

    pub(crate) fn place(&self) -> String {
        self.program.clone()
    }

    pub(crate) async fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let attempt = format!("reading {name}");
        let answer = self
            .ask(&attempt, "get", format!("{BASE}{name}\n").as_bytes())
            .await?;
        if !answer.is_success {
            return if is_not_found(&answer) {
                Ok(None)
            } else {
                Err(self.refused(&attempt, &answer))
            };
        }
        let stored: Stored = serde_json::from_slice(&answer.output).map_err(|_| {
            self.fault(
                &attempt,
                "its answer is not what the protocol says",
                "update the helper",
            )
        })?;
        Ok(Some(stored.secret).filter(|value| !value.expose().is_empty()))
    }

    pub(crate) async fn names(&self) -> Result<Vec<SecretName>, Error> {
        let attempt = "listing";
        let answer = self.ask(attempt, "list", b"").await?;
        if !answer.is_success {
            return if is_not_found(&answer) {
                Ok(Vec::new())
            } else {
                Err(self.refused(attempt, &answer))
            };
        }
        let logins: BTreeMap<String, String> = serde_json::from_slice(&answer.output).map_err(|_| {
            self.fault(
                attempt,
                "its answer is not what the protocol says",
                "update the helper",
            )
        })?;
        let name = |url: &String| SecretName::parse(url.strip_prefix(BASE)?).ok();
        Ok(logins.keys().filter_map(name).collect())
    }

    pub(crate) async fn set(&self, name: &SecretName, value: &Secret) -> Result<(), Error> {
        let attempt = format!("storing {name}");
        let request = serde_json::to_vec(&Store {
            server: &format!("{BASE}{name}"),
            username: USER,
            secret: value.expose(),
        });
        let request = Zeroizing::new(request.unwrap_or_default());
        let answer = self.ask(&attempt, "store", &request).await?;
        if answer.is_success {
            Ok(())
        } else {
            Err(self.refused(&attempt, &answer))
        }
    }

    /// Whether it was there. Some helpers erase what is not there without a word, so it is looked for before.
    pub(crate) async fn remove(&self, name: &SecretName) -> Result<bool, Error> {
        if self.get(name).await?.is_none() {
            return Ok(false);
        }
        let attempt = format!("removing {name}");
        let answer = self
            .ask(&attempt, "erase", format!("{BASE}{name}\n").as_bytes())
            .await?;
        if answer.is_success {
            Ok(true)
        } else {
            Err(self.refused(&attempt, &answer))
        }
    }

    async fn ask(&self, attempt: &str, action: &str, input: &[u8]) -> Result<Answer, Error> {
        let answer = self.programs.ask(&self.program, &[action], input).await;
        answer.map_err(|none| {
            let (reason, mend) = told(none, &self.program);
            self.fault(attempt, reason, mend)
        })
    }

    fn refused(&self, attempt: &str, answer: &Answer) -> Error {
        let mend = format!(
            "see that the keyring behind {} is set up and unlocked",
            self.program
        );
        self.fault(attempt, answer.words(), mend)
    }

    fn fault(&self, attempt: &str, reason: impl Into<String>, mend: impl Into<String>) -> Error {
        Fault::error(self.place(), attempt, reason, mend)
    }
}

fn is_not_found(answer: &Answer) -> bool {
    String::from_utf8_lossy(&answer.output)
        .to_ascii_lowercase()
        .contains(NOT_FOUND)
}
