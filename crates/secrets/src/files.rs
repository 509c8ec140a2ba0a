//! Secrets in plain files that others keep: a folder with one file for each, as Docker, Compose and Kubernetes mount
//! them, and `.env` files as `docker mcp` writes them. Only read.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base::Secret;
use zeroize::Zeroizing;

use crate::{Error, Fault, LONGEST, SecretName};

/// Most bytes of an `.env` file.
const ENV_FILE: usize = 1 << 20;

/// A folder with one file for each secret, named as the secret is. One newline at the end of a file does not count.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn place(&self) -> String {
        format!("the folder {}", self.0.display())
    }

    pub(crate) fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let path = self.0.join(name.as_str());
        let fault = |reason: String| {
            let mend = format!("mend or remove {}", path.display());
            Fault::error(self.place(), format!("reading {name}"), reason, mend)
        };
        let Some(content) = read(&path, LONGEST).map_err(|cause| fault(cause.to_string()))? else {
            return Ok(None);
        };
        let text =
            std::str::from_utf8(&content).map_err(|_| fault("its content is not UTF-8 text".to_owned()))?;
        let value = text.strip_suffix('\n').unwrap_or(text);
        let value = value.strip_suffix('\r').unwrap_or(value);
        Ok((!value.is_empty()).then(|| Secret::new(value)))
    }

    /// Files whose names could be secrets' names. The hidden ones (`..data` of Kubernetes) can't.
    pub(crate) fn names(&self) -> Result<Vec<SecretName>, Error> {
        let fault = |cause: io::Error| {
            let mend = "make it readable for this user, or take it out of [secrets]";
            Fault::error(self.place(), "listing", reason(&cause), mend)
        };
        let entries = match fs_err::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(fault(cause)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fault)?;
            let is_file = fs_err::metadata(entry.path()).is_ok_and(|meta| meta.is_file());
            let name = entry.file_name();
            names.extend(
                name.to_str()
                    .filter(|_| is_file)
                    .and_then(|name| SecretName::parse(name).ok()),
            );
        }
        names.sort();
        Ok(names)
    }
}

/// A file of lines `name=value`. `#` begins a comment line; nothing is quoted; the last line of a name counts.
#[derive(Debug, Clone)]
pub struct EnvFile(PathBuf);

impl EnvFile {
    /// The file need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn place(&self) -> String {
        format!("the file {}", self.0.display())
    }

    pub(crate) fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let content = self.read(&format!("reading {name}"))?;
        let mut found = None;
        for line in self.lines(&content)? {
            let (line_name, value) = line;
            if line_name == name.as_str() {
                found = Some(value);
            }
        }
        Ok(found.filter(|value| !value.is_empty()).map(Secret::new))
    }

    pub(crate) fn names(&self) -> Result<Vec<SecretName>, Error> {
        let content = self.read("listing")?;
        let lines = self.lines(&content)?;
        let mut names: Vec<_> = lines
            .into_iter()
            .filter_map(|(name, _)| SecretName::parse(name).ok())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self, attempt: &str) -> Result<Zeroizing<String>, Error> {
        let fault = |reason: String| {
            Fault::error(
                self.place(),
                attempt,
                reason,
                "mend the file, or take it out of [secrets]",
            )
        };
        let content = read(&self.0, ENV_FILE).map_err(|cause| fault(cause.to_string()))?;
        let content = content.unwrap_or_default();
        let text = std::str::from_utf8(&content).map_err(|_| fault("it is not UTF-8 text".to_owned()))?;
        Ok(Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()))
    }

    fn lines<'a>(&self, content: &'a str) -> Result<Vec<(&'a str, &'a str)>, Error> {
        let mut lines = Vec::new();
        for (index, line) in content.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                // The line itself may be a value that lost its name.
                let attempt = format!("reading line {}", index + 1);
                let mend = "write it as name=value, or begin it with # to make it a comment";
                return Err(Fault::error(self.place(), attempt, "it has no '='", mend));
            };
            lines.push((name.trim_end(), value.trim_start()));
        }
        Ok(lines)
    }
}

/// A regular file of bounded size; `None` if there is none. Others (a pipe, a device) could hold a reader up for ever.
fn read(path: &Path, bound: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let meta = match fs_err::metadata(path) {
        Ok(meta) => meta,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(io::Error::other(reason(&cause))),
    };
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(
        usize::try_from(meta.len()).unwrap_or(0).min(bound),
    ));
    let file = fs_err::File::open(path).map_err(|cause| io::Error::other(reason(&cause)))?;
    file.take(bound as u64 + 1).read_to_end(&mut content)?;
    if content.len() > bound {
        return Err(io::Error::other(format!("it has more than {bound} bytes")));
    }
    Ok(Some(content))
}

/// What the system said, without the path: that is named already.
pub(crate) fn reason(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::NotADirectory => "it is not a folder".to_owned(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    #[test]
    fn an_env_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let file = EnvFile::new(&path);
        assert!(file.get(&name("a")).unwrap().is_none() && file.names().unwrap().is_empty());
        fs_err::write(
            &path,
            "\u{feff}# comment\r\n\r\na.key=first\nb=has = and \"quotes\" # no comment\r\na.key=second\nc = spaced \nempty=\nsome/thing=x\n",
        )
        .unwrap();
        for (wanted, value) in [
            ("a.key", Some("second")),
            ("b", Some("has = and \"quotes\" # no comment")),
            ("c", Some("spaced")),
            ("empty", None),
            ("d", None),
        ] {
            let found = file.get(&name(wanted)).unwrap();
            assert_eq!(found.as_ref().map(Secret::expose), value, "{wanted}");
        }
        let names: Vec<String> = file.names().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.key", "b", "c", "empty"]);
    }

    #[test]
    fn a_faulty_env_file_does_not_show_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs_err::write(&path, "a=1\nhunter2\n").unwrap();
        let text = EnvFile::new(&path).get(&name("a")).unwrap_err().to_string();
        assert!(text.contains("line 2") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let source = Folder::new(folder.path().join("none"));
        assert!(source.get(&name("a")).unwrap().is_none() && source.names().unwrap().is_empty());
        let source = Folder::new(folder.path());
        for (file, content) in [
            ("a.key", "value\n"),
            ("b", "two\nlines\n\n"),
            ("crlf", "x\r\n"),
            ("empty", "\n"),
            (".hidden", "h"),
        ] {
            fs_err::write(folder.path().join(file), content).unwrap();
        }
        fs_err::create_dir(folder.path().join("folder")).unwrap();
        for (wanted, value) in [
            ("a.key", Some("value")),
            ("b", Some("two\nlines\n")),
            ("crlf", Some("x")),
            ("empty", None),
            ("d", None),
        ] {
            let found = source.get(&name(wanted)).unwrap();
            assert_eq!(found.as_ref().map(Secret::expose), value, "{wanted}");
        }
        let names: Vec<String> = source.names().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.key", "b", "crlf", "empty"]);
        fs_err::write(folder.path().join("long"), "x".repeat(LONGEST + 1)).unwrap();
        fs_err::write(folder.path().join("bytes"), [0xff, 0xfe]).unwrap();
        for wanted in ["folder", "long", "bytes"] {
            assert!(source.get(&name(wanted)).is_err(), "{wanted}");
        }
    }
}
