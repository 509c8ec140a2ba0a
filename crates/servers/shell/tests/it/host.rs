//! Commands on this host, and their trees.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use shell_server::runner::{Command, Exit, How, Reach, Runner, Started, Which};
use shell_server::{Host, Signal};
use tokio::io::AsyncWriteExt;

pub(crate) fn host() -> Host {
    let own = std::env::current_exe().unwrap();
    let examples = own
        .parent()
        .and_then(std::path::Path::parent)
        .unwrap()
        .join("examples");
    Host {
        keeper: examples.join("keeper"),
        path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        env: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        dir: PathBuf::from("/"),
    }
}

fn sh(script: &str) -> Command {
    Command {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        dir: None,
        env: Vec::new(),
    }
}

async fn printed(mut started: Started) -> (String, String, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    started.input.shutdown().await.unwrap();
    drop(started.input);
    while let Some((which, piece)) = started.outputs.next().await {
        match which {
            Which::Stdout => out.extend_from_slice(&piece),
            Which::Stderr => err.extend_from_slice(&piece),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), started.process.ended().await)
}

/// Reads standard output until it holds a text.
async fn hear(started: &mut Started, wanted: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(wanted) {
        let (_, piece) = started.outputs.next().await.expect("it goes on");
        heard.push_str(&String::from_utf8_lossy(&piece));
    }
    heard
}

/// Whether any process of this machine has a word among its arguments.
pub(crate) fn is_running(word: &str) -> bool {
    let entries = fs_err::read_dir("/proc").unwrap();
    entries.flatten().any(|entry| {
        let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
    })
}

/// A number of seconds that only one test sleeps.
pub(crate) fn seconds(number: u32) -> String {
    format!("{}{number}", 300_000 + std::process::id())
}

pub(crate) async fn is_gone(word: &str) {
    testkit::eventually(word, async || (!is_running(word)).then_some(())).await;
}

#[tokio::test]
async fn outputs_input_and_exit() {
    let mut started = host().start(&sh("cat; echo err >&2; exit 3")).await.unwrap();
    started.input.write_all(b"hello\n").await.unwrap();
    let (out, err, exit) = printed(started).await;
    assert_eq!((out.as_str(), err.as_str()), ("hello\n", "err\n"));
    assert_eq!(
        exit,
        Exit {
            how: How::Code(3),
            remark: None
        }
    );

    let (_, _, exit) = printed(host().start(&sh("kill -KILL $$")).await.unwrap()).await;
    assert_eq!(exit.how, How::Signal(9));
}

#[tokio::test]
async fn only_the_given_environment() {
    let mut command = sh("env | sort | grep -v '^_='; pwd");
    command.env = vec![("OWN".to_owned(), "ä b".to_owned())];
    command.dir = Some("/tmp".to_owned());
    let (out, _, _) = printed(host().start(&command).await.unwrap()).await;
    assert_eq!(
        out,
        "LANG=C.UTF-8\nOWN=ä b\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=/tmp\n/tmp\n"
    );
}

#[tokio::test]
async fn what_can_not_start_says_why() {
    let start = async |argv: &[&str], dir: Option<&str>| {
        let command = Command {
            argv: argv.iter().map(ToString::to_string).collect(),
            dir: dir.map(str::to_owned),
            env: Vec::new(),
        };
        host().start(&command).await.err().unwrap().what
    };
    assert_eq!(
        start(&["no-such-program"], None).await,
        "there is no program \"no-such-program\" on this host"
    );
    assert_eq!(
        start(&["/etc/passwd"], None).await,
        "/etc/passwd can't be started on this host: Permission denied (os error 13)"
    );
    assert_eq!(
        start(&["ls"], Some("/nowhere")).await,
        "the working directory /nowhere is no folder on this host"
    );
}

#[tokio::test]
async fn the_whole_tree_ends() {
    let long = seconds(1);
    // One in the foreground that takes no notice, one in another session, one that was forked away twice.
    let script = format!(
        "trap '' TERM; setsid sleep {long} & (setsid sh -c 'trap \"\" TERM; sleep {long} & sleep {long}' &) ; echo ready; sleep {long}; sleep {long}"
    );
    let mut started = host().start(&sh(&script)).await.unwrap();
    hear(&mut started, "ready").await;
    assert!(is_running(&long));
    started.process.end(Duration::from_millis(200)).await;
    let exit = started.process.ended().await;
    assert_eq!(
        exit,
        Exit {
            how: How::Signal(9),
            remark: None
        }
    );
    assert!(!is_running(&long), "something got away");
}

#[tokio::test]
async fn it_ends_with_whoever_holds_it() {
    let long = seconds(2);
    let script = format!("trap '' TERM; (setsid sleep {long} &); echo ready; sleep {long}; sleep {long}");
    let mut started = host().start(&sh(&script)).await.unwrap();
    hear(&mut started, "ready").await;
    drop(started);
    is_gone(&long).await;
}

#[tokio::test]
async fn what_outlives_a_command_ends() {
    let long = seconds(3);
    let script = format!("(setsid sleep {long} >/dev/null 2>&1 &); exit 5");
    let (_, _, exit) = printed(host().start(&sh(&script)).await.unwrap()).await;
    assert_eq!(exit.how, How::Code(5));
    assert!(!is_running(&long));
}

#[tokio::test]
async fn signals_reach_the_tree() {
    let script = "trap 'echo outer; wait; exit 7' USR1; (trap 'echo inner; exit' USR1; echo in; while :; do sleep 0.05; done) & \
                  echo out; while :; do sleep 0.05; done";
    let mut started = host().start(&sh(script)).await.unwrap();
    hear(&mut started, "in\n").await;
    assert_eq!(
        started.process.signal("usr1".parse::<Signal>().unwrap()).await,
        Ok(Reach::Tree)
    );
    let (out, _, exit) = printed(started).await;
    assert!(out.contains("outer") && out.contains("inner"), "{out}");
    assert_eq!(exit.how, How::Code(7));
}

#[tokio::test]
async fn many_that_went_their_own_ways_end() {
    let long = seconds(4);
    let script = format!(
        "n=0; while [ $n -lt 150 ]; do (setsid sleep {long} &); n=$((n+1)); done; echo ready; sleep {long}"
    );
    let mut started = host().start(&sh(&script)).await.unwrap();
    hear(&mut started, "ready").await;
    started.process.end(Duration::ZERO).await;
    started.process.ended().await;
    assert!(!is_running(&long));
}
