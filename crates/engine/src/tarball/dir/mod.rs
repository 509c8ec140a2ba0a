//! A directory held open, and what is done relative to it.
//!
//! Whoever may write into a build context or a copy target (a container with the folder mounted, for one) can
//! swap a directory for a symbolic link between our check and our use. Every step here starts from an open
//! directory, takes one path component and never follows a link, so such a swap ends in an error and not
//! outside of the tree. On Windows, which has no such calls in the standard library, each step checks and then
//! uses a path; the module's promise there is only as good as that.

use std::ffi::{OsStr, OsString};

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use portable::Dir;
#[cfg(unix)]
pub(crate) use unix::Dir;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    /// Neither of these; the text says what in a person's words.
    Special(&'static str),
}

/// What is known of a name without following it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    /// Permission bits with set-id and sticky, `0o7777`.
    pub(crate) mode: u32,
    /// Bytes of content; 0 for everything but files.
    pub(crate) size: u64,
    /// Seconds since 1970; earlier times count as 0, which is what a tar header can hold.
    pub(crate) modified: u64,
    /// Device and inode of a file that has further names.
    pub(crate) twin: Option<(u64, u64)>,
}

/// What may stand at the target of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing; else the rename fails with `AlreadyExists`.
    Refuse,
    /// A file or link, which is replaced.
    Replace,
}

/// A path component as tar and `.dockerignore` know it.
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    #[cfg(unix)]
    {
        std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
    }
    #[cfg(not(unix))]
    {
        name.to_string_lossy().into_owned().into_bytes()
    }
}

/// The reverse of [`name_bytes`]; `None` where this system can't hold such a name.
#[cfg_attr(
    unix,
    expect(clippy::unnecessary_wraps, reason = "other systems refuse names")
)]
pub(crate) fn bytes_name(name: &[u8]) -> Option<OsString> {
    #[cfg(unix)]
    {
        let name: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        Some(name.to_os_string())
    }
    #[cfg(not(unix))]
    {
        let text = std::str::from_utf8(name).ok()?;
        (!text.contains(['\\', ':'])).then(|| OsString::from(text))
    }
}

/// A path inside an archive or a context, made printable.
pub(crate) fn show(path: &[u8]) -> String {
    base::text::clean(&String::from_utf8_lossy(path)).replace('\n', "?")
}
