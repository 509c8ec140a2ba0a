//! The one place that prints. Data goes to standard output, everything else to standard error; colours only where
//! a terminal shows them and nobody minds (`NO_COLOR`).

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Writes a line of data.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes data as JSON, indented, with a newline behind it.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes data as JSON on one line.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}

/// Standard output for bytes that are not ours.
#[cfg(unix)]
pub(crate) fn raw() -> io::StdoutLock<'static> {
    io::stdout().lock()
}

/// Tells the person something that is no data.
pub(crate) fn note(text: &str) -> io::Result<()> {
    writeln!(anstream::stderr(), "{text}")
}

/// Whether a person sees standard error.
pub(crate) fn person_is_watching() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person can be asked.
pub(crate) fn person_can_answer() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Rows in columns as wide as their widest cell, two spaces apart; the last column as it is.
pub(crate) fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(head.map(str::to_owned)).chain(rows.iter().cloned()) {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.pop();
    text
}

/// Asks the person for a yes; `None` if nobody can be asked.
pub(crate) fn agree(question: &str) -> io::Result<Option<bool>> {
    if !person_can_answer() {
        return Ok(None);
    }
    prompt(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(
        ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()),
    ))
}

/// Asks the person something; the answer is typed behind it.
pub(crate) fn prompt(text: &str) -> io::Result<()> {
    let mut err = anstream::stderr();
    write!(err, "{text}")?;
    err.flush()
}
