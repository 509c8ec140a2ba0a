//! Hosts: made known, tried, changed and forgotten from the command line, on real engines behind sockets and sshd.

use insta::assert_snapshot;
use serde_json::Value;
use testkit::Sshd;

use crate::harness::{Dockmaster, masked};
use crate::remote::socket;
use crate::terminal::Terminal;

/// A configuration that somebody has written with care.
const COMMENTED: &str = "# Ours.\n[policy]\nask = \"never\" # for now\n\n# Where things run.\n[hosts.old] # since 2019\n\
                         endpoint = \"unix:///nowhere.sock\" # retired soon\nlabels = [\n  \"spare\", # till then\n]\n";

fn file(dockmaster: &Dockmaster) -> String {
    fs_err::read_to_string(dockmaster.file("config.toml"))
        .unwrap()
        .replace(&testkit::endpoint(), "ENGINE")
}

#[test]
fn a_host_is_tried_before_it_is_added_and_comments_stay() {
    let dockmaster = Dockmaster::new().configured(COMMENTED);
    let added = dockmaster.run(&[
        "host",
        "add",
        "second",
        &testkit::endpoint(),
        "--mode",
        "read-only",
        "--label",
        "zone=eu",
        "--root",
        "/srv/work:rw",
    ]);
    assert_eq!(added.code(), 0, "{}", added.transcript());
    let said = added.stdout();
    for part in ["Engine ", "speaking 1.", "mode read-only", "added second: ENGINE"] {
        assert!(said.contains(part), "{part}: {}", added.transcript());
    }
    assert_snapshot!(file(&dockmaster), @r#"
    # Ours.
    [policy]
    ask = "never" # for now

    # Where things run.
    [hosts.old] # since 2019
    endpoint = "unix:///nowhere.sock" # retired soon
    labels = [
      "spare", # till then
    ]

    [hosts.second]
    endpoint = "ENGINE"
    mode = "read-only"
    labels = ["zone=eu"]

    [hosts.second.guard]
    roots = [{ path = "/srv/work", write = true }]
    "#);
    let edited = dockmaster.run(&[
        "host",
        "edit",
        "old",
        "--no-label",
        "spare",
        "--label",
        "gpu",
        "--mode",
        "no-destroy",
    ]);
    assert_eq!(edited.code(), 0, "{}", edited.transcript());
    assert_eq!(dockmaster.run(&["host", "remove", "second"]).code(), 0);
    assert_snapshot!(file(&dockmaster), @r#"
    # Ours.
    [policy]
    ask = "never" # for now

    # Where things run.
    [hosts.old] # since 2019
    endpoint = "unix:///nowhere.sock" # retired soon
    labels = [ # till then
      "gpu",
    ]
    mode = "no-destroy"
    "#);
    assert_snapshot!(dockmaster.run(&["host", "show", "old"]).transcript(), @r#"
    exit 0
    | old: unix:///nowhere.sock (the configuration says so)
    | mode no-destroy
    | labels gpu
    |   hosts.old.endpoint = "unix:///nowhere.sock"  # ~/dm/config.toml:7
    |   hosts.old.mode = "no-destroy"  # ~/dm/config.toml:11
    |   hosts.old.labels = ["gpu"]  # ~/dm/config.toml:8
    "#);
}

#[test]
fn what_does_not_answer_is_not_added() {
    let dockmaster = Dockmaster::new().configured(COMMENTED);
    let check = |arguments: &[&str]| {
        let ended = dockmaster.run(&[&["host"], arguments].concat());
        masked(&ended.transcript())
    };
    assert_snapshot!(check(&["add", "dead", "unix:///nowhere/docker.sock"]), @"
    exit #
    | ok  engine  unix:///nowhere/docker.sock (the configuration says so)
    | FAULT answers  can't reach the Docker Engine at unix:///nowhere/docker.sock: No such file or directory (os error #); is it installed and running? Start it, or correct the address of this host (dockmaster host edit)
    |  -> start the engine, or say where it is
    | ok  guard  mode guarded; calls: full, asking before what would never
    | ok  registries  no credentials; public images only
    ! error: dead was not added; `--untested` adds it without trying the connection
    ");
    assert_snapshot!(check(&["add", "old", "unix:///x"]), @"
    exit #
    ! error: there is a host old already (unix:///nowhere.sock); `dockmaster host edit old` changes it
    ");
    assert_snapshot!(check(&["add", "local", "unix:///x"]), @"
    exit #
    ! error: local is always there; `dockmaster host edit local` changes it
    ");
    assert_snapshot!(check(&["add", "a b", "unix:///x"]), @r#"
    exit #
    ! error: "a b" is not a valid host name: use letters, digits, '_', '.' and '-', the first a letter or digit
    "#);
    assert_snapshot!(check(&["add", "*", "unix:///x"]), @r#"
    exit #
    ! error: "*" is not a valid host name: use letters, digits, '_', '.' and '-', the first a letter or digit
    "#);
    assert_snapshot!(check(&["add", "prod", "deploy@prod"]), @r#"
    exit #
    ! error: "deploy@prod" has no scheme: write ssh://deploy@prod for an engine behind SSH, tcp://deploy@prod for one that listens on a port; or `dockmaster host add prod --context deploy@prod` for a context of the docker CLI
    "#);
    assert_snapshot!(check(&["add", "prod", "ftp://prod"]), @r#"
    exit #
    ! error: "ftp://prod" is not the address of a Docker Engine: the scheme is none of unix, tcp, npipe and ssh; write unix:///path/to/socket, tcp://host:port or ssh://user@host
    "#);
    assert_snapshot!(check(&["add", "prod"]), @"
    exit #
    ! error: where is it? ~/.ssh/config has no Host prod; say so in an address (`dockmaster host add prod ssh://user@prod`), or with a context of the docker CLI (`dockmaster host add prod --context prod`)
    ");
    assert_snapshot!(check(&["add", "prod", "--context", "far"]), @r#"
    exit #
    ! error: there is no docker context "far", which hosts.prod.context names, in HOME/.docker/contexts; there are none at all: create it with `docker context create`, or unset its name
    "#);
    assert_snapshot!(check(&["add", "prod", "tcp://prod", "--certificates", "/nowhere"]), @"
    exit #
    ! error: hosts.prod.certificates: /nowhere/ca.pem is not there; ca.pem says which authority vouches for the engine, cert.pem and key.pem who we are to it
    ");
    assert_snapshot!(check(&["add", "prod", "ssh://prod", "--certificates", "/nowhere"]), @"
    exit #
    ! error: hosts.prod.certificates: certificates are for tcp:// alone, and ssh://prod is not
    ");
    assert_snapshot!(check(&["add", "prod", "ssh://prod", "--label", "two words"]), @r#"
    exit #
    ! error: "two words" is no label; write a word such as gpu, or name=value such as zone=eu
    "#);
    assert_snapshot!(check(&["test", "prod"]), @r#"
    exit #
    ! error: there is no host "prod"; there are: local, old. `dockmaster host add` makes another one known
    "#);
    assert_snapshot!(check(&["remove", "local"]), @"
    exit #
    ! error: local can't be removed: it is the engine that is there without any configuration
    ");
    assert_snapshot!(check(&["edit", "old", "--no-label", "gpu"]), @r#"
    exit #
    ! error: old has no label "gpu"; it has: spare
    "#);
    assert_eq!(file(&dockmaster), COMMENTED);
    assert_snapshot!(check(&["add", "dead", "unix:///nowhere/docker.sock", "--untested", "--json"]), @r#"
    exit #
    | {
    |  "name": "dead",
    |  "endpoint": "unix:///nowhere/docker.sock",
    |  "added": true,
    |  "checks": []
    | }
    "#);
    assert_snapshot!(check(&["test", "dead"]), @"
    exit #
    | ok  engine  unix:///nowhere/docker.sock (the configuration says so)
    | FAULT answers  can't reach the Docker Engine at unix:///nowhere/docker.sock: No such file or directory (os error #); is it installed and running? Start it, or correct the address of this host (dockmaster host edit)
    |  -> start the engine, or say where it is
    | ok  guard  mode guarded; calls: full, asking before what would never
    | ok  registries  no credentials; public images only
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_ssh_config_and_of_contexts() {
    let sshd = Sshd::start("").await;
    let dockmaster = Dockmaster::new();
    let ssh = dockmaster.home().join(".ssh");
    fs_err::create_dir_all(&ssh).unwrap();
    fs_err::copy(sshd.home().join(".ssh/id_ed25519"), ssh.join("id_ed25519")).unwrap();
    let config = format!(
        "Host far\n User {}\n HostName 127.0.0.1\n Port {}\n",
        Sshd::user(),
        sshd.port()
    );
    fs_err::write(ssh.join("config"), config).unwrap();

    // A stranger: refused without a terminal, with what would make it known; at a terminal somebody is asked.
    let refused = dockmaster.run(&["host", "add", "far"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    let said = refused.stdout();
    for part in [
        "it shows ssh-ed25519 SHA256:",
        "add this line to HOME/.ssh/known_hosts: ",
    ] {
        assert!(said.contains(part), "{}", refused.transcript());
    }
    assert!(!dockmaster.file("config.toml").exists());
    for (answer, code) in [("n", 1), ("y", 0)] {
        let mut terminal = Terminal::run(&dockmaster, &["host", "add", "far"]);
        terminal.expect("shows ssh-ed25519 SHA256:");
        terminal.type_line(answer);
        assert_eq!(terminal.end(), code, "{answer}");
    }
    assert_eq!(file(&dockmaster), "[hosts.far]\nendpoint = \"ssh://far\"\n");
    let tested = dockmaster.run(&["host", "test", "far"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());

    // The folder of a context is called by the SHA-256 of its name.
    let meta = dockmaster
        .home()
        .join(".docker/contexts/meta/512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868");
    fs_err::create_dir_all(&meta).unwrap();
    let about = format!(
        r#"{{"Name": "far", "Endpoints": {{"docker": {{"Host": "unix://{}"}}}}}}"#,
        socket()
    );
    fs_err::write(meta.join("meta.json"), about).unwrap();
    let added = dockmaster.run(&["host", "add", "context", "--context", "far"]);
    assert_eq!(added.code(), 0, "{}", added.transcript());
    let listed = dockmaster.run(&["host", "list", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout()).unwrap();
    let names: Vec<_> = listed.iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["local", "context", "far"]);
    let shown = dockmaster.run(&["host", "show", "context"]).stdout();
    assert!(
        shown.contains("(docker context far, which hosts.context.context names)"),
        "{shown}"
    );
}

#[test]
fn a_guard_may_stand_in_a_file_of_its_own() {
    let dockmaster =
        Dockmaster::new().configured("[hosts.prod]\nendpoint = 'ssh://prod'\nguard_file = 'prod.toml'\n");
    let check = |guard: &str| {
        fs_err::write(dockmaster.file("prod.toml"), guard).unwrap();
        dockmaster.run(&["config", "check"]).transcript()
    };
    assert_snapshot!(check("privileged = true\n"), @"
    exit 0
    ! ~/dm/config.toml is in order
    ");
    assert_snapshot!(check("# nothing\nprivilege = true\n"), @"
    exit 78
    ! error: HOME/dm/prod.toml:2: unknown key `privilege`; did you mean `privileged`?
    ");
    assert_snapshot!(check("gpus = 1\n"), @"
    exit 78
    ! error: HOME/dm/prod.toml:1: `gpus`: invalid type: integer `1`, expected a boolean
    ");
    fs_err::remove_file(dockmaster.file("prod.toml")).unwrap();
    assert_snapshot!(dockmaster.run(&["config", "check"]).transcript(), @"
    exit 78
    ! error: can't read the guard_file of a host: failed to open file `HOME/dm/prod.toml`: No such file or directory (os error 2)
    ");
}

/// Fifty hosts of which nobody uses any cost lines of configuration, and a list of them as long as the slowest.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_hosts_cost_little() {
    let many = |count: usize| {
        let hosts = (0..count).map(|number| {
            let endpoint = match number % 5 {
                0 => testkit::endpoint(),
                1 => format!("unix:///nowhere/{number}.sock"),
                // The discard prefix of RFC 6666 goes nowhere, and a name that can't be has no address.
                2 => format!("ssh://nobody@host{number}.invalid"),
                3 => format!("tcp://[100::{number}]:2375"),
                _ => format!("ssh://nobody@127.0.0.1:1/{number}.sock"),
            };
            format!("[hosts.h{number}]\nendpoint = '{endpoint}'\n")
        });
        Dockmaster::new().configured(&hosts.collect::<String>())
    };
    let dockmaster = many(50);
    let begun = std::time::Instant::now();
    let listed = dockmaster.run(&["host", "list", "--json"]);
    let took = begun.elapsed();
    let states: Value = serde_json::from_str(&listed.stdout()).unwrap();
    let is = |health: &str| {
        let states = states.as_array().unwrap().iter();
        states.filter(|state| state["health"]["is"] == health).count()
    };
    // Among those that answer is `local`.
    assert_eq!((is("up"), is("down")), (11, 40), "{states}");
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");

    let mut idle = Vec::new();
    for count in [0, 50] {
        let dockmaster = many(count);
        let client = dockmaster.client(&[]);
        client.initialize("2025-11-25").await;
        client.call("list_volumes", serde_json::json!({})).await.ok();
        let told = fs_err::read_to_string(format!("/proc/{}/status", client.pid())).unwrap();
        let anonymous = told
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        idle.push(
            anonymous
                .trim()
                .split(' ')
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap(),
        );
        client.close().await;
    }
    let more = idle[1].saturating_sub(idle[0]);
    assert!(more < 1 << 10, "{more} KiB more: {idle:?}");
}
