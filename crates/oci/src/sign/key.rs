//! Public keys.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A public key that signs images: ECDSA on P-256 (what cosign makes) or P-384, RSA of 2048 bits or more, Ed25519.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
    der: Vec<u8>,
    kind: Kind,
    id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Rsa,
    Ed25519,
}

/// Why a text is no public key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Another thing in PEM, or none.
    #[error("this is {0}, not a public key in PEM (-----BEGIN PUBLIC KEY-----)")]
    Not(&'static str),
    /// Its Base64 is broken.
    #[error("the public key is damaged")]
    Damaged,
    /// Of an algorithm that is not checked here.
    #[error(
        "the public key is of a kind that is not known here; known are ECDSA on P-256 and P-384, RSA and Ed25519"
    )]
    Unknown,
}

/// The beginnings of keys of fixed size, and that size (RFC 5480, RFC 8410).
const P256: (&[u8], usize) = (
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
    91,
);
const P384: (&[u8], usize) = (
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
    120,
);
const EDWARDS: (&[u8], usize) = (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 44);
/// `rsaEncryption` with its null parameters (RFC 3279 section 2.3.1), near the beginning.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

impl PublicKey {
    /// Reads a key as `cosign generate-key-pair` writes `cosign.pub`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Not("a private key"));
        }
        if pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(KeyError::Not("a certificate"));
        }
        let (_, rest) = pem
            .split_once("-----BEGIN PUBLIC KEY-----")
            .ok_or(KeyError::Not("something else"))?;
        let (body, _) = rest
            .split_once("-----END PUBLIC KEY-----")
            .ok_or(KeyError::Damaged)?;
        let body: String = body.split_whitespace().collect();
        Self::from_der(STANDARD.decode(body).map_err(|_| KeyError::Damaged)?)
    }

    /// Reads a `SubjectPublicKeyInfo`.
    pub(super) fn from_der(der: Vec<u8>) -> Result<Self, KeyError> {
        let is = |(start, length): (&[u8], usize)| der.starts_with(start) && der.len() == length;
        let head = der.get(..24).unwrap_or_default();
        let kind = if is(P256) {
            Kind::P256
        } else if is(P384) {
            Kind::P384
        } else if is(EDWARDS) {
            Kind::Ed25519
        } else if head.windows(RSA.len()).any(|window| window == RSA) {
            Kind::Rsa
        } else {
            return Err(KeyError::Unknown);
        };
        let id = format!("SHA256:{}", STANDARD.encode(Sha256::digest(&der)));
        Ok(Self { der, kind, id })
    }

    /// `SHA256:` and the Base64 of the digest of the key, which bundles name as their hint.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The SHA-256 of the key, by which logs name themselves.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Whether this key made this signature.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.kind.algorithms().iter().any(|algorithm| {
            UnparsedPublicKey::new(*algorithm, &self.der)
                .verify(message, signature)
                .is_ok()
        })
    }
}

impl Kind {
    /// cosign signs with SHA-256 whatever the curve; others take what fits the curve.
    fn algorithms(self) -> &'static [&'static dyn VerificationAlgorithm] {
        match self {
            Self::P256 => &[&ECDSA_P256_SHA256_ASN1],
            Self::P384 => &[&ECDSA_P384_SHA384_ASN1, &ECDSA_P384_SHA256_ASN1],
            Self::Rsa => &[&RSA_PKCS1_2048_8192_SHA256, &RSA_PSS_2048_8192_SHA256],
            Self::Ed25519 => &[&ED25519],
        }
    }
}
