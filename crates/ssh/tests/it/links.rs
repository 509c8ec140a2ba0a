//! Connections that break and are made anew, and hosts behind hosts.

use crate::support::*;
use ssh::{Error, Host, Target, Trust};
use std::fmt::Write as _;
use std::time::Duration;
use testkit::Sshd;
use tokio::io::AsyncReadExt as _;

fn anywhere(sshd: &Sshd) {
    let key = sshd.read("host_key.pub");
    fs_err::write(path(sshd, ".ssh/known_hosts"), format!("[127.0.0.1]:* {key}")).unwrap();
}

#[tokio::test]
async fn a_break_is_told_and_the_next_request_connects_anew() {
    let sshd = Sshd::start("").await;
    anywhere(&sshd);
    let link = Link::to(sshd.port()).await;
    let host = Host::new(
        target(link.port),
        options(&sshd, &Person::new(Trust::Refuse, &[])),
    );
    let mut stream = host.exec("echo one; sleep 60").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    link.cut();
    let error = stream.read(&mut answer).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "'echo one; sleep 60' on 127.0.0.1: the connection to the host broke"
    );
    for _ in 0..3 {
        assert_eq!(hello(&host).await.unwrap(), "hello\n");
    }
    assert_eq!(link.connections(), 2, "one that is cut, one that is new");
    // What ran when the link broke is not run again.
    let file = path(&sshd, "count");
    let command = format!("echo x >>{}; sleep 60", file.display());
    let running = host.run(&command, b"", 10, Duration::from_secs(30));
    let cutting = async {
        testkit::eventually("the command", || async { file.exists().then_some(()) }).await;
        link.cut();
    };
    let (result, ()) = tokio::join!(running, cutting);
    assert!(result.unwrap_err().may_have_happened());
    assert_eq!(hello(&host).await.unwrap(), "hello\n");
    assert_eq!(fs_err::read_to_string(&file).unwrap(), "x\n");
    host.close().await;
}

#[tokio::test]
async fn a_host_that_is_away_is_left_alone_for_a_little() {
    let mut sshd = Sshd::start("").await;
    sshd.stop().await;
    let host = host_with(&sshd, |options| options.limits.rest = Duration::from_secs(2));
    let error = hello(&host).await.unwrap_err();
    let text = told(&sshd, &error);
    assert!(
        text.starts_with("can't connect to 127.0.0.1 at 127.0.0.1 port PORT: Connection refused")
            && text.ends_with("; is sshd running there, and on this port?"),
        "{text}"
    );
    sshd.run().await;
    let error = hello(&host).await.unwrap_err();
    assert!(matches!(error, Error::Resting { .. }), "{error}");
    assert!(
        error.to_string().contains("(the next attempt is made in "),
        "{error}"
    );
    testkit::eventually("the host", || async { hello(&host).await.ok() }).await;
}

#[tokio::test]
async fn jump_hosts() {
    let first = Sshd::start("").await;
    let second = Sshd::start("").await;
    let third = Sshd::start("AllowTcpForwarding no").await;
    // One key and one file of known hosts for all.
    let mine = first.read(".ssh/id_ed25519.pub");
    let mut known = String::new();
    for sshd in [&first, &second, &third] {
        fs_err::write(path(sshd, "authorized_keys"), &mine).unwrap();
        write!(known, "[127.0.0.1]:{} {}", sshd.port(), sshd.read("host_key.pub")).unwrap();
    }
    fs_err::write(path(&first, ".ssh/known_hosts"), known).unwrap();
    configure(
        &first,
        &format!(
            "Host *\nHostName 127.0.0.1\nHost a\nPort {}\nHost b\nPort {}\nProxyJump a\nHost c\nPort {}\nProxyJump b\n\
             Host d\nPort {}\nProxyJump a,b\nHost e\nPort {}\nProxyJump c\nHost f\nProxyJump g\nHost g\nProxyJump f\n\
             Host h\nProxyCommand nc --token=hunter2hunter2hunter2 %h %p",
            first.port(),
            second.port(),
            third.port(),
            third.port(),
            first.port(),
        ),
    );
    let host = |name: &str| {
        let target = Target::parse(name).unwrap();
        Host::new(target, options(&first, &Person::new(Trust::Refuse, &[])))
    };
    for name in ["a", "b", "c", "d"] {
        let host = host(name);
        let port = host
            .run("echo $SSH_CONNECTION", b"", 100, Duration::from_secs(20))
            .await
            .unwrap()
            .stdout;
        let port = String::from_utf8(port).unwrap();
        let expected = match name {
            "a" => first.port(),
            "b" => second.port(),
            _ => third.port(),
        };
        assert!(port.trim().ends_with(&format!(" {expected}")), "{name}: {port}");
        host.close().await;
    }
    let error = hello(&host("e")).await.unwrap_err().to_string();
    assert!(
        error.starts_with("c (127.0.0.1) does not open 127.0.0.1 port "),
        "{error}"
    );
    assert!(error.contains("its sshd forbids forwarding"), "{error}");
    let error = hello(&host("f")).await.unwrap_err().to_string();
    assert!(error.contains("do they name each other?"), "{error}");
    let error = hello(&host("h")).await.unwrap_err().to_string();
    assert!(
        error.contains("'ProxyCommand nc --token=") && !error.contains("hunter2"),
        "{error}"
    );
}
