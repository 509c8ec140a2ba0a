//! Why a file could not be worked on, in words that say what to do.

use server_kit::{Code, ToolError};
use std::io::{self, ErrorKind};

/// Why something did not work on one path; which one, the tool says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a link on the way leads out of the root, or back and forth without end")]
    Escape,
    #[error("it is a {0}, and only regular files are opened")]
    Special(&'static str),
    #[error("the file has {0} names (hard links), and the others may be outside of the root")]
    HardLinks(u64),
    #[error(
        "the file {}, and others may be outside of the root",
        match .0 {
            0 => "may have several names (hard links): its SFTP server does not tell, or its directory has too many files".to_owned(),
            names => format!("has {names} names (hard links)"),
        }
    )]
    FarLinks(u64),
    #[error("the user that logs in there may not do this")]
    FarDenied,
    #[error("{0}")]
    Far(String),
    #[error("{0}")]
    Away(String),
    #[error("it exists already")]
    Exists,
    #[error("it belongs to the trash of this server")]
    Trash,
    #[error("it is the root itself")]
    Root,
    #[error("{0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // What cap-std says of an escape has no number of the system's.
            ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Self::Escape,
            ErrorKind::AlreadyExists => Self::Exists,
            _ if is_loop(&error) => Self::Escape,
            _ => Self::Io(error),
        }
    }
}

impl From<ssh::sftp::Fault> for Fault {
    fn from(fault: ssh::sftp::Fault) -> Self {
        use ssh::sftp::Fault as Far;
        match fault {
            Far::NoSuchFile => Self::Io(ErrorKind::NotFound.into()),
            Far::Denied => Self::FarDenied,
            Far::Long => Self::Io(ErrorKind::InvalidFilename.into()),
            fault if fault.is_break() => Self::Away(fault.to_string()),
            fault => Self::Far(fault.to_string()),
        }
    }
}

#[cfg(unix)]
fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_loop(_error: &io::Error) -> bool {
    false
}

impl Fault {
    /// As a tool's answer, when doing `what` to `path`.
    pub(crate) fn during(self, what: &str, path: &str) -> ToolError {
        let (code, fix) = match &self {
            Self::Escape => (
                Code::Refused,
                "give the path of a file in a root; list_allowed_directories names them",
            ),
            Self::Special(_) => (Code::Refused, "choose a regular file"),
            Self::HardLinks(_) => (
                Code::Refused,
                "only the owner of the configuration can allow it, with `[files] hard_links = true`",
            ),
            Self::FarLinks(_) => (
                Code::Refused,
                "only the owner of the configuration can allow it, with `hard_links = true` in the host's table `files`",
            ),
            Self::FarDenied => (
                Code::Refused,
                "change the file's permissions over there, or choose another",
            ),
            Self::Far(_) => (
                Code::Failed,
                "SFTP tells no more; get_file_info and list_directory show what is there",
            ),
            Self::Away(_) => (
                Code::Unreachable,
                "try again; if it stays away, ask a person to look: dockmaster host test",
            ),
            Self::Exists => (
                Code::Conflict,
                "choose another name, or move what is there away first",
            ),
            Self::Trash => (
                Code::Refused,
                "restore_file lists the trash and brings things back",
            ),
            Self::Root => (Code::Refused, "name something in it"),
            Self::Io(error) => match error.kind() {
                ErrorKind::NotFound => (Code::NotFound, "list_directory shows what there is"),
                ErrorKind::NotADirectory => (
                    Code::InvalidArguments,
                    "a part of the path is a file; see list_directory",
                ),
                ErrorKind::IsADirectory => (
                    Code::InvalidArguments,
                    "it is a directory; list_directory shows what is in it",
                ),
                ErrorKind::PermissionDenied => (
                    Code::Refused,
                    "the user that dockmaster runs as may not do this; change the file's permissions or choose another",
                ),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Code::Failed, "free some space"),
                ErrorKind::CrossesDevices => (
                    Code::Failed,
                    "it lies on another file system; use copy_file, and delete_file with permanent=true",
                ),
                ErrorKind::InvalidFilename => (Code::InvalidArguments, "choose a shorter name"),
                ErrorKind::ReadOnlyFilesystem => (Code::Refused, "choose a root that can be written"),
                _ => (Code::Failed, "look at it with get_file_info"),
            },
        };
        ToolError::new(code, format!("can't {what} {path}: {self}")).fix(fix)
    }
}
