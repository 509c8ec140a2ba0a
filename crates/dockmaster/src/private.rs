//! Files that only their owner can read.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Makes a folder, and those it is in, that only its owner may look into. One that is there stays as it is.
pub(crate) fn folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a file, so that nobody ever finds half of it.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::rename(draft(path, content)?, path)
}

/// Writes what is to become that file beside its place, and says where.
pub(crate) fn draft(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    fs::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| {
            // Half of a draft is of no use to anybody.
            let _ = fs::remove_file(&draft);
        })?;
    Ok(draft)
}
