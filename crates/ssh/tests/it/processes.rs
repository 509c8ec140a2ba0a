//! Commands whose outputs are read as they come.

use crate::support::*;
use ssh::{Client, Exit, Piece, Running, System};
use std::time::Duration;
use testkit::Sshd;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

/// Everything until the end: stdout, stderr, and how it ended.
async fn all(running: &mut Running) -> (String, String, Option<Exit>) {
    let (mut stdout, mut stderr, mut exit) = (Vec::new(), Vec::new(), None);
    while let Some(piece) = timeout(LIMIT, running.outputs.next()).await.unwrap().unwrap() {
        match piece {
            Piece::Stdout(bytes) => stdout.extend(bytes),
            Piece::Stderr(bytes) => stderr.extend(bytes),
            Piece::Exit(how) => exit = Some(how),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), exit)
}

#[tokio::test]
async fn outputs_come_by_themselves_and_as_they_are_written() {
    let sshd = Sshd::start("").await;
    both_outputs(&Client::Own(host(&sshd).into())).await;
    both_outputs(&by_system(&sshd)).await;
}

fn by_system(sshd: &Sshd) -> Client {
    Client::System(System::by(sshd.client(""), target(sshd.port())))
}

/// A code of 255 is no end that could be told from a break.
#[tokio::test]
async fn what_the_systems_ssh_ends_with() {
    let sshd = Sshd::start("").await;
    let host = by_system(&sshd);
    let mut running = host.start("echo out; exit 255").await.unwrap();
    let out = running.outputs.next().await.unwrap();
    assert_eq!(out, Some(Piece::Stdout("out\n".into())));
    let error = running.outputs.next().await.unwrap_err();
    assert_eq!(error.to_string(), "ssh 127.0.0.1 ended with exit status: 255");
    assert_eq!(running.outputs.next().await.unwrap(), None);
    // What it says of why there are no files is passed on.
    let nobody = System::by(sshd.client(""), target(1));
    let error = nobody.sftp().await.unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
    let nowhere = System::by("/nowhere/ssh".into(), target(sshd.port()));
    let error = nowhere.start("id").unwrap_err();
    assert!(error.to_string().contains("install OpenSSH's client"), "{error}");
}

async fn both_outputs(host: &Client) {
    let mut running = host
        .start("echo out; echo err >&2; read line; echo $line; exit 7")
        .await
        .unwrap();
    // Nothing of the second half can come before the input does.
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(
            timeout(LIMIT, running.outputs.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap(),
        );
    }
    assert!(seen.contains(&Piece::Stdout("out\n".into())) && seen.contains(&Piece::Stderr("err\n".into())));
    running.input.write_all(b"more\nof it\n").await.unwrap();
    running.input.shutdown().await.unwrap();
    let rest = all(&mut running).await;
    assert_eq!(rest, ("more\n".into(), String::new(), Some(Exit::Code(7))));
    // Much of both at once.
    let both = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2";
    let mut running = host.start(both).await.unwrap();
    let (stdout, stderr, exit) = all(&mut running).await;
    assert_eq!(
        (stdout.len(), stderr.len(), exit),
        (3_000_000, 3_000_000, Some(Exit::Code(0)))
    );
}
