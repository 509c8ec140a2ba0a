//! Servers that are placed on other hosts: of the same engine behind another guard, and behind a real sshd.

use testkit::Sshd;

use crate::harness::{Dockmaster, masked};
use crate::remote::socket;
use crate::servers::{SCRIPT, gone};

/// Two hosts, one behind SSH, and a server `NAME` of a script.
async fn among_hosts(sshd: &Sshd, name: &str, place: &str) -> Dockmaster {
    let image = testkit::image().await;
    let toml = format!(
        "[hosts.far]\nendpoint = 'ssh://{}@127.0.0.1:{}{}'\nlabels = ['away']\n[hosts.near]\nendpoint = '{}'\nlabels = ['gpu']\n\
         [servers.{name}]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", \'\'\'{SCRIPT}\'\'\']\n\
         [profiles.default.servers.{name}]\n{place}\n",
        Sshd::user(),
        sshd.port(),
        socket(),
        testkit::endpoint()
    );
    let dockmaster = Dockmaster::new().configured(&toml);
    dockmaster.let_in_by(sshd);
    dockmaster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_runs_where_it_is_placed() {
    let sshd = Sshd::start("").await;
    for (name, place) in [
        ("placed-far", "host = 'far'"),
        ("placed-near", "host = 'near'"),
        ("placed-label", "host = { label = 'away' }"),
        ("placed-memory", "host = { label = 'gpu', memory = '16MiB' }"),
    ] {
        let dockmaster = among_hosts(&sshd, name, place).await;
        // What it is placed on is all that is asked: the engine at hand is none.
        let called = dockmaster.run_with(
            &["tools", "call", "whoami"],
            &[("DOCKER_HOST", "unix:///nowhere/docker.sock")],
        );
        assert!(
            called.stdout().contains("uid "),
            "{name}: {}",
            called.transcript()
        );
        gone(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_had_there_is_said_before() {
    let sshd = Sshd::start("").await;
    let dockmaster = among_hosts(&sshd, "picky", "").await;
    let check = |arguments: &[&str]| {
        let said = dockmaster.run(arguments).transcript();
        masked(&said.replace(&format!("{}@", Sshd::user()), "USER@"))
    };
    let enable = |host: &str| check(&["server", "enable", "picky", "--host", host]);
    insta::assert_snapshot!(enable("prod"), @"
    exit #
    ! error: picky was not switched on:
    !  there is no host prod: dockmaster host add prod ssh://user@prod
    ");
    insta::assert_snapshot!(enable("label=none"), @r#"
    exit #
    ! error: picky was not switched on:
    !  no host that may be changed has the label "none": dockmaster host edit NAME --label none
    "#);
    insta::assert_snapshot!(enable("a b"), @r#"
    exit #
    ! error: "a b" is not a valid host name: use letters, digits, '_', '.' and '-', the first a letter or digit
    "#);
    insta::assert_snapshot!(enable("far"), @r#"
    exit #
    | picky is switched on in the profile default (from own); it runs on the host far
    ! note: it has no network, as its entry declares no hosts; to permit some, write under [profiles.default.servers.picky]: hosts = ["HOST:#"], or network = "open" for all
    "#);
    insta::assert_snapshot!(check(&["host", "show", "far"]), @"
    exit #
    | far: ssh://USER@#.#.#.#:#/var/run/docker.sock (the configuration says so)
    | mode guarded
    | labels away
    | runs picky (profile default)
    |  hosts.far.endpoint = 'ssh://USER@#.#.#.#:#/var/run/docker.sock'  # ~/dm/config.toml:#
    |  hosts.far.labels = ['away']  # ~/dm/config.toml:#
    ");
    insta::assert_snapshot!(check(&["host", "remove", "far"]), @"
    exit #
    ! error: servers are placed on far: picky (profile default); place them elsewhere before (`dockmaster server enable SERVER --host local`), or remove it all the same with --yes: they can't run then
    ");
    insta::assert_snapshot!(enable("local"), @r#"
    exit #
    | picky is switched on in the profile default (from own)
    ! note: it has no network, as its entry declares no hosts; to permit some, write under [profiles.default.servers.picky]: hosts = ["HOST:#"], or network = "open" for all
    "#);
    let removed = dockmaster.run(&["host", "remove", "far"]);
    assert_eq!(removed.code(), 0, "{}", removed.transcript());
    // Declared hosts are reached through a proxy on the same machine, and there is no bridge over there.
    let dockmaster = among_hosts(&sshd, "online", "hosts = ['api.example.com:443']").await;
    let refused = dockmaster.run(&["server", "enable", "online", "--host", "far", "--yes"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    let said = refused.stderr();
    for part in [
        "online was not switched on",
        "online can't run on far: it may reach only the hosts that it declares",
        "dockmaster host install far; or",
    ] {
        assert!(said.contains(part), "{}", refused.transcript());
    }
}

/// Adds to the configuration.
fn append(dockmaster: &Dockmaster, toml: &str) {
    let file = dockmaster.home().join("dm/config.toml");
    let written = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, written + toml).unwrap();
}

/// Tools that the user declared: those in containers run where they are placed, as often as they are called.
#[tokio::test(flavor = "multi_thread")]
async fn declared_tools_run_where_they_are_placed() {
    let sshd = Sshd::start("").await;
    let image = testkit::image().await;
    let nowhere = [("DOCKER_HOST", "unix:///nowhere/docker.sock")];
    for (name, place) in [
        ("declared-far", "host = 'far'"),
        ("declared-label", "host = { label = 'away' }"),
        ("declared-memory", "host = { label = 'gpu', memory = '16MiB' }"),
    ] {
        let dockmaster = among_hosts(&sshd, "unused", "").await;
        let file = format!(
            "[tools.shout]\ndescription = \"d\"\nread_only = true\ncontainer.image = \"{image}\"\n\
             container.command = [\"tr\", \"a-z\", \"A-Z\"]\ncontainer.stdin = \"{{{{text}}}}\"\n\
             input.required = [\"text\"]\ninput.properties.text.type = \"string\"\n\
             [tools.ask]\ndescription = \"d\"\nread_only = true\n\
             http = {{ url = \"http://127.0.0.1:9/\", private = true }}\n"
        );
        let path = dockmaster.home().join("mine.toml");
        fs_err::write(&path, file).unwrap();
        let table = format!(
            "[servers.{name}]\ntools = '{}'\n[profiles.default.servers.{name}]\n{place}\n",
            path.display()
        );
        append(&dockmaster, &table);
        let inspected = dockmaster.run(&["server", "inspect", name]);
        assert!(
            inspected
                .stdout()
                .contains("the requests of ask are sent from this machine"),
            "{}",
            inspected.transcript()
        );
        let tested = dockmaster.run_with(&["server", "test", name], &nowhere);
        assert!(tested.stdout().contains(image), "{}", tested.transcript());
        for text in ["once", "and again"] {
            let called = dockmaster.run_with(
                &["tools", "call", "shout", "--arg", &format!("text={text}")],
                &nowhere,
            );
            assert!(
                called.stdout().contains(&text.to_uppercase()),
                "{name}: {}",
                called.transcript()
            );
        }
        gone(name).await;
    }
    // What can't be placed says so, and what to do.
    let dockmaster = among_hosts(&sshd, "unused", "").await;
    let path = dockmaster.home().join("mine.toml");
    fs_err::write(&path, "[tools.now]\ndescription = \"d\"\ncommand = [\"date\"]\n").unwrap();
    append(
        &dockmaster,
        &format!("[servers.runs]\ntools = '{}'\n", path.display()),
    );
    let refused = dockmaster.run(&["server", "enable", "runs", "--host", "far", "--yes"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    for part in [
        "now of runs can't run on far: commands on the machine itself are not permitted there",
        "[hosts.far.shell] runner = \"host\"",
    ] {
        assert!(refused.stderr().contains(part), "{}", refused.transcript());
    }
}
