//! Servers that do what no sshd does: silence, other protocols, a key that changes, an end in mid-stream.

use crate::support::*;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, Handler, Msg};
use russh::{Channel, ChannelId};
use ssh::{Error, Host, Trust};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Whatever a port answers, this is what the client says of it.
async fn said_of(greeting: &'static [u8], closes: bool) -> (String, Duration) {
    let sshd = Sshd::start("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(greeting).await;
            if !closes {
                open.push(stream);
            }
        }
    });
    let mut options = options(&sshd, &Person::new(Trust::Refuse, &[]));
    options.limits.step = Duration::from_millis(500);
    let host = Host::new(target(port), options);
    let start = Instant::now();
    let text = hello(&host)
        .await
        .unwrap_err()
        .to_string()
        .replace(&port.to_string(), "PORT");
    (text, start.elapsed())
}

#[tokio::test]
async fn what_does_not_speak_ssh() {
    for (greeting, closes, expected) in [
        (
            &b""[..],
            false,
            "127.0.0.1: the key exchange took more than 0 s; is the host overloaded, or the network cut?",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            false,
            "127.0.0.1: the key exchange took more than 0 s; is the host overloaded, or the network cut?",
        ),
        (
            b"",
            true,
            "127.0.0.1 at 127.0.0.1 port PORT: the key exchange failed: the far side ended the connection; it may be too busy (MaxStartups), refuse this address, or not speak SSH 2 (is the port right?)",
        ),
        (
            b"SSH-1.5-old\r\n",
            true,
            "127.0.0.1 at 127.0.0.1 port PORT: the key exchange failed: the far side ended the connection; it may be too busy (MaxStartups), refuse this address, or not speak SSH 2 (is the port right?)",
        ),
    ] {
        let (text, time) = said_of(greeting, closes).await;
        assert_eq!(text, expected, "{greeting:?}");
        assert!(time < Duration::from_secs(5), "{time:?}");
    }
    let (text, _) = said_of(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
    assert!(text.contains("the key exchange failed"), "{text}");
}

/// Lets everyone in, and ends a stream's connection after a few bytes.
#[derive(Clone)]
struct Odd {
    opened: Arc<Mutex<usize>>,
}

impl Handler for Odd {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        *self.opened.lock().unwrap() += 1;
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        match command {
            b"never" => {}
            b"no" => session.channel_failure(channel)?,
            _ => {
                session.channel_success(channel)?;
                session.data(channel, "part".to_owned().into_bytes())?;
                session.disconnect(russh::Disconnect::ByApplication, "enough", "")?;
            }
        }
        Ok(())
    }
}

struct OddServer {
    port: u16,
    opened: Arc<Mutex<usize>>,
    _serving: JoinSet<()>,
}

/// A server that shows the next of its keys at each connection.
async fn odd_server(keys: Vec<PrivateKey>) -> OddServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let opened = Arc::new(Mutex::new(0));
    let odd = Odd {
        opened: Arc::clone(&opened),
    };
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut sessions = JoinSet::new();
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let config = Arc::new(server::Config {
                keys: vec![keys[number % keys.len()].clone()],
                auth_rejection_time: Duration::ZERO,
                ..server::Config::default()
            });
            let odd = odd.clone();
            sessions.spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, odd).await {
                    let _ = session.await;
                }
            });
        }
    });
    OddServer {
        port,
        opened,
        _serving: serving,
    }
}

fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

#[tokio::test]
async fn a_key_that_changes_between_two_connections() {
    let home = Sshd::start("").await;
    let server = odd_server(vec![new_key(), new_key()]).await;
    // Agreed to once, and shown another the next time: the answer was for the first.
    let person = Person::new(Trust::Once, &[]);
    let host = Host::new(target(server.port), options(&home, &person));
    let error = host.exec("x").await.unwrap_err();
    assert!(matches!(error, Error::UnknownHost { .. }), "{error}");
    assert_eq!(person.asked().len(), 1, "{:?}", person.asked());
    assert_eq!(*server.opened.lock().unwrap(), 0, "nothing was sent to it");
}

#[tokio::test]
async fn an_end_in_mid_stream_is_no_end_of_the_data() {
    let home = Sshd::start("").await;
    let server = odd_server(vec![new_key()]).await;
    let mut options = options(&home, &Person::new(Trust::Once, &[]));
    options.limits.step = Duration::from_secs(1);
    let host = Host::new(target(server.port), options);
    let mut stream = host.exec("cut").await.unwrap();
    let mut text = Vec::new();
    let error = stream.read_to_end(&mut text).await.unwrap_err();
    assert_eq!(
        (&*text, error.kind()),
        (&b"part"[..], std::io::ErrorKind::ConnectionReset)
    );
    let error = host.exec("no").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "127.0.0.1 does not open 'no': it runs no commands for this user"
    );
    // No answer to a command: it may run, and is not tried again.
    let opened = *server.opened.lock().unwrap();
    let error = host.exec("never").await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    assert_eq!(*server.opened.lock().unwrap(), opened + 1);
}
