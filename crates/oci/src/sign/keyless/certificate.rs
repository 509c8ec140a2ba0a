//! The certificate of a keyless signature: whether an authority vouches for it, and what Fulcio wrote into it.
//!
//! webpki judges the chain. It does not show extensions, so these are read here, as strict DER.

use std::time::Duration;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, Utf8StringRef};
use der::{Class, Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};
use jiff::Timestamp;
use pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::refused::Refused;
use super::root::{Authority, TrustedRoot};
use super::shown;
use crate::sign::PublicKey;

const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const PURPOSES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// The contents of the last, for webpki.
const CODE_SIGNING_CONTENT: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x03";
/// Fulcio's issuer, as a string of ASN.1.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// The same as bare bytes, in older certificates alone and in newer ones beside it.
const OLD_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// RFC 6962 section 3.3.
const SCTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// A certificate of minutes, read and not yet believed.
pub(super) struct Certificate<'a> {
    der: CertificateDer<'a>,
    pub(super) key: PublicKey,
    pub(super) names: Vec<Name>,
    pub(super) issuer: Option<String>,
    pub(super) is_for_code: bool,
    /// The list of SCTs, if there is one.
    pub(super) scts: Option<&'a [u8]>,
    /// What was logged of it before it was issued: the signed part without the SCTs.
    pub(super) logged: Vec<u8>,
}

/// A name of its holder. Fulcio writes one.
pub(super) enum Name {
    Email(String),
    Uri(String),
}

impl Name {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) => text,
        }
    }
}

struct Extension<'a> {
    id: ObjectIdentifier,
    value: &'a [u8],
    whole: AnyRef<'a>,
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        let der = CertificateDer::from(bytes);
        let spki = EndEntityCert::try_from(&der)
            .map_err(|_| Refused::Certificate("it is no certificate (X.509, version 3)"))?
            .subject_public_key_info();
        let key = PublicKey::from_der(spki.as_ref().to_vec())
            .map_err(|_| Refused::Certificate("its key is of a kind that is not known here"))?;
        let mut elements = signed_part(bytes).map_err(|_| Refused::Certificate("it is damaged"))?;
        let broken = |_| Refused::Certificate("its extensions are damaged");
        let extensions = extensions(elements.pop()).map_err(broken)?;
        let value = |id| {
            extensions
                .iter()
                .find(|found| found.id == id)
                .map(|found| found.value)
        };
        let is_twice = |n: usize, id| extensions.iter().take(n).any(|other| other.id == id);
        if extensions
            .iter()
            .enumerate()
            .any(|(n, found)| is_twice(n, found.id))
        {
            return Err(Refused::Certificate("it has an extension twice"));
        }
        let issuer = match (value(ISSUER), value(OLD_ISSUER)) {
            (Some(new), _) => Some(Utf8StringRef::from_der(new).map_err(broken)?.as_str().to_owned()),
            (None, Some(old)) => Some(
                str::from_utf8(old)
                    .map_err(|_| Refused::Certificate("its issuer is no text"))?
                    .to_owned(),
            ),
            (None, None) => None,
        };
        Ok(Self {
            key,
            names: value(ALTERNATIVE_NAMES)
                .map_or(Ok(Vec::new()), names)
                .map_err(broken)?,
            issuer,
            is_for_code: value(PURPOSES).map_or(Ok(false), is_for_code).map_err(broken)?,
            scts: value(SCTS)
                .map(|list| <&OctetStringRef>::from_der(list).map(OctetStringRef::as_bytes))
                .transpose()
                .map_err(broken)?,
            logged: without_scts(&elements, &extensions).map_err(broken)?,
            der,
        })
    }

    /// Checks that an authority which was in force at that moment vouches for this certificate then; gives the key
    /// (`SubjectPublicKeyInfo`) that signed it.
    pub(super) fn vouched_for(&self, root: &TrustedRoot, moment: Timestamp) -> Result<Vec<u8>, Refused> {
        let mut reason = Refused::NoAuthority(moment);
        for authority in root
            .authorities
            .iter()
            .filter(|one| one.in_force.contains(moment))
        {
            match self.chain(authority, moment) {
                Ok(key) => return Ok(key),
                // That another authority did not give it says less than why this one's word does not count.
                Err(Refused::Authority) if !matches!(reason, Refused::NoAuthority(_)) => {}
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn chain(&self, authority: &Authority, moment: Timestamp) -> Result<Vec<u8>, Refused> {
        use webpki::Error;
        self.path(authority, moment).map_err(|why| match why {
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Refused::Authority,
            Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Refused::NotValidThen(moment),
            Error::RequiredEkuNotFoundContext(_) => Refused::Purpose,
            other => Refused::Chain(shown(&other.to_string())),
        })
    }

    fn path(&self, authority: &Authority, moment: Timestamp) -> Result<Vec<u8>, webpki::Error> {
        let seconds = u64::try_from(moment.as_second()).map_err(|_| webpki::Error::BadDerTime)?;
        let leaf = EndEntityCert::try_from(&self.der)?;
        let anchors = [webpki::anchor_from_trusted_cert(&authority.anchor)?];
        let path = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &authority.between,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            // Those between may be for everything; that the leaf itself says it is asked for elsewhere.
            KeyUsage::required_if_present(CODE_SIGNING_CONTENT),
            None,
            None,
        )?;
        let key = match path.intermediate_certificates().next() {
            Some(issuer) => issuer.subject_public_key_info(),
            None => EndEntityCert::try_from(&authority.anchor)?.subject_public_key_info(),
        };
        Ok(key.as_ref().to_vec())
    }
}

/// The elements of what the authority signed (`TBSCertificate`, RFC 5280 section 4.1), the extensions last.
fn signed_part(certificate: &[u8]) -> der::Result<Vec<AnyRef<'_>>> {
    AnyRef::from_der(certificate)?.sequence(|parts| {
        let signed = AnyRef::decode(parts)?.sequence(rest)?;
        let (_algorithm, _signature) = (AnyRef::decode(parts)?, AnyRef::decode(parts)?);
        Ok(signed)
    })
}

fn extensions(element: Option<AnyRef<'_>>) -> der::Result<Vec<Extension<'_>>> {
    // `[3] EXPLICIT`: one sequence in a wrapping.
    let wrapping = element
        .filter(|element| is_context(*element, 3))
        .ok_or(Tag::Sequence.value_error())?;
    AnyRef::from_der(wrapping.value())?
        .sequence(rest)?
        .into_iter()
        .map(|whole| {
            whole.sequence(|parts| {
                let id = ObjectIdentifier::decode(parts)?;
                let _is_critical = Option::<bool>::decode(parts)?;
                let value = <&OctetStringRef>::decode(parts)?.as_bytes();
                Ok(Extension { id, value, whole })
            })
        })
        .collect()
}

/// The signed part as it was before the SCTs were put in (RFC 6962 section 3.2).
fn without_scts(others: &[AnyRef<'_>], extensions: &[Extension<'_>]) -> der::Result<Vec<u8>> {
    let join = |elements: &[AnyRef<'_>]| -> der::Result<Vec<u8>> {
        let mut joined = Vec::new();
        for element in elements {
            element.encode_to_vec(&mut joined)?;
        }
        Ok(joined)
    };
    let kept: Vec<_> = extensions
        .iter()
        .filter(|extension| extension.id != SCTS)
        .map(|extension| extension.whole)
        .collect();
    let kept = AnyRef::new(Tag::Sequence, &join(&kept)?)?.to_der()?;
    let wrapping = Tag::ContextSpecific {
        constructed: true,
        number: der::TagNumber(3),
    };
    let mut signed = join(others)?;
    AnyRef::new(wrapping, &kept)?.encode_to_vec(&mut signed)?;
    AnyRef::new(Tag::Sequence, &signed)?.to_der()
}

/// `GeneralNames` (RFC 5280 section 4.2.1.6). Other kinds of names are passed over: they are no identity here.
fn names(value: &[u8]) -> der::Result<Vec<Name>> {
    let mut names = Vec::new();
    for name in AnyRef::from_der(value)?.sequence(rest)? {
        let text = || {
            let text = str::from_utf8(name.value()).ok().filter(|text| text.is_ascii());
            text.map(str::to_owned).ok_or(Tag::Ia5String.value_error())
        };
        if is_context(name, 1) {
            names.push(Name::Email(text()?));
        } else if is_context(name, 6) {
            names.push(Name::Uri(text()?));
        }
    }
    Ok(names)
}

fn is_for_code(value: &[u8]) -> der::Result<bool> {
    AnyRef::from_der(value)?.sequence(|purposes| {
        let mut is_for_code = false;
        while !purposes.is_finished() {
            is_for_code |= ObjectIdentifier::decode(purposes)? == CODE_SIGNING;
        }
        Ok(is_for_code)
    })
}

pub(super) fn is_context(element: AnyRef<'_>, number: u32) -> bool {
    let tag = element.tag();
    tag.class() == Class::ContextSpecific && tag.number().value() == number
}

pub(super) fn rest<'a>(reader: &mut SliceReader<'a>) -> der::Result<Vec<AnyRef<'a>>> {
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(AnyRef::decode(reader)?);
    }
    Ok(elements)
}
