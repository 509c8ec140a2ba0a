//! Why a keyless signature does not count, in words for people.

use jiff::Timestamp;

/// The first check that a keyless signature did not pass. Whatever stands in it that strangers wrote is cut and printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("its certificate can't be read: {0}")]
    Certificate(&'static str),
    #[error("it has no entry of a transparency log (Rekor), so nothing shows when it was made")]
    NotLogged,
    #[error(
        "neither its log entry has a signed time (SET) nor it a time stamp (RFC 3161), so nothing shows when it was made"
    )]
    NoTime,
    #[error("its log entry has neither the log's signature (SET) nor a proof that it is in the log")]
    NotProven,
    #[error("the proof that its entry is in the log does not count: {0}")]
    Proof(&'static str),
    #[error("its time stamp (RFC 3161) does not count: {0}")]
    Stamp(&'static str),
    #[error("its log entry can't be read: {0}")]
    Entry(&'static str),
    #[error("its log entry is of the log {0}, which is not in the trusted root")]
    UnknownLog(String),
    #[error("its log entry is of {0}, when the trusted root did not trust that log")]
    LogNotInForce(Timestamp),
    #[error("its log entry is not signed by the log's key, or was changed")]
    Promise,
    #[error("its log entry is of a kind that is not verified here: {0}")]
    EntryKind(String),
    #[error("its log entry is about another {0}")]
    OtherEntry(&'static str),
    #[error("the trusted root has no certificate authority that was in force when it was logged, {0}")]
    NoAuthority(Timestamp),
    #[error("it was logged on {0}, when its certificate was not valid")]
    NotValidThen(Timestamp),
    #[error("no authority of the trusted root gave its certificate")]
    Authority,
    #[error("its certificate can't be traced to an authority of the trusted root: {0}")]
    Chain(String),
    #[error("its certificate is not for signing code")]
    Purpose,
    #[error("no log of certificates (CT) of the trusted root has signed that it knows its certificate: {0}")]
    CertificateLog(&'static str),
    #[error("it was not made by its certificate's key, or was changed")]
    Signature,
    #[error("{found} vouched for who made it, not {wanted}")]
    Issuer { found: String, wanted: String },
    #[error("it was made by {found}, not by {wanted}")]
    Identity { found: String, wanted: String },
}
