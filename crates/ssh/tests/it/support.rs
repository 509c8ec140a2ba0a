//! What these tests share: a host over a real sshd, someone who answers questions, and a link that can be cut.

use base::redact::Secret;
use futures_util::future::BoxFuture;
use ssh::{Ask, Error, Files, Host, Limits, LockedKey, Options, Stranger, Target, Trust};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::Sshd;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Answers with what was told, and remembers what was asked.
pub(crate) struct Person {
    pub(crate) trust: Trust,
    pub(crate) passphrases: Vec<&'static str>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Person {
    pub(crate) fn new(trust: Trust, passphrases: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            trust,
            passphrases: passphrases.to_vec(),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The person, behind a handle of its own type.
pub(crate) struct Asked(pub(crate) Arc<Person>);

impl Ask for Asked {
    fn trust(&self, stranger: Stranger) -> BoxFuture<'_, Trust> {
        self.0
            .asked
            .lock()
            .unwrap()
            .push(format!("trust {}", stranger.fingerprint));
        Box::pin(async { self.0.trust })
    }

    fn passphrase(&self, key: LockedKey) -> BoxFuture<'_, Option<Secret>> {
        let name = key
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        self.0
            .asked
            .lock()
            .unwrap()
            .push(format!("passphrase {name} {}", key.attempt));
        let answer = self
            .0
            .passphrases
            .get(key.attempt as usize - 1)
            .map(|text| Secret::new(*text));
        Box::pin(async move { answer })
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        rest: Duration::from_millis(1),
        ..Limits::default()
    }
}

pub(crate) fn options(sshd: &Sshd, person: &Arc<Person>) -> Options {
    Options {
        files: Files {
            user: Some(sshd.home().join(".ssh/config")),
            system: None,
            home: sshd.home(),
            user_name: Sshd::user(),
            variables: ssh::Variables::default(),
        },
        agent: None,
        ask: Arc::new(Asked(Arc::clone(person))),
        limits: limits(),
    }
}

/// The host behind an sshd, where nobody answers questions.
pub(crate) fn host(sshd: &Sshd) -> Host {
    host_with(sshd, |_| {})
}

pub(crate) fn host_with(sshd: &Sshd, change: impl FnOnce(&mut Options)) -> Host {
    let mut options = options(sshd, &Person::new(Trust::Refuse, &[]));
    change(&mut options);
    Host::new(target(sshd.port()), options)
}

pub(crate) fn target(port: u16) -> Target {
    Target {
        user: None,
        host: "127.0.0.1".into(),
        port: Some(port),
    }
}

pub(crate) fn configure(sshd: &Sshd, text: &str) {
    let text = text.replace("{home}", &sshd.home().to_string_lossy());
    fs_err::write(sshd.home().join(".ssh/config"), text).unwrap();
}

pub(crate) async fn hello(host: &Host) -> Result<String, Error> {
    let output = host.run("echo hello", b"", 100, Duration::from_secs(20)).await?;
    Ok(String::from_utf8(output.stdout).unwrap())
}

/// An error without what differs between runs.
pub(crate) fn told(sshd: &Sshd, error: &Error) -> String {
    let mut text = error.to_string();
    for (what, shown) in [
        (sshd.home().to_string_lossy().into_owned(), "~"),
        (sshd.port().to_string(), "PORT"),
        (Sshd::user(), "USER"),
    ] {
        text = text.replace(&what, shown);
    }
    // Fingerprints and keys.
    let words = text.split(' ').map(|word| match word {
        _ if word.starts_with("SHA256:") => "SHA256:…",
        _ if word.starts_with("AAAA") => "AAAA…",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A port before another one, whose connections can be cut.
pub(crate) struct Link {
    pub(crate) port: u16,
    open: Arc<Mutex<JoinSet<()>>>,
    _accepting: JoinSet<()>,
}

impl Link {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = Arc::new(Mutex::new(JoinSet::new()));
        let here = listener.local_addr().unwrap().port();
        let mut accepting = JoinSet::new();
        let connections = Arc::clone(&open);
        accepting.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                connections.lock().unwrap().spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self {
            port: here,
            open,
            _accepting: accepting,
        }
    }

    /// Ends every connection, without a word on either side.
    pub(crate) fn cut(&self) {
        self.open.lock().unwrap().abort_all();
    }

    pub(crate) fn connections(&self) -> usize {
        self.open.lock().unwrap().len()
    }
}

pub(crate) fn path(sshd: &Sshd, name: &str) -> PathBuf {
    sshd.home().join(name)
}
