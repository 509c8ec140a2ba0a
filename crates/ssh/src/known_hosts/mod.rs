//! Which host keys are trusted: the format of `known_hosts` (`sshd(8)`, "`SSH_KNOWN_HOSTS FILE FORMAT`"), read and judged
//! as OpenSSH does.
//!
//! Two places are stricter than OpenSSH 9: a host certificate that names no host is refused, and so is one that is not
//! valid now, even where the bare key is known. Deliberately absent: asking anyone, and reading or writing files; the
//! caller brings the text.

mod line;

use crate::pattern;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use line::{Line, Mark, Names};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};
use std::fmt;
use std::path::{Path, PathBuf};

/// The port that is not written beside a name.
const PORT: u16 = 22;

/// The lines of some files of known hosts, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    lines: Vec<(Place, Line)>,
    warnings: Vec<String>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

/// What the files say of a key that a host has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is trusted, by this line.
    Known(Place),
    /// Nothing is known of the host.
    Unknown {
        /// `SHA256:…`, as `ssh-keygen -l` shows it.
        fingerprint: String,
    },
    /// Another key is known for this host: it was set up anew, or someone else answers.
    Changed {
        /// Where the other key stands.
        place: Place,
        /// Of that key.
        known: String,
        /// Of the key that was shown.
        fingerprint: String,
    },
    /// The key, or the authority behind it, is marked `@revoked` there.
    Revoked(Place),
    /// It has a certificate of a trusted authority that does not hold here.
    Certificate {
        /// Where the authority stands.
        place: Place,
        /// What is wrong with the certificate.
        reason: String,
    },
}

impl KnownHosts {
    /// Adds the text of a file. What can't be read in it is passed over and told by [`KnownHosts::warnings`].
    pub fn add(&mut self, file: &Path, text: &[u8]) {
        for (index, bytes) in text.split(|byte| *byte == b'\n').enumerate() {
            let place = Place {
                file: file.to_owned(),
                line: index + 1,
            };
            // A comment may be in any encoding, and only it: names and keys are ASCII.
            match Line::parse(&String::from_utf8_lossy(bytes)) {
                Ok(Some(line)) => self.lines.push((place, line)),
                Ok(None) => {}
                Err(reason) => self
                    .warnings
                    .push(format!("{place}: {reason}; the line is passed over")),
            }
        }
    }

    /// Lines that were passed over: where, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Judges what a host has shown. `now` is in seconds since 1970, for certificates.
    pub fn judge(&self, host: &str, port: u16, shown: &PublicKeyOrCertificate, now: u64) -> Verdict {
        let verdict = self.judge_name(&written(host, port), host, shown, now);
        // As OpenSSH does: a host that was moved to another port is still the one that is known by its name alone.
        if port != PORT && matches!(verdict, Verdict::Unknown { .. }) {
            let by_name = self.judge_name(&written(host, PORT), host, shown, now);
            if matches!(by_name, Verdict::Known(_) | Verdict::Revoked(_)) {
                return by_name;
            }
        }
        verdict
    }

    /// The kinds of keys that are known for a host, so that it is asked for one of these first.
    pub(crate) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        self.of(host, port, Mark::Host)
            .map(|line| line.key.algorithm())
            .collect()
    }

    /// Whether some authority may vouch for the host.
    pub(crate) fn has_authority(&self, host: &str, port: u16) -> bool {
        self.of(host, port, Mark::Authority).next().is_some()
    }

    fn of(&self, host: &str, port: u16, mark: Mark) -> impl Iterator<Item = &Line> {
        let names = [written(host, port), written(host, PORT)];
        self.lines
            .iter()
            .map(|(_, line)| line)
            .filter(move |line| line.mark == mark && names.iter().any(|name| line.names.take(name)))
    }

    fn judge_name(&self, name: &str, host: &str, shown: &PublicKeyOrCertificate, now: u64) -> Verdict {
        let lines: Vec<_> = self
            .lines
            .iter()
            .filter(|(_, line)| line.names.take(name))
            .collect();
        let marked = |mark| lines.iter().filter(move |(_, line)| line.mark == mark);
        let key = shown.public_key();
        let is = |line: &Line, key: &PublicKey| line.key.key_data() == key.key_data();
        let authority = shown
            .certificate()
            .map(|certificate| PublicKey::from(certificate.signature_key().clone()));

        // Revocation comes before everything that could make the key good.
        for (place, line) in marked(Mark::Revoked) {
            if is(line, &key) || authority.as_ref().is_some_and(|authority| is(line, authority)) {
                return Verdict::Revoked(place.clone());
            }
        }
        if let (Some(certificate), Some(authority)) = (shown.certificate(), &authority)
            && let Some((place, _)) = marked(Mark::Authority).find(|(_, line)| is(line, authority))
        {
            return match fault(certificate, authority, host, now) {
                None => Verdict::Known(place.clone()),
                Some(reason) => Verdict::Certificate {
                    place: place.clone(),
                    reason,
                },
            };
        }
        let mut other = None;
        for (place, line) in marked(Mark::Host) {
            if is(line, &key) {
                return Verdict::Known(place.clone());
            }
            other.get_or_insert((place, line));
        }
        let fingerprint = fingerprint(&key);
        match other {
            Some((place, line)) => Verdict::Changed {
                place: place.clone(),
                known: self::fingerprint(&line.key),
                fingerprint,
            },
            None => Verdict::Unknown { fingerprint },
        }
    }
}

/// `SHA256:…` of a key.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// The line that makes a key known, without a line break.
///
/// # Errors
/// The key can't be written as text.
pub fn line(host: &str, port: u16, key: &PublicKey) -> Result<String, russh::keys::ssh_key::Error> {
    let mut bare = key.clone();
    bare.set_comment("");
    Ok(format!(
        "{} {}",
        written(host, port),
        bare.to_openssh()?.trim_end()
    ))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file.display(), self.line)
    }
}

impl Names {
    /// Whether these names take a host as [`written`] shows it.
    fn take(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => pattern::list_takes(patterns.iter().map(String::as_str), name),
            Self::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
        }
    }

    fn hashed(text: &str) -> Option<Self> {
        let (salt, hash) = text.split_once('|')?;
        let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
        // HMAC-SHA1 with a salt of its own length, nothing else is defined.
        (salt.len() == 20 && hash.len() == 20).then_some(Self::Hashed { salt, hash })
    }
}

/// How a host stands in the files: lower case, and with its port unless that is 22.
pub(crate) fn written(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == PORT {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// Why a certificate does not vouch for this host now (`PROTOCOL.certkeys`).
fn fault(certificate: &Certificate, authority: &PublicKey, host: &str, now: u64) -> Option<String> {
    if certificate.cert_type() != CertType::Host {
        return Some("it is a user's certificate, not a host's".into());
    }
    if now < certificate.valid_after() {
        return Some("it is not valid yet; is the clock right?".into());
    }
    if now >= certificate.valid_before() {
        return Some("it has expired".into());
    }
    if certificate
        .validate_at(now, [&authority.fingerprint(HashAlg::Sha256)])
        .is_err()
    {
        return Some("its signature is wrong".into());
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None }) {
        return Some("it is signed by RSA with SHA-1, which can be forged".into());
    }
    if !certificate.critical_options().is_empty() {
        return Some("it has critical options, which no host certificate may have".into());
    }
    let host = host.to_ascii_lowercase();
    let names = certificate.valid_principals();
    if !names
        .iter()
        .any(|name| pattern::matches(&name.to_ascii_lowercase(), &host))
    {
        let names = if names.is_empty() {
            "no host".into()
        } else {
            names.join(", ")
        };
        return Some(format!("it is for {names}, not for {host}"));
    }
    None
}

#[cfg(test)]
mod tests;
