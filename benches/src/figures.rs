//! Times as figures: best, median and the slow end of a series.

use std::time::{Duration, Instant};

/// A series of times of one thing.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<Duration>);

impl Series {
    /// Does it once and keeps the time it took.
    pub(crate) fn time<T>(&mut self, once: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = once();
        self.0.push(start.elapsed());
        result
    }

    /// The share of the series that was at most this slow, in milliseconds: 0 is the best, 0.5 the median.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index into some hundred times"
        )]
        let place = ((times.len().max(1) - 1) as f64 * share).round() as usize;
        times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    /// The 99th percentile.
    pub(crate) fn slow(&self) -> f64 {
        self.quantile(0.99)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The same where microseconds matter.
    pub(crate) fn fine_cell(&self) -> String {
        let [best, median, slow] = [0.0, 0.5, 0.99].map(|share| fine(self.quantile(share)));
        format!("{best} / {median} / {slow}")
    }

    /// `best / p50 / p99` in milliseconds.
    pub(crate) fn cell(&self) -> String {
        let [best, median, slow] = [0.0, 0.5, 0.99].map(|share| milliseconds(self.quantile(share)));
        format!("{best} / {median} / {slow}")
    }
}

/// Where microseconds matter, in milliseconds.
pub(crate) fn fine(value: f64) -> String {
    format!("{value:.3}")
}

/// Three significant digits are more than a shared machine repeats.
pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Tokens as the product counts them: 4 bytes each, rounded up.
pub(crate) fn tokens(bytes: usize) -> String {
    thousands(bytes.div_ceil(4))
}

/// `12 345`
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(" ")
}
