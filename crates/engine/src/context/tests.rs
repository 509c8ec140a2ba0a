use std::os::unix::fs::{PermissionsExt, symlink};

use futures_util::StreamExt;

use super::*;
use crate::tarball::{EntryKind, read};

/// A folder with these files; a path that ends in `/` is a directory.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let full = folder.path().join(path);
        fs_err::create_dir_all(full.parent().unwrap()).unwrap();
        if path.ends_with('/') {
            fs_err::create_dir_all(full).unwrap();
        } else {
            fs_err::write(full, content).unwrap();
        }
    }
    folder
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// The Dockerfile's name, and every path that is sent.
fn sent(directory: &Path, dockerfile: Dockerfile) -> Result<(String, Vec<(String, String)>), Error> {
    run(async {
        let context = BuildContext::open(directory, dockerfile, Limits::GENEROUS).await?;
        let name = context.dockerfile().to_owned();
        let contents = read(context.stream(), Limits::GENEROUS).await.unwrap();
        let entries = contents.entries.into_iter().map(|entry| {
            let shown = match entry.kind {
                EntryKind::Symlink(target) => format!("-> {target}"),
                EntryKind::Directory => "/".to_owned(),
                _ => String::from_utf8_lossy(&entry.content).into_owned(),
            };
            (entry.path, shown)
        });
        Ok((name, entries.collect()))
    })
}

fn check(files: &[(&str, &str)], dockerfile: Dockerfile, expected: &[&str]) {
    let folder = folder(files);
    let (_, entries) = sent(folder.path(), dockerfile).unwrap();
    let paths: Vec<_> = entries.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, expected, "{files:?}");
}

fn error_of(folder: &Path, dockerfile: Dockerfile) -> String {
    let error = sent(folder, dockerfile).unwrap_err().to_string();
    error.replace(fs_err::canonicalize(folder).unwrap().to_str().unwrap(), "DIR")
}

/// What the daemon removes from the image's sources, by the `.dockerignore` that was sent.
fn removed_by_daemon<'a>(entries: &[(String, String)], names: &[&'a str]) -> Vec<&'a str> {
    let patterns = entries.iter().find(|(path, _)| path == IGNORE_FILE);
    let ignore = patterns
        .map(|(_, content)| Ignore::parse(content.as_bytes()).unwrap())
        .unwrap_or_default();
    names
        .iter()
        .copied()
        .filter(|name| ignore.ignores(name.as_bytes()))
        .collect()
}

#[test]
fn what_the_patterns_leave() {
    check(
        &[("Dockerfile", ""), ("a/b", ""), ("c", "")],
        Dockerfile::Default,
        &["Dockerfile", "a", "a/b", "c"],
    );
    check(
        &[("dockerfile", ""), ("e/", "")],
        Dockerfile::Default,
        &["dockerfile", "e"],
    );
    let tree = |patterns| {
        [
            ("Dockerfile", ""),
            (".dockerignore", patterns),
            ("src/main.rs", ""),
            ("src/gen/x.rs", ""),
            ("src/gen/x.o", ""),
            ("doc/a.md", ""),
            ("README.md", ""),
        ]
    };
    for (patterns, expected) in [
        (
            "doc\n**/*.o",
            &[
                ".dockerignore",
                "Dockerfile",
                "README.md",
                "src",
                "src/gen",
                "src/gen/x.rs",
                "src/main.rs",
            ][..],
        ),
        // Ignored themselves, they are sent all the same, because the daemon needs them.
        ("*", &[".dockerignore", "Dockerfile"]),
        // Directories on the way to an exception come with it, and only those.
        (
            "*\n!src/gen/x.rs",
            &[".dockerignore", "Dockerfile", "src", "src/gen", "src/gen/x.rs"],
        ),
        (
            "*\n!**/*.md",
            &[".dockerignore", "Dockerfile", "README.md", "doc", "doc/a.md"],
        ),
        (
            "**\n!*/main.rs",
            &[".dockerignore", "Dockerfile", "src", "src/main.rs"],
        ),
    ] {
        check(&tree(patterns), Dockerfile::Default, expected);
    }
}

#[test]
fn a_dockerfile_in_a_folder_of_the_context() {
    let files = [
        ("ops/prod.Dockerfile", "FROM x"),
        (".dockerignore", "ops\nsrc"),
        ("src/a", ""),
        ("b", ""),
    ];
    check(
        &files,
        Dockerfile::Inside("ops/prod.Dockerfile".into()),
        &[".dockerignore", "b", "ops", "ops/prod.Dockerfile"],
    );
    let folder = folder(&files);
    let given = folder.path().join("ops/../ops/prod.Dockerfile");
    let (name, entries) = sent(folder.path(), Dockerfile::Inside(given)).unwrap();
    assert_eq!(name, "ops/prod.Dockerfile");
    assert_eq!(
        entries[0].1, "ops\nsrc",
        "the patterns of the user are sent as they are"
    );
}

#[test]
fn patterns_that_belong_to_the_dockerfile() {
    // patterns of the context, patterns of the Dockerfile, what is sent beside Dockerfile and .dockerignore,
    // what must not be in the image
    for (shared, own, expected, removed) in [
        (Some("a"), "b", &["Dockerfile.dockerignore", "a"][..], &[][..]),
        (None, "b", &["Dockerfile.dockerignore", "a"], &[]),
        (Some("a"), "b\nDockerfile*", &["a"], &["Dockerfile"]),
        (None, "b\nDockerfile*", &["a"], &["Dockerfile"]),
        (Some("a"), "*", &[], &["Dockerfile", ".dockerignore"]),
        (Some("*"), "b", &["Dockerfile.dockerignore", "a"], &[]),
        (
            Some("[broken"),
            "b\n.dockerignore",
            &["Dockerfile.dockerignore", "a"],
            &[".dockerignore"],
        ),
    ] {
        let mut files = vec![
            ("Dockerfile", "FROM x"),
            ("Dockerfile.dockerignore", own),
            ("a", ""),
            ("b", ""),
        ];
        files.extend(shared.map(|patterns| (".dockerignore", patterns)));
        let folder = folder(&files);
        let (_, entries) = sent(folder.path(), Dockerfile::Default).unwrap();
        let others: Vec<_> = entries
            .iter()
            .map(|(path, _)| path.as_str())
            .filter(|path| !matches!(*path, "Dockerfile" | ".dockerignore"))
            .collect();
        assert_eq!(others, expected, "{shared:?} {own:?}");
        let mut names = vec!["Dockerfile"];
        names.extend(shared.map(|_| IGNORE_FILE));
        assert_eq!(
            removed_by_daemon(&entries, &names),
            removed,
            "{shared:?} {own:?}: {entries:?}"
        );
    }
}

#[test]
fn a_dockerfile_from_elsewhere() {
    let elsewhere = folder(&[
        ("other.Dockerfile", "FROM y\n"),
        ("own", "FROM z\n"),
        ("own.dockerignore", "a"),
    ]);
    let file = |name| Dockerfile::Outside(elsewhere.path().join(name));
    for (dockerfile, shared, text, expected) in [
        (
            Dockerfile::Text("FROM x\n".to_owned()),
            None,
            "FROM x\n",
            &["Dockerfile", "a"][..],
        ),
        (file("other.Dockerfile"), Some("a"), "FROM y\n", &["Dockerfile"]),
        (file("own"), Some("Dockerfile"), "FROM z\n", &["Dockerfile"]),
    ] {
        let mut files = vec![("Dockerfile", "FROM wrong\n"), ("a", "")];
        files.extend(shared.map(|patterns| (".dockerignore", patterns)));
        let folder = folder(&files);
        let (name, entries) = sent(folder.path(), dockerfile).unwrap();
        assert!(name.starts_with(".dockerfile.") && name.len() == 32, "{name}");
        assert_eq!(entries[0], (name.clone(), text.to_owned()));
        assert_eq!(entries[1].0, IGNORE_FILE);
        let others: Vec<_> = entries[2..].iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(others, expected);
        // Neither the added Dockerfile nor an added .dockerignore ends up in the image.
        let removed = removed_by_daemon(&entries, &[&name, IGNORE_FILE]);
        let expected_removed: &[&str] = if shared.is_some() {
            &[&name]
        } else {
            &[&name, IGNORE_FILE]
        };
        assert_eq!(removed, expected_removed, "{entries:?}");
        if let Some(patterns) = shared {
            assert!(entries[1].1.starts_with(patterns), "{entries:?}");
        }
    }
}

#[test]
fn links_are_sent_as_links() {
    let secret = folder(&[("key", "secret")]);
    let folder = folder(&[("real.Dockerfile", "FROM x"), ("d/f", "")]);
    let at = |name: &str| folder.path().join(name);
    symlink(secret.path(), at("out")).unwrap();
    symlink("d", at("in")).unwrap();
    symlink("missing", at("dangling")).unwrap();
    symlink("real.Dockerfile", at("Dockerfile")).unwrap();
    let (name, entries) = sent(folder.path(), Dockerfile::Default).unwrap();
    assert_eq!(name, "real.Dockerfile");
    let entries: Vec<_> = entries
        .iter()
        .map(|(path, content)| format!("{path} {content}"))
        .collect();
    let out = format!("out -> {}", secret.path().display());
    assert_eq!(
        entries,
        [
            "Dockerfile -> real.Dockerfile",
            "d /",
            "d/f ",
            "dangling -> missing",
            "in -> d",
            &out,
            "real.Dockerfile FROM x"
        ]
    );
}

#[test]
fn links_that_lead_out_are_no_dockerfile_and_no_patterns() {
    let secret = folder(&[("key", "secret")]);
    let folder = folder(&[("Dockerfile", "FROM x"), ("patterns", "*.o")]);
    let at = |name: &str| folder.path().join(name);
    symlink(secret.path().join("key"), at("evil.Dockerfile")).unwrap();
    insta::assert_snapshot!(
        error_of(folder.path(), Dockerfile::Inside("evil.Dockerfile".into())),
        @"the Dockerfile evil.Dockerfile can't be read: it leads out of the build context; name the file itself"
    );
    let located = Dockerfile::locate(folder.path(), Path::new("evil.Dockerfile")).unwrap();
    let key = fs_err::canonicalize(secret.path().join("key")).unwrap();
    assert_eq!(
        located,
        Dockerfile::Outside(key),
        "so that the caller can judge the file itself"
    );
    let located = Dockerfile::locate(folder.path(), &at("Dockerfile")).unwrap();
    assert_eq!(located, Dockerfile::Inside("Dockerfile".into()));

    symlink("patterns", at(".dockerignore")).unwrap();
    assert!(sent(folder.path(), Dockerfile::Default).is_ok());
    fs_err::remove_file(at(".dockerignore")).unwrap();
    symlink(secret.path().join("key"), at(".dockerignore")).unwrap();
    insta::assert_snapshot!(
        error_of(folder.path(), Dockerfile::Default),
        @"DIR/.dockerignore can't be read: it is a link that leads out of its folder"
    );
}

#[test]
fn errors_name_what_to_do() {
    let empty = folder(&[]);
    insta::assert_snapshot!(
        error_of(empty.path(), Dockerfile::Default),
        @"there is no Dockerfile in DIR; name the file to use, relative to that directory"
    );
    let missing = error_of(empty.path(), Dockerfile::Inside("x".into()));
    assert!(
        missing.starts_with("the Dockerfile x can't be read: "),
        "{missing}"
    );
    let folder = folder(&[
        ("Dockerfile", ""),
        (".dockerignore", "ok\n!\n"),
        ("d/.dockerignore/", ""),
        ("d/Dockerfile", ""),
    ]);
    insta::assert_snapshot!(
        error_of(folder.path(), Dockerfile::Default),
        @r#"DIR/.dockerignore: line 2: "!" is not a pattern: an exception needs a pattern after its '!'"#
    );
    insta::assert_snapshot!(
        error_of(&folder.path().join("d"), Dockerfile::Default),
        @"DIR/.dockerignore can't be read: it is not a regular file"
    );
    let file = folder.path().join("Dockerfile");
    let error = error_of(&file, Dockerfile::Default);
    assert!(
        error.starts_with("the build context DIR can't be used: "),
        "{error}"
    );
}

#[test]
fn what_is_ignored_need_not_be_readable() {
    let folder = folder(&[("Dockerfile", ""), (".dockerignore", "locked"), ("locked/x", "")]);
    let locked = folder.path().join("locked");
    fs_err::set_permissions(&locked, PermissionsExt::from_mode(0o000)).unwrap();
    let outcome = sent(folder.path(), Dockerfile::Default);
    fs_err::set_permissions(&locked, PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(outcome.unwrap().1.len(), 2);
}

#[test]
fn progress_counts_what_is_sent() {
    let folder = folder(&[
        ("Dockerfile", "FROM x"),
        (".dockerignore", "big"),
        ("big", "xxxxxxxx"),
        ("d/f", "12"),
    ]);
    run(async {
        let context = BuildContext::open(folder.path(), Dockerfile::Default, Limits::GENEROUS)
            .await
            .unwrap();
        assert_eq!(context.dockerfile_text(), "FROM x");
        let mut stream = context.stream();
        let progress = stream.progress().clone();
        while let Some(chunk) = stream.next().await {
            chunk.unwrap();
        }
        let totals = progress.totals();
        assert_eq!(
            (totals.files, totals.directories, totals.bytes),
            (3, 1, 6 + 3 + 2)
        );
    });
}
