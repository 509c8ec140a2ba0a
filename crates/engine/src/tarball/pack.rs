//! Files of memory and of the host as an archive, for `PUT /containers/{id}/archive`.

use std::path::PathBuf;

use bytes::Bytes;

use super::dir::{Dir, Kind, name_bytes};
use super::{Choice, Choose, Error, Limits, Packer, TarStream, walk};

/// Something to pack.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file whose content is given.
    Memory {
        /// Its path in the archive: relative, `/` between parts. Directories on the way are not packed; the
        /// daemon makes them.
        path: String,
        /// The content.
        content: Bytes,
        /// Permission bits.
        mode: u32,
    },
    /// A file, directory (with all below it) or symbolic link of the host. Links are packed as links.
    Host {
        /// Where it is. The caller has made sure that this very path may be read: absolute, links resolved.
        path: PathBuf,
        /// Its name in the archive; `None` packs what is in the directory without the directory itself.
        name: Option<String>,
    },
}

/// Packs `sources` in their order. Must be called within a tokio runtime.
///
/// The stream ends with an [`Error`] inside its [`std::io::Error`] when a file can't be read, when one shrinks,
/// or beyond `limits`.
pub fn pack(sources: Vec<Source>, limits: Limits) -> TarStream {
    TarStream::spawn(limits, move |packer| {
        sources.into_iter().try_for_each(|source| match source {
            Source::Memory { path, content, mode } => {
                relative(&path)?;
                let now = u64::try_from(base::clock::now().as_second()).unwrap_or(0);
                packer.bytes(path.as_bytes(), &content, mode, now)
            }
            Source::Host { path, name } => host(packer, &path, name.as_deref()),
        })
    })
}

fn host(packer: &mut Packer, path: &std::path::Path, name: Option<&str>) -> Result<(), Error> {
    let shown = || name_bytes(path.as_os_str());
    let unreadable = |cause| Error::unreadable(&shown(), cause);
    let Some(name) = name else {
        let root = Dir::open(path).map_err(unreadable)?;
        return walk(packer, &root, b"", &Everything);
    };
    relative(name)?;
    let (Some(parent), Some(own)) = (path.parent(), path.file_name()) else {
        return Err(Error::archive(
            name.as_bytes(),
            "the root folder can't be packed under a name",
        ));
    };
    let parent = Dir::open(parent).map_err(unreadable)?;
    let meta = parent.meta(own).map_err(unreadable)?;
    match meta.kind {
        Kind::Directory => {
            let root = parent.dir(own).map_err(unreadable)?;
            packer.directory(name.as_bytes(), &meta)?;
            walk(packer, &root, format!("{name}/").as_bytes(), &Everything)
        }
        Kind::File => {
            let (file, meta) = parent.file(own).map_err(unreadable)?;
            match meta.kind {
                Kind::File => packer.file(name.as_bytes(), file, &meta),
                _ => Err(Error::archive(&shown(), "it is no regular file any more")),
            }
        }
        Kind::Symlink => {
            let target = parent.link_target(own).map_err(unreadable)?;
            packer.symlink(name.as_bytes(), &target, &meta)
        }
        Kind::Special(what) => Err(Error::archive(
            &shown(),
            format!("it is {what}, which can't be copied"),
        )),
    }
}

/// A path that stays where the archive is unpacked.
fn relative(path: &str) -> Result<(), Error> {
    let parts_ok = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if parts_ok && !path.contains('\0') {
        Ok(())
    } else {
        Err(Error::archive(
            path.as_bytes(),
            "a name in an archive is relative, without '..', '.' and empty parts",
        ))
    }
}

struct Everything;

impl Choose for Everything {
    type Known = ();

    fn choose(&self, _path: &[u8], _kind: Kind, _above: Option<&()>) -> Choice<()> {
        Choice::Take(())
    }
}
