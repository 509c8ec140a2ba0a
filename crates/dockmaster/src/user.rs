//! Who runs this program. By the system's own number, not by what the environment says, since the audit repeats it.

use crate::env::Environment;

/// The user's name.
#[cfg(unix)]
pub(crate) fn name(_environment: &Environment) -> String {
    let id = rustix::process::getuid().as_raw();
    named("/etc/passwd", id).unwrap_or_else(|| format!("uid {id}"))
}

/// The user's name.
#[cfg(not(unix))]
pub(crate) fn name(environment: &Environment) -> String {
    environment
        .text(crate::env::Var::UserName)
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The user's number, where users have one.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no such number")]
pub(crate) fn id() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

/// The user's number, where users have one.
#[cfg(not(unix))]
pub(crate) fn id() -> Option<u32> {
    None
}

/// A group's name.
#[cfg(unix)]
pub(crate) fn group(id: u32) -> String {
    named("/etc/group", id).unwrap_or_else(|| id.to_string())
}

/// The name that goes with a number in a file of lines such as `name:x:number:…`. Users of a directory service are
/// not in it; asking that needs the C library.
#[cfg(unix)]
fn named(file: &str, id: u32) -> Option<String> {
    let text = fs_err::read_to_string(file).ok()?;
    let id = id.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}
