//! Signals by the names that every system has.

use std::fmt;
use std::str::FromStr;

/// A signal that may be sent to a command. The numbers are those of Linux on all but MIPS, SPARC, Alpha and PA-RISC,
/// where the ones above 15 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(&'static str, u8);

const ALL: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("WINCH", 28),
];
/// Those that a process gets from its own faults: only for telling how it ended.
const FAULTS: &[(&str, u8)] = &[
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("SEGV", 11),
    ("PIPE", 13),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("SYS", 31),
];

impl Signal {
    /// SIGTERM.
    pub const TERM: Self = Self("TERM", 15);

    /// Its name without `SIG`.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.1
    }

    /// The signal with a number, if it has a name here.
    pub fn of_number(number: i64) -> Option<Self> {
        let mut all = ALL.iter().chain(FAULTS);
        all.find(|(_, own)| i64::from(*own) == number)
            .map(|(name, number)| Self(name, *number))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.0)
    }
}

/// The text is no signal that can be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signal; use HUP, INT, QUIT, KILL, USR1, USR2, ALRM, TERM, CONT, STOP, TSTP or WINCH")]
pub struct UnknownSignal(String);

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        ALL.iter()
            .find(|(own, number)| *own == name || number.to_string() == name)
            .map(|(name, number)| Self(name, *number))
            .ok_or_else(|| UnknownSignal(base::text::cut(text, 40).to_owned()))
    }
}
