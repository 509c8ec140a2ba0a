//! What this side knows of the bridge on a host, in a file of the state folder that only its owner can read.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::private;
use crate::settings::Settings;

/// After so many milliseconds a key is replaced: a week.
const KEY_AGE: i64 = 7 * 24 * 60 * 60 * 1000;

/// The bridge on a host.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Tells it from others.
    pub(crate) id: String,
    /// Of the Dockmaster in it.
    pub(crate) version: String,
    /// The engine's socket over there.
    pub(crate) socket: String,
    /// By which this side is let in.
    key: String,
    /// The hash of the key before, which goes on being valid until the next change.
    before: Option<String>,
    /// When the key was made, in milliseconds since 1970.
    key_made: i64,
    /// What the last parcel was, without its keys.
    pub(crate) revision: String,
    /// Whether a server of the last parcel may reach hosts.
    #[serde(default)]
    pub(crate) way_out: bool,
    /// What names of principals are hashed with before they are told there. It never goes over.
    #[serde(default)]
    names: String,
}

impl Record {
    /// Of a bridge that is yet to be made.
    pub(crate) fn new(socket: String) -> Result<Self> {
        Ok(Self {
            id: digits(&random::<4>()?),
            version: super::versions::OWN.to_owned(),
            socket,
            key: key()?,
            before: None,
            key_made: base::clock::unix_ms(),
            revision: String::new(),
            way_out: false,
            names: key()?,
        })
    }

    /// The record of the bridge on a host; `None` where none was installed.
    pub(crate) fn read(settings: &Settings, host: &str) -> Result<Option<Self>> {
        let path = file(settings, host);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("can't read what is known of a bridge"),
        };
        let record = serde_json::from_str(&text);
        record.map(Some).with_context(|| {
            format!(
                "{} is damaged; remove it, and the container dockmaster.bridge-ID on {host}",
                path.display()
            )
        })
    }

    /// The hosts with a bridge, by name.
    pub(crate) fn hosts(settings: &Settings) -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder(settings)) else {
            return Vec::new();
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".json")?.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Keeps it: whole, or as it was before.
    pub(crate) fn save(&self, settings: &Settings, host: &str) -> Result<()> {
        let text = serde_json::to_string(self)?;
        private::write(&file(settings, host), text.as_bytes())
            .context("can't keep what is known of the bridge")
    }

    /// Forgets it.
    pub(crate) fn forget(settings: &Settings, host: &str) -> Result<()> {
        for path in [
            file(settings, host),
            lock_file(settings, host),
            upgrade_lock_file(settings, host),
        ] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).context("can't forget the bridge");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits for others who change the bridge of a host, and keeps them away until the lock is dropped.
    pub(crate) async fn lock(settings: &Settings, host: &str) -> Result<std::fs::File> {
        locked(settings, lock_file(settings, host)).await
    }

    /// Waits for others who upgrade the bridge of a host, and keeps them away until the lock is dropped: each removes the
    /// images that are not its own.
    pub(crate) async fn lock_upgrades(settings: &Settings, host: &str) -> Result<std::fs::File> {
        locked(settings, upgrade_lock_file(settings, host)).await
    }

    /// By which this side is let in.
    pub(crate) fn key(&self) -> Secret {
        Secret::new(self.key.clone())
    }

    /// What names of principals are hashed with.
    pub(crate) fn names(&self) -> Secret {
        Secret::new(self.names.clone())
    }

    /// Hashes of the keys that are valid, in hexadecimal.
    pub(crate) fn hashes(&self) -> Vec<String> {
        let own = hash(self.key.as_bytes());
        std::iter::once(own).chain(self.before.clone()).collect()
    }

    /// Whether the key has to be replaced by now.
    pub(crate) fn is_old(&self) -> bool {
        base::clock::unix_ms() - self.key_made > KEY_AGE
    }

    /// With a new key; the one before stays valid beside it.
    pub(crate) fn rotated(&self) -> Result<Self> {
        Ok(Self {
            before: Some(hash(self.key.as_bytes())),
            key: key()?,
            key_made: base::clock::unix_ms(),
            // A record of before there was one has none.
            names: if self.names.is_empty() {
                key()?
            } else {
                self.names.clone()
            },
            ..self.clone()
        })
    }
}

/// The SHA-256 of something, in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    digits(&Sha256::digest(bytes))
}

fn key() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut random = [0; N];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(random)
}

pub(crate) fn digits(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn folder(settings: &Settings) -> PathBuf {
    settings.folders.state.join("bridges")
}

fn file(settings: &Settings, host: &str) -> PathBuf {
    folder(settings).join(format!("{host}.json"))
}

fn lock_file(settings: &Settings, host: &str) -> PathBuf {
    folder(settings).join(format!("{host}.lock"))
}

fn upgrade_lock_file(settings: &Settings, host: &str) -> PathBuf {
    folder(settings).join(format!("{host}.upgrade"))
}

async fn locked(settings: &Settings, path: PathBuf) -> Result<std::fs::File> {
    private::folder(&folder(settings))?;
    let locked = tokio::task::spawn_blocking(move || {
        let file = fs::File::create(path)?.into_file();
        file.lock()?;
        io::Result::Ok(file)
    });
    locked.await?.context("can't lock what is known of the bridge")
}
