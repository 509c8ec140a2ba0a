//! Copying files and trees, also from one root to another.
//!
//! A copy appears under a name that was free. One that fails or is cancelled is taken away again.

use crate::fault::Fault;
use crate::place::{Kind, Limit, Links, Replace};
use crate::roots::Spot;
use server_kit::{Code, ToolError};
use std::path::PathBuf;

/// Files and directories of one copy.
const MOST: usize = 100_000;

/// What was copied.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Copied {
    pub(crate) files: usize,
    pub(crate) dirs: usize,
    pub(crate) bytes: u64,
    /// Pipes, sockets and devices, which are left out.
    pub(crate) left_out: usize,
}

/// Copies `from` to `to`, where nothing may be.
pub(crate) fn copy(from: &Spot, to: &Spot, limit: &Limit) -> Result<Copied, ToolError> {
    let taken = |fault: Fault| fault.during("copy to", &to.shown());
    if from.beside(to) && to.at.starts_with(&from.at) {
        return Err(
            ToolError::arguments(format!("{} lies in {}", to.shown(), from.shown()))
                .fix("copy to a place outside of what is copied"),
        );
    }
    match to.place.stat(&to.at, Links::Keep) {
        Ok(_) => return Err(taken(Fault::Exists)),
        Err(Fault::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(fault) => return Err(taken(fault)),
    }
    let mut copied = Copied::default();
    all(from, to, limit, &mut copied).map_err(|error| {
        if copied.files + copied.dirs == 0 {
            return error;
        }
        match to.place.remove(&to.at) {
            Ok(()) => error.also("what was copied until then was removed again"),
            Err(fault) => error.also(format!("an incomplete copy is left at {}: {fault}", to.shown())),
        }
    })?;
    Ok(copied)
}

fn all(from: &Spot, to: &Spot, limit: &Limit, copied: &mut Copied) -> Result<(), ToolError> {
    let mut left: Vec<(PathBuf, PathBuf)> = vec![(from.at.clone(), to.at.clone())];
    while let Some((source, target)) = left.pop() {
        if limit.reached() {
            return Err(ToolError::new(Code::Timeout, "copying takes too long").fix("copy parts of it"));
        }
        if copied.files + copied.dirs >= MOST {
            return Err(
                ToolError::new(Code::Failed, format!("there are more than {MOST} files"))
                    .fix("copy parts of it"),
            );
        }
        let reading = |fault: Fault| fault.during("copy", &from.shown_at(&source));
        let writing = |fault: Fault| fault.during("copy to", &to.shown_at(&target));
        let stat = from.place.stat(&source, Links::Keep).map_err(reading)?;
        match stat.kind {
            Kind::File => {
                let (mut content, _) = from.place.open(&source).map_err(reading)?;
                copied.bytes += to
                    .place
                    .write(&target, &mut content, Replace::Never, stat.mode)
                    .map_err(writing)?;
                copied.files += 1;
            }
            Kind::Dir => {
                to.place.make_dirs(&target).map_err(writing)?;
                copied.dirs += 1;
                let (entries, _) = from.place.list(&source, MOST).map_err(reading)?;
                left.extend(
                    entries
                        .into_iter()
                        .map(|entry| (source.join(&entry.name), target.join(&entry.name))),
                );
            }
            Kind::Link => {
                let says = from.place.read_link(&source).map_err(reading)?;
                to.place.link(&target, &says).map_err(writing)?;
                copied.files += 1;
            }
            Kind::Other => copied.left_out += 1,
        }
    }
    Ok(())
}
