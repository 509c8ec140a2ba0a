//! What a server writes to its standard error: lines for a log, the last ones for the reason of an end. A server may
//! write as fast as it likes; what nobody takes in time is counted and dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::call::Printed;

/// Longest line in bytes; the rest of a longer one is cut off.
const LINE: usize = 4096;
/// How many of the last lines are kept.
const LAST: usize = 40;
/// Most lines that are passed on in a [`WINDOW`]. Each costs whoever writes it down more than it cost the server.
const LINES: u32 = 200;
const WINDOW: Duration = Duration::from_secs(1);

/// Where standard error goes.
#[derive(Debug)]
pub(crate) struct Stderr {
    sink: Option<mpsc::Sender<String>>,
    /// How many bytes are kept as they came.
    keep: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    line: Vec<u8>,
    last: VecDeque<Vec<u8>>,
    /// Since when [`State::passed`] are counted.
    since: Option<Instant>,
    passed: u32,
    /// Lines that were too many, or that the sink had no room for.
    missed: u64,
    kept: Printed,
}

impl Stderr {
    pub(crate) fn new(sink: Option<mpsc::Sender<String>>, keep: usize) -> Self {
        Self {
            sink,
            keep,
            state: Mutex::default(),
        }
    }

    /// Takes in a piece.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.keep > 0 {
            state.kept.add(bytes, self.keep);
        }
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let first = pieces.next().unwrap_or_default();
        state.extend(first);
        for piece in pieces {
            self.end_line(&mut state);
            state.extend(piece);
        }
    }

    /// What was kept as it came.
    pub(crate) fn kept(&self) -> Printed {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .kept
            .clone()
    }

    /// The last lines, the newest at the end.
    pub(crate) fn last(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = state.last.iter().chain(Some(&state.line));
        let lines = lines.map(|line| readable(line));
        lines.filter(|line| !line.is_empty()).collect()
    }

    fn end_line(&self, state: &mut State) {
        // The oldest gives its place, so that a flood costs no memory's coming and going.
        let next = if state.last.len() == LAST {
            state.last.pop_front().unwrap_or_default()
        } else {
            Vec::new()
        };
        let line = std::mem::replace(&mut state.line, next);
        state.line.clear();
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Some(sink) = &self.sink {
            state.offer(sink, &line);
        }
        state.last.push_back(line);
    }
}

impl State {
    fn offer(&mut self, sink: &mpsc::Sender<String>, line: &[u8]) {
        let is_over = self.since.is_none_or(|since| since.elapsed() >= WINDOW);
        if is_over {
            (self.since, self.passed) = (Some(Instant::now()), 0);
        }
        if self.passed >= LINES || sink.capacity() == 0 {
            self.missed += 1;
            return;
        }
        if self.missed > 0 {
            let missed = self.missed;
            let note = format!("({missed} lines were dropped: they came faster than they could be taken)");
            if sink.try_send(note).is_err() {
                self.missed += 1;
                return;
            }
            self.missed = 0;
        }
        self.passed += 1;
        if sink.try_send(readable(line)).is_err() {
            self.missed += 1;
        }
    }

    fn extend(&mut self, piece: &[u8]) {
        let room = LINE.saturating_sub(self.line.len()).min(piece.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
}

fn readable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    base::text::clean(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_whatever_the_pieces() {
        let (sink, mut lines) = mpsc::channel(8);
        let stderr = Stderr::new(Some(sink), 0);
        for piece in ["o", "ne\ntwo\r\n\n", "\u{1b}[31mthr", "ee\u{1b}[0m\nfour"] {
            stderr.push(piece.as_bytes());
        }
        let mut taken = Vec::new();
        while let Ok(line) = lines.try_recv() {
            taken.push(line);
        }
        assert_eq!(taken, ["one", "two", "three"]);
        assert_eq!(stderr.last(), ["one", "two", "three", "four"]);
    }

    #[test]
    fn a_flood_costs_a_bound() {
        let (sink, mut lines) = mpsc::channel(2);
        let stderr = Stderr::new(Some(sink), 0);
        for number in 0..1000 {
            stderr.push(format!("{number} {}\n", "x".repeat(10_000)).as_bytes());
        }
        assert_eq!(stderr.last().len(), LAST);
        assert!(stderr.last().iter().all(|line| line.len() <= LINE));
        assert!(lines.try_recv().is_ok() && lines.try_recv().is_ok());
        stderr.push(b"later\n");
        assert_eq!(
            lines.try_recv().unwrap(),
            "(998 lines were dropped: they came faster than they could be taken)"
        );
        assert_eq!(lines.try_recv().unwrap(), "later");
    }
}
