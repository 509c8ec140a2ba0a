//! The chain of sources with programs as they really run: processes, pipes, exit codes.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod chain;
mod helper;
mod pass;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use secrets::{Error, Programs, SecretName};

/// A folder with programs for one test, and what they wrote.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A shell script; each call of it adds a line with its arguments to the file `calls`.
    fn program(&self, name: &str, script: &str) {
        let dir = self.path().display();
        let text = format!("#!/bin/sh\ndir='{dir}'\nprintf '%s\\n' \"$0 $*\" >>\"$dir/calls\"\n{script}\n");
        let path = self.path().join(name);
        fs_err::write(&path, text).unwrap();
        #[cfg(unix)]
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn programs(&self) -> Programs {
        let folders = [self.path(), Path::new("/usr/bin"), Path::new("/bin")];
        Programs {
            path: Some(std::env::join_paths(folders).unwrap_or(OsString::new())),
            withhold: Vec::new(),
            limit: Duration::from_secs(20),
        }
    }

    fn impatient(&self) -> Programs {
        Programs {
            limit: Duration::from_millis(300),
            ..self.programs()
        }
    }

    fn calls(&self) -> String {
        fs_err::read_to_string(self.path().join("calls")).unwrap_or_default()
    }

    /// What an error says, with this folder's name taken out.
    fn told(&self, error: &Error) -> String {
        error
            .to_string()
            .replace(&self.path().display().to_string(), "DIR")
    }
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}
