//! Local commands: what they are given, what they say, and that nothing of them remains.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Secret;
use gateway::{ByteStream, Process, Wire};
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

struct Running {
    stream: Box<dyn ByteStream>,
    driver: JoinHandle<Option<String>>,
    said: Arc<Mutex<Vec<String>>>,
}

/// `sh -c script`, the shell being the command here.
fn shell(script: &str) -> (Process, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&said);
    let process = Process {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), Secret::new("/usr/bin:/bin"))],
        working_dir: None,
        grace: Duration::from_millis(300),
        stderr: Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())),
    };
    (process, said)
}

#[expect(clippy::disallowed_methods, reason = "the test waits for it")]
fn start((process, said): (Process, Arc<Mutex<Vec<String>>>)) -> Running {
    let link = process.start().unwrap();
    let Wire::Pipe(stream) = link.wire else {
        panic!("a process has pipes");
    };
    Running {
        stream,
        driver: tokio::spawn(link.driver.unwrap()),
        said,
    }
}

impl Running {
    /// All that it writes to standard output until its end.
    async fn output(&mut self) -> String {
        let mut text = String::new();
        let read = self.stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .expect("the output ends")
            .unwrap();
        text
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(line).unwrap().trim().to_owned()
    }

    /// Lets go of the stream and waits for the end; gives what it said on standard error.
    async fn end(self) -> Vec<String> {
        drop(self.stream);
        tokio::time::timeout(Duration::from_secs(30), self.driver)
            .await
            .expect("it ends")
            .unwrap();
        self.said.lock().unwrap().clone()
    }
}

/// Whether a process lives; a zombie does not.
fn lives(pid: &str) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[tokio::test]
async fn messages_go_both_ways_and_closing_the_input_ends_it() {
    let mut running = start(shell("cat; echo bye >&2"));
    running.stream.write_all("hällo\n".as_bytes()).await.unwrap();
    assert_eq!(running.line().await, "hällo");
    assert_eq!(running.end().await, ["bye"]);
}

#[tokio::test]
async fn it_is_given_exactly_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, said) = shell("pwd; env; printf '%s|' \"$@\"; cat");
    process
        .command
        .extend(["name", "a b", "$HOME;ls", ""].map(str::to_owned));
    process.env.push(("TOKEN".to_owned(), Secret::new("s3cret $x")));
    process.working_dir = Some(folder.path().canonicalize().unwrap());
    let mut running = start((process, said));
    running.stream.shutdown().await.unwrap();
    let output = running.output().await;
    let mut lines: Vec<_> = output.lines().collect();
    assert_eq!(
        lines.remove(0),
        folder.path().canonicalize().unwrap().to_str().unwrap()
    );
    assert_eq!(lines.pop(), Some("a b|$HOME;ls||"));
    // The shell itself sets some.
    lines.retain(|line| {
        !["PWD=", "SHLVL=", "_=", "OLDPWD="]
            .iter()
            .any(|own| line.starts_with(own))
    });
    lines.sort_unstable();
    assert_eq!(lines, ["PATH=/usr/bin:/bin", "TOKEN=s3cret $x"]);
    assert!(running.end().await.is_empty());
}

#[tokio::test]
async fn what_ignores_everything_is_killed_with_its_children() {
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & echo $$; while :; do sleep 1; done";
    let mut running = start(shell(script));
    let pids = [running.line().await, running.line().await];
    assert!(pids.iter().all(|pid| lives(pid)));
    running.end().await;
    for pid in &pids {
        eventually("the process is gone", || async { (!lives(pid)).then_some(()) }).await;
    }
}

#[tokio::test]
async fn children_of_a_server_that_ended_by_itself_end_too() {
    let mut running = start(shell("sleep 1000 & echo $!; exit 3"));
    let pid = running.line().await;
    // The child holds the pipe, but the server's output is at its end.
    assert_eq!(running.output().await, "");
    running.end().await;
    eventually("the process is gone", || async { (!lives(&pid)).then_some(()) }).await;
}

#[tokio::test]
async fn one_that_left_the_group_holds_up_nothing() {
    let mut running = start(shell("setsid sleep 5 & echo last words >&2; exit 0"));
    assert_eq!(running.output().await, "");
    assert_eq!(running.end().await, ["last words"]);
}

#[tokio::test]
async fn a_flood_on_standard_error_is_bounded() {
    let script = "yes 'noise' | head -n 200000 >&2; head -c 20000 /dev/zero | tr '\\0' x >&2; echo >&2; sleep 1.1; \
                  printf '\\033[31mpassword=hunter2hunter2\\033[0m\\n' >&2";
    let mut running = start(shell(script));
    assert_eq!(running.output().await, "");
    let said = running.end().await;
    assert!(said.len() < 1_000, "{}", said.len());
    assert!(said.iter().any(|line| line.ends_with("lines left out)")));
    assert_eq!(said.last().unwrap(), "password=[redacted]");
}

#[tokio::test]
async fn what_can_not_be_started_is_named() {
    let fails = |change: &dyn Fn(&mut Process)| {
        let (mut process, _) = shell("");
        change(&mut process);
        process.start().err().unwrap().to_string()
    };
    let error = fails(&|process| process.command = vec!["no-such-server".to_owned()]);
    assert!(
        error.starts_with("no-such-server can't be started: ") && error.contains("is it installed"),
        "{error}"
    );
    let error = fails(&|process| process.working_dir = Some(PathBuf::from("/no/such/folder")));
    assert!(
        error.ends_with("its working directory /no/such/folder does not exist"),
        "{error}"
    );
    let error = fails(&|process| process.command = vec!["/etc/passwd".to_owned()]);
    assert!(error.ends_with("is the file executable?"), "{error}");
    assert_eq!(fails(&|process| process.command.clear()), "the command is empty");
}
