//! From a path to the file that it means on the far side, links resolved here; and looking at it again afterwards.

use super::Way;
use crate::fault::Fault;
use crate::place::{Kind, Links, Stat};
use futures_util::future::try_join_all;
use ssh::Sftp;
use ssh::sftp::{Attributes, Fault as SftpFault, Name};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tokio::runtime::Handle;

/// Links on one path, as in Linux.
const MOST_LINKS: usize = 40;
/// How often a place is looked at after it was used; all of them take one round trip.
pub(super) const LOOKS: usize = 8;

/// A root of a host while one call works on it.
pub(super) struct Far {
    pub(super) sftp: Sftp,
    pub(super) runtime: Handle,
    /// The root's own path, without links.
    base: PathBuf,
}

/// A directory, and a name in it.
pub(super) struct Parent<'a> {
    /// From the root on, without links.
    pub(super) dir: PathBuf,
    pub(super) name: &'a OsStr,
}

impl Far {
    pub(super) fn reach(root: &Path, way: &dyn Way) -> Result<Self, Fault> {
        let runtime = Handle::try_current().map_err(|error| Fault::Away(error.to_string()))?;
        let sftp = runtime.block_on(way.sftp()).map_err(Fault::Away)?;
        // The root is the configuration's word, so links on the way there are followed.
        let base = runtime.block_on(sftp.realpath(root.as_os_str().as_encoded_bytes()))?;
        Ok(Self {
            base: path(&base),
            sftp,
            runtime,
        })
    }

    /// Waits for the far side, on a thread that may.
    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.runtime.block_on(work)
    }

    /// The whole path of something from the root on, as the far side takes it.
    pub(super) fn whole(&self, at: &Path) -> Vec<u8> {
        self.base.join(at).into_os_string().into_encoded_bytes()
    }

    /// Whether a path without links still is one.
    pub(super) async fn check(&self, at: &Path) -> Result<(), Fault> {
        let whole = self.whole(at);
        let real = self.sftp.realpath(&whole).await?;
        if path(&real) == path(&whole) {
            return Ok(());
        }
        Err(Fault::Escape)
    }

    /// The same, looked at several times in one go: who swaps directories all the time is not met at a lucky moment.
    pub(super) async fn check_well(&self, at: &Path) -> Result<(), Fault> {
        let looks = (0..LOOKS).map(|_| self.check(at));
        try_join_all(looks).await.map(drop)
    }

    /// What a path means: the same without links, and what is known of its last name, if there is such a name.
    pub(super) async fn find(&self, at: &Path, links: Links) -> Result<(PathBuf, Option<Attributes>), Fault> {
        let mut done = PathBuf::new();
        let mut left: VecDeque<OsString> = at.iter().map(OsStr::to_owned).collect();
        let mut followed = 0;
        let mut last = None;
        while let Some(names) = next(&mut done, &mut left)? {
            let mut path = done.clone();
            let paths: Vec<Vec<u8>> = names
                .iter()
                .map(|name| {
                    path.push(name);
                    self.whole(&path)
                })
                .collect();
            let stats = self.sftp.lstats(&paths).await?;
            for ((name, stat), whole) in names.into_iter().zip(stats).zip(&paths) {
                left.pop_front();
                let is_last = left.is_empty();
                let attributes = match stat {
                    Err(SftpFault::NoSuchFile) if is_last => None,
                    stat => Some(stat?),
                };
                let kind = attributes.as_ref().map(kind);
                if kind == Some(Kind::Link) && (!is_last || links == Links::Follow) {
                    followed += 1;
                    let says = self.sftp.readlink(whole).await?;
                    if followed > MOST_LINKS || says.starts_with(b"/") {
                        return Err(Fault::Escape);
                    }
                    for name in says.split(|byte| *byte == b'/').rev() {
                        if !matches!(name, b"" | b".") {
                            left.push_front(self::path(name).into_os_string());
                        }
                    }
                    last = None;
                    break;
                }
                if !is_last && kind != Some(Kind::Dir) {
                    return Err(Fault::Io(ErrorKind::NotADirectory.into()));
                }
                done.push(name);
                last = Some(attributes);
            }
        }
        let attributes = match last {
            Some(attributes) => attributes,
            // The root itself, or where a link's `..` has led.
            None => Some(self.sftp.lstat(&self.whole(&done)).await?),
        };
        let is_whole = attributes
            .as_ref()
            .is_some_and(|attributes| kind(attributes) != Kind::Link);
        let certain = if is_whole {
            Some(done.as_path())
        } else {
            done.parent()
        };
        self.check(certain.unwrap_or(Path::new(""))).await?;
        Ok((done, attributes))
    }

    /// The directory that holds the last name of a path, and that name.
    pub(super) async fn parent<'a>(&self, at: &'a Path) -> Result<Parent<'a>, Fault> {
        let name = at.file_name().ok_or(Fault::Root)?;
        let above = at.parent().unwrap_or(Path::new(""));
        let (dir, attributes) = self.find(above, Links::Follow).await?;
        match attributes.map(|attributes| kind(&attributes)) {
            Some(Kind::Dir) => Ok(Parent { dir, name }),
            Some(_) => Err(Fault::Io(ErrorKind::NotADirectory.into())),
            None => Err(Fault::Io(ErrorKind::NotFound.into())),
        }
    }

    /// What is known of a path without links, if it is there.
    pub(super) async fn lstat(&self, at: &Path) -> Result<Option<Attributes>, Fault> {
        match self.sftp.lstat(&self.whole(at)).await {
            Ok(attributes) => Ok(Some(attributes)),
            Err(SftpFault::NoSuchFile) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The names in a directory that was found. Two looks at where it is stand around the reading.
    pub(super) async fn list(&self, at: &Path, most: usize) -> Result<(Vec<Name>, bool), Fault> {
        let whole = self.whole(at);
        let (before, listed) = tokio::join!(self.check(at), self.sftp.list(&whole, most));
        before?;
        let listed = match listed {
            // OpenSSH says the same of a file as of nothing.
            Err(SftpFault::NoSuchFile) if self.lstat(at).await?.is_some() => {
                return Err(Fault::Io(ErrorKind::NotADirectory.into()));
            }
            listed => listed?,
        };
        self.check_well(at).await?;
        Ok(listed)
    }

    /// Gives something another name, and replaces nothing.
    pub(super) async fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<(), Fault> {
        match self.sftp.rename_new(from, to).await {
            Err(SftpFault::Failed(_)) if self.sftp.lstat(to).await.is_ok() => Err(Fault::Exists),
            done => Ok(done?),
        }
    }
}

/// The names up to the next `..`, and what is before it gone back over. `None` when there are none left.
fn next(done: &mut PathBuf, left: &mut VecDeque<OsString>) -> Result<Option<Vec<OsString>>, Fault> {
    let is_up = |name: &OsString| name == "..";
    while left.front().is_some_and(is_up) {
        left.pop_front();
        if !done.pop() {
            return Err(Fault::Escape);
        }
    }
    let names: Vec<OsString> = left.iter().take_while(|name| !is_up(name)).cloned().collect();
    Ok((!names.is_empty()).then_some(names))
}

/// Bytes of the far side as a path of ours.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(OsStr::from_bytes(bytes))
    }
    #[cfg(not(unix))]
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// What `st_mode` says; a server that does not tell it is not trusted with anything.
pub(super) fn kind(attributes: &Attributes) -> Kind {
    match attributes.mode.map(|mode| mode & 0o170_000) {
        Some(0o040_000) => Kind::Dir,
        Some(0o100_000) => Kind::File,
        Some(0o120_000) => Kind::Link,
        _ => Kind::Other,
    }
}

pub(super) fn regular(attributes: &Attributes) -> Result<(), Fault> {
    match kind(attributes) {
        Kind::File => Ok(()),
        Kind::Dir => Err(Fault::Io(ErrorKind::IsADirectory.into())),
        Kind::Link => Err(Fault::Special("link")),
        Kind::Other => Err(Fault::Special("pipe, socket or device")),
    }
}

/// `links`: names that the file has, 0 where nobody knows.
pub(super) fn stat(attributes: &Attributes, links: u64) -> Stat {
    let modified = attributes.times.map(|(_, changed)| u64::from(changed));
    Stat {
        kind: kind(attributes),
        size: attributes.size.unwrap_or_default(),
        modified: modified.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
        created: None,
        mode: attributes.mode.map(|mode| mode & 0o7777),
        links,
    }
}

/// How many names a file has, by the line about it: SFTP itself does not tell, but such lines are those of `ls -l`, whose
/// second word that is. 0 where the line is another one.
pub(super) fn links(line: &[u8]) -> u64 {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let is_mode = words.next().is_some_and(|word| {
        word.len() >= 10
            && matches!(
                word.as_bytes().first(),
                Some(b'-' | b'd' | b'l' | b'b' | b'c' | b'p' | b's')
            )
    });
    let count = words.next().and_then(|word| word.parse().ok());
    count.filter(|_| is_mode).unwrap_or_default()
}

/// Whether a path has nothing but names.
pub(super) fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_file_by_its_line() {
        for (line, expected) in [
            ("-rw-r--r--    2 root     root            3 Nov 22 10:00 a b", 2),
            ("-rw-r--r--+   1 1000     1000            3 Nov 22  2020 1", 1),
            ("drwxr-xr-x   14 a b 4096 Jan  1 00:00 x", 14),
            ("file", 0),
            ("7 7", 0),
            ("-rw-r--r-- many root", 0),
            ("", 0),
        ] {
            assert_eq!(links(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn ways_up() {
        let check = |from: &str, names: &[&str], expected: Option<(&str, usize)>| {
            let mut done = PathBuf::from(from);
            let mut left: VecDeque<OsString> = names.iter().map(OsString::from).collect();
            let found = next(&mut done, &mut left).ok().flatten();
            assert_eq!(
                found.map(|names| (done.to_str(), names.len())),
                expected.map(|(done, count)| (Some(done), count))
            );
        };
        check("a/b", &["..", "c", "d"], Some(("a", 2)));
        check("a", &["b", "..", "c"], Some(("a", 1)));
        check("a", &["..", ".."], None);
        assert!(is_plain(Path::new("a/b")) && !is_plain(Path::new("../a")) && !is_plain(Path::new("/a")));
    }
}
