//! Real programs of this machine, run as tasks: what they are given, what is kept of what they say, how they end.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::Path;
use std::time::{Duration, Instant};

use base::Secret;
use programs::task::{End, NoStart, Task};
use testkit::{PATIENCE, eventually};

fn task(argv: &[&str]) -> Task {
    Task {
        argv: argv.iter().map(ToString::to_string).collect(),
        env: vec![("PATH".to_owned(), Secret::new("/usr/bin:/bin".to_owned()))],
        working_dir: None,
        stdin: Vec::new(),
        time: PATIENCE,
        output: 1 << 16,
        complaint: 1 << 16,
    }
}

fn script(text: &str) -> Task {
    task(&["sh", "-c", text])
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The process that wrote its id into `file`, once it has.
async fn written(file: &Path) -> u32 {
    eventually("the id of a process", async || {
        let id = fs_err::read_to_string(file).ok()?;
        Some(id.strip_suffix('\n')?.parse().unwrap())
    })
    .await
}

/// It has ended, or ends: one that nobody waits for stays as a zombie, which runs no more.
async fn ends(process: u32) {
    eventually("the end of a process", async || {
        let stat = fs_err::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
        (state != Some(false)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn words_arrive_as_they_are() {
    let odd = [
        "", " ", "$HOME", "`id`", "a\nb", "'\"", "*", "-n", "ünï", ";reboot",
    ];
    let mut argv = vec!["printf", "%s|"];
    argv.extend(odd);
    let done = task(&argv).run().await.unwrap();
    assert_eq!(text(&done.stdout), odd.map(|word| format!("{word}|")).concat());
    assert_eq!((done.end, done.more, done.before), (End::Code(0), 0, 0));
}

#[tokio::test]
async fn the_environment_is_what_is_given() {
    let mut given = task(&["env"]);
    given
        .env
        .push(("TOKEN".to_owned(), Secret::new("s3cr3t".to_owned())));
    let done = given.run().await.unwrap();
    let mut lines: Vec<_> = text(&done.stdout).lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["PATH=/usr/bin:/bin", "TOKEN=s3cr3t"]);
}

#[tokio::test]
async fn input_arrives_and_ends() {
    let input = "line\n".repeat(100_000);
    let mut counts = task(&["wc", "-c"]);
    counts.stdin = input.clone().into();
    let done = counts.run().await.unwrap();
    assert_eq!(text(&done.stdout).trim(), input.len().to_string());

    let mut deaf = script("exec <&-; echo heard nothing");
    deaf.stdin = input.into();
    let done = deaf.run().await.unwrap();
    assert_eq!((text(&done.stdout), done.end), ("heard nothing\n", End::Code(0)));
}

#[tokio::test]
async fn the_beginning_of_what_it_says_is_kept_and_the_end_of_what_it_complains() {
    let mut talks = script("printf 0123456789; printf abcdefghij >&2");
    (talks.output, talks.complaint) = (4, 3);
    let done = talks.run().await.unwrap();
    assert_eq!((text(&done.stdout), done.more), ("0123", 6));
    assert_eq!((text(&done.stderr), done.before), ("hij", 7));

    let mut floods = script("head -c 8000000 /dev/zero; head -c 8000000 /dev/zero >&2");
    (floods.output, floods.complaint) = (1000, 0);
    let done = floods.run().await.unwrap();
    assert_eq!((done.stdout.len(), done.more), (1000, 7_999_000));
    assert_eq!((done.stderr.len(), done.before), (0, 8_000_000));
}

#[tokio::test]
async fn how_it_ended_is_told() {
    assert_eq!(script("exit 7").run().await.unwrap().end, End::Code(7));
    assert_eq!(script("kill -TERM $$").run().await.unwrap().end, End::Signal(15));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let work = tempfile::tempdir().unwrap();
    assert!(matches!(task(&[]).run().await, Err(NoStart::Missing)));
    assert!(matches!(
        task(&["no-such-program"]).run().await,
        Err(NoStart::Missing)
    ));
    assert!(matches!(
        task(&["./no-such-program"]).run().await,
        Err(NoStart::Missing)
    ));

    let mut without_path = task(&["sh"]);
    without_path.env.clear();
    assert!(matches!(without_path.run().await, Err(NoStart::Missing)));

    // A folder of the PATH that is relative would be looked for wherever we happen to be.
    fs_err::os::unix::fs::symlink("/bin/sh", work.path().join("here")).unwrap();
    let mut relative = task(&["here"]);
    relative.env = vec![("PATH".to_owned(), Secret::new(".".to_owned()))];
    relative.working_dir = Some(work.path().to_owned());
    assert!(matches!(relative.run().await, Err(NoStart::Missing)));

    let mut nowhere = task(&["true"]);
    nowhere.working_dir = Some(work.path().join("gone"));
    let error = nowhere.run().await.unwrap_err();
    assert!(error.to_string().contains("gone is not there"), "{error}");
}

#[tokio::test]
async fn a_program_with_a_slash_is_meant_from_the_working_directory() {
    let work = tempfile::tempdir().unwrap();
    fs_err::os::unix::fs::symlink("/bin/pwd", work.path().join("where")).unwrap();
    let mut there = task(&["./where"]);
    there.working_dir = Some(work.path().to_owned());
    let done = there.run().await.unwrap();
    assert_eq!(
        Path::new(text(&done.stdout).trim()),
        work.path().canonicalize().unwrap()
    );
}

#[tokio::test]
async fn what_takes_too_long_ends_with_all_that_it_started() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("id");
    let mut slow = script(r#"echo said; sleep 1000 & echo $! > "$0"; wait"#);
    slow.argv.push(file.to_str().unwrap().to_owned());
    slow.time = Duration::from_secs(2);
    let done = slow.run().await.unwrap();
    assert_eq!((done.end, text(&done.stdout)), (End::Late, "said\n"));
    ends(written(&file).await).await;
}

#[tokio::test]
async fn what_is_left_behind_holds_nothing_up_and_ends() {
    let began = Instant::now();
    let done = script("sleep 1000 & echo $!").run().await.unwrap();
    assert_eq!(done.end, End::Code(0));
    assert!(began.elapsed() < PATIENCE, "it waited for what was left behind");
    ends(text(&done.stdout).trim().parse().unwrap()).await;
}

#[tokio::test]
async fn nobody_waits_and_it_ends() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("id");
    let mut goes_on = script(r#"sleep 1000 & echo $! > "$0"; wait"#);
    goes_on.argv.push(file.to_str().unwrap().to_owned());
    let process = tokio::select! {
        done = goes_on.run() => panic!("{done:?}"),
        process = written(&file) => process,
    };
    ends(process).await;
}
