//! Keys in files: found, judged by their permissions, and opened only when a host would take them.

mod short;

use crate::ask::{Ask, LockedKey};
use crate::config::{Files, Resolved};
use crate::file::text_of;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is tried where the configuration names no key; the order of preference, not OpenSSH's.
const USUAL: [&str; 3] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];
/// The largest key file: RSA of 16384 bits has some 13 KiB.
const SIZE: u64 = 64 << 10;
/// How often a passphrase is asked for, as in OpenSSH.
const ATTEMPTS: u32 = 3;
/// A server waits two minutes for a login (`LoginGraceTime`).
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// A key that may be offered.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    pub(crate) public: PublicKey,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) private: Private,
}

/// The private half.
#[derive(Debug, Clone)]
pub(crate) enum Private {
    Open(Arc<PrivateKey>),
    Locked,
    /// Only the public half is there: the agent may have the other.
    Elsewhere,
}

/// Keys that were opened with a passphrase, so that it is asked for once.
#[derive(Default)]
pub(crate) struct Opened(Mutex<HashMap<PathBuf, Arc<PrivateKey>>>);

/// The keys that the configuration names, or the usual ones, and what is wrong with the rest. Reads files.
pub(crate) fn find(resolved: &Resolved, files: &Files) -> (Vec<KeyFile>, Vec<String>) {
    let is_usual = resolved.identity_files.is_empty();
    let names: Vec<_> = if is_usual {
        USUAL.map(str::to_owned).to_vec()
    } else {
        resolved
            .identity_files
            .iter()
            .filter(|name| *name != "none")
            .cloned()
            .collect()
    };
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for name in names {
        let key = resolved.path(files, &name).and_then(|path| read(&path));
        match key {
            Ok(Some(key)) => keys.push(key),
            Ok(None) if is_usual => {}
            Ok(None) => faults.push(format!("{name} is not there")),
            Err(reason) => faults.push(format!("{name}: {reason}")),
        }
    }
    for name in &resolved.certificate_files {
        match resolved.path(files, name).and_then(|path| certificate(&path)) {
            Ok(Some(certificate)) => {
                let of = keys
                    .iter_mut()
                    .filter(|key| key.public.key_data() == certificate.public_key());
                of.for_each(|key| key.certificate = Some(certificate.clone()));
            }
            Ok(None) => faults.push(format!("{name} is not there")),
            Err(reason) => faults.push(format!("{name}: {reason}")),
        }
    }
    (keys, faults)
}

impl Opened {
    /// The private half of a key, asked for if it is encrypted.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) async fn open(
        &self,
        key: &KeyFile,
        host: &str,
        ask: &dyn Ask,
    ) -> Result<Arc<PrivateKey>, String> {
        match &key.private {
            Private::Open(key) => return Ok(Arc::clone(key)),
            Private::Elsewhere => {
                return Err("the private key is not there, and the agent does not have it".into());
            }
            Private::Locked => {}
        }
        if let Some(key) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key.path)
        {
            return Ok(Arc::clone(key));
        }
        for attempt in 1..=ATTEMPTS {
            let question = LockedKey {
                file: key.path.clone(),
                host: host.to_owned(),
                attempt,
            };
            let Some(secret) = ask.passphrase(question).await else {
                let what = match attempt {
                    1 => "nobody gave its passphrase",
                    _ => "the passphrase that was given is wrong",
                };
                let name = key.path.file_name().unwrap_or_default().to_string_lossy();
                return Err(format!(
                    "it is encrypted, and {what}; add it to the agent with ssh-add, or keep its passphrase with \
                     `dockmaster secret set ssh.{name}`"
                ));
            };
            let path = key.path.clone();
            // The derivation takes a tenth of a second of computing.
            let opened = tokio::task::spawn_blocking(move || {
                let text = text_of(&path, SIZE).ok().flatten()?;
                let opened = russh::keys::decode_secret_key(&text, Some(secret.expose()));
                opened.ok().or_else(|| short::read(&text, Some(secret.expose())))
            });
            if let Ok(Some(private)) = opened.await {
                let private = Arc::new(private);
                let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                opened.insert(key.path.clone(), Arc::clone(&private));
                return Ok(private);
            }
        }
        Err(format!("{ATTEMPTS} passphrases were wrong"))
    }
}

/// Signs with a key in a file, which is opened when the host has said that it would take it.
pub(crate) struct FileSigner<'a> {
    pub(crate) key: &'a KeyFile,
    pub(crate) opened: &'a Opened,
    pub(crate) host: &'a str,
    pub(crate) ask: &'a dyn Ask,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the connection ended")]
    Lost(#[from] russh::SendError),
    #[error("{0}")]
    Key(String),
}

impl russh::Signer for FileSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &russh::keys::agent::AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let private = self
            .opened
            .open(self.key, self.host, self.ask)
            .await
            .map_err(SignError::Key)?;
        let signature = match private.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&data),
            other => other.try_sign(&data),
        };
        let signature = signature.map_err(|error| SignError::Key(format!("the key can't sign: {error}")))?;
        let encode = |data: &mut Vec<u8>| {
            let mut blob = Vec::new();
            signature.encode(&mut blob)?;
            blob.encode(data)
        };
        encode(&mut data).map_err(|error| SignError::Key(error.to_string()))?;
        Ok(data)
    }
}

fn read(path: &Path) -> Result<Option<KeyFile>, String> {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let public_file = || -> Result<Option<PublicKey>, String> {
        let Some(text) = text_of(&beside(".pub"), SIZE).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        PublicKey::from_openssh(text.trim())
            .map(Some)
            .map_err(|_| "the .pub file beside it is damaged".into())
    };
    let certificate = certificate(&beside("-cert.pub")).unwrap_or_default();
    let key = |public, private| KeyFile {
        path: path.to_owned(),
        public,
        certificate: certificate.clone(),
        private,
    };
    let Some(text) = text_of(path, SIZE).map_err(|error| error.to_string())? else {
        return Ok(public_file()?.map(|public| key(public, Private::Elsewhere)));
    };
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        return Ok(Some(key(public, Private::Elsewhere)));
    }
    private_enough(path)?;
    match russh::keys::decode_secret_key(&text, None) {
        Ok(private) if !private.is_encrypted() => Ok(Some(key(
            private.public_key().clone(),
            Private::Open(Arc::new(private)),
        ))),
        Ok(_) | Err(russh::keys::Error::KeyIsEncrypted) => {
            // OpenSSH's own format has the public half in the clear.
            let inside = PrivateKey::from_openssh(&text).map(|private| private.public_key().clone());
            let public = match inside {
                Ok(public) => Some(public),
                Err(_) => public_file()?,
            };
            let public = public.ok_or("it is encrypted, and its .pub file is not beside it")?;
            Ok(Some(key(public, Private::Locked)))
        }
        Err(error) => match short::read(&text, None) {
            Some(private) => Ok(Some(key(
                private.public_key().clone(),
                Private::Open(Arc::new(private)),
            ))),
            None => Err(format!("it can't be read as a private key: {error}")),
        },
    }
}

fn certificate(path: &Path) -> Result<Option<Certificate>, String> {
    let Some(text) = text_of(path, SIZE).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let certificate = Certificate::from_openssh(text.trim());
    certificate.map(Some).map_err(|_| "it is no certificate".into())
}

/// As OpenSSH: a private key that others can read is not used.
#[cfg(unix)]
fn private_enough(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(path)
        .map_err(|error| error.to_string())?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "others can read it (mode {:o}); chmod 600 it",
            mode & 0o777
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no such modes")]
fn private_enough(_: &Path) -> Result<(), String> {
    Ok(())
}
