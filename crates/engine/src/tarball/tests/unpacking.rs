use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Every path below `folder`, with what it is.
fn tree(folder: &Path) -> String {
    fn add(folder: &Path, prefix: &str, lines: &mut Vec<String>) {
        let mut names: Vec<_> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .collect();
        names.sort_by_key(fs_err::DirEntry::file_name);
        for entry in names {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let meta = entry.path().symlink_metadata().unwrap();
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_dir() {
                lines.push(format!("{name}/ {mode:o}"));
                add(&entry.path(), &format!("{name}/"), lines);
            } else if meta.is_symlink() {
                lines.push(format!(
                    "{name} -> {}",
                    fs_err::read_link(entry.path()).unwrap().display()
                ));
            } else {
                lines.push(format!(
                    "{name} {mode:o} {:?}",
                    fs_err::read_to_string(entry.path()).unwrap()
                ));
            }
        }
    }
    let mut lines = Vec::new();
    add(folder, "", &mut lines);
    lines.join("\n")
}

fn unpack_to(
    folder: &Path,
    archive: &[u8],
    root: Root,
    overwrite: Overwrite,
) -> Result<Unpacked, Unfinished> {
    run(unpack(
        pieces(archive),
        folder.to_path_buf(),
        root,
        overwrite,
        Limits::GENEROUS,
    ))
}

/// Unpacks into an empty folder and gives the error, if any, and what is there then.
fn check(archive: Forged, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let found = match unpack_to(folder.path(), &archive.end(), Root::Keep, Overwrite::Never) {
        Ok(unpacked) => unpacked
            .notes
            .iter()
            .map(|note| format!("skipped {}: {}", note.path, note.reason))
            .collect(),
        Err(unfinished) => vec![unfinished.error.to_string()],
    };
    let found = format!("{}\n{}", found.join("\n"), tree(folder.path()));
    assert_eq!(found.trim(), expected.trim());
}

fn sample() -> Forged {
    Forged::default()
        .directory("src/")
        .file("src/run", "go")
        .directory("src/lib")
        .file("src/lib/a", "")
        .symlink("src/link", "lib/a")
        .hard_link("src/twin", "src/run")
}

#[test]
fn files_directories_and_links() {
    let folder = tempfile::tempdir().unwrap();
    let done = unpack_to(folder.path(), &sample().end(), Root::Keep, Overwrite::Never).unwrap();
    insta::assert_snapshot!(tree(folder.path()), @r#"
    src/ 755
    src/lib/ 755
    src/lib/a 755 ""
    src/link -> lib/a
    src/run 755 "go"
    src/twin 755 "go"
    "#);
    assert_eq!(
        (done.files, done.directories, done.links, done.bytes, done.skipped),
        (2, 2, 2, 2, 0)
    );
    let written: Vec<_> = done
        .written
        .iter()
        .map(|one| (one.path.as_str(), one.size))
        .collect();
    assert_eq!(written[..2], [("src", 0), ("src/run", 2)]);
    let time = fs_err::metadata(folder.path().join("src/run"))
        .unwrap()
        .modified()
        .unwrap();
    let age = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(age.as_secs(), 1_700_000_000);
}

#[test]
fn the_root_keeps_its_name_gets_another_or_none() {
    for (root, archive, expected) in [
        (Root::Rename("new".to_owned()), sample(), "new/ 755\nnew/lib/ 755"),
        (Root::Drop, sample(), "lib/ 755\nlib/a 755"),
        (
            Root::Rename("f".to_owned()),
            Forged::default().file("g", "x"),
            "f 755 \"x\"",
        ),
        (
            Root::Drop,
            Forged::default().directory("./").file("./g", "x"),
            "g 755 \"x\"",
        ),
        (
            Root::Rename("d".to_owned()),
            Forged::default().directory("./").file("./g", "x"),
            "d/ 755\nd/g 755",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        unpack_to(folder.path(), &archive.end(), root.clone(), Overwrite::Never).unwrap();
        let found = tree(folder.path());
        assert!(found.starts_with(expected), "{root:?}: {found}");
    }
}

#[test]
fn nothing_leads_out() {
    check(
        Forged::default().file("../x", "1"),
        "entry \"../x\" of the archive leads out of the target folder: it holds '..'; nothing was written for it",
    );
    check(
        Forged::default().file("/x", "1"),
        "entry \"/x\" of the archive leads out of the target folder: it is absolute; nothing was written for it",
    );
    check(
        Forged::default()
            .file("ok", "1")
            .symlink("l", "/etc")
            .symlink("m", "../x")
            .symlink("n", "ok/../../x"),
        "skipped l: a link that leads out of the target folder\n\
         skipped m: a link that leads out of the target folder\n\
         skipped n: a link that leads out of the target folder\n\
         ok 755 \"1\"",
    );
    // Each link alone is harmless; the second would be judged wrongly if `..` were taken by its text.
    check(
        Forged::default()
            .directory("a")
            .directory("a/b")
            .symlink("a/b/up", "../..")
            .symlink("out", "a/b/up/../x"),
        "skipped out: a link that leads out of the target folder\na/ 755\na/b/ 755\na/b/up -> ../..",
    );
    check(
        Forged::default()
            .directory("d")
            .symlink("l", "d")
            .file("l/x", "1"),
        "entry \"l/x\" of the archive leads out of the target folder: a part of it is a symbolic link, which is \
         not followed; nothing was written for it\nd/ 755\nl -> d",
    );
    for first in ["/etc/hostname", "../x", "nothing", "d"] {
        let folder = tempfile::tempdir().unwrap();
        let archive = Forged::default().directory("d").hard_link("h", first).end();
        let unfinished = unpack_to(folder.path(), &archive, Root::Keep, Overwrite::Never).unwrap_err();
        assert!(matches!(unfinished.error, Error::Escapes { .. }), "{unfinished}");
        assert_eq!(tree(folder.path()), "d/ 755");
    }
    check(
        Forged::default()
            .entry(EntryType::Char, "null", "", b"")
            .entry(EntryType::Fifo, "p", "", b"")
            .file("f", ""),
        "skipped null: a device\nskipped p: a named pipe\nf 755 \"\"",
    );
}

#[test]
fn a_link_that_is_there_already_is_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs_err::os::unix::fs::symlink(elsewhere.path(), folder.path().join("d")).unwrap();
    fs_err::write(elsewhere.path().join("victim"), "old").unwrap();
    fs_err::os::unix::fs::symlink(elsewhere.path().join("victim"), folder.path().join("f")).unwrap();
    for archive in [
        Forged::default().file("d/x", "1"),
        Forged::default().directory("d").file("d/x", "1"),
    ] {
        let unfinished = unpack_to(folder.path(), &archive.end(), Root::Keep, Overwrite::Files).unwrap_err();
        assert!(matches!(unfinished.error, Error::Escapes { .. }), "{unfinished}");
    }
    // The link itself is replaced, not what it leads to.
    unpack_to(
        folder.path(),
        &Forged::default().file("f", "new").end(),
        Root::Keep,
        Overwrite::Files,
    )
    .unwrap();
    assert_eq!(tree(elsewhere.path()), "victim 644 \"old\"");
    assert_eq!(fs_err::read_to_string(folder.path().join("f")).unwrap(), "new");
}

/// The same when the link is put there while the archive is unpacked.
#[test]
fn a_directory_that_turns_into_a_link_is_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (d, aside) = (folder.path().join("d"), folder.path().join("aside"));
    fs_err::create_dir(&d).unwrap();
    let done = AtomicBool::new(false);
    let archive = Forged::default()
        .directory("d")
        .file("d/x", "1")
        .file("d/sub/y", "2")
        .end();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Where the archive has made its own in between, there is nothing to swap this time.
                if fs_err::rename(&d, &aside).is_ok() {
                    let linked = fs_err::os::unix::fs::symlink(elsewhere.path(), &d);
                    let _gone = linked.is_ok().then(|| fs_err::remove_file(&d));
                    let _back = fs_err::rename(&aside, &d).or_else(|_| fs_err::remove_dir_all(&aside));
                }
            }
        });
        for _ in 0..300 {
            let _either = unpack_to(folder.path(), &archive, Root::Keep, Overwrite::Files);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(tree(elsewhere.path()), "");
}

#[test]
fn what_exists_is_kept_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs_err::create_dir_all(root.join("src/lib")).unwrap();
    fs_err::write(root.join("src/lib/a"), "mine").unwrap();
    let before = sample().file("src/lib/late", "").end();
    let unfinished = unpack_to(root, &before, Root::Keep, Overwrite::Never).unwrap_err();
    assert_eq!(
        unfinished.to_string(),
        "src/lib/a exists already; choose another target, or allow overwriting \
         (before that, 1 files and 0 directories were written)"
    );
    assert_eq!(
        tree(root),
        "src/ 755\nsrc/lib/ 755\nsrc/lib/a 644 \"mine\"\nsrc/run 755 \"go\""
    );

    let done = unpack_to(root, &before, Root::Keep, Overwrite::Files).unwrap();
    assert_eq!((done.files, done.directories), (3, 0));
    assert_eq!(fs_err::read_to_string(root.join("src/lib/a")).unwrap(), "");
    unpack_to(root, &before, Root::Keep, Overwrite::Files).unwrap();
    assert_eq!(
        fs_err::read_dir(root.join("src")).unwrap().count(),
        4,
        "no hidden file is left"
    );

    // A directory gives way to nothing, and a file to no directory.
    for archive in [
        Forged::default().file("src", "x"),
        Forged::default().directory("src/run"),
        Forged::default().file("src/run/x", ""),
    ] {
        let unfinished = unpack_to(root, &archive.end(), Root::Keep, Overwrite::Files).unwrap_err();
        assert!(matches!(unfinished.error, Error::Exists { .. }), "{unfinished}");
    }
}

#[test]
fn a_cut_stream_leaves_no_part_of_a_file() {
    let archive = Forged::default()
        .file("whole", "1")
        .file("part", &"x".repeat(3000))
        .end();
    for (stream, expected) in [
        (
            pieces(&archive[..3000]).boxed(),
            "the archive is not usable at \"part\": it ends after",
        ),
        (
            pieces(&archive[..3000])
                .chain(stream::iter([Err(io::ErrorKind::ConnectionReset.into())]))
                .boxed(),
            "the stream broke off: connection reset",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().to_path_buf();
        let unfinished = run(unpack(
            stream,
            target,
            Root::Keep,
            Overwrite::Never,
            Limits::GENEROUS,
        ))
        .unwrap_err();
        assert!(unfinished.error.to_string().starts_with(expected), "{unfinished}");
        assert_eq!(unfinished.before.files, 1);
        assert_eq!(tree(folder.path()), "whole 755 \"1\"");
    }
}

#[test]
fn dropping_the_work_leaves_no_part_of_a_file() {
    let archive = Forged::default().file("part", &"x".repeat(3000)).end();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let stream = pieces(&archive[..3000]).chain(stream::pending());
        let work = unpack(
            stream,
            folder.path().to_path_buf(),
            Root::Keep,
            Overwrite::Never,
            Limits::GENEROUS,
        );
        let gave_up = tokio::time::timeout(std::time::Duration::from_millis(200), work).await;
        assert!(gave_up.is_err());
    });
    // The runtime has waited for its blocking threads.
    assert_eq!(tree(folder.path()), "");
}

#[test]
fn limits_end_the_unpacking() {
    let archive = sample().end();
    for (limits, expected) in [
        (
            Limits {
                entries: 1,
                ..Limits::GENEROUS
            },
            "more than 1 entries at src/run",
        ),
        (
            Limits {
                bytes: 1,
                ..Limits::GENEROUS
            },
            "more than 1 bytes at src/run",
        ),
        (
            Limits {
                depth: 1,
                ..Limits::GENEROUS
            },
            "more than 1 nested directories at src/lib/a",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().to_path_buf();
        let work = unpack(pieces(&archive), target, Root::Keep, Overwrite::Never, limits);
        let unfinished = run(work).unwrap_err();
        assert!(unfinished.error.to_string().starts_with(expected), "{unfinished}");
    }
}
