//! Pull and push against real registries, with and without a login.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::reference;
use crate::here::{engine, image, options};
use base::Secret;
use engine::credentials::{Credentials, Explicit, Given, RegistryHost, Scope as GivenScope};
use engine::ops::images::{LoginCheck, Pull, RemoveImage, Tally, TransferEvent};
use engine::{Engine, Error};
use futures_util::TryStreamExt;
use std::process::Stdio;
use std::time::Duration;
use testkit::{Daemon, Registry, Scope, eventually};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Gives base64 a `/` and a `+` in the standard alphabet wherever it stands: the daemon decodes the URL alphabet, and
/// takes credentials in any other for none.
const PASSWORD: &str = "aa???bb???~~~c";
/// bcrypt of it, 2^5 rounds.
const HTPASSWD: &str = "dockmaster:$2y$05$XBJep3TdGYaN0Ex6mF/.guLo7Q9XRSEo.8cmnrs0oD28FPFoLfg2W\n";

/// A registry that knows only the user `dockmaster` with [`PASSWORD`].
struct Guarded {
    authority: String,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        fs_err::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let authority = format!("127.0.0.1:{port}");
        let configuration = format!(
            "version: 0.1\n\
             log: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: '{authority}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n"
        );
        let file = folder.path().join("config.yml");
        fs_err::write(&file, configuration).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("the registry", async || TcpStream::connect(&authority).await.ok()).await;
        Self {
            authority,
            _process: process,
            _folder: folder,
        }
    }

    /// An engine whose user has this password for this registry.
    fn login(&self, password: &str) -> Engine {
        let explicit = Explicit::parse(Given {
            username: Some("dockmaster".to_owned()),
            password: Some(Secret::new(password)),
            auth_config: None,
            scope: GivenScope::Registries(vec![RegistryHost::parse(&self.authority).unwrap()]),
        });
        let credentials = Credentials::new(engine::credentials::Options {
            explicit: explicit.unwrap(),
            ..engine::credentials::Options::default()
        });
        Engine::open(engine::Options {
            credentials,
            ..options(&Daemon::here().endpoint())
        })
        .unwrap()
    }
}

fn pull(image: &str) -> Pull {
    Pull {
        image: reference(image),
        platform: None,
    }
}

async fn pushed(engine: &Engine, image: &str) -> Result<Vec<TransferEvent>, Error> {
    engine.image_push(&reference(image)).await?.try_collect().await
}

async fn pulled(engine: &Engine, image: &str) -> Result<Vec<TransferEvent>, Error> {
    engine.image_pull(&pull(image)).await?.try_collect().await
}

fn digest(events: &[TransferEvent]) -> &str {
    let digest = events.iter().find_map(|event| match event {
        TransferEvent::Digest(digest) => Some(digest.as_str()),
        _ => None,
    });
    digest.unwrap_or_else(|| panic!("{events:?}"))
}

#[tokio::test]
async fn there_and_back_again() {
    let registry = Registry::start().await;
    let scope = Scope::new("registry");
    let engine = engine();
    let local = image(&scope, "local").await;
    let remote = format!("{}/{}", registry.authority(), local);
    engine.image_tag(&local, &reference(&remote)).await.unwrap();

    let events = pushed(&engine, &remote).await.unwrap();
    let digest = digest(&events).to_owned();
    let mut tally = Tally::default();
    for event in &events {
        tally.add(event);
    }
    assert!(tally.moved() > 500_000, "{} bytes", tally.moved());
    assert_eq!(tally.layers().0, tally.layers().1);

    let described = engine.image_distribution(&reference(&remote)).await.unwrap();
    assert_eq!(described["Descriptor"]["digest"], *digest);

    // By tag, then by digest.
    for name in [
        remote.clone(),
        format!("{}@{digest}", reference(&remote).repository()),
    ] {
        engine
            .image_remove(&reference(&remote), RemoveImage::default())
            .await
            .unwrap();
        let events = pulled(&engine, &name).await.unwrap();
        assert!(
            events.contains(&TransferEvent::Digest(digest.clone())),
            "{events:?}"
        );
        let image = engine.image_inspect(&reference(&name)).await.unwrap();
        engine
            .image_tag(&reference(image["Id"].as_str().unwrap()), &reference(&remote))
            .await
            .unwrap();
    }
    engine
        .image_remove(&reference(&remote), RemoveImage::default())
        .await
        .unwrap();

    let missing = pulled(&engine, &format!("{}/no/such:1", registry.authority()))
        .await
        .unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    scope.finish().await;
}

#[tokio::test]
async fn only_the_right_password_opens_the_registry() {
    let registry = Guarded::start().await;
    let scope = Scope::new("registry-login");
    let local = image(&scope, "local").await;
    let remote = format!("{}/{}", registry.authority, local);
    let (anonymous, wrong, right) = (engine(), registry.login("wrong"), registry.login(PASSWORD));
    anonymous.image_tag(&local, &reference(&remote)).await.unwrap();

    for refused in [&anonymous, &wrong] {
        for error in [
            pushed(refused, &remote).await.unwrap_err(),
            pulled(refused, &remote).await.unwrap_err(),
            refused.image_distribution(&reference(&remote)).await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                text.contains("no basic auth credentials") || text.contains("unauthorized"),
                "{text}"
            );
        }
    }
    pushed(&right, &remote).await.unwrap();
    right.image_distribution(&reference(&remote)).await.unwrap();
    right
        .image_remove(&reference(&remote), RemoveImage::default())
        .await
        .unwrap();
    pulled(&right, &remote).await.unwrap();
    right
        .image_remove(&reference(&remote), RemoveImage::default())
        .await
        .unwrap();
    scope.finish().await;
}

#[tokio::test]
async fn a_login_can_be_checked() {
    let registry = Guarded::start().await;
    let host = RegistryHost::parse(&registry.authority).unwrap();
    assert_eq!(
        engine().registry_check(&host).await.unwrap(),
        LoginCheck::NoCredentials
    );
    match registry.login(PASSWORD).registry_check(&host).await.unwrap() {
        LoginCheck::Accepted(account) => assert_eq!(account.username, "dockmaster"),
        other => panic!("{other:?}"),
    }
    match registry.login("wrong").registry_check(&host).await.unwrap() {
        LoginCheck::Rejected { message, .. } => assert!(message.contains("401"), "{message}"),
        other => panic!("{other:?}"),
    }
}

/// Takes connections and never says a word.
#[tokio::test]
async fn a_dropped_pull_lets_go_of_the_registry() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("{}/slow:1", mute.local_addr().unwrap());
    let engine = engine();
    let accept = async {
        loop {
            let (mut connection, _) = mute.accept().await.unwrap();
            // The daemon may try TLS first; what counts is the connection that asks in the clear.
            let mut head = [0; 4];
            if connection.read_exact(&mut head).await.is_ok() && head == *b"GET " {
                return connection;
            }
        }
    };
    let mut connection = tokio::select! {
        connection = accept => connection,
        outcome = pulled(&engine, &name) => panic!("{outcome:?}"),
    };
    // The pull was dropped just now; the daemon closes its end.
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), connection.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_registry_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = pulled(&engine(), &format!("127.0.0.1:{port}/nothing:1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    let error = pushed(&engine(), "127.0.0.1:9/no-such:1").await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}
