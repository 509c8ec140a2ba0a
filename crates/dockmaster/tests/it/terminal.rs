//! What a person at a terminal is asked and shown.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use testkit::Scope;

use crate::harness::Dockmaster;

/// A command whose standard input and error are a terminal, at which this test sits.
pub(crate) struct Terminal {
    child: Child,
    near: File,
    shown: String,
}

impl Terminal {
    pub(crate) fn run(dockmaster: &Dockmaster, arguments: &[&str]) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = || {
            let far =
                rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
            Stdio::from(far)
        };
        let mut command = dockmaster.command(arguments);
        command.env("TERM", "xterm");
        let child = command
            .stdin(far())
            .stderr(far())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            near: near.into(),
            shown: String::new(),
        }
    }

    /// Reads until this is shown.
    pub(crate) fn expect(&mut self, wanted: &str) {
        let mut bytes = [0; 1024];
        while !self.shown.contains(wanted) {
            let count = self
                .near
                .read(&mut bytes)
                .unwrap_or_else(|_| panic!("{wanted:?} was not shown: {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        self.near.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Its exit code. What it still shows is read meanwhile, as it would wait for that otherwise.
    pub(crate) fn end(&mut self) -> i32 {
        let mut bytes = [0; 1024];
        while let Ok(count) = self.near.read(&mut bytes) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        self.child.wait().unwrap().code().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_or_no() {
    let scope = Scope::new("terminal");
    testkit::image().await;
    let name = scope.name("doomed");
    scope.create("doomed", json!({"Cmd": ["true"]})).await;
    let dockmaster = Dockmaster::new();
    let argument = format!("container={name}");
    let call = ["tools", "call", "remove_container", "--arg", &argument];
    for (answer, code) in [("", 77), ("n", 77), ("y", 0)] {
        let mut terminal = Terminal::run(&dockmaster, &call);
        terminal.expect("? [y/N] ");
        assert!(terminal.shown.contains(&name), "{}", terminal.shown);
        terminal.type_line(answer);
        assert_eq!(terminal.end(), code, "{answer:?}: {}", terminal.shown);
    }
    assert_eq!(
        scope
            .daemon()
            .get(&format!("/containers/{name}/json"))
            .await
            .status,
        404
    );
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_typed_where_data_would_be_lost() {
    let scope = Scope::new("terminal-name");
    let name = scope.name("data");
    let volume = json!({"Name": name, "Labels": scope.labels()});
    scope.daemon().post("/volumes/create", &volume).await.ok();
    let dockmaster = Dockmaster::new();
    let argument = format!("volume={name}");
    let call = ["tools", "call", "remove_volume", "--arg", &argument];
    for (answer, code) in [("y", 77), (name.as_str(), 0)] {
        let mut terminal = Terminal::run(&dockmaster, &call);
        terminal.expect("to go on: ");
        terminal.type_line(answer);
        assert_eq!(terminal.end(), code, "{answer:?}: {}", terminal.shown);
    }
    assert_eq!(scope.daemon().get(&format!("/volumes/{name}")).await.status, 404);
    scope.finish().await;
}

/// A call that takes long shows that it is at work, and Ctrl-C ends it.
#[tokio::test(flavor = "multi_thread")]
async fn long_work_is_shown_and_interrupted() {
    let scope = Scope::new("terminal-long");
    let id = scope.run("long", &["sleep", "120"]).await;
    let dockmaster = Dockmaster::new();
    let argument = format!("container={id}");
    let call = [
        "tools",
        "call",
        "execute_command_in_container",
        "--arg",
        &argument,
        "--arg",
        "command=sleep 100",
    ];
    let mut terminal = Terminal::run(&dockmaster, &call);
    terminal.expect(" 1s");
    let pid = terminal.child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(terminal.end(), 130, "{}", terminal.shown);
    let row = &dockmaster.audit()[0];
    assert_eq!(row["outcome"], "cancelled", "{row}");
    scope.finish().await;
}
