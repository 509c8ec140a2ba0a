//! Commands on another host, over a real sshd on the loopback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use shell_server::rules::Rules;
use shell_server::{Far, Keeping, Options, Place, ShellServer};
use ssh::Client;
use testkit::Sshd;

use crate::here::{allow, call, failed, free, said};
use crate::host::{is_gone, is_running};

struct There {
    server: ShellServer,
    client: Client,
    sshd: Sshd,
}

/// By which client a host is reached.
#[derive(Debug, Clone, Copy)]
enum By {
    Ours,
    /// The system's `ssh`, with a connection for each command.
    System,
    /// The system's `ssh`, all of whose commands share a connection.
    Shared,
}

const ALL: [By; 3] = [By::Ours, By::System, By::Shared];

async fn there(by: By, rules: Rules) -> There {
    let sessions = match by {
        By::Ours => "MaxSessions 4",
        By::System | By::Shared => "MaxSessions 40",
    };
    over(by, Sshd::start(sessions).await, rules)
}

fn over(by: By, sshd: Sshd, rules: Rules) -> There {
    let target = ssh::Target {
        user: None,
        host: "127.0.0.1".into(),
        port: Some(sshd.port()),
    };
    let options = ssh::Options {
        files: ssh::Files {
            user: None,
            system: None,
            home: sshd.home(),
            user_name: Sshd::user(),
            variables: ssh::Variables::default(),
        },
        agent: None,
        ask: Arc::new(ssh::Nobody),
        limits: ssh::Limits::default(),
    };
    let shared = format!(
        "ControlMaster auto\nControlPersist 5\nControlPath {}/m",
        sshd.home().display()
    );
    let client = match by {
        By::Ours => Client::Own(Arc::new(ssh::Host::new(target, options))),
        By::System => Client::System(ssh::System::by(sshd.client(""), target)),
        By::Shared => Client::System(ssh::System::by(sshd.client(&shared), target)),
    };
    let server = by_client(client.clone(), rules);
    There { server, client, sshd }
}

fn by_client(client: Client, rules: Rules) -> ShellServer {
    let runner = Far {
        name: "far".to_owned(),
        client: Arc::new(move || Ok(client.clone())),
        path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        env: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        dir: Some("/".to_owned()),
        keeping: Keeping::default(),
    };
    let place = Place {
        runner: Arc::new(runner),
        roots: Vec::new(),
    };
    ShellServer::new(Options {
        here: None,
        elsewhere: vec![("far".to_owned(), place)],
        variables: rules.allow.is_some().then(Vec::new),
        rules,
        timeout: Duration::from_mins(1),
        answer_tokens: 4_000,
    })
}

/// A number of seconds that no other process sleeps for.
fn long(number: u32) -> String {
    format!("{}{number}", 5_000_000 + std::process::id())
}

/// One that is away is asked once for all who wait, not by each of them in turn.
#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_host_that_is_away_wait_together() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = ssh::Target {
        user: None,
        host: "127.0.0.1".into(),
        port: Some(silent.local_addr().unwrap().port()),
    };
    let sshd = Sshd::start("").await;
    let client = Client::System(ssh::System::by(sshd.client("ConnectTimeout 2"), target));
    let server = by_client(client, free());
    let asked = async {
        let mut connections = Vec::new();
        loop {
            connections.push(silent.accept().await.unwrap());
            assert_eq!(connections.len(), 1, "somebody asks again");
        }
    };
    let call = || {
        failed(
            &server,
            "run_command",
            json!({"command": ["true"], "host": "far"}),
        )
    };
    let answered = async { tokio::join!(call(), call(), call()) };
    let answers = tokio::select! {
        answers = answered => answers,
        () = asked => unreachable!("it goes on"),
    };
    for said in <[String; 3]>::from(answers) {
        assert!(said.contains("true can't be started on host far"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_there() {
    for by in ALL {
        commands_run_there_by(by).await;
    }
}

async fn commands_run_there_by(by: By) {
    let there = there(by, free()).await;
    let run = async |arguments: serde_json::Value| {
        let mut arguments = arguments;
        arguments["host"] = json!("far");
        said(&there.server, "run_command", arguments).await
    };
    let odd = "it's $HOME `id`\n\"$n\" \\ é *";
    let text = run(json!({"command": ["printf", "%s|", odd, "", "-n"]})).await;
    assert_eq!(text, format!("{odd}||-n|\nexit 0"));
    let text =
        run(json!({"script": "cat; echo err >&2; pwd; exit 3", "stdin": "in\n", "workdir": "/usr"})).await;
    assert_eq!(text, "in\n/usr\nstderr:\nerr\nexit 3");
    let text = run(json!({"script": "env | sort | cut -d= -f1", "env": {"OWN": "a\nb"}})).await;
    let names: Vec<&str> = text.lines().collect();
    let expected = [
        "DOCKMASTER_COMMAND",
        "HOME",
        "LANG",
        "LOGNAME",
        "OLDPWD",
        "OWN",
        "PATH",
        "PWD",
        "SHELL",
        "USER",
    ];
    assert!(
        names.iter().filter(|name| expected.contains(name)).count() >= 9,
        "{text}"
    );
    assert!(!names.contains(&"SSH_CONNECTION"), "{text}");
    let text = run(json!({"script": "kill -9 $$"})).await;
    assert!(text.contains("ended by SIGKILL (exit 137)"), "{text}");
    // The system's ssh ends with that code when it fails itself.
    let text = run(json!({"script": "printf d; exit 255"})).await;
    assert_eq!(text, "d\nexit 255", "{by:?}");
    // Much of it, both ways.
    let input = "x".repeat(300_000);
    let text = run(json!({"command": ["wc", "-c"], "stdin": input})).await;
    assert!(text.starts_with("300000\n"), "{text}");
    for (arguments, expected) in [
        (
            json!({"command": ["no-such-program"]}),
            "there is no program \"no-such-program\" on host far",
        ),
        (
            json!({"command": ["id"], "workdir": "/no/such"}),
            "the working directory /no/such is no folder on host far",
        ),
        (json!({"command": ["-x"]}), "begins with a dash"),
        (
            json!({"command": ["id"], "env": {"A-B": "x"}}),
            "a shell can't be given a variable \"A-B\"",
        ),
    ] {
        let mut arguments = arguments;
        arguments["host"] = json!("far");
        let text = failed(&there.server, "run_command", arguments).await;
        assert!(text.contains(expected), "{text}");
    }
    let text = failed(&there.server, "run_command", json!({"command": ["id"]})).await;
    assert!(
        text.contains("parameter host is missing") && text.contains("name one of far"),
        "{text}"
    );
    let text = failed(
        &there.server,
        "run_command",
        json!({"command": ["id"], "host": "fra"}),
    )
    .await;
    assert!(text.contains("did you mean far?"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_there() {
    let there = there(By::Ours, allow(&["id"])).await;
    let text = failed(
        &there.server,
        "run_command",
        json!({"command": ["ls"], "host": "far"}),
    )
    .await;
    assert!(
        text.contains("not run on host far: no rule of [shell] allow covers it"),
        "{text}"
    );
}

/// At its time limit, and whatever outlives a command that has ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tree_ends() {
    for by in ALL {
        the_whole_tree_ends_by(by).await;
    }
}

async fn the_whole_tree_ends_by(by: By) {
    let there = there(by, free()).await;
    let (one, two, three) = (long(1), long(2), long(3));
    let script = format!(
        "(setsid sh -c 'trap \"\" TERM HUP; sleep {one}; sleep {one}' &); sleep {two} & sleep {three}"
    );
    let (text, has_failed) = call(
        &there.server,
        "run_command",
        json!({"script": script, "host": "far", "timeout": "1s"}),
    )
    .await;
    assert!(
        has_failed && text.contains("its time of 1.0 s was over"),
        "{text}"
    );
    for word in [&one, &two, &three] {
        is_gone(word).await;
    }
    let script = format!("(setsid sleep {one} >/dev/null 2>&1 &); sleep {two} & echo done");
    let began = Instant::now();
    let text = said(
        &there.server,
        "run_command",
        json!({"script": script, "host": "far"}),
    )
    .await;
    assert!(text.starts_with("done\nexit 0"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(20));
    is_gone(&one).await;
    is_gone(&two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_the_background() {
    for by in ALL {
        one_in_the_background_by(by).await;
    }
}

async fn one_in_the_background_by(by: By) {
    let there = there(by, free()).await;
    let script = "trap 'echo caught; exit 5' USR1; echo ready; while read line; do echo got $line; done; while :; do sleep 0.1; done";
    let text = said(
        &there.server,
        "start_command",
        json!({"script": script, "host": "far", "wait": "20s"}),
    )
    .await;
    assert!(text.starts_with("ready\n"), "{text}");
    let text = said(
        &there.server,
        "send_input",
        json!({"command": "c1@far", "input": "x\n", "eof": true, "wait": "20s"}),
    )
    .await;
    assert!(text.starts_with("got x\n"), "{text}");
    let list = said(&there.server, "list_commands", json!({})).await;
    assert!(list.contains("\ton host far\trunning for"), "{list}");
    said(
        &there.server,
        "signal_command",
        json!({"command": "c1@far", "signal": "USR1"}),
    )
    .await;
    // What the shell says of the sleep that was hit as well may come by itself.
    let mut text = String::new();
    for _ in 0..3 {
        let more = json!({"command": "c1@far", "wait": "20s"});
        text.push_str(&said(&there.server, "read_output", more).await);
        if text.contains("caught") {
            break;
        }
    }
    assert!(text.contains("caught"), "{text}");
    let word = long(4);
    said(
        &there.server,
        "start_command",
        json!({"command": ["sleep", word], "host": "far"}),
    )
    .await;
    testkit::eventually("the command", async || is_running(&word).then_some(())).await;
    let text = said(&there.server, "end_command", json!({"command": "c2@far"})).await;
    assert!(text.contains("ended by SIGTERM"), "{text}");
    is_gone(&word).await;
}

/// More at a time than the host takes (`MaxSessions 4`) wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn several_at_a_time() {
    for by in ALL {
        several_at_a_time_by(by).await;
    }
}

async fn several_at_a_time_by(by: By) {
    let there = there(by, free()).await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..8 {
        let server = there.server.clone();
        all.spawn(async move {
            said(
                &server,
                "run_command",
                json!({"script": format!("sleep 0.2; echo {number}"), "host": "far"}),
            )
            .await
        });
    }
    let texts = all.join_all().await;
    assert!(texts.iter().all(|text| text.contains("exit 0")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_the_connection_goes() {
    for by in ALL {
        nothing_is_left_when_the_connection_goes_by(by).await;
    }
}

async fn nothing_is_left_when_the_connection_goes_by(by: By) {
    let there = there(by, free()).await;
    let (one, two) = (long(5), long(6));
    let script = format!("(setsid sleep {one} &); sleep {two}");
    said(
        &there.server,
        "start_command",
        json!({"script": script, "host": "far"}),
    )
    .await;
    testkit::eventually("the command", async || is_running(&two).then_some(())).await;
    match &there.client {
        Client::Own(host) => host.close().await,
        Client::System(_) => kill_all(&there.sshd.home().join("ssh_config").to_string_lossy()),
    }
    is_gone(&one).await;
    is_gone(&two).await;
    testkit::eventually("word of its end", async || {
        let list = said(&there.server, "list_commands", json!({})).await;
        list.contains("nobody knows how").then_some(())
    })
    .await;
}

/// Ends what has a word among its arguments, as the gateway's end does.
fn kill_all(word: &str) {
    let entries = fs_err::read_dir("/proc").unwrap();
    for entry in entries.flatten() {
        let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()) {
            let id = entry.file_name().to_string_lossy().parse().unwrap();
            let id = rustix::process::Pid::from_raw(id).unwrap();
            // It may have ended by itself.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_shell_says_so() {
    for by in ALL {
        let there = over(
            by,
            Sshd::start("ForceCommand /bin/echo This account is not available >&2").await,
            free(),
        );
        let run = json!({"command": ["id"], "host": "far"});
        let text = failed(&there.server, "run_command", run).await;
        let expected =
            "id can't be started on host far: the login over there runs no POSIX shell for it: This account";
        assert!(text.contains(expected), "{by:?}: {text}");
    }
}

/// What the system's `ssh` says when it does not get there is the error, and nothing is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_systems_ssh_says_is_the_error() {
    let there = over(By::System, Sshd::start("").await, free());
    fs_err::write(there.sshd.home().join("authorized_keys"), "").unwrap();
    let run = json!({"command": ["id"], "host": "far"});
    let text = failed(&there.server, "run_command", run).await;
    assert!(
        text.contains("id can't be started on host far: ssh 127.0.0.1 ended with exit status: 255:")
            && text.contains("Permission denied"),
        "{text}"
    );
}
