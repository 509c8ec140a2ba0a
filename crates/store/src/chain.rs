//! The chain of hashes over the audit's rows, and the check of it.
//!
//! Each row's hash covers the hash before it, the row's number and all its columns, each with its length in front,
//! so that no two different rows have the same bytes. A changed, missing, added or reordered row breaks the chain;
//! rows cut off its end disagree with the head. Whoever can write the file and knows this format can forge a whole
//! new chain: against that helps only a copy of the head's hash kept elsewhere, which [`Report::head`] is for.

use std::fmt;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::audit::Columns;
use crate::drain::Damage;

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// In front of everything hashed, so that no other program's hash can be one of ours.
const DOMAIN: &[u8] = b"dockmaster audit 1";

/// The hash of a row behind the row with hash `previous`.
pub(crate) fn next(previous: &Hash, seq: i64, columns: &Columns<'_>) -> Hash {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(previous);
    for number in [seq, columns.time_ms, columns.result_bytes, columns.milliseconds] {
        hash.update(number.to_be_bytes());
    }
    let texts = [
        &columns.principal,
        &columns.client,
        &columns.server,
        &columns.tool,
        &columns.arguments,
        &columns.decision,
        &columns.outcome,
    ];
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

/// In hexadecimal.
pub(crate) fn hex(hash: &[u8]) -> String {
    let digit = |value: u8| char::from(value + if value < 10 { b'0' } else { b'a' - 10 });
    let mut text = String::with_capacity(2 * hash.len());
    for byte in hash {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// What a check of the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rows that are there.
    pub rows: u64,
    /// The hash of the last row in hexadecimal. Noted elsewhere, it proves later that nothing before it was changed.
    pub head: String,
    /// The first thing that is wrong.
    pub problem: Option<Problem>,
}

/// How the audit differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Rows `from` to `to` are not there.
    Missing {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// The row's content is not what was written, or it stood elsewhere.
    Changed {
        /// The row.
        seq: i64,
    },
    /// Rows behind the last one that was written.
    Added {
        /// The first of them.
        seq: i64,
    },
    /// The record of the last row is gone.
    NoHead,
    /// Rows on their way into the file can't be read.
    Spool(Damage),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { from, to } if from == to => write!(f, "row {from} is missing"),
            Self::Missing { from, to } => write!(f, "rows {from} to {to} are missing"),
            Self::Changed { seq } => write!(f, "row {seq} was changed or moved"),
            Self::Added { seq } => write!(f, "row {seq} was added by something else than Dockmaster"),
            Self::NoHead => f.write_str("the record of the last row is missing"),
            Self::Spool(damage) => damage.fmt(f),
        }
    }
}

/// Checks every row. Reads in one transaction, so that rows appended meanwhile don't matter.
pub(crate) fn verify(connection: &Connection) -> rusqlite::Result<Report> {
    let snapshot = connection.unchecked_transaction()?;
    let rows = snapshot.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0))?;
    let head = snapshot
        .query_row("SELECT seq, hash FROM audit_head WHERE id = 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .map(Some)
        .or_else(|error| {
            if error == rusqlite::Error::QueryReturnedNoRows {
                Ok(None)
            } else {
                Err(error)
            }
        })?;
    let (last, problem) = walk(&snapshot)?;
    let (seq, hash) = last;
    let problem = problem.or_else(|| match &head {
        None => Some(Problem::NoHead),
        Some((head, _)) if *head > seq => Some(Problem::Missing {
            from: seq + 1,
            to: *head,
        }),
        Some((head, _)) if *head < seq => Some(Problem::Added { seq: head + 1 }),
        Some((_, noted)) if noted[..] != hash[..] => Some(Problem::Changed { seq }),
        Some(_) => None,
    });
    let head = hex(&hash);
    Ok(Report {
        rows: u64::try_from(rows).unwrap_or_default(),
        head,
        problem,
    })
}

/// The last row's number and hash, and the first break in the chain.
fn walk(connection: &Connection) -> rusqlite::Result<((i64, Hash), Option<Problem>)> {
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut last: (i64, Hash) = (0, [0; 32]);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get("seq")?;
        if seq != last.0 + 1 {
            let problem = if seq <= 0 {
                Problem::Added { seq }
            } else {
                Problem::Missing {
                    from: last.0 + 1,
                    to: seq - 1,
                }
            };
            return Ok((last, Some(problem)));
        }
        let hash = next(&last.1, seq, &Columns::read(row)?);
        if row.get::<_, Vec<u8>>("hash")? != hash {
            return Ok((last, Some(Problem::Changed { seq })));
        }
        last = (seq, hash);
    }
    Ok((last, None))
}
