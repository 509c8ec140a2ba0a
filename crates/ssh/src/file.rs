//! Reading the small files of text that a user keeps for SSH.

use std::io::{self, Read as _};
use std::path::Path;

/// The text of a file of at most `most` bytes; `None` if there is no such file. What is no UTF-8 is replaced.
pub(crate) fn text_of(path: &Path, most: u64) -> io::Result<Option<String>> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
