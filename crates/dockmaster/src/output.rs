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

/// Asks the person for something that is not shown while it is typed. There has to be a person.
pub(crate) fn unseen(question: &str) -> io::Result<String> {
    let mut answer = String::new();
    // Silent before it asks: that forgets what was typed before, and an answer may come at once.
    let quiet = Quiet::begin();
    prompt(question)?;
    io::stdin().read_line(&mut answer)?;
    drop(quiet);
    note("")?;
    Ok(without_line_end(&answer).to_owned())
}

/// A line without its end.
pub(crate) fn without_line_end(line: &str) -> &str {
    let bare = line.strip_suffix('\n').unwrap_or(line);
    bare.strip_suffix('\r').unwrap_or(bare)
}

/// Asks the person something; the answer is typed behind it.
pub(crate) fn prompt(text: &str) -> io::Result<()> {
    let mut err = anstream::stderr();
    write!(err, "{text}")?;
    err.flush()
}

/// While this lives, the terminal does not show what is typed.
struct Quiet {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Quiet {
    #[cfg(unix)]
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            // A terminal that can't be silenced shows what is typed; the person sees that.
            let _ = tcsetattr(&stdin, OptionalActions::Flush, &quiet);
        }
        Self { before }
    }

    #[cfg(not(unix))]
    fn begin() -> Self {
        Self {}
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
