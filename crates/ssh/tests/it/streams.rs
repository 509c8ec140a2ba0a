//! Streams to commands, sockets and ports, many at a time, large, slow and refused.

use crate::support::*;
use ssh::{Error, Exit, Host};
use std::sync::Arc;
use std::time::Duration;
use testkit::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn commands() {
    let sshd = Sshd::start("").await;
    let host = host(&sshd);
    let output = host
        .run("cat; echo oops >&2; exit 3", b"hello\n", 100, LIMIT)
        .await
        .unwrap();
    assert_eq!(
        (&*output.stdout, &*output.stderr),
        (&b"hello\n"[..], &b"oops\n"[..])
    );
    assert_eq!(output.exit, Some(Exit::Code(3)));
    let output = host.run("kill -9 $$", b"", 100, LIMIT).await.unwrap();
    assert_eq!(output.exit, Some(Exit::Signal("KILL".into())));
    // More than is kept is read all the same, so that the command can end.
    let output = host
        .run("head -c 3000000 /dev/zero", b"", 10, LIMIT)
        .await
        .unwrap();
    assert_eq!((output.stdout.len(), output.exit), (10, Some(Exit::Code(0))));
    // As a stream, a failure is told at the end.
    let mut stream = host.exec("no-such-program").await.unwrap().with_note("before: ");
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("before: 'no-such-program' on 127.0.0.1: it is not installed there: ")
            && text.contains("not found"),
        "{text}"
    );
    host.close().await;
    assert!(matches!(host.exec("true").await, Err(Error::Closed { .. })));
}

#[tokio::test]
async fn one_connection_carries_everything() {
    let sshd = Sshd::start("").await;
    let link = Link::to(sshd.port()).await;
    // The link has a port of its own.
    let key = sshd.read("host_key.pub");
    fs_err::write(path(&sshd, ".ssh/known_hosts"), format!("[127.0.0.1]:* {key}")).unwrap();
    let host = Arc::new(Host::new(
        target(link.port),
        options(&sshd, &Person::new(ssh::Trust::Refuse, &[])),
    ));
    let socket = path(&sshd, "echo.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut echo = JoinSet::new();
    echo.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            open.spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    let mut streams = JoinSet::new();
    for number in 0..50_u32 {
        let (host, socket) = (Arc::clone(&host), socket.clone());
        streams.spawn(async move {
            let mut stream = host.unix(&socket.to_string_lossy()).await.unwrap();
            let text = format!("stream {number}").repeat(1000);
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut back = String::new();
            stream.read_to_string(&mut back).await.unwrap();
            assert_eq!(back, text);
        });
    }
    assert_eq!(streams.join_all().await.len(), 50);
    assert_eq!(link.connections(), 1);
    host.close().await;
}

#[tokio::test]
async fn ports_and_what_is_refused() {
    let sshd = Sshd::start("").await;
    let host = host(&sshd);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = host.tcp("127.0.0.1", port).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.write_all(b"hi").await.unwrap();
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"hi");
    drop(stream);
    assert_eq!(
        far.read(&mut two).await.unwrap(),
        0,
        "a stream that is dropped is closed over there"
    );

    let missing = path(&sshd, "none.sock");
    let error = host.unix(&missing.to_string_lossy()).await.unwrap_err();
    assert_eq!(
        told(&sshd, &error),
        "127.0.0.1 does not open the socket ~/none.sock: nothing listens there, this user may not use it (is the user \
         in the group that owns the socket?), or sshd forbids it (AllowStreamLocalForwarding)"
    );
    assert!(!error.may_have_happened());

    let strict = Sshd::start("AllowStreamLocalForwarding no\nAllowTcpForwarding no").await;
    // OpenSSH says of a socket that nothing is there, and of a port that it is forbidden.
    let host = crate::support::host(&strict);
    let error = host.unix("/x").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("sshd forbids it (AllowStreamLocalForwarding)"),
        "{error}"
    );
    let error = host.tcp("127.0.0.1", port).await.unwrap_err();
    assert!(
        error.to_string().contains("its sshd forbids forwarding"),
        "{error}"
    );
}

#[tokio::test]
async fn more_commands_than_the_host_takes_wait() {
    let sshd = Sshd::start("MaxSessions 2").await;
    let host = Arc::new(host(&sshd));
    let mut commands = JoinSet::new();
    for _ in 0..12 {
        let host = Arc::clone(&host);
        commands.spawn(async move {
            host.run("sleep 0.1; echo done", b"", 100, LIMIT)
                .await
                .unwrap()
                .stdout
        });
    }
    for stdout in commands.join_all().await {
        assert_eq!(stdout, b"done\n");
    }
    // None at all is said at once.
    let none = Sshd::start("MaxSessions 0").await;
    let error = crate::support::host(&none).exec("true").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

/// Some stay: they do not keep others out.
#[tokio::test]
async fn what_stays_leaves_room_for_others() {
    let sshd = Sshd::start("MaxSessions 2").await;
    let host = Arc::new(host(&sshd));
    let mut kept = Vec::new();
    for _ in 0..2 {
        kept.push(host.exec("cat").await.unwrap());
    }
    let run = async || {
        let begun = std::time::Instant::now();
        let output = host.run("echo $PPID", b"", 100, LIMIT).await.unwrap();
        (String::from_utf8(output.stdout).unwrap(), begun.elapsed())
    };
    let (first, _) = run().await;
    // The connection that was made for it is there for the next, which waits for nobody.
    let (second, took) = run().await;
    assert_eq!(second, first);
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    // All that there may be are full: from here on they wait, and are served when something ends.
    for _ in 0..6 {
        kept.push(host.exec("cat").await.unwrap());
    }
    let (waited, ()) = tokio::join!(run(), async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        kept.remove(0);
    });
    assert!(waited.1 > std::time::Duration::from_secs(2), "{waited:?}");
    host.close().await;
    let error = host.exec("true").await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

#[tokio::test]
async fn much_both_ways_over_changing_keys() {
    // New keys for every MiB.
    let sshd = Sshd::start("RekeyLimit 1M").await;
    let host = host(&sshd);
    let stream = host.exec("cat").await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let text: Vec<u8> = (0..24_u32 << 20)
        .map(|at| u8::try_from(at / 7 % 251).unwrap())
        .collect();
    let sent = text.clone();
    let mut sending = JoinSet::new();
    sending.spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
        write
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    assert!(back == text, "{} of {} bytes came back", back.len(), text.len());
    sending.join_all().await;
}

#[tokio::test]
async fn a_reader_that_stopped_does_not_stop_the_others() {
    let sshd = Sshd::start("").await;
    let host = host(&sshd);
    let mut stopped = host.exec("head -c 50000000 /dev/zero").await.unwrap();
    assert_eq!(stopped.read(&mut [0; 10]).await.unwrap(), 10);
    // The queue of the other fills up meanwhile, and holds this one up for ten seconds at most.
    for _ in 0..3 {
        assert_eq!(hello(&host).await.unwrap(), "hello\n");
    }
    testkit::eventually("the end of the stalled stream", || async {
        (hello(&host).await.is_ok()).then_some(())
    })
    .await;
    let error = stopped.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("because nothing of it was read for 10 s"),
        "{error}"
    );
}
