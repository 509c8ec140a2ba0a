//! Signed certificate timestamps: a log of certificates says that it knows one (RFC 6962 sections 3.2 and 3.3).

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::certificate::Certificate;
use super::refused::Refused;
use super::root::Log;

/// Checks that one of the logs has signed for this certificate, which the given key issued.
pub(super) fn check(leaf: &Certificate<'_>, issuing_key: &[u8], logs: &[Log]) -> Result<(), Refused> {
    let list = leaf.scts.ok_or(Refused::CertificateLog("it has no SCT"))?;
    let scts = parse(list).ok_or(Refused::CertificateLog("its SCTs are damaged"))?;
    let mut reason = "its SCTs are of other logs";
    for sct in scts {
        for log in logs.iter().filter(|log| log.key.fingerprint() == *sct.log) {
            let made = i64::try_from(sct.milliseconds).ok();
            let made = made.and_then(|made| Timestamp::from_millisecond(made).ok());
            if !made.is_some_and(|made| log.in_force.contains(made)) {
                reason = "its SCT is of a time when that log was not trusted";
            } else if log.key.has_signed(&sct.message(leaf, issuing_key), sct.signature) {
                return Ok(());
            } else {
                reason = "its SCT is not by that log's key, or of another certificate";
            }
        }
    }
    Err(Refused::CertificateLog(reason))
}

struct Sct<'a> {
    log: &'a [u8],
    milliseconds: u64,
    extensions: &'a [u8],
    signature: &'a [u8],
}

impl Sct<'_> {
    /// What the log signed: version 1, a timestamp, of a certificate before it was issued.
    fn message(&self, leaf: &Certificate<'_>, issuing_key: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 0];
        message.extend(self.milliseconds.to_be_bytes());
        message.extend([0, 1]);
        message.extend(Sha256::digest(issuing_key));
        // A length of three bytes; certificates are bounded far below.
        let [.., a, b, c] = leaf.logged.len().to_be_bytes();
        message.extend([a, b, c]);
        message.extend(&leaf.logged);
        message.extend(
            u16::try_from(self.extensions.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes(),
        );
        message.extend(self.extensions);
        message
    }
}

/// `None` if the list is not exactly one. SCTs of versions that are not known are passed over.
fn parse(list: &[u8]) -> Option<Vec<Sct<'_>>> {
    let mut rest = list;
    let mut inner = sized(&mut rest)?;
    let mut found = Vec::new();
    while !inner.is_empty() {
        let mut sct = sized(&mut inner)?;
        if take(&mut sct, 1)? != [0] {
            continue;
        }
        let log = take(&mut sct, 32)?;
        let milliseconds = u64::from_be_bytes(take(&mut sct, 8)?.try_into().ok()?);
        let extensions = sized(&mut sct)?;
        // Hash and kind of the signature; the key decides them.
        take(&mut sct, 2)?;
        let signature = sized(&mut sct)?;
        if !sct.is_empty() {
            return None;
        }
        found.push(Sct {
            log,
            milliseconds,
            extensions,
            signature,
        });
    }
    rest.is_empty().then_some(found)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Bytes with their length, of two bytes, before them.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 2)?;
    take(rest, usize::from(u16::from_be_bytes(length.try_into().ok()?)))
}
