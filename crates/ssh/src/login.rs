//! Proving to a host who we are: the agent's keys, then keys in files, each with its certificate where it has one.
//!
//! Passwords are deliberately absent: a program that keeps one is worth more to a thief than a key in an agent.

use crate::Error;
use crate::ask::Ask;
use crate::config::{Files, Resolved};
use crate::keys::{self, FileSigner, KeyFile, Opened, Private};
use russh::client::{AuthResult, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

type Agent = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// What a login needs beside the connection.
pub(crate) struct Login<'a> {
    pub(crate) host: &'a str,
    pub(crate) resolved: &'a Resolved,
    pub(crate) files: &'a Files,
    pub(crate) agent: Option<&'a PathBuf>,
    pub(crate) ask: &'a dyn Ask,
    pub(crate) opened: &'a Opened,
    pub(crate) limit: Duration,
}

/// What became of one key.
enum Outcome {
    In,
    No(String),
    /// The host talks to us no more.
    Over,
}

impl Login<'_> {
    /// Tries one key after the other.
    pub(crate) async fn run<H: Handler>(&self, handle: &mut Handle<H>) -> Result<(), Error> {
        let mut tried = Vec::new();
        let mut offered = None;
        let (resolved, files) = (self.resolved.clone(), self.files.clone());
        let found = tokio::task::spawn_blocking(move || keys::find(&resolved, &files)).await;
        let (key_files, faults) = found.unwrap_or_default();

        let (mut agent, identities) = match self.agent().await {
            Ok(Some((agent, identities))) => (Some(agent), identities),
            Ok(None) => (None, Vec::new()),
            Err(reason) => {
                tried.push(format!("the agent: {reason}"));
                (None, Vec::new())
            }
        };
        let is_named = |identity: &AgentIdentity| {
            key_files
                .iter()
                .any(|key| key.public.key_data() == identity.public_key().key_data())
        };
        let (named, others): (Vec<_>, Vec<_>) = identities.into_iter().partition(is_named);
        let others = if self.resolved.identities_only {
            Vec::new()
        } else {
            others
        };

        if let Some(agent) = &mut agent {
            for identity in named.iter().chain(&others) {
                let name = format!(
                    "the agent's key {}",
                    name_of(&identity.public_key(), identity.comment())
                );
                match self
                    .with_agent(handle, agent, identity, &key_files, &mut offered)
                    .await
                {
                    Outcome::In => return Ok(()),
                    Outcome::No(reason) => tried.push(format!("{name}: {reason}")),
                    Outcome::Over => return Err(self.over(tried, &name)),
                }
            }
        }
        for key in &key_files {
            let with_agent =
                |identity: &AgentIdentity| identity.public_key().key_data() == key.public.key_data();
            if named.iter().any(with_agent) {
                continue;
            }
            let name = key.path.display().to_string();
            match self.with_file(handle, key, &mut offered).await {
                Outcome::In => return Ok(()),
                Outcome::No(reason) => tried.push(format!("{name}: {reason}")),
                Outcome::Over => return Err(self.over(tried, &name)),
            }
        }
        if offered.is_none() {
            // Nothing was tried, so nothing was heard. Some hosts let everyone in; the others say what they want.
            match timeout(self.limit, handle.authenticate_none(&*self.resolved.user)).await {
                Ok(Ok(AuthResult::Success)) => return Ok(()),
                Ok(Ok(AuthResult::Failure {
                    remaining_methods, ..
                })) => offered = Some(remaining_methods),
                _ => {}
            }
        }
        tried.extend(faults);
        Err(self.failed(tried, offered.as_ref()))
    }

    async fn agent(&self) -> Result<Option<(Agent, Vec<AgentIdentity>)>, String> {
        let path = match self.resolved.identity_agent.as_deref() {
            Some("") => return Ok(None),
            Some(written) => self.resolved.agent_path(self.files, written)?,
            None => match self.agent {
                Some(path) => path.clone(),
                None => return Ok(None),
            },
        };
        let ask = async {
            let mut agent = connect_agent(&path).await?;
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        match timeout(self.limit, ask).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => Err(format!("at {}: {error}", path.display())),
            Err(_) => Err(format!(
                "at {}: no answer in {} s",
                path.display(),
                self.limit.as_secs()
            )),
        }
    }

    async fn with_agent<H: Handler>(
        &self,
        handle: &mut Handle<H>,
        agent: &mut Agent,
        identity: &AgentIdentity,
        key_files: &[KeyFile],
        offered: &mut Option<MethodSet>,
    ) -> Outcome {
        let public = identity.public_key().into_owned();
        let hash = match rsa_hash(handle, &public, self.limit).await {
            Ok(hash) => hash,
            Err(outcome) => return outcome,
        };
        let beside = key_files
            .iter()
            .filter(|key| key.public.key_data() == public.key_data())
            .find_map(|key| key.certificate.clone());
        let certificate = match identity {
            AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
            AgentIdentity::PublicKey { .. } => beside,
        };
        let user = &*self.resolved.user;
        // The agent may ask a person to touch a key or to agree, so it has the time that a person needs.
        let limit = self.limit.max(Duration::from_mins(1));
        let attempt = async {
            if let Some(certificate) = certificate {
                let result = handle
                    .authenticate_certificate_with(user, certificate, hash, agent)
                    .await;
                if !matches!(result, Ok(AuthResult::Failure { .. }))
                    || matches!(identity, AgentIdentity::Certificate { .. })
                {
                    return result;
                }
            }
            handle
                .authenticate_publickey_with(user, public, hash, agent)
                .await
        };
        let result = timeout(limit, attempt).await;
        judged(
            handle,
            result.map(|result| result.map_err(|error| error.to_string())),
            offered,
        )
    }

    async fn with_file<H: Handler>(
        &self,
        handle: &mut Handle<H>,
        key: &KeyFile,
        offered: &mut Option<MethodSet>,
    ) -> Outcome {
        if matches!(key.private, Private::Elsewhere) {
            return Outcome::No("the private key is not there, and the agent does not have it".into());
        }
        let hash = match rsa_hash(handle, &key.public, self.limit).await {
            Ok(hash) => hash,
            Err(outcome) => return outcome,
        };
        let mut signer = FileSigner {
            key,
            opened: self.opened,
            host: self.host,
            ask: self.ask,
        };
        // An encrypted key waits for a person.
        let limit = match key.private {
            Private::Locked => keys::PATIENCE,
            _ => self.limit,
        };
        if let Some(certificate) = &key.certificate {
            match self
                .certified(handle, certificate, hash, &mut signer, limit, offered)
                .await
            {
                Outcome::No(_) => {}
                other => return other,
            }
        }
        let attempt =
            handle.authenticate_publickey_with(&*self.resolved.user, key.public.clone(), hash, &mut signer);
        let result = timeout(limit, attempt).await;
        judged(
            handle,
            result.map(|result| result.map_err(|error| error.to_string())),
            offered,
        )
    }

    async fn certified<H: Handler>(
        &self,
        handle: &mut Handle<H>,
        certificate: &Certificate,
        hash: Option<HashAlg>,
        signer: &mut FileSigner<'_>,
        limit: Duration,
        offered: &mut Option<MethodSet>,
    ) -> Outcome {
        let attempt =
            handle.authenticate_certificate_with(&*self.resolved.user, certificate.clone(), hash, signer);
        let result = timeout(limit, attempt).await;
        judged(
            handle,
            result.map(|result| result.map_err(|error| error.to_string())),
            offered,
        )
    }

    fn over(&self, mut tried: Vec<String>, last: &str) -> Error {
        tried.push(format!("{last}: the host ended the connection"));
        Error::Login {
            host: self.host.to_owned(),
            user: self.resolved.user.clone(),
            tried,
            advice: "It may take fewer keys at a time than there are: name the right one with IdentityFile, and write \
                     'IdentitiesOnly yes', in ~/.ssh/config"
                .into(),
        }
    }

    fn failed(&self, tried: Vec<String>, offered: Option<&MethodSet>) -> Error {
        let has = |kind| offered.is_some_and(|offered| offered.contains(&kind));
        let advice = if offered.is_some() && !has(MethodKind::PublicKey) {
            let words: Vec<&str> = offered
                .into_iter()
                .flat_map(|offered| offered.iter())
                .map(Into::into)
                .collect();
            format!(
                "The host takes no keys, only {}, which is not done here; allow public keys over there \
                 (PubkeyAuthentication in sshd_config)",
                if words.is_empty() {
                    "nothing".into()
                } else {
                    words.join(", ")
                }
            )
        } else {
            format!(
                "Put a public key of yours into ~{}/.ssh/authorized_keys over there (ssh-copy-id), name another with \
                 IdentityFile in ~/.ssh/config, or start an agent that has it",
                self.resolved.user
            )
        };
        Error::Login {
            host: self.host.to_owned(),
            user: self.resolved.user.clone(),
            tried,
            advice,
        }
    }
}

/// What an attempt says of its key.
fn judged<H: Handler>(
    handle: &Handle<H>,
    result: Result<Result<AuthResult, String>, tokio::time::error::Elapsed>,
    offered: &mut Option<MethodSet>,
) -> Outcome {
    match result {
        Ok(Ok(AuthResult::Success)) => Outcome::In,
        _ if handle.is_closed() => Outcome::Over,
        Ok(Ok(AuthResult::Failure {
            remaining_methods,
            partial_success,
        })) => {
            let more: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
            let more = more.join(", ");
            *offered = Some(remaining_methods);
            Outcome::No(if partial_success {
                format!("taken, but the host wants more: {more}")
            } else {
                "not taken".into()
            })
        }
        Ok(Err(reason)) => Outcome::No(reason),
        Err(_) => Outcome::No("no answer in time".into()),
    }
}

/// With which hash an RSA key signs here; `None` for other keys.
async fn rsa_hash<H: Handler>(
    handle: &Handle<H>,
    key: &PublicKey,
    limit: Duration,
) -> Result<Option<HashAlg>, Outcome> {
    if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return Ok(None);
    }
    match timeout(limit, handle.best_supported_rsa_hash()).await {
        Ok(Ok(Some(Some(hash)))) => Ok(Some(hash)),
        Ok(Ok(Some(None))) => Err(Outcome::No(
            "the host takes RSA only with SHA-1, which can be forged; use an ed25519 key".into(),
        )),
        Ok(Ok(None)) => Ok(Some(HashAlg::Sha512)),
        _ => Err(Outcome::Over),
    }
}

fn name_of(key: &PublicKey, comment: &str) -> String {
    let fingerprint = crate::known_hosts::fingerprint(key);
    let comment = base::text::clean(comment);
    if comment.is_empty() {
        fingerprint
    } else {
        format!("{fingerprint} ({})", base::text::cut(&comment, 60))
    }
}

#[cfg(unix)]
async fn connect_agent(path: &std::path::Path) -> Result<Agent, russh::keys::Error> {
    Ok(AgentClient::connect_uds(path).await?.dynamic())
}

#[cfg(windows)]
async fn connect_agent(path: &std::path::Path) -> Result<Agent, russh::keys::Error> {
    Ok(AgentClient::connect_named_pipe(path).await?.dynamic())
}
