//! The audit: one row for each call; those of one gateway in the order in which they ended.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::ToSql;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chain::{self, Problem, Report};
use crate::drain::{self, Damage};
use crate::error::Error;
use crate::{Store, file, spool};

/// A row's number: 1 for the first, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

/// A call, as it is written down. All texts come in redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended; kept to the millisecond.
    pub time: Timestamp,
    /// Who asked.
    pub principal: String,
    /// With which program.
    pub client: String,
    /// The server that was asked; empty if none was found.
    pub server: String,
    /// The server's name for the tool; what was asked for, if there is none.
    pub tool: String,
    /// With what, redacted.
    pub arguments: Value,
    /// What was decided, and how: `allow`, `confirmed`, `deny`, `declined`, …
    pub decision: String,
    /// How it ended.
    pub outcome: String,
    /// Bytes of the answer.
    pub result_bytes: u64,
    /// How long it took.
    pub milliseconds: u64,
}

/// A row that stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its number.
    pub seq: Seq,
    /// Its content.
    #[serde(flatten)]
    pub entry: Entry,
    /// The chain's hash up to and with it, in hexadecimal.
    pub hash: String,
}

/// Which rows are wanted. The default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only of this principal.
    pub principal: Option<String>,
    /// Only to this server.
    pub server: Option<String>,
    /// Only this tool.
    pub tool: Option<String>,
    /// Only with this decision.
    pub decision: Option<String>,
    /// Only the newest so many.
    pub limit: Option<u32>,
}

/// A row's columns, as they are hashed. They are read from a map or, as in a spool, from an array.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Columns<'a> {
    pub(crate) time_ms: i64,
    #[serde(borrow)]
    pub(crate) principal: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) client: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) server: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) tool: Cow<'a, str>,
    /// JSON, as a text: another reader of numbers could take them for others.
    #[serde(borrow)]
    pub(crate) arguments: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) decision: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) outcome: Cow<'a, str>,
    pub(crate) result_bytes: i64,
    pub(crate) milliseconds: i64,
}

impl Entry {
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns {
            time_ms: self.time.as_millisecond(),
            principal: Cow::Borrowed(&self.principal),
            client: Cow::Borrowed(&self.client),
            server: Cow::Borrowed(&self.server),
            tool: Cow::Borrowed(&self.tool),
            // Half the work of its `Display`. A tree of JSON always has a text.
            arguments: Cow::Owned(serde_json::to_string(&self.arguments).unwrap_or_default()),
            decision: Cow::Borrowed(&self.decision),
            outcome: Cow::Borrowed(&self.outcome),
            result_bytes: i64::try_from(self.result_bytes).unwrap_or(i64::MAX),
            milliseconds: i64::try_from(self.milliseconds).unwrap_or(i64::MAX),
        }
    }
}

impl<'a> Columns<'a> {
    /// As a JSON array on one line.
    pub(crate) fn array(&self) -> Vec<u8> {
        let array = (
            self.time_ms,
            &self.principal,
            &self.client,
            &self.server,
            &self.tool,
            &self.arguments,
            &self.decision,
            &self.outcome,
            self.result_bytes,
            self.milliseconds,
        );
        // Texts and numbers always have one.
        serde_json::to_vec(&array).unwrap_or_default()
    }

    pub(crate) fn read(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let text = |name| Ok::<_, rusqlite::Error>(Cow::Borrowed(row.get_ref(name)?.as_str()?));
        Ok(Self {
            time_ms: row.get("time_ms")?,
            principal: text("principal")?,
            client: text("client")?,
            server: text("server")?,
            tool: text("tool")?,
            arguments: text("arguments")?,
            decision: text("decision")?,
            outcome: text("outcome")?,
            result_bytes: row.get("result_bytes")?,
            milliseconds: row.get("milliseconds")?,
        })
    }

    fn entry(&self) -> Result<Entry, String> {
        Ok(Entry {
            time: Timestamp::from_millisecond(self.time_ms).map_err(|error| error.to_string())?,
            principal: self.principal.clone().into_owned(),
            client: self.client.clone().into_owned(),
            server: self.server.clone().into_owned(),
            tool: self.tool.clone().into_owned(),
            arguments: serde_json::from_str(&self.arguments).map_err(|error| error.to_string())?,
            decision: self.decision.clone().into_owned(),
            outcome: self.outcome.clone().into_owned(),
            result_bytes: self.result_bytes.unsigned_abs(),
            milliseconds: self.milliseconds.unsigned_abs(),
        })
    }
}

/// The audit of a [`Store`]. Reading blocks: it is for commands, not for the way of a call.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    store: &'a Store,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Writes a row; returns when it is handed to the system, so that it outlives this process. Within a quarter of a
    /// second it is in the SQLite file, where it gets its number.
    ///
    /// # Errors
    /// The row does not stand.
    pub async fn append(self, entry: Entry) -> Result<(), Error> {
        self.store.writer.append(&entry).await
    }

    /// The rows that `filter` wants, oldest first. As with all reading, what is on its way into the file is brought over
    /// first, whichever process it is of.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn list(self, filter: &Filter) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.each(filter, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Writes the rows that `filter` wants as JSON lines, oldest first; how many they were.
    ///
    /// # Errors
    /// The file can't be read, or `out` not be written.
    pub fn export(self, filter: &Filter, out: &mut dyn Write) -> Result<u64, Error> {
        let mut count = 0;
        let failed = |error| Error::Export(Arc::new(error));
        self.each(filter, |row| {
            serde_json::to_writer(&mut *out, &row).map_err(|error| failed(error.into()))?;
            out.write_all(b"\n").map_err(failed)?;
            count += 1;
            Ok(())
        })?;
        out.flush().map_err(failed)?;
        Ok(count)
    }

    /// Rows behind that number, oldest first, at most so many: for another audit to be joined with this one.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn behind(self, seq: Seq, most: usize) -> Result<Vec<Row>, Error> {
        self.settle()?;
        let mut rows = Vec::new();
        let sql = "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.query(sql, rusqlite::params![seq.0, most], |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Joins rows of another audit to this one, each once however often it is given. They get numbers and hashes of this
    /// one. `source` names the other one for good. Gives the number, over there, of the last row that stands here: where
    /// the next fetch begins.
    ///
    /// # Errors
    /// The file can't be written; then none of them stands here.
    pub fn join(self, source: &str, rows: &[Row]) -> Result<Seq, Error> {
        let path = self.store.path();
        let rows: Vec<_> = rows.iter().map(|row| (row.seq.0, row.entry.columns())).collect();
        let last = drain::join(&file::open(path)?, source, &rows);
        last.map(Seq).map_err(|cause| Error::sqlite(path, cause))
    }

    /// Checks the chain of all rows.
    ///
    /// # Errors
    /// The file can't be read. That the chain is broken is no error but the report's content.
    pub fn verify(self) -> Result<Report, Error> {
        let damages = self.settle()?;
        let connection = file::open_to_read(self.store.path())?;
        let mut report =
            chain::verify(&connection).map_err(|cause| Error::sqlite(self.store.path(), cause))?;
        if report.problem.is_none() {
            report.problem = damages.into_iter().next().map(Problem::Spool);
        }
        Ok(report)
    }

    /// Brings over what is on its way.
    fn settle(self) -> Result<Vec<Damage>, Error> {
        let path = self.store.path();
        // Where nothing is on its way, nothing is opened for writing.
        let found = spool::found(path).map_err(|cause| Error::unreachable(&spool::folder(path), cause))?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        drop(found);
        drain::others(path, &file::open(path)?, true)
    }

    fn each(self, filter: &Filter, mut take: impl FnMut(Row) -> Result<(), Error>) -> Result<(), Error> {
        // That something is damaged is for `verify` to tell.
        self.settle()?;
        let (sql, values) = filter.query();
        self.query(&sql, rusqlite::params_from_iter(values), &mut take)
    }

    fn query(
        self,
        sql: &str,
        values: impl rusqlite::Params,
        mut take: impl FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.store.path();
        let sqlite = |cause| Error::sqlite(path, cause);
        let connection = file::open_to_read(path)?;
        let mut statement = connection.prepare(sql).map_err(sqlite)?;
        let mut rows = statement.query(values).map_err(sqlite)?;
        while let Some(row) = rows.next().map_err(sqlite)? {
            let seq: i64 = row.get("seq").map_err(sqlite)?;
            let unreadable = |why| Error::Row {
                path: path.to_owned(),
                seq,
                why,
            };
            let columns = Columns::read(row).map_err(|error| unreadable(error.to_string()))?;
            let entry = columns.entry().map_err(unreadable)?;
            let hash: Vec<u8> = row.get("hash").map_err(sqlite)?;
            let hash = chain::hex(&hash);
            take(Row {
                seq: Seq(seq),
                entry,
                hash,
            })?;
        }
        Ok(())
    }
}

impl Filter {
    fn query(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut wanted = Vec::new();
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut want = |condition: &'static str, value: Option<Box<dyn ToSql>>| {
            if let Some(value) = value {
                wanted.push(condition);
                values.push(value);
            }
        };
        let time =
            |time: Option<Timestamp>| time.map(|time| Box::new(time.as_millisecond()) as Box<dyn ToSql>);
        let text = |text: &Option<String>| text.clone().map(|text| Box::new(text) as Box<dyn ToSql>);
        want("time_ms >= ?", time(self.since));
        want("time_ms < ?", time(self.until));
        want("principal = ?", text(&self.principal));
        want("server = ?", text(&self.server));
        want("tool = ?", text(&self.tool));
        want("decision = ?", text(&self.decision));
        let condition = if wanted.is_empty() {
            "TRUE".to_owned()
        } else {
            wanted.join(" AND ")
        };
        // A negative limit is none (SQLite, "The LIMIT clause").
        values.push(Box::new(self.limit.map_or(-1, i64::from)));
        let sql = format!(
            "SELECT * FROM (SELECT * FROM audit WHERE {condition} ORDER BY seq DESC LIMIT ?) ORDER BY seq"
        );
        (sql, values)
    }
}
