//! Keyless signatures: made with a key that lived for minutes. A certificate says whose it was, and a log that the
//! signature was made in those minutes. All of it is checked against a [`TrustedRoot`], without asking anybody.
//!
//! A signature counts when each of these holds: a log of the root has signed entry and time (Rekor's SET), or the entry is
//! in the log (by proof and checkpoint) and an authority has stamped the time (RFC 3161, as with Rekor 2); the entry is
//! about this payload, this signature and this certificate; at that time the certificate was valid and an authority of the
//! root vouched for it, for signing code; if the root names logs of certificates, one of them has signed that it knows it
//! (SCT, RFC 6962); its key made the signature; and it names the wanted identity and issuer.
//!
//! Deliberately absent: proofs where there is a SET, which is the log's promise of one; other kinds of entries than those
//! of images (they are refused by name); revocation (certificates of minutes have none); and fetching roots.

mod certificate;
mod entry;
mod proof;
mod refused;
mod root;
mod sct;
mod stamp;

use jiff::Timestamp;
use pki_types::CertificateDer;
use pki_types::pem::PemObject as _;
use wildmatch::WildMatchPattern;

pub(super) use entry::Entry;
pub(super) use refused::Refused;
pub use root::{RootError, TrustedRoot};

use certificate::{Certificate, Name};

/// Who has to have signed, where signatures are made without a lasting key.
#[derive(Debug, Clone)]
pub struct Keyless {
    identity: String,
    issuer: String,
    root: TrustedRoot,
}

/// Why an identity can't be looked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    /// It is empty or fits everybody.
    #[error(
        "the identity {0:?} would let anybody sign; write the address that the certificate names, such as \"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main\" or \"release@acme.example\""
    )]
    Anybody(String),
    /// It is neither an address of the web nor of mail.
    #[error("the identity {0:?} is neither a URI (https://…) nor an e-mail address")]
    Form(String),
    /// There is no issuer.
    #[error(
        "an identity needs the issuer that vouches for it, such as \"https://token.actions.githubusercontent.com\""
    )]
    NoIssuer,
}

/// A signature with what it is of.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    /// The bytes that were signed.
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
    /// The payload, if what was signed is the envelope around it (DSSE).
    pub(super) enveloped: Option<&'a [u8]>,
}

/// What a keyless signature brings along.
pub(super) struct Evidence {
    /// In DER.
    pub(super) certificate: Vec<u8>,
    pub(super) entry: Entry,
    /// Time stamps (RFC 3161).
    pub(super) stamps: Vec<Vec<u8>>,
}

impl Keyless {
    /// `identity` is the URI or e-mail address in the certificate (its subject alternative name), in which `*` stands for
    /// any text; `issuer` is the OIDC issuer that vouched for it, exactly.
    ///
    /// # Errors
    /// [`IdentityError`]: these would let in more than somebody.
    pub fn new(identity: &str, issuer: &str, root: TrustedRoot) -> Result<Self, IdentityError> {
        if identity.chars().all(|c| c == '*' || c.is_whitespace()) {
            return Err(IdentityError::Anybody(identity.to_owned()));
        }
        if !is_uri(identity) && !identity.contains('@') {
            return Err(IdentityError::Form(identity.to_owned()));
        }
        if issuer.is_empty() {
            return Err(IdentityError::NoIssuer);
        }
        Ok(Self {
            identity: identity.to_owned(),
            issuer: issuer.to_owned(),
            root,
        })
    }

    /// What decides about a signature, as one line: two of the same line accept the same.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{} of {} by {}", self.identity, self.issuer, self.root.id())
    }

    /// Who made this signature, in words.
    pub(super) fn signer(&self, made: Made<'_>, evidence: &Evidence) -> Result<String, Refused> {
        let leaf = Certificate::parse(&evidence.certificate)?;
        let (first, others) = evidence
            .entry
            .proven(&self.root, &evidence.stamps, made.signature)?;
        evidence.entry.is_about(made, &evidence.certificate)?;
        let issuing_key = leaf.vouched_for(&self.root, first)?;
        for moment in others {
            leaf.vouched_for(&self.root, moment)?;
        }
        if !leaf.is_for_code {
            return Err(Refused::Purpose);
        }
        if let Some(logs) = &self.root.certificate_logs {
            sct::check(&leaf, &issuing_key, logs)?;
        }
        if !leaf.key.has_signed(made.message, made.signature) {
            return Err(Refused::Signature);
        }
        self.is_wanted(&leaf)
    }

    fn is_wanted(&self, leaf: &Certificate<'_>) -> Result<String, Refused> {
        let found = leaf.issuer.as_deref().unwrap_or("nobody that it names");
        if found != self.issuer {
            return Err(Refused::Issuer {
                found: shown(found),
                wanted: self.issuer.clone(),
            });
        }
        // Only `*` has a meaning: URIs contain question marks.
        let pattern = WildMatchPattern::<'*', '\0'>::new(&self.identity);
        let fits = |name: &&Name| match name {
            Name::Uri(text) => is_uri(&self.identity) && pattern.matches(text),
            Name::Email(text) => !is_uri(&self.identity) && pattern.matches(text),
        };
        match leaf.names.iter().find(fits) {
            Some(name) => Ok(format!("{} ({found})", shown(name.text()))),
            None => Err(Refused::Identity {
                found: match leaf.names.as_slice() {
                    [] => "somebody without a URI or e-mail address".to_owned(),
                    names => shown(&names.iter().map(Name::text).collect::<Vec<_>>().join(", ")),
                },
                wanted: self.identity.clone(),
            }),
        }
    }
}

/// The first certificate of a text in PEM.
pub(super) fn certificate_of(pem: &str) -> Result<Vec<u8>, Refused> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
    Ok(certificate
        .map_err(|_| Refused::Certificate("it is no PEM"))?
        .to_vec())
}

fn is_uri(identity: &str) -> bool {
    identity.contains("://")
}

/// Text of a stranger, for a message.
fn shown(text: &str) -> String {
    let text = base::text::clean(text).replace('\n', " ");
    base::text::cut(&text, 200).to_owned()
}

/// A moment in seconds since 1970, as logs write it.
fn moment(seconds: i64) -> Result<Timestamp, Refused> {
    Timestamp::from_second(seconds).map_err(|_| Refused::Entry("its time is none"))
}

#[cfg(test)]
mod tests;
