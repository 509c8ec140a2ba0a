//! `trusted_root.json`: whose certificates and log entries count, and when.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pki_types::CertificateDer;
use serde::Deserialize;

use crate::Digest;
use crate::sign::PublicKey;

/// The authorities and logs that are trusted, from a `trusted_root.json` as Sigstore's TUF repository holds it and as
/// `cosign trusted-root create` writes it.
#[derive(Debug, Clone)]
pub struct TrustedRoot {
    /// Fulcio: who gives certificates.
    pub(super) authorities: Vec<Authority>,
    /// Rekor: where signatures are logged.
    pub(super) logs: Vec<Log>,
    /// Who stamps times; the first of their certificates is their own.
    pub(super) stamping: Vec<Authority>,
    /// Where certificates are logged; `None` if the file names no such log.
    pub(super) certificate_logs: Option<Vec<Log>>,
    id: String,
}

/// A root with the certificates between it and what it vouches for.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) anchor: CertificateDer<'static>,
    pub(super) between: Vec<CertificateDer<'static>>,
    pub(super) in_force: Period,
}

/// A log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// Under which entries name it: the digest of its key, in Rekor 2 with its name.
    pub(super) id: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) in_force: Period,
}

/// From when to when something counts, both included.
#[derive(Debug, Clone)]
pub(super) struct Period(RangeInclusive<Timestamp>);

impl Period {
    pub(super) fn contains(&self, moment: Timestamp) -> bool {
        self.0.contains(&moment)
    }
}

/// Why a text is no trusted root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It is not such a document.
    #[error("this is no trusted_root.json: {0}; `cosign trusted-root create` writes one")]
    Form(#[from] serde_json::Error),
    /// It is another document of Sigstore.
    #[error("this is {0:?}, not a trusted root (application/vnd.dev.sigstore.trustedroot+json)")]
    Kind(String),
    /// A certificate can't be read, or is none of an authority.
    #[error("{0}[{1}] of the trusted root holds no usable certificate: {2}")]
    Certificate(&'static str, usize, String),
    /// Nothing could be verified by it.
    #[error("the trusted root names no {0}, so no signature could count by it")]
    Missing(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<LogEntry>,
    #[serde(default)]
    certificate_authorities: Vec<AuthorityEntry>,
    #[serde(default)]
    timestamp_authorities: Vec<AuthorityEntry>,
    #[serde(default)]
    ctlogs: Vec<LogEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    public_key: KeyEntry,
    log_id: LogId,
}

/// How a log is named, here and in what it logged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogId {
    pub(super) key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyEntry {
    raw_bytes: String,
    valid_for: PeriodEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityEntry {
    cert_chain: Chain,
    valid_for: PeriodEntry,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<CertificateEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateEntry {
    raw_bytes: String,
}

#[derive(Deserialize)]
struct PeriodEntry {
    start: Timestamp,
    end: Option<Timestamp>,
}

impl TrustedRoot {
    /// Reads a trusted root. A log whose key is of a kind not known here (see [`PublicKey`]) counts for nothing.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn from_json(text: &str) -> Result<Self, RootError> {
        let document: Document = serde_json::from_str(text)?;
        if !document
            .media_type
            .starts_with("application/vnd.dev.sigstore.trustedroot")
        {
            return Err(RootError::Kind(document.media_type));
        }
        let authorities = |name, entries: Vec<AuthorityEntry>| {
            let numbered = entries.into_iter().enumerate();
            let read = |(n, entry): (usize, AuthorityEntry)| {
                entry.read().map_err(|why| RootError::Certificate(name, n, why))
            };
            numbered.map(read).collect::<Result<Vec<_>, _>>()
        };
        let root = Self {
            authorities: authorities("certificateAuthorities", document.certificate_authorities)?,
            stamping: authorities("timestampAuthorities", document.timestamp_authorities)?,
            logs: logs(document.tlogs),
            certificate_logs: (!document.ctlogs.is_empty()).then(|| logs(document.ctlogs)),
            id: Digest::of(text.as_bytes()).to_string(),
        };
        if root.authorities.is_empty() {
            return Err(RootError::Missing("certificate authority (Fulcio)"));
        }
        if root.logs.is_empty() {
            return Err(RootError::Missing(
                "transparency log (Rekor) whose key is known here",
            ));
        }
        Ok(root)
    }

    /// The digest of the document.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl AuthorityEntry {
    /// The last certificate is the root.
    fn read(self) -> Result<Authority, String> {
        let chain: Result<Vec<CertificateDer<'static>>, _> = self
            .cert_chain
            .certificates
            .iter()
            .map(|entry| STANDARD.decode(&entry.raw_bytes).map(CertificateDer::from))
            .collect();
        let mut between = chain.map_err(|_| "it is no Base64".to_owned())?;
        let anchor = between.pop().ok_or("it has none")?;
        webpki::anchor_from_trusted_cert(&anchor).map_err(|why| why.to_string())?;
        Ok(Authority {
            anchor,
            between,
            in_force: self.valid_for.into(),
        })
    }
}

fn logs(entries: Vec<LogEntry>) -> Vec<Log> {
    let log = |LogEntry { public_key, log_id }| {
        let der = STANDARD.decode(public_key.raw_bytes).ok()?;
        Some(Log {
            id: STANDARD.decode(log_id.key_id).ok()?,
            key: PublicKey::from_der(der).ok()?,
            in_force: public_key.valid_for.into(),
        })
    };
    entries.into_iter().filter_map(log).collect()
}

impl From<PeriodEntry> for Period {
    fn from(PeriodEntry { start, end }: PeriodEntry) -> Self {
        Self(start..=end.unwrap_or(Timestamp::MAX))
    }
}
