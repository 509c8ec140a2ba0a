//! When a server that failed may be tried again. The first failures delay the next start a little, longer each time;
//! after several in a row nobody waits any more: callers are told why and when, and after that time one start is tried.

use std::time::Duration;

use tokio::time::Instant;

/// After so many failures in a row callers do not wait for the next try.
const OPENS: u32 = 5;
/// The first delay; it doubles with each failure.
const FIRST: Duration = Duration::from_millis(200);
/// The first delay after which callers are refused; it doubles as well.
const REFUSED: Duration = Duration::from_secs(30);
/// The longest delay.
const LONGEST: Duration = Duration::from_mins(5);

/// What is remembered of a server's failures in a row.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    cause: String,
    until: Option<Instant>,
    /// The one start of a circuit that is half open is on its way.
    is_trying: bool,
}

/// Whether a server may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    Now,
    /// Soon enough to wait for.
    At(Instant),
    /// Not soon, and why.
    Refused(String),
}

impl Circuit {
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        let wait = self.until.filter(|until| *until > now);
        match (wait, self.is_open()) {
            (None, false) => Admission::Now,
            (Some(until), false) => Admission::At(until),
            (None, true) if !self.is_trying => {
                self.is_trying = true;
                Admission::Now
            }
            (wait, true) => {
                let next = match wait {
                    Some(until) => format!("in {} s", until.duration_since(now).as_secs().max(1)),
                    None => "just now".to_owned(),
                };
                let Self { failures, cause, .. } = self;
                Admission::Refused(format!(
                    "it failed {failures} times in a row, last: {cause}. It is tried again {next}"
                ))
            }
        }
    }

    /// A start failed, or an instance ended before it was of any use. `chance` spreads the next tries of many.
    pub(super) fn failed(&mut self, now: Instant, cause: &str, chance: u8) {
        self.failures = self.failures.saturating_add(1);
        cause.clone_into(&mut self.cause);
        self.is_trying = false;
        let (first, doublings) = match self.failures.checked_sub(OPENS) {
            None => (FIRST, self.failures.saturating_sub(1)),
            Some(beyond) => (REFUSED, beyond),
        };
        let delay = first.saturating_mul(1 << doublings.min(10)).min(LONGEST);
        // Between half of the delay and all of it.
        self.until = Some(now + delay / 2 + delay / 2 * u32::from(chance) / 255);
    }

    /// It did what it should.
    pub(super) fn worked(&mut self) {
        if self.failures > 0 || self.is_trying {
            *self = Self::default();
        }
    }

    /// The try of a half-open circuit came to no end that says anything.
    pub(super) fn undecided(&mut self) {
        self.is_trying = false;
    }

    /// Callers are refused.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= OPENS
    }

    /// Why it failed last, if it did not work since, and how long until the next try.
    pub(super) fn trouble(&self, now: Instant) -> Option<(&str, Duration)> {
        let wait = self.until.map(|until| until.saturating_duration_since(now));
        (self.failures > 0).then(|| (self.cause.as_str(), wait.unwrap_or_default()))
    }
}

/// How it ended, such as by which exit code, without what it said.
pub(super) fn without_words(why: &str) -> &str {
    why.split([';', ':']).next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_the_circuit_opens() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        assert_eq!(circuit.admit(start), Admission::Now);
        for millis in [200, 400, 800, 1_600] {
            circuit.failed(start, "bang", 255);
            assert_eq!(
                circuit.admit(start),
                Admission::At(start + Duration::from_millis(millis))
            );
        }
        for seconds in [30, 60, 120, 240, 300, 300] {
            circuit.failed(start, "bang", 255);
            let Admission::Refused(why) = circuit.admit(start) else {
                panic!("not open");
            };
            assert!(
                why.contains("last: bang") && why.ends_with(&format!("in {seconds} s")),
                "{why}"
            );
        }
        circuit.worked();
        assert_eq!(circuit.admit(start), Admission::Now);
        assert_eq!(circuit.trouble(start), None);
    }

    #[test]
    fn one_try_when_half_open() {
        let mut now = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..OPENS {
            circuit.failed(now, "bang", 0);
        }
        now += Duration::from_secs(15);
        assert_eq!(circuit.admit(now), Admission::Now);
        assert!(matches!(circuit.admit(now), Admission::Refused(why) if why.ends_with("just now")));
        circuit.undecided();
        assert_eq!(circuit.admit(now), Admission::Now);
        circuit.failed(now, "again", 0);
        assert!(matches!(circuit.admit(now), Admission::Refused(why) if why.contains("6 times")));
    }

    #[test]
    fn tries_are_spread() {
        let now = Instant::now();
        let delays: Vec<_> = [0, 128, 255]
            .into_iter()
            .map(|chance| {
                let mut circuit = Circuit::default();
                circuit.failed(now, "bang", chance);
                circuit.trouble(now).unwrap().1.as_millis()
            })
            .collect();
        assert_eq!(delays, [100, 150, 200]);
    }

    #[test]
    fn words_of_one_are_not_told_to_others() {
        for (why, told) in [
            (
                "it ended by itself with exit code 3; its last words: /home/anna",
                "it ended by itself with exit code 3",
            ),
            ("its handshake failed: no such user anna", "its handshake failed"),
            ("it was killed", "it was killed"),
        ] {
            assert_eq!(super::without_words(why), told);
        }
    }
}
