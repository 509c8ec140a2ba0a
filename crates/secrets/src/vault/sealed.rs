//! The format of an encrypted file, version 1: JSON with a head in clear (which key), a nonce, and the secrets as a JSON
//! object, sealed with AES-256-GCM. The head is sealed along as additional data, so nothing in the file can be changed
//! unseen. The head's `check` tells a wrong key from a changed file.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Content;
use super::key::Key;

const VERSION: u32 = 1;

/// A sealed file, parsed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    head: Head,
    nonce: String,
    content: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "dockmaster-secrets")]
    version: u32,
    key: KeyKind,
    check: String,
}

/// Which key opens a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum KeyKind {
    File,
    Argon2id {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
        /// Base64.
        salt: String,
    },
}

/// Why a file can't be opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("it was damaged, or changed by something other than dockmaster")]
    Damaged,
    #[error("it was sealed with another key")]
    OtherKey,
    #[error("it has version {0}, and this dockmaster knows version {VERSION}")]
    Version(u64),
    #[error("the system gives no random numbers")]
    System,
}

impl Sealed {
    pub(super) fn parse(text: &str) -> Result<Self, Broken> {
        let any: serde_json::Value = serde_json::from_str(text).map_err(|_| Broken::Damaged)?;
        match any
            .pointer("/head/dockmaster-secrets")
            .and_then(serde_json::Value::as_u64)
        {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(Broken::Version(version)),
            None => return Err(Broken::Damaged),
        }
        serde_json::from_value(any).map_err(|_| Broken::Damaged)
    }

    pub(super) fn to_text(&self) -> String {
        // Three texts and numbers: this can't fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(super) fn key(&self) -> &KeyKind {
        &self.head.key
    }

    pub(super) fn seal(key: &Key, kind: KeyKind, content: &Content) -> Result<Self, Broken> {
        let head = Head {
            version: VERSION,
            key: kind,
            check: check(key),
        };
        let plain: BTreeMap<&str, &str> = content
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        let mut text = Zeroizing::new(serde_json::to_vec(&plain).map_err(|_| Broken::System)?);
        let nonce = cipher(key)?
            .seal_in_place_append_tag(Aad::from(head.bytes()), &mut *text)
            .map_err(|_| Broken::System)?;
        Ok(Self {
            head,
            nonce: STANDARD.encode(nonce.as_ref()),
            content: STANDARD.encode(&*text),
        })
    }

    pub(super) fn open(&self, key: &Key) -> Result<Content, Broken> {
        // Not secret: the file itself says it, to whoever reads it.
        if self.head.check != check(key) {
            return Err(Broken::OtherKey);
        }
        let nonce = STANDARD.decode(&self.nonce).map_err(|_| Broken::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Broken::Damaged)?;
        let mut text = Zeroizing::new(STANDARD.decode(&self.content).map_err(|_| Broken::Damaged)?);
        let plain = cipher(key)?
            .open_in_place(nonce, Aad::from(self.head.bytes()), &mut text)
            .map_err(|_| Broken::Damaged)?;
        serde_json::from_slice(plain).map_err(|_| Broken::Damaged)
    }
}

impl Head {
    /// As it is sealed along: its JSON in the order of the fields above.
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn cipher(key: &Key) -> Result<RandomizedNonceKey, Broken> {
    RandomizedNonceKey::new(&AES_256_GCM, key.bytes()).map_err(|_| Broken::System)
}

/// A value that only this key gives, and that gives nothing of the key.
fn check(key: &Key) -> String {
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, key.bytes()),
        b"dockmaster secrets: which key",
    );
    STANDARD.encode(tag.as_ref().get(..12).unwrap_or_default())
}
