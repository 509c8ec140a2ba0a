use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::dir::{Kind, Meta};
use super::*;

fn meta(size: u64) -> Meta {
    Meta {
        kind: Kind::File,
        mode: 0o644,
        size,
        modified: 5,
        twin: None,
    }
}

fn host(path: &Path, name: Option<&str>) -> Vec<Source> {
    vec![Source::Host {
        path: path.to_path_buf(),
        name: name.map(str::to_owned),
    }]
}

fn packed(sources: Vec<Source>) -> Contents {
    run(async {
        let archive = gather(pack(sources, Limits::GENEROUS)).await.unwrap();
        read(pieces(&archive), Limits::GENEROUS).await.unwrap()
    })
}

fn error_of(stream: impl FnOnce() -> TarStream) -> String {
    run(async { gather(stream()).await.unwrap_err().to_string() })
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    fs_err::create_dir_all(root.join("b/empty")).unwrap();
    fs_err::write(root.join("b/run.sh"), "#!/bin/sh\n").unwrap();
    fs_err::set_permissions(root.join("b/run.sh"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs_err::write(root.join("a"), vec![b'x'; 200_000]).unwrap();
    fs_err::hard_link(root.join("a"), root.join("z")).unwrap();
    fs_err::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
    fs_err::os::unix::fs::symlink("b", root.join("dir-link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(root.join("pipe"))
            .status()
            .unwrap()
            .success()
    );

    let found: Vec<_> = packed(host(&root, Some("new")))
        .entries
        .into_iter()
        .map(|entry| {
            format!(
                "{} {:?} {:o} {}",
                entry.path,
                entry.kind,
                entry.mode,
                entry.content.len()
            )
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    new Directory 755 0
    new/a File 644 200000
    new/b Directory 755 0
    new/b/empty Directory 755 0
    new/b/run.sh File 4755 10
    new/dir-link Symlink("b") 777 0
    new/link Symlink("/etc/passwd") 777 0
    new/z HardLink("new/a") 644 0
    "#);

    let totals = run(async {
        let stream = pack(host(&root, None), Limits::GENEROUS);
        let progress = stream.progress().clone();
        gather(stream).await.unwrap();
        progress.totals()
    });
    assert_eq!(
        (totals.files, totals.directories, totals.links, totals.bytes),
        (2, 2, 3, 200_010)
    );
    let notes: Vec<_> = totals
        .notes
        .iter()
        .map(|note| (note.path.as_str(), note.reason))
        .collect();
    assert_eq!(
        (totals.skipped, notes),
        (2, vec![("pipe", "a named pipe"), ("socket", "a socket")])
    );
}

/// GNU tar reads what we write, with names of each length around the limits of the header.
#[test]
fn another_program_reads_the_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut names: Vec<Vec<u8>> = [1, 98, 99, 100, 101, 154, 155, 156, 255]
        .into_iter()
        .map(|length| vec![b'n'; length])
        .collect();
    let deep = [vec![b'd'; 200], vec![b'e'; 200], b"file".to_vec()].join(&b'/');
    names.extend([
        deep,
        b"caf\xc3\xa9 \xe2\x98\xba".to_vec(),
        b"\xff\xfe".to_vec(),
        b"new\nline".to_vec(),
    ]);
    for name in &names {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, name).unwrap();
    }
    let long_target = "t".repeat(300);
    fs_err::os::unix::fs::symlink(&long_target, folder.path().join("link")).unwrap();

    let archive = run(async {
        gather(pack(host(folder.path(), None), Limits::GENEROUS))
            .await
            .unwrap()
    });
    let unpacked = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar")
        .args(["-x", "--no-same-owner", "-C"])
        .arg(unpacked.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut tar.stdin.take().unwrap(), &archive).unwrap();
    assert!(tar.wait().unwrap().success());
    for name in &names {
        let path = unpacked.path().join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(&fs_err::read(path).unwrap(), name);
    }
    assert_eq!(
        fs_err::read_link(unpacked.path().join("link")).unwrap(),
        Path::new(&long_target)
    );

    let ours = run(read(pieces(&archive), Limits::GENEROUS)).unwrap();
    assert!(
        ours.entries
            .iter()
            .any(|entry| entry.kind == EntryKind::Symlink(long_target.clone()))
    );
    for name in names {
        assert!(ours.entries.iter().any(|entry| entry.content == name), "{name:?}");
    }
}

#[test]
fn memory_and_host_together() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("f"), "host").unwrap();
    let mut sources = host(&folder.path().join("f"), Some("g"));
    sources.push(Source::Memory {
        path: "etc/conf".to_owned(),
        content: "text".into(),
        mode: 0o600,
    });
    let found = packed(sources).entries;
    let found: Vec<_> = found
        .iter()
        .map(|entry| (entry.path.as_str(), entry.mode, &entry.content[..]))
        .collect();
    assert_eq!(found, [("g", 0o644, &b"host"[..]), ("etc/conf", 0o600, b"text")]);
}

#[test]
fn names_that_would_leave_the_target() {
    for path in ["", "/etc/passwd", "../x", "a/../b", "./a", "a//b", "a/", "a\0b"] {
        let source = Source::Memory {
            path: path.to_owned(),
            content: Bytes::new(),
            mode: 0o644,
        };
        let error = error_of(|| pack(vec![source], Limits::GENEROUS));
        assert!(
            error.contains("a name in an archive is relative"),
            "{path:?}: {error}"
        );
    }
}

#[test]
fn files_that_change_while_they_are_read() {
    let shrunk = error_of(|| {
        TarStream::spawn(Limits::GENEROUS, |packer| {
            packer.file(b"log", &b"12345"[..], &meta(10))
        })
    });
    insta::assert_snapshot!(shrunk, @"log shrank from 10 to 5 bytes while it was read; try again when nothing writes to it");

    let grown = run(async {
        let stream = TarStream::spawn(Limits::GENEROUS, |packer| {
            packer.file(b"log", std::io::repeat(b'x'), &meta(70_000))?;
            packer.file(b"next", &b"n"[..], &meta(1))
        });
        read(stream, Limits::GENEROUS).await.unwrap()
    });
    let sizes: Vec<_> = grown
        .entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.content.len()))
        .collect();
    assert_eq!(sizes, [("log", 70_000), ("next", 1)]);
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let locked = folder.path().join("secret");
    fs_err::write(&locked, "x").unwrap();
    fs_err::set_permissions(&locked, PermissionsExt::from_mode(0o000)).unwrap();
    // The superuser can read all the same.
    if fs_err::read(&locked).is_err() {
        let error = error_of(|| pack(host(folder.path(), None), Limits::GENEROUS));
        assert!(error.starts_with("can't read secret: "), "{error}");
    }
    let missing = folder.path().join("missing");
    let error = error_of(|| pack(host(&missing, Some("m")), Limits::GENEROUS));
    assert!(
        error.starts_with(&format!("can't read {}: ", missing.display())),
        "{error}"
    );

    let error =
        error_of(|| TarStream::spawn(Limits::GENEROUS, |packer| packer.file(b"x", Failing, &meta(3))));
    assert!(error.starts_with("can't read x: "), "{error}");
}

#[test]
fn limits_end_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/c");
    fs_err::create_dir_all(&deep).unwrap();
    fs_err::write(deep.join("f"), "12345").unwrap();
    for (limits, expected) in [
        (
            Limits {
                entries: 3,
                ..Limits::GENEROUS
            },
            "more than 3 files and directories at a/b/c/f",
        ),
        (
            Limits {
                bytes: 4,
                ..Limits::GENEROUS
            },
            "more than 4 bytes at a/b/c/f",
        ),
        (
            Limits {
                depth: 2,
                ..Limits::GENEROUS
            },
            "more than 2 nested directories at a/b/c",
        ),
    ] {
        let error = error_of(|| pack(host(folder.path(), None), limits));
        assert!(error.starts_with(expected), "{error}");
    }
    let exact = Limits {
        entries: 4,
        bytes: 5,
        depth: 3,
    };
    run(async { gather(pack(host(folder.path(), None), exact)).await.unwrap() });
}

#[test]
fn dropping_the_stream_stops_the_thread() {
    let (ended, end) = mpsc::channel();
    run(async {
        let mut stream = TarStream::spawn(Limits::GENEROUS, move |packer| {
            let outcome = packer.file(b"endless", std::io::repeat(0), &meta(30 << 30));
            ended.send(matches!(outcome, Err(Error::Stopped))).unwrap();
            outcome
        });
        stream.next().await.unwrap().unwrap();
        drop(stream);
        let stopped = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(20)));
        assert_eq!(stopped.await.unwrap(), Ok(true));
    });
}

#[test]
fn reading_keeps_to_its_limits() {
    let archive = Forged::default()
        .file("a", "12345")
        .file("b", "6789")
        .file("c", "0")
        .end();
    let limits = Limits {
        entries: 2,
        bytes: 7,
        depth: 9,
    };
    let contents = run(read(pieces(&archive), limits)).unwrap();
    let found: Vec<_> = contents
        .entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.size, &entry.content[..]))
        .collect();
    assert_eq!(
        (found, contents.cut),
        (vec![("a", 5, &b"12345"[..]), ("b", 4, b"67")], true)
    );

    // What is asked for is there, so a daemon that never ends its answer is not waited for.
    let endless = pieces(&archive).chain(stream::pending());
    let limits = Limits { entries: 1, ..limits };
    assert_eq!(run(read(endless, limits)).unwrap().entries.len(), 1);
}

#[test]
fn archives_that_are_none() {
    let mut long_name = Forged::default()
        .entry(EntryType::GNULongName, "././@LongLink", "", &vec![b'n'; 70_000])
        .0;
    long_name.extend(Forged::default().file("x", "").end());
    let mut bad_sum = Forged::default().file("a", "").end();
    bad_sum[0] = b'b';
    let cut = Forged::default().file("a", "12345").end()[..514].to_vec();
    let mut sizes = Forged::default()
        .entry(EntryType::XHeader, "pax", "", b"10 size=9\n")
        .0;
    sizes.extend(Forged::default().file("x", "1").end());
    for (archive, expected) in [
        (vec![b'x'; 1024], "numeric field was not a number"),
        (bad_sum, "archive header checksum mismatch"),
        (cut, "archive is not usable"),
        (long_name, "a name or record of 70000 bytes"),
        (sizes, "its header and its record disagree on its size"),
        (
            Forged::default().entry(EntryType::GNUSparse, "s", "", b"").end(),
            "of a kind that is not known here",
        ),
        (Forged::default().file("/abs", "").end(), "it is absolute"),
        (Forged::default().file("a/../../b", "").end(), "it holds '..'"),
    ] {
        let error = run(async {
            match read(pieces(&archive), Limits::GENEROUS).await {
                Ok(contents) => format!("{contents:?}"),
                Err(error) => error.to_string(),
            }
        });
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let broken = stream::iter([Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    let error = run(read(broken, Limits::GENEROUS)).unwrap_err();
    assert!(matches!(error, Error::Source(_)), "{error}");
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(
        at in proptest::collection::vec((0_usize..3000, any::<u8>()), 0..6),
        length in 0_usize..3000,
    ) {
        let mut archive = Forged::default().directory("d").file("d/f", "content").symlink("l", "d").hard_link("h", "d/f").end();
        for (at, byte) in at {
            let at = at % archive.len();
            archive[at] = byte;
        }
        archive.truncate(length);
        let _either = run(read(pieces(&archive), Limits { entries: 100, bytes: 10_000, depth: 10 }));
    }
}
