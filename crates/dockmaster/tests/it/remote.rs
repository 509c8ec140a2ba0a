//! The engine reached through a real sshd on the loopback, in each of the ways there are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{Scope, Sshd};

use crate::harness::Dockmaster;
use crate::servers::{SCRIPT, gone, store_secret};
use crate::terminal::Terminal;

/// The socket of the engine under test.
pub(crate) fn socket() -> String {
    let endpoint = testkit::endpoint();
    endpoint
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock")
        .to_owned()
}

/// Dockmaster with the keys of somebody who may log in.
fn through(sshd: &Sshd, path: &str) -> Dockmaster {
    let dockmaster = Dockmaster::on(&format!("ssh://{}@127.0.0.1:{}{path}", Sshd::user(), sshd.port()));
    dockmaster.let_in_by(sshd);
    dockmaster
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_work_behind_ssh() {
    let scope = Scope::new("ssh");
    let image = testkit::image().await;
    let (name, labels) = (scope.name("web"), format!("labels={}", scope.labels()));
    let sshd = Sshd::start("").await;
    let server = format!(
        "[servers.behind-ssh]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", \'\'\'{SCRIPT}\'\'\']\n[profiles.default.servers.behind-ssh]\n"
    );
    let dockmaster = through(&sshd, &socket()).configured(&server);
    let made = dockmaster.run(&[
        "tools",
        "call",
        "create_container",
        "--arg",
        &format!("name={name}"),
        "--arg",
        &format!("image={image}"),
        "--arg",
        &labels,
    ]);
    assert_eq!(made.code(), 0, "{}", made.transcript());
    let list =
        |dockmaster: &Dockmaster| dockmaster.run(&["tools", "call", "list_containers", "{\"all\": true}"]);
    let listed = list(&dockmaster);
    assert!(listed.stdout().contains(&name), "{}", listed.transcript());

    // A server in a container runs there, too, over streams of the same connection.
    let called = dockmaster.run(&["tools", "call", "whoami"]);
    assert!(called.stdout().contains("uid "), "{}", called.transcript());
    gone("behind-ssh").await;

    // A host that nobody knows is refused, with its fingerprint.
    fs_err::remove_file(dockmaster.home().join(".ssh/known_hosts")).unwrap();
    let refused = list(&dockmaster);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    assert!(
        refused
            .stderr()
            .contains("is not known: it shows ssh-ed25519 SHA256:"),
        "{}",
        refused.transcript()
    );
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passphrase_of_a_key_is_a_secret() {
    let sshd = Sshd::start("").await;
    sshd.key("ed25519", ".ssh/id_locked", "open sesame").await;
    sshd.allow(".ssh/id_locked.pub");
    let dockmaster = through(&sshd, &socket());
    let ssh = dockmaster.home().join(".ssh");
    fs_err::copy(sshd.home().join(".ssh/id_locked"), ssh.join("id_locked")).unwrap();
    fs_err::remove_file(ssh.join("id_ed25519")).unwrap();
    fs_err::write(ssh.join("config"), "IdentityFile ~/.ssh/id_locked\n").unwrap();
    let list = |variables: &[(&str, &str)]| {
        dockmaster.run_with(
            &["tools", "call", "list_containers", "{\"all\": true}"],
            variables,
        )
    };
    for (given, wanted) in [
        (None, "nobody gave its passphrase"),
        (Some("wrong"), "the passphrase that was given is wrong"),
    ] {
        let given: Vec<_> = given
            .map(|given| ("DOCKMASTER_SECRET_SSH_ID_LOCKED", given))
            .into_iter()
            .collect();
        let refused = list(&given);
        assert_eq!(refused.code(), 1, "{}", refused.transcript());
        assert!(refused.stderr().contains(wanted), "{}", refused.transcript());
    }
    // A person is asked, and what is typed is not shown.
    let mut terminal = Terminal::run(&dockmaster, &["tools", "call", "list_containers"]);
    terminal.expect("Passphrase of ");
    terminal.type_line("open sesame");
    assert_eq!(terminal.end(), 0);
    store_secret(&dockmaster, "ssh.id_locked", "open sesame");
    let listed = list(&[]);
    assert_eq!(listed.code(), 0, "{}", listed.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sockets_are_not_forwarded_docker_dials() {
    let sshd = Sshd::start("AllowStreamLocalForwarding no\nSetEnv PATH={home}/bin").await;
    let dockmaster = through(&sshd, "");
    let missing = dockmaster.run(&["tools", "call", "list_containers"]);
    assert_eq!(missing.code(), 1, "{}", missing.transcript());

    // What the docker CLI does with these words: a relay between its own pipes and the socket.
    let relay = format!(
        "import os, socket, sys, threading\nassert sys.argv[1:] == ['system', 'dial-stdio']\n\
         s = socket.socket(socket.AF_UNIX)\ns.connect({:?})\ndef up():\n  while b := os.read(0, 65536): s.sendall(b)\n  \
         s.shutdown(socket.SHUT_WR)\nthreading.Thread(target=up, daemon=True).start()\n\
         while b := s.recv(65536): os.write(1, b)\n",
        socket()
    );
    let program = sshd.home().join("bin/docker");
    fs_err::create_dir_all(sshd.home().join("bin")).unwrap();
    let script = sshd.home().join("relay.py");
    fs_err::write(&script, relay).unwrap();
    let run = format!(
        "#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin exec python3 {} \"$@\"\n",
        script.display()
    );
    fs_err::write(&program, run).unwrap();
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let listed = dockmaster.run(&["tools", "call", "list_containers", "{\"all\": true}"]);
    assert_eq!(listed.code(), 0, "{}", listed.transcript());

    // Both ways closed: the error names both.
    fs_err::write(&program, "#!/bin/sh\necho no daemon here >&2\nexit 1\n").unwrap();
    let failed = dockmaster.run(&["tools", "call", "list_containers"]);
    let text = failed.stderr();
    assert!(
        text.contains("does not open the socket /var/run/docker.sock") && text.contains("no daemon here"),
        "{}",
        failed.transcript()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_ssh_goes_where_ours_does_not() {
    let sshd = Sshd::start("").await;
    let dockmaster = Dockmaster::on("ssh://far").configured("[hosts.local]\nssh = \"system\"\n");
    let home = sshd.home();
    let config = format!(
        "{} ProxyCommand sh -c 'exec python3 {}/proxy.py'\n",
        far(&sshd),
        home.display()
    );
    let proxy = format!(
        "import os, socket, threading\ns = socket.create_connection(('127.0.0.1', {}))\ndef up():\n  while b := \
         os.read(0, 65536): s.sendall(b)\n  s.shutdown(socket.SHUT_WR)\nthreading.Thread(target=up, daemon=True).start()\n\
         while b := s.recv(65536): os.write(1, b)\n",
        sshd.port()
    );
    fs_err::write(home.join("proxy.py"), proxy).unwrap();
    let path = systems_ssh(&sshd, &config);
    let list = || {
        dockmaster.run_with(
            &["tools", "call", "list_containers", "{\"all\": true}"],
            &[("PATH", &path)],
        )
    };
    let listed = list();
    assert_eq!(listed.code(), 0, "{}", listed.transcript());

    // What it says when it can't is the error.
    fs_err::write(home.join("config"), config.replace("id_ed25519", "no_such_key")).unwrap();
    let refused = list();
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    assert!(
        refused.stderr().contains("ssh far ended with") && refused.stderr().contains("Permission denied"),
        "{}",
        refused.transcript()
    );

    // Ours says which one does it.
    fs_err::create_dir_all(dockmaster.home().join(".ssh")).unwrap();
    fs_err::write(dockmaster.home().join(".ssh/config"), config).unwrap();
    let own = dockmaster.configured("");
    let refused = own.run(&["tools", "call", "list_containers"]);
    assert!(
        refused.stderr().contains("ProxyCommand") && refused.stderr().contains("`ssh = \"system\"`"),
        "{}",
        refused.transcript()
    );
}

/// What `ssh_config` says of the host `far`.
fn far(sshd: &Sshd) -> String {
    format!(
        "Host far\n User {}\n HostName 127.0.0.1\n Port {port}\n IdentityFile {home}/.ssh/id_ed25519\n \
         UserKnownHostsFile {home}/.ssh/known_hosts\n HostKeyAlias [127.0.0.1]:{port}\n",
        Sshd::user(),
        port = sshd.port(),
        home = sshd.home().display(),
    )
}

/// A `PATH` whose `ssh` is the system's with this configuration: it takes the home folder from the system's list of
/// users, so it has to be told of its file.
fn systems_ssh(sshd: &Sshd, config: &str) -> String {
    let bin = sshd.home().join("bin");
    fs_err::create_dir_all(&bin).unwrap();
    let config_file = sshd.home().join("config");
    fs_err::write(&config_file, config).unwrap();
    program(
        &bin.join("ssh"),
        &format!("exec /usr/bin/ssh -F {} \"$@\"", config_file.display()),
    );
    format!("{}:/usr/bin:/bin", bin.display())
}

fn program(path: &Path, script: &str) {
    fs_err::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// It carries files, too, and commands.
#[tokio::test(flavor = "multi_thread")]
async fn files_and_commands_over_the_systems_ssh() {
    let sshd = Sshd::start("Subsystem sftp internal-sftp").await;
    let work = tempfile::tempdir().unwrap();
    fs_err::write(work.path().join("notes.txt"), "one").unwrap();
    let root = work.path().display();
    let dockmaster = Dockmaster::new().configured(&format!(
        "[docker]\nenabled = false\n[policy]\nask = 'never'\n[files]\nenabled = true\n[shell]\nenabled = true\nrunner = 'host'\n\
         [hosts.far]\nendpoint = 'ssh://far'\nssh = 'system'\n[hosts.far.files]\nroots = [{{ path = '{root}', write = true }}]\n\
         [hosts.far.shell]\nrunner = 'host'\n"
    ));
    let path = systems_ssh(&sshd, &far(&sshd));
    let call = |tool: &str, arguments: Value| {
        let arguments = arguments.to_string();
        dockmaster.run_with(&["tools", "call", tool, &arguments], &[("PATH", &path)])
    };
    let read = call("read_file", json!({"path": "notes.txt", "host": "far"}));
    assert!(read.stdout().contains("\none\n"), "{}", read.transcript());
    let two = json!({"path": "notes.txt", "content": "two", "host": "far"});
    let written = call("write_file", two);
    assert_eq!(written.code(), 0, "{}", written.transcript());
    assert_eq!(
        fs_err::read_to_string(work.path().join("notes.txt")).unwrap(),
        "two"
    );
    let run = json!({"command": ["printf", "%s", "$HOME; id"], "host": "far"});
    let ran = call("run_command", run);
    assert!(
        ran.stdout().contains("\n$HOME; id\n") && ran.stdout().contains("\nexit 0"),
        "{}",
        ran.transcript()
    );
    // Without SFTP over there it says so.
    let none = Sshd::start("").await;
    let path = systems_ssh(&none, &far(&none));
    let read = json!({"path": "notes.txt", "host": "far"}).to_string();
    let refused = dockmaster.run_with(&["tools", "call", "read_file", &read], &[("PATH", &path)]);
    assert!(
        refused.stderr().contains("ssh far gives no SFTP"),
        "{}",
        refused.transcript()
    );
}

/// `ControlPersist` leaves a process behind that holds the first one's stderr open.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_systems_ssh_keeps_holds_nobody_up() {
    let sshd = Sshd::start("SetEnv PATH={home}/there").await;
    let dockmaster = Dockmaster::on("ssh://far").configured("[hosts.local]\nssh = \"system\"\n");
    let home = sshd.home();
    let kept = format!(
        "{} ControlMaster auto\n ControlPersist 60\n ControlPath {}/m\n",
        far(&sshd),
        home.display()
    );
    let path = systems_ssh(&sshd, &kept);
    let there = home.join("there");
    fs_err::create_dir_all(&there).unwrap();
    let list = || {
        let asked = std::time::Instant::now();
        let ended = dockmaster.run_with(&["tools", "call", "list_containers"], &[("PATH", &path)]);
        assert!(asked.elapsed().as_secs() < 20, "{}", ended.transcript());
        ended
    };
    program(&there.join("docker"), "echo no docker today >&2\nexit 3");
    let failed = list();
    assert!(
        failed.stderr().contains("no docker today"),
        "{}",
        failed.transcript()
    );
    program(
        &there.join("docker"),
        "PATH=/usr/local/bin:/usr/bin:/bin exec docker \"$@\"",
    );
    for _ in 0..2 {
        let listed = list();
        assert_eq!(listed.code(), 0, "{}", listed.transcript());
    }
    let mut end = std::process::Command::new(home.join("bin/ssh"));
    let ended = end.args(["-O", "exit", "far"]).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_stranger_is_asked_about() {
    let sshd = Sshd::start("").await;
    let dockmaster = through(&sshd, &socket());
    let known = dockmaster.home().join(".ssh/known_hosts");
    fs_err::remove_file(&known).unwrap();
    let list = ["tools", "call", "list_containers", "{\"all\": true}"];
    for (answer, code) in [("n", 1), ("y", 0)] {
        let mut terminal = Terminal::run(&dockmaster, &list);
        terminal.expect("shows ssh-ed25519 SHA256:");
        terminal.expect("? [y/N] ");
        assert!(!known.exists());
        terminal.type_line(answer);
        assert_eq!(terminal.end(), code, "{answer}");
    }
    // From now on it is known, and nobody is asked.
    assert_eq!(dockmaster.run(&list).code(), 0);
}
