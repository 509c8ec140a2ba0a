//! What is missing before a server can run, and the command or line that gives it.

use std::fmt;

use serde::Serialize;

/// Something that has to be given, changed or permitted before there is a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// Of which sort.
    pub sort: LackSort,
    /// What is missing or wrong, with names and values.
    pub what: String,
    /// What mends it: a command, or a line of the configuration. Empty when nothing does.
    pub mend: String,
}

/// The sort of a [`Lack`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LackSort {
    /// A secret has no value.
    Secret,
    /// The server's configuration is not as its entry wants it.
    Config,
    /// A path of the host that no root covers.
    Path,
    /// What the user wrote for this server can't be used.
    Setup,
    /// The configuration has to permit it.
    Permission,
    /// It can't run on the host that it is placed on.
    Place,
    /// The entry itself can't be run here.
    Entry,
}

impl Lack {
    pub(crate) fn new(sort: LackSort, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            sort,
            what: what.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.mend.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.mend)
        }
    }
}

/// A word of a command as a shell takes it, for commands that a person copies.
pub(crate) fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
