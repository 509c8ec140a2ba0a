//! What we send as a build context, beside what the docker CLI sends for the same folder, and what real engines
//! make of it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use crate::here::{is_podman, on};
use base::names::ImageRef;
use bytes::Bytes;
use engine::context::{BuildContext, Dockerfile};
use engine::ops::images::{Build, BuildEvent};
use engine::tarball::{Contents, EntryKind, Limits, read};
use engine::{Request, path};
use futures_util::{StreamExt, TryStreamExt, stream};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use testkit::{DaemonDouble, Reply, Scope, all_engines, image_on};
use tokio::process::Command;

/// A tree with every depth and kind that patterns speak of.
const TREE: [&str; 17] = [
    "Dockerfile",
    "README.md",
    "a.txt",
    "b.log",
    ".env",
    ".git/config",
    "docs/README.md",
    "docs/api/index.md",
    "docs/api/v1/x.txt",
    "src/main.rs",
    "src/lib/mod.rs",
    "src/lib/a.log",
    "src/gen/deep/er/file.txt",
    "node_modules/x/index.js",
    "with space/f 1",
    "weird[1]/f*",
    "ünï/☺.md",
];

fn tree(patterns: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in TREE {
        let full = folder.path().join(path);
        fs_err::create_dir_all(full.parent().unwrap()).unwrap();
        fs_err::write(full, path).unwrap();
    }
    fs_err::create_dir(folder.path().join("empty")).unwrap();
    fs_err::os::unix::fs::symlink("src/main.rs", folder.path().join("link")).unwrap();
    if !patterns.is_empty() {
        fs_err::write(folder.path().join(".dockerignore"), patterns).unwrap();
    }
    folder
}

async fn contents(archive: impl futures_util::Stream<Item = io::Result<Bytes>>) -> Contents {
    read(archive, Limits::GENEROUS).await.unwrap()
}

/// Paths with kind, mode and content; of directories only those that patterns leave, since the CLI does not send
/// the directories on the way to an exception and leaves it to the daemon to make them.
fn lines(contents: Contents, directories: &BTreeSet<String>) -> Vec<String> {
    let mut lines: Vec<_> = contents
        .entries
        .into_iter()
        .filter(|entry| entry.kind != EntryKind::Directory || directories.contains(&entry.path))
        .map(|entry| {
            let content = String::from_utf8_lossy(&entry.content).into_owned();
            format!(
                "{} {:?} {:o} {} {content:?}",
                entry.path, entry.kind, entry.mode, entry.modified
            )
        })
        .collect();
    lines.sort();
    lines
}

/// The context that the docker CLI sends, caught by a double that is no daemon at all.
async fn theirs(folder: &Path, arguments: &[&str]) -> Result<(Contents, String), String> {
    let double = DaemonDouble::start(|seen| match seen.path() {
        "/_ping" => Reply::ping("1.41"),
        "/build" => Reply::json(200, &json!({"stream": "Successfully built 0123456789ab\n"})),
        _ => Reply::error(404, "not here"),
    });
    let output = Command::new("docker")
        .args(["build", "--quiet"])
        .args(arguments)
        .arg(folder)
        .env("DOCKER_BUILDKIT", "0")
        .env("DOCKER_HOST", double.endpoint())
        .env("DOCKER_CONFIG", double.folder())
        .output()
        .await
        .expect("the docker CLI is installed (scripts/test does)");
    let Some(build) = double.seen().into_iter().find(|seen| seen.path() == "/build") else {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    };
    // With a Dockerfile from elsewhere the CLI leaves out the padding at the end.
    let archive = stream::iter([Ok(build.body.clone()), Ok(Bytes::from(vec![0; 2048]))]);
    Ok((contents(archive).await, build.target))
}

/// Fails unless we send for `folder` what the docker CLI sends.
async fn check(folder: &Path, patterns: &str) {
    let (theirs, _) = theirs(folder, &[]).await.unwrap();
    let directories = theirs
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Directory)
        .map(|entry| entry.path.clone())
        .collect();
    let context = BuildContext::open(folder, Dockerfile::Default, Limits::GENEROUS)
        .await
        .unwrap();
    let ours = contents(context.stream()).await;
    assert_eq!(
        lines(ours, &directories),
        lines(theirs, &directories),
        "{patterns:?}"
    );
}

#[tokio::test]
async fn the_same_files_as_the_docker_cli() {
    for patterns in [
        "",
        "# nothing\n\n",
        "*",
        "**",
        "*\n!docs",
        "*\n!src/lib",
        "docs\n!docs/README.md",
        "docs/*\n!docs/api",
        "docs/**\n!docs/api/v1/x.txt",
        "*.md\n!README.md",
        "**/*.md",
        "**/*.md\n!docs/README.md",
        "**/*.log",
        "**.log",
        "*/*/x.txt",
        "*/*/*.md",
        "src/**/file.txt",
        "src/**",
        "**/lib",
        "?.txt",
        "[ab].*",
        "[^a].*",
        "[a-c].log",
        ".*",
        ".git\n.env\n",
        "/docs\n/src/",
        "  docs  \n\tsrc\t\r\n",
        "\u{feff}docs",
        "./docs/../src",
        "!docs\ndocs",
        "docs\n!docs/api\ndocs/api/v1",
        "docs/api\n!docs",
        "Dockerfile\n.dockerignore",
        "Docker*\n.docker*",
        "node_modules\nempty\nlink",
        "with space\nweird\\[1\\]",
        "weird\\[1]/f\\*",
        "ünï/?.md",
        "ü*",
        "/",
        ".",
        "..",
        "docs//api/",
        "src\n!src\nsrc/gen",
        "***",
        "**/**/*.rs",
        "a**",
    ] {
        check(tree(patterns).path(), patterns).await;
    }
}

/// A tree of short names, so that random patterns meet something.
fn small_tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "Dockerfile",
        "a/a/a",
        "a/a/b",
        "a/b",
        "a/ab",
        "b/a.b",
        "b/b/a",
        "ab/a",
        "ab/b/ab",
        "a.b",
        "ba",
    ] {
        let full = folder.path().join(path);
        fs_err::create_dir_all(full.parent().unwrap()).unwrap();
        fs_err::write(full, path).unwrap();
    }
    folder
}

/// A part of a pattern. Not among them: escaped letters, which the CLI hands to its regular expressions, so that
/// `\d` is any digit; and wildcards in exceptions, which it does not look for below a directory that is ignored,
/// although its documentation promises it (BuildKit does).
fn part() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "a", "b", "ab", "a.b", "*", "?", "**", "a*", "*b", "**b", "a**", "[ab]", "[^a]", "[a-b]b", ".", "..",
        "", "?b", r"\*", "***",
    ])
}

fn line() -> impl Strategy<Value = String> {
    let literal = proptest::sample::select(vec!["a", "b", "ab", "a.b", ".", "..", ""]);
    let exception =
        proptest::collection::vec(literal, 1..4).prop_map(|parts| format!("!a/{}", parts.join("/")));
    let pattern = proptest::collection::vec(part(), 1..4).prop_map(|parts| parts.join("/"));
    let space = proptest::sample::select(vec!["", " ", "\t", "\r"]);
    (prop_oneof![2 => pattern, 1 => exception], space)
        .prop_map(|(line, space)| format!("{space}{line}{space}"))
}

#[test]
fn the_same_files_for_random_patterns() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A run of the CLI takes 60 ms; PROPTEST_CASES asks for more.
    let config = ProptestConfig {
        cases: ProptestConfig::default().cases / 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&proptest::collection::vec(line(), 1..5), |lines| {
        let patterns = lines.join("\n");
        let folder = small_tree();
        fs_err::write(folder.path().join(".dockerignore"), &patterns).unwrap();
        runtime.block_on(check(folder.path(), &patterns));
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn the_same_lines_are_refused() {
    for patterns in ["!", "ok\n! ", "[", "a[]", "[a-]", "[]a]", "x\\", "[^"] {
        let folder = tree(patterns);
        let refusal = theirs(folder.path(), &[]).await.unwrap_err();
        assert!(
            refusal.contains("syntax error in pattern") || refusal.contains("exclusion pattern"),
            "{refusal}"
        );
        let ours = BuildContext::open(folder.path(), Dockerfile::Default, Limits::GENEROUS).await;
        assert!(
            ours.unwrap_err().to_string().contains("is not a pattern"),
            "{patterns:?}"
        );
    }
}

/// A Dockerfile from elsewhere is sent in the same form: under a random name that `.dockerignore` then ignores.
#[tokio::test]
async fn a_dockerfile_from_elsewhere_in_the_same_form() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = fs_err::canonicalize(elsewhere.path())
        .unwrap()
        .join("other.Dockerfile");
    fs_err::write(&file, "FROM scratch\n").unwrap();
    for patterns in ["", "docs\nDockerfile"] {
        let folder = tree(patterns);
        let (theirs, target) = theirs(folder.path(), &["--file", file.to_str().unwrap()])
            .await
            .unwrap();
        let dockerfile = Dockerfile::Outside(file.clone());
        let context = BuildContext::open(folder.path(), dockerfile, Limits::GENEROUS)
            .await
            .unwrap();
        let name = context.dockerfile().to_owned();
        let ours = contents(context.stream()).await;
        let names = |contents: &Contents, random: &str| {
            let paths = contents
                .entries
                .iter()
                .map(|entry| entry.path.replace(random, "RANDOM"));
            let mut paths: Vec<_> = paths.collect();
            paths.sort();
            paths
        };
        let random = target
            .split("dockerfile=")
            .nth(1)
            .and_then(|rest| rest.split('&').next())
            .unwrap();
        assert!(
            target.contains("dockerfile=.dockerfile.") && random.len() == name.len(),
            "{target} {name}"
        );
        assert_eq!(names(&ours, &name), names(&theirs, random), "{patterns:?}");
        let ignore = |contents: &Contents, random: &str| {
            let entry = contents
                .entries
                .iter()
                .find(|entry| entry.path == ".dockerignore")
                .unwrap();
            let text = String::from_utf8_lossy(&entry.content).replace(random, "RANDOM");
            let mut lines: Vec<_> = text
                .lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
            lines.retain(|line| line != "!.dockerignore");
            lines.sort();
            lines
        };
        assert_eq!(ignore(&ours, &name), ignore(&theirs, random), "{patterns:?}");
    }
}

/// Every file that a real build can `COPY`, on every engine.
#[tokio::test]
async fn what_ends_up_in_the_image() {
    // patterns, patterns of the Dockerfile's own, the Dockerfile, what is in the image
    let cases: [(&str, &str, Option<&str>, &[&str]); 5] = [
        ("", "", None, &["Dockerfile", "d/x", "y"]),
        ("d\nDockerfile", "", None, &[".dockerignore", "y"]),
        ("*\n!d/x", "", None, &["d/x"]),
        ("y", "Dockerfile*\n.dockerignore", None, &["d/x", "y"]),
        ("d", "", Some("outside"), &[".dockerignore", "Dockerfile", "y"]),
    ];
    for daemon in all_engines() {
        let scope = Scope::on(daemon, "build-contexts");
        let base = image_on(scope.daemon()).await;
        let engine = on(scope.daemon());
        for (at, (shared, own, outside, expected)) in cases.iter().enumerate() {
            let dockerfile = format!(
                "FROM {base}\nLABEL {}=\"{}\"\nRUN mkdir /all\nCOPY . /all/\n",
                Scope::KEY,
                scope.value()
            );
            let folder = tempfile::tempdir().unwrap();
            let write = |path: &str, content: &str| {
                let path = folder.path().join(path);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, content).unwrap();
            };
            write("Dockerfile", &dockerfile);
            write("d/x", "x");
            write("y", "y");
            if !shared.is_empty() {
                write(".dockerignore", shared);
            }
            if !own.is_empty() {
                write("Dockerfile.dockerignore", own);
            }
            let dockerfile = match outside {
                Some(_) => Dockerfile::Text(dockerfile),
                None => Dockerfile::Default,
            };
            let context = BuildContext::open(folder.path(), dockerfile, Limits::GENEROUS)
                .await
                .unwrap();
            let tag = scope.image(&format!("case{at}"));
            let build = Build {
                tags: vec![ImageRef::parse(&tag).unwrap()],
                dockerfile: context.dockerfile().to_owned(),
                labels: BTreeMap::from([(Scope::KEY.to_owned(), scope.value().to_owned())]),
                ..Build::default()
            };
            let events: Vec<BuildEvent> = engine
                .image_build(&build, context.stream())
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap();
            // Podman applies `.dockerignore` once more to what it got, and knows no file of the Dockerfile's own.
            let twice = !own.is_empty() && is_podman(&engine).await;
            let expected = if twice { &["d/x"] } else { *expected };
            assert_eq!(
                files_in(&engine, &scope, &tag).await,
                expected,
                "{shared:?} {own:?}: {events:?}"
            );
        }
        scope.finish().await;
    }
}

/// The files below `/all` of an image.
async fn files_in(engine: &engine::Engine, scope: &Scope, image: &str) -> Vec<String> {
    let id = scope
        .create(&image.replace([':', '/', '.'], "-"), json!({ "Image": image }))
        .await;
    let container = base::names::ContainerRef::parse(&id).unwrap();
    let request = Request::get(path!["containers", &container, "archive"]).query("path", "/all/.");
    let archive = engine.bytes(request).await.unwrap();
    let contents = read(archive.boxed(), Limits::GENEROUS).await.unwrap();
    let files = contents
        .entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::File);
    let mut files: Vec<_> = files
        .map(|entry| entry.path.trim_start_matches("all/").to_owned())
        .collect();
    files.sort();
    files
}
