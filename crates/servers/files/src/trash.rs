//! Where deleted files go: a folder in their own root, which no tool sees, with a folder for each deletion.
//!
//! Moving there is one renaming, so it is whole whatever happens, and costs the same for a file and for a tree.

use crate::fault::Fault;
use crate::names;
use crate::place::{Kind, Links, Place, Replace};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Of each root.
pub(crate) const FOLDER: &str = ".dockmaster-trash";
/// In the folder of a deletion: what was deleted, and what it was called.
const ITEM: &str = "item";
const FROM: &str = "from";
/// Deletions that are shown.
const SHOWN: usize = 1_000;

/// One deletion.
#[derive(Debug)]
pub(crate) struct Deleted {
    pub(crate) id: String,
    /// Where it was, from the root on.
    pub(crate) from: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) when: Option<SystemTime>,
}

/// Moves something to the trash, and gives the id by which it comes back.
pub(crate) fn put(place: &dyn Place, at: &Path) -> Result<String, Fault> {
    place.stat(at, Links::Keep)?;
    let id = format!("{:012x}", server_kit::random::number() >> 16);
    let folder = Path::new(FOLDER).join(&id);
    place.make_dirs(&folder)?;
    let name = names::shown(at);
    let moved = place
        .write(
            &folder.join(FROM),
            &mut name.as_bytes(),
            Replace::Never,
            Some(0o600),
        )
        .and_then(|_| place.rename(at, &folder.join(ITEM)));
    match moved {
        Ok(()) => Ok(id),
        Err(fault) => {
            drop(place.remove(&folder));
            Err(fault)
        }
    }
}

/// What is in the trash, the newest first.
pub(crate) fn all(place: &dyn Place) -> Result<Vec<Deleted>, Fault> {
    if place.stat(Path::new(FOLDER), Links::Keep).is_err() {
        return Ok(Vec::new());
    }
    let (entries, _) = place.list(Path::new(FOLDER), SHOWN)?;
    let mut all: Vec<Deleted> = entries
        .iter()
        .filter_map(|entry| find(place, entry.name.to_str()?).ok())
        .collect();
    all.sort_by_key(|deleted| std::cmp::Reverse(deleted.when));
    Ok(all)
}

/// The deletion of this id.
pub(crate) fn find(place: &dyn Place, id: &str) -> Result<Deleted, Fault> {
    let folder = folder(id)?;
    let item = place.stat(&folder.join(ITEM), Links::Keep)?;
    let (source, from) = place.open(&folder.join(FROM))?;
    let mut name = String::new();
    source.take(16 << 10).read_to_string(&mut name)?;
    let from_path = names::parse(&name).ok().filter(|path| path.is_relative());
    Ok(Deleted {
        id: id.to_owned(),
        from: from_path.ok_or(Fault::Trash)?,
        kind: item.kind,
        size: item.size,
        when: from.modified,
    })
}

/// Brings something back, to where it was or to another path.
pub(crate) fn restore(place: &dyn Place, id: &str, to: &Path) -> Result<(), Fault> {
    let folder = folder(id)?;
    if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        place.make_dirs(parent)?;
    }
    place.rename(&folder.join(ITEM), to)?;
    place.remove(&folder)
}

/// Removes a deletion for good.
pub(crate) fn purge(place: &dyn Place, id: &str) -> Result<(), Fault> {
    place.remove(&folder(id)?)
}

fn folder(id: &str) -> Result<PathBuf, Fault> {
    let is_id = id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return Err(Fault::Io(std::io::ErrorKind::NotFound.into()));
    }
    Ok(Path::new(FOLDER).join(id))
}
