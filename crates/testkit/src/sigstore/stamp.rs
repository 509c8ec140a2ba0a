//! Time stamps, and the few elements of DER that they and certificates are made of.

use rcgen::SigningKey;
use sha2::{Digest as _, Sha256};

use super::{NOON, Sigstore};

/// Identifiers as they are encoded.
pub(super) const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const ECDSA_SHA_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const TIME_STAMP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];

impl Sigstore {
    /// A time stamp of this signature (`TimeStampResp` of RFC 3161), on the day of [`NOON`].
    pub fn stamp(&self, signature: &[u8], time: i64) -> Vec<u8> {
        let sequence = |parts: &[&[u8]]| wrapped(0x30, &parts.concat());
        let set = |parts: &[&[u8]]| wrapped(0x31, &parts.concat());
        let number = |number: u8| wrapped(0x02, &[number]);
        let bytes = |bytes: &[u8]| wrapped(0x04, bytes);
        let sha_256 = sequence(&[&oid(SHA_256)]);
        let second = time - (NOON - 12 * 3600);
        assert!((0..24 * 3600).contains(&second), "on another day than everything");
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let moment = format!("20260101{hour:02}{minute:02}{second:02}Z");
        let imprint = sequence(&[&sha_256, &bytes(&Sha256::digest(signature))]);
        let said = sequence(&[
            &number(1),
            &oid(&[0x2a, 3, 4]),
            &imprint,
            &number(7),
            &wrapped(0x18, moment.as_bytes()),
        ]);
        let own = Sha256::digest(self.stamping.der());
        let own = sequence(&[&sequence(&[&sequence(&[&bytes(&own)])])]);
        let attributes = [
            sequence(&[&oid(CONTENT_TYPE), &set(&[&oid(TIME_STAMP)])]),
            sequence(&[&oid(MESSAGE_DIGEST), &set(&[&bytes(&Sha256::digest(&said))])]),
            sequence(&[&oid(SIGNING_CERTIFICATE), &set(&[&own])]),
        ]
        .concat();
        let signature = self
            .stamping
            .key()
            .sign(&wrapped(0x31, &attributes))
            .expect("the key signs");
        // Issuer and serial number: the third and second elements of the certificate's signed part.
        let part = content(first(content(self.stamping.der())));
        let part = &part[first(part).len()..];
        let serial = first(part);
        let part = &part[serial.len()..];
        let issuer = first(&part[first(part).len()..]);
        let signer = sequence(&[
            &number(1),
            &sequence(&[issuer, serial]),
            &sha_256,
            &wrapped(0xa0, &attributes),
            &sequence(&[&oid(ECDSA_SHA_256)]),
            &bytes(&signature),
        ]);
        let data = sequence(&[
            &number(3),
            &set(&[&sha_256]),
            &sequence(&[&oid(TIME_STAMP), &wrapped(0xa0, &bytes(&said))]),
            &wrapped(0xa0, self.stamping.der()),
            &set(&[&signer]),
        ]);
        let token = sequence(&[&oid(SIGNED_DATA), &wrapped(0xa0, &data)]);
        sequence(&[&sequence(&[&number(0)]), &token])
    }
}

/// As an element of DER.
pub(super) fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len())
        .expect("test data is short")
        .to_be_bytes();
    let head = match length {
        [0, short @ 0..128] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [head.as_slice(), content].concat()
}

/// An identifier by its content.
pub(super) fn oid(content: &[u8]) -> Vec<u8> {
    wrapped(0x06, content)
}

/// The content of an element of DER.
pub(super) fn content(element: &[u8]) -> &[u8] {
    let (start, end) = bounds(element);
    &element[start..end]
}

/// The first of several elements of DER, whole.
pub(super) fn first(elements: &[u8]) -> &[u8] {
    &elements[..bounds(elements).1]
}

fn bounds(element: &[u8]) -> (usize, usize) {
    let long = usize::from(element[1] & 0x7f);
    if element[1] < 128 {
        return (2, 2 + long);
    }
    let length = element[2..2 + long]
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    (2 + long, 2 + long + length)
}
