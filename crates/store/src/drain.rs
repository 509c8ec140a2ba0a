//! Bringing rows from spools into the SQLite file, each once. Whoever holds that file's lock may read any spool.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::audit::Columns;
use crate::chain::{self, Hash};
use crate::error::Error;
use crate::spool::{self, Content, Found, Mark};

/// A file of rows on their way that can't be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The number, in that file, of the first row that can't be read.
    pub row: i64,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the rows in {} cannot be read from number {} on: {}; those before stand in the audit. Move the file away, \
             for whoever looks into it",
            self.path.display(),
            self.row,
            self.why
        )
    }
}

/// What was brought over of this process's own spool.
pub(crate) struct Drained {
    /// Bytes of whole rows.
    pub(crate) bytes: u64,
    pub(crate) to: Mark,
    pub(crate) damage: Option<&'static str>,
}

/// Brings over what stands in `content`, of the spool of this name and behind `known`. Another process may have done so.
pub(crate) fn own(
    connection: &Connection,
    name: &str,
    content: &[u8],
    known: Mark,
) -> rusqlite::Result<Drained> {
    transaction(connection, || {
        let noted = mark(connection, name)?;
        let from = if noted.number > known.number { noted } else { known };
        let rows = spool::read(name, content, from);
        keep(connection, name, from, &rows)?;
        Ok(Drained {
            bytes: rows.bytes,
            to: rows.last,
            damage: rows.damage,
        })
    })
}

/// Brings over what processes that have ended left behind, and removes it; and, with `living`, what stands in the spools
/// of the others. What can't be read is left where it is, and reported.
pub(crate) fn others(database: &Path, connection: &Connection, living: bool) -> Result<Vec<Damage>, Error> {
    let failed = |cause| Error::unreachable(&spool::folder(database), cause);
    let sqlite = |cause| Error::sqlite(database, cause);
    let mut damages = Vec::new();
    transaction(connection, || sweep(connection, &spool::folder(database))).map_err(sqlite)?;
    for mut found in spool::found(database).map_err(failed)? {
        if !found.is_dead && !living {
            continue;
        }
        let damage = transaction(connection, || {
            let content = match found.content() {
                Ok(content) => content,
                Err(error) => return Ok(Err(error)),
            };
            let from = mark(connection, &found.name)?;
            let rows = spool::read(&found.name, &content, from);
            keep(connection, &found.name, from, &rows)?;
            Ok(Ok(rows.damage.map(|why| (rows.last.number + 1, why))))
        });
        match damage.map_err(sqlite)?.map_err(failed)? {
            Some((row, why)) => damages.push(Damage {
                path: found.path,
                row,
                why,
            }),
            None if found.is_dead => forget(connection, &found).map_err(sqlite)?,
            None => {}
        }
    }
    Ok(damages)
}

/// Forgets spools that are gone. A mark is made under SQLite's lock, behind its file: one without a file is an old one.
fn sweep(connection: &Connection, folder: &Path) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT name FROM audit_spools")?;
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for name in names {
        if !folder.join(&name).exists() {
            unmark(connection, &name)?;
        }
    }
    Ok(())
}

/// Removes a spool of which all was brought over, while its lock is held.
fn forget(connection: &Connection, found: &Found) -> rusqlite::Result<()> {
    // One that can't be removed keeps its mark, and is read in vain the next time.
    if fs_err::remove_file(&found.path).is_ok() {
        unmark(connection, &found.name)?;
    }
    Ok(())
}

/// Forgets how far a spool was read. Only of one whose file is gone: else its rows would come again.
pub(crate) fn unmark(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM audit_spools WHERE name = ?1", [name])
        .map(drop)
}

/// As rusqlite's own transaction, but that its beginning and end are not parsed anew each time.
pub(crate) fn transaction<T>(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]);
    // Immediate, so that no other process can append between reading the head and writing behind it.
    run("BEGIN IMMEDIATE")?;
    let done = work().and_then(|value| run("COMMIT").map(|_| value));
    if done.is_err() && !connection.is_autocommit() {
        // Where even that fails, the file is closed next, which does the same.
        let _ = run("ROLLBACK");
    }
    done
}

/// How far this spool was brought over.
pub(crate) fn mark(connection: &Connection, name: &str) -> rusqlite::Result<Mark> {
    let mark = connection
        .prepare_cached("SELECT last, hash FROM audit_spools WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Mark {
                number: row.get(0)?,
                hash: row.get(1)?,
            })
        })
        .optional()?;
    Ok(mark.unwrap_or_default())
}

fn keep(connection: &Connection, name: &str, from: Mark, rows: &Content<'_>) -> rusqlite::Result<()> {
    if rows.last == from {
        return Ok(());
    }
    append(connection, &rows.rows)?;
    connection
        .prepare_cached(
            "INSERT INTO audit_spools VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET last = excluded.last, hash = excluded.hash",
        )?
        .execute(params![name, rows.last.number, rows.last.hash])
        .map(drop)
}

/// Appends rows of another audit that were fetched, each once: those up to the mark of their source were appended
/// before. Gives the number of the last one that stands here.
pub(crate) fn join(
    connection: &Connection,
    source: &str,
    rows: &[(i64, Columns<'_>)],
) -> rusqlite::Result<i64> {
    transaction(connection, || {
        let before = joined(connection, source)?;
        let mut last = before;
        let mut new = Vec::new();
        for (number, columns) in rows {
            if *number > last {
                last = *number;
                new.push(columns.clone());
            }
        }
        append(connection, &new)?;
        if last > before {
            connection
                .prepare_cached(
                    "INSERT INTO documents VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (kind, name) DO UPDATE SET text = excluded.text, changed_ms = excluded.changed_ms",
                )?
                .execute(params![JOINED, source, last.to_string(), base::clock::unix_ms()])?;
        }
        Ok(last)
    })
}

/// How far an audit was joined to this one: the kind of document that says so, by source.
pub(crate) const JOINED: &str = "audit-joined";

fn joined(connection: &Connection, source: &str) -> rusqlite::Result<i64> {
    let text: Option<String> = connection
        .prepare_cached("SELECT text FROM documents WHERE kind = ?1 AND name = ?2")?
        .query_row([JOINED, source], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// Appends these rows to the audit.
fn append(connection: &Connection, rows: &[Columns<'_>]) -> rusqlite::Result<()> {
    let (mut seq, mut hash): (i64, Hash) = connection
        .prepare_cached("SELECT seq, hash FROM audit_head WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut insert = connection
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?;
    for columns in rows {
        seq += 1;
        hash = chain::next(&hash, seq, columns);
        insert.execute(params![
            seq,
            columns.time_ms,
            columns.principal,
            columns.client,
            columns.server,
            columns.tool,
            columns.arguments,
            columns.decision,
            columns.outcome,
            columns.result_bytes,
            columns.milliseconds,
            hash,
        ])?;
    }
    connection
        .prepare_cached("UPDATE audit_head SET seq = ?1, hash = ?2 WHERE id = 1")?
        .execute(params![seq, hash])
        .map(drop)
}
