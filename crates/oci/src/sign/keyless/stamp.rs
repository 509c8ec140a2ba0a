//! Time stamps (RFC 3161): an authority's word that a signature was there at a time. They come as signed messages of CMS
//! (RFC 5652); read is what time stamping authorities write, with the authority's certificate taken from the trusted root.

use std::time::Duration;

use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Encode as _, Tag, Tagged as _};
use jiff::Timestamp;
use pki_types::UnixTime;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::{is_context, rest};
use super::refused::Refused;
use super::root::Authority;
use crate::sign::PublicKey;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TIME_STAMP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// `id-kp-timeStamping`, 1.3.6.1.5.5.7.3.8, for webpki.
const TIME_STAMPING: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x08";

/// What a time stamp says and by what it can be checked.
struct Stamp<'a> {
    /// What the authority says (`TSTInfo`), as it was signed.
    said: &'a [u8],
    /// The digest of the stamped signature, and of which kind it is.
    imprint: (ObjectIdentifier, &'a [u8]),
    moment: Timestamp,
    /// What is signed in its place: what it is, and its digest.
    attributes: Vec<u8>,
    kind: ObjectIdentifier,
    digest: (ObjectIdentifier, &'a [u8]),
    signature: &'a [u8],
}

/// Checks that one of the authorities has stamped this signature; gives the time.
pub(super) fn check(token: &[u8], signature: &[u8], authorities: &[Authority]) -> Result<Timestamp, Refused> {
    let stamp = Stamp::parse(token).map_err(|_| Refused::Stamp("it can't be read"))?;
    let is_digest = |(kind, digest): (ObjectIdentifier, &[u8]), content: &[u8]| match kind {
        SHA_256 => Sha256::digest(content).as_slice() == digest,
        SHA_384 => Sha384::digest(content).as_slice() == digest,
        SHA_512 => Sha512::digest(content).as_slice() == digest,
        _ => false,
    };
    if !is_digest(stamp.imprint, signature) {
        return Err(Refused::Stamp("it is of another signature"));
    }
    if stamp.kind != TIME_STAMP || !is_digest(stamp.digest, stamp.said) {
        return Err(Refused::Stamp("it is not signed for what it says"));
    }
    let in_force = |authority: &&Authority| authority.in_force.contains(stamp.moment);
    let mut in_force = authorities.iter().filter(in_force).peekable();
    if in_force.peek().is_none() {
        return Err(Refused::Stamp(
            "the trusted root has no time stamping authority that was in force then",
        ));
    }
    if in_force.any(|authority| authority.has_signed(&stamp)) {
        Ok(stamp.moment)
    } else {
        Err(Refused::Stamp(
            "it is not by a time stamping authority of the trusted root",
        ))
    }
}

impl Authority {
    /// Its own certificate is the first, and has to be good for stamping at that time.
    fn has_signed(&self, stamp: &Stamp<'_>) -> bool {
        let check = || {
            let (own, between) = self.between.split_first()?;
            let own = EndEntityCert::try_from(own).ok()?;
            let anchors = [webpki::anchor_from_trusted_cert(&self.anchor).ok()?];
            let seconds = u64::try_from(stamp.moment.as_second()).ok()?;
            own.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                between,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                KeyUsage::required_if_present(TIME_STAMPING),
                None,
                None,
            )
            .ok()?;
            let key = PublicKey::from_der(own.subject_public_key_info().as_ref().to_vec()).ok()?;
            Some(key.has_signed(&stamp.attributes, stamp.signature))
        };
        check().unwrap_or(false)
    }
}

impl<'a> Stamp<'a> {
    /// Reads a `TimeStampResp` (RFC 3161 section 2.4.2) of one signer.
    fn parse(response: &'a [u8]) -> der::Result<Self> {
        let wrong = || Tag::Sequence.value_error();
        let [_status, token] = sequence(AnyRef::from_der(response)?)?;
        let [kind, signed] = sequence(token)?;
        if kind.decode_as::<ObjectIdentifier>()? != SIGNED_DATA {
            return Err(wrong().into());
        }
        // `SignedData` (RFC 5652 section 5.1): between content and signers there may be certificates and revocations.
        let signed = explicit(signed)?.sequence(rest)?;
        let [_version, _digests, content, .., signers] = signed.as_slice() else {
            return Err(wrong().into());
        };
        let [kind, said] = sequence(*content)?;
        let said = explicit(said)?.decode_as::<&OctetStringRef>()?.as_bytes();
        if kind.decode_as::<ObjectIdentifier>()? != TIME_STAMP {
            return Err(wrong().into());
        }
        let [one] = set(*signers)?.try_into().map_err(|_| wrong())?;
        // `SignerInfo` (section 5.3), perhaps with attributes that are not signed behind it.
        let one = one.sequence(rest)?;
        let [_version, _who, digest, attributes, _algorithm, signature, ..] = one.as_slice() else {
            return Err(wrong().into());
        };
        if !is_context(*attributes, 0) {
            return Err(wrong().into());
        }
        // Signed is the set that stands there under another tag (section 5.4).
        let attributes = AnyRef::new(Tag::Set, attributes.value())?;
        let (kind, message_digest) = Self::attributes(attributes)?;
        let (imprint, moment) = Self::said(said)?;
        Ok(Self {
            said,
            imprint,
            moment,
            attributes: attributes.to_der()?,
            kind,
            digest: (algorithm(*digest)?, message_digest),
            signature: signature.decode_as::<&OctetStringRef>()?.as_bytes(),
        })
    }

    /// Of the signed attributes the two that have to be there, each once and with one value.
    fn attributes(attributes: AnyRef<'a>) -> der::Result<(ObjectIdentifier, &'a [u8])> {
        let wrong = || Tag::Set.value_error();
        let (mut kind, mut digest) = (None, None);
        for attribute in set(attributes)? {
            let [id, values] = sequence(attribute)?;
            let id = id.decode_as::<ObjectIdentifier>()?;
            if id != CONTENT_TYPE && id != MESSAGE_DIGEST {
                continue;
            }
            let [value] = set(values)?.try_into().map_err(|_| wrong())?;
            let before = if id == CONTENT_TYPE {
                kind.replace(value.decode_as::<ObjectIdentifier>()?).is_some()
            } else {
                let value = value.decode_as::<&OctetStringRef>()?;
                digest.replace(value.as_bytes()).is_some()
            };
            if before {
                return Err(wrong().into());
            }
        }
        kind.zip(digest).ok_or_else(|| wrong().into())
    }

    /// `TSTInfo` (RFC 3161 section 2.4.2): what was stamped, and when.
    fn said(said: &'a [u8]) -> der::Result<((ObjectIdentifier, &'a [u8]), Timestamp)> {
        let said = AnyRef::from_der(said)?.sequence(rest)?;
        let [_version, _policy, imprint, _serial, time, ..] = said.as_slice() else {
            return Err(Tag::Sequence.value_error().into());
        };
        let [kind, digest] = sequence(*imprint)?;
        let imprint = (
            algorithm(kind)?,
            digest.decode_as::<&OctetStringRef>()?.as_bytes(),
        );
        let time = time.decode_as::<GeneralizedTime>()?.to_unix_duration();
        let moment = i64::try_from(time.as_secs()).ok();
        let moment = moment.and_then(|seconds| Timestamp::from_second(seconds).ok());
        Ok((imprint, moment.ok_or(Tag::GeneralizedTime.value_error())?))
    }
}

/// The first part of an `AlgorithmIdentifier`.
fn algorithm(element: AnyRef<'_>) -> der::Result<ObjectIdentifier> {
    let parts = element.sequence(rest)?;
    let id = parts.first().ok_or(Tag::Sequence.value_error())?;
    id.decode_as()
}

/// A sequence of exactly so many elements.
fn sequence<const N: usize>(element: AnyRef<'_>) -> der::Result<[AnyRef<'_>; N]> {
    let parts = element.sequence(rest)?;
    parts.try_into().map_err(|_| Tag::Sequence.value_error().into())
}

fn set(element: AnyRef<'_>) -> der::Result<Vec<AnyRef<'_>>> {
    if element.tag() != Tag::Set {
        return Err(Tag::Set.value_error().into());
    }
    let mut reader = der::SliceReader::new(element.value())?;
    rest(&mut reader)
}

/// What is in `[0] EXPLICIT`.
fn explicit(element: AnyRef<'_>) -> der::Result<AnyRef<'_>> {
    if !is_context(element, 0) {
        return Err(Tag::Sequence.value_error().into());
    }
    AnyRef::from_der(element.value())
}
