//! Standard error, line by line, so bounded that a flood costs little.

use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::StderrSink;
use crate::lines::{Line, Lines};

/// Longest line that is passed on whole.
const LINE: usize = 8 << 10;
/// Most lines in a [`WINDOW`]; the rest is counted.
const LINES: u32 = 200;
const WINDOW: Duration = Duration::from_secs(1);

/// Reads to the end.
pub(super) async fn pass_on(stderr: impl AsyncRead + Unpin, sink: StderrSink) {
    let mut lines = Lines::new(stderr, LINE);
    let mut flood = Flood::new();
    // What can't be read any more has ended.
    while let Ok(Some(line)) = lines.next().await {
        if let Some(left_out) = flood.turn() {
            sink(&format!("({left_out} lines left out)"));
        }
        if !flood.admit() {
            continue;
        }
        match line {
            Line::Whole(line) => {
                let text = String::from_utf8_lossy(&line);
                let text = base::text::clean(&text);
                sink(&base::redact::text(text.trim_end()));
            }
            Line::TooLong(bytes) => sink(&format!("(a line of {bytes} bytes left out)")),
        }
    }
    if flood.left_out > 0 {
        sink(&format!("({} lines left out)", flood.left_out));
    }
}

struct Flood {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Flood {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            lines: 0,
            left_out: 0,
        }
    }

    /// Begins a new window when it is time; gives how many lines the last one left out.
    fn turn(&mut self) -> Option<u64> {
        if self.since.elapsed() < WINDOW {
            return None;
        }
        let left_out = self.left_out;
        *self = Self::new();
        (left_out > 0).then_some(left_out)
    }

    fn admit(&mut self) -> bool {
        self.lines = self.lines.saturating_add(1);
        let admitted = self.lines <= LINES;
        self.left_out += u64::from(!admitted);
        admitted
    }
}
