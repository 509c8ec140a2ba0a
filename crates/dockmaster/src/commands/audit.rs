//! `audit list`, `audit verify` and `audit export`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::json;
use store::{Row, Store};

use crate::bridges::{self, Record};
use crate::cli::{self, Audit, Json};
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// Does one of them.
pub(crate) fn run(settings: &Settings, command: Audit) -> Result<Exit> {
    if !matches!(command, Audit::Verify { .. }) && !Record::hosts(settings).is_empty() {
        fetch(settings)?;
    }
    let path = settings.database();
    let store = if path.exists() {
        Some(Store::open(path))
    } else {
        None
    };
    if store.is_none() {
        output::note(&format!(
            "nothing was recorded yet in {}",
            settings.folders.shown(&settings.database())
        ))?;
    }
    match command {
        Audit::List { limit, filter, json } => list(store.as_ref(), &wanted(filter, Some(limit)), json),
        Audit::Verify { noted, json } => verify(store.as_ref(), noted.as_deref(), json),
        Audit::Export { filter, output } => export(store.as_ref(), &wanted(filter, None), output.as_deref()),
    }
}

/// Brings what bridges have written down over here; what can't be fetched now is fetched another time.
fn fetch(settings: &Settings) -> Result<()> {
    let fetching = async {
        let store = Store::open(settings.database());
        let faults = bridges::audit::fetch_all(settings, &store).await;
        store.close().await;
        for fault in faults {
            output::note(&fault)?;
        }
        Ok(Exit::Done)
    };
    super::block_on(fetching).map(drop)
}

fn wanted(filter: cli::Filter, limit: Option<u32>) -> store::Filter {
    let cli::Filter {
        since,
        until,
        principal,
        server,
        tool,
        decision,
    } = filter;
    store::Filter {
        since: since.map(|moment| moment.0),
        until: until.map(|moment| moment.0),
        principal,
        server,
        tool,
        decision,
        limit,
    }
}

fn list(store: Option<&Store>, filter: &store::Filter, json: Json) -> Result<Exit> {
    let rows = store.map_or(Ok(Vec::new()), |store| store.audit().list(filter))?;
    if json.json {
        output::json(&rows)?;
    } else if !rows.is_empty() {
        let head = [
            "ROW",
            "TIME",
            "PRINCIPAL",
            "CLIENT",
            "TOOL",
            "DECISION",
            "MS",
            "BYTES",
            "OUTCOME",
        ];
        let cells: Vec<_> = rows.iter().map(cells).collect();
        output::line(&output::columns(head, &cells))?;
    }
    Ok(Exit::Done)
}

fn cells(row: &Row) -> [String; 9] {
    let entry = &row.entry;
    let shown = |text: &str| base::text::clean(text).replace(['\n', '\t'], " ");
    let tool = if entry.server.is_empty() {
        shown(&entry.tool)
    } else {
        format!("{}/{}", shown(&entry.server), shown(&entry.tool))
    };
    [
        row.seq.0.to_string(),
        format!("{:.0}", entry.time),
        shown(&entry.principal),
        shown(&entry.client),
        tool,
        shown(&entry.decision),
        entry.milliseconds.to_string(),
        entry.result_bytes.to_string(),
        shown(&entry.outcome),
    ]
}

fn verify(store: Option<&Store>, noted: Option<&str>, json: Json) -> Result<Exit> {
    let Some(store) = store else {
        return Ok(if noted.is_none() {
            Exit::Done
        } else {
            Exit::Tampered
        });
    };
    let report = store.audit().verify()?;
    let mut problem = report.problem.map(|problem| problem.to_string());
    if let (None, Some(noted)) = (&problem, noted)
        && !has_row(store, noted)?
    {
        problem = Some(
            "the rows are whole, but none has the noted hash: they were written anew, or are another audit's"
                .to_owned(),
        );
    }
    if json.json {
        output::json(&json!({"rows": report.rows, "head": report.head, "problem": problem}))?;
    } else {
        match &problem {
            None => output::line(&format!(
                "rows: {}, all as they were written\nhead: {}",
                report.rows, report.head
            ))?,
            Some(problem) => output::line(&format!("rows: {}\ntampered with: {problem}", report.rows))?,
        }
    }
    Ok(if problem.is_none() {
        Exit::Done
    } else {
        Exit::Tampered
    })
}

/// Whether a row has this hash. Rows go by one at a time; there may be many.
fn has_row(store: &Store, hash: &str) -> Result<bool> {
    let mut search = Search {
        hash,
        line: Vec::new(),
        found: false,
    };
    store.audit().export(&store::Filter::default(), &mut search)?;
    Ok(search.found)
}

/// Looks for a hash in rows that are written to it as JSON lines.
struct Search<'a> {
    hash: &'a str,
    line: Vec<u8>,
    found: bool,
}

impl Write for Search<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                // Not a search for text: arguments can hold any.
                let row: Row = serde_json::from_slice(&self.line)?;
                self.found |= row.hash.eq_ignore_ascii_case(self.hash);
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn export(store: Option<&Store>, filter: &store::Filter, file: Option<&Path>) -> Result<Exit> {
    let Some(store) = store else {
        return Ok(Exit::Done);
    };
    let Some(file) = file else {
        store
            .audit()
            .export(filter, &mut BufWriter::new(io::stdout().lock()))
            .map_err(pipe_or_error)?;
        return Ok(Exit::Done);
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    fs::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(file).context("the export needs a file of its own")?);
    let count = store.audit().export(filter, &mut out)?;
    out.flush()?;
    output::note(&format!("{count} rows in {}", file.display()))?;
    Ok(Exit::Done)
}

/// A reader who has had enough shows as an I/O error, which the end of the program knows.
fn pipe_or_error(error: store::Error) -> anyhow::Error {
    match &error {
        store::Error::Export(cause) => anyhow::Error::from(io::Error::from(cause.kind())).context(error),
        _ => error.into(),
    }
}
