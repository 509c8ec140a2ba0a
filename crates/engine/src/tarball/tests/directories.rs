use std::ffi::OsStr;
use std::io::Read;
use std::process::Command;

use fs_err::os::unix::fs::symlink;

use super::super::dir::{Dir, Existing, Kind};

fn os(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// What happens when something is swapped for a link after it was looked at: whoever may write into a folder, a
/// container for one, can do that at any moment.
#[test]
fn a_link_in_place_of_what_was_there_is_not_followed() {
    let secret = tempfile::tempdir().unwrap();
    fs_err::write(secret.path().join("f"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs_err::create_dir(at("d")).unwrap();
    fs_err::write(at("d/f"), "open").unwrap();
    fs_err::write(at("f"), "open").unwrap();

    let root = Dir::open(folder.path()).unwrap();
    assert_eq!(root.meta(os("d")).unwrap().kind, Kind::Directory);
    assert_eq!(root.meta(os("f")).unwrap().kind, Kind::File);
    let d = root.dir(os("d")).unwrap();
    fs_err::rename(at("d"), at("aside")).unwrap();
    symlink(secret.path(), at("d")).unwrap();
    fs_err::remove_file(at("f")).unwrap();
    symlink(secret.path().join("f"), at("f")).unwrap();

    assert!(root.dir(os("d")).is_err());
    assert!(root.file(os("f")).is_err());
    assert_eq!(root.meta(os("d")).unwrap().kind, Kind::Symlink);
    let mut content = String::new();
    d.file(os("f")).unwrap().0.read_to_string(&mut content).unwrap();
    assert_eq!(content, "open", "what was open stays what it was");

    assert!(root.create(os("f")).is_err());
    root.create(os("new")).unwrap();
    root.rename(os("new"), os("f"), Existing::Refuse).unwrap_err();
    root.rename(os("new"), os("f"), Existing::Replace).unwrap();
    assert_eq!(root.meta(os("f")).unwrap().kind, Kind::File);
    assert_eq!(fs_err::read_to_string(secret.path().join("f")).unwrap(), "secret");
}

#[test]
fn a_named_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.path().join("p"))
        .status()
        .unwrap();
    assert!(made.success());
    let (_, meta) = Dir::open(folder.path()).unwrap().file(os("p")).unwrap();
    assert_eq!(meta.kind, Kind::Special("no regular file"));
}

#[test]
fn names_come_in_order_and_within_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b", "a", "é", "B"] {
        fs_err::write(folder.path().join(name), "").unwrap();
    }
    let dir = Dir::open(folder.path()).unwrap();
    assert_eq!(dir.names(4).unwrap(), ["B", "a", "b", "é"]);
    assert_eq!(
        dir.names(2).unwrap().len(),
        3,
        "one more says that there are too many"
    );
}
