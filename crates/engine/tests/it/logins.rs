//! Credentials as `docker login` really stores them, accepted by a real registry.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use crate::here::options;
use base::names::ImageRef;
use engine::Engine;
use engine::credentials::{Credentials, RegistryHost};
use engine::ops::images::LoginCheck;
use futures_util::TryStreamExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use testkit::{Daemon, Registry, Scope, image};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A helper that keeps each secret in a file, as a keyring would.
const HELPER: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
case $1 in
store) cat >stored ;;
get)
    read server
    if grep -q "\"$server\"" stored 2>/dev/null; then cat stored
    else echo "credentials not found in native keychain"; exit 1; fi ;;
list) echo "{}" ;;
erase) rm -f stored ;;
esac
"#;

/// Logs in with the docker CLI, which writes to `folder`.
async fn docker_login(folder: &Path, registry: &Registry) {
    let path = format!(
        "{}:{}",
        folder.display(),
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    let mut login = Command::new("docker")
        .args([
            "login",
            "--username",
            Registry::CREDENTIALS.user,
            "--password-stdin",
            registry.authority(),
        ])
        .env("DOCKER_CONFIG", folder)
        .env("DOCKER_HOST", Daemon::here().endpoint())
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the docker CLI is installed (scripts/test does)");
    let mut stdin = login.stdin.take().unwrap();
    stdin
        .write_all(Registry::CREDENTIALS.password.as_bytes())
        .await
        .unwrap();
    drop(stdin);
    assert!(login.wait().await.unwrap().success());
}

fn engine(folder: &Path) -> Engine {
    let credentials = Credentials::new(engine::credentials::Options {
        config_dir: Some(folder.to_path_buf()),
        path: Some(format!("{}:/usr/bin:/bin", folder.display()).into()),
        ..engine::credentials::Options::default()
    });
    Engine::open(engine::Options {
        credentials,
        ..options(&Daemon::here().endpoint())
    })
    .unwrap()
}

async fn push_and_pull(folder: &Path, registry: &Registry, origin: &str) {
    let engine = engine(folder);
    let host = RegistryHost::parse(registry.authority()).unwrap();
    let check = engine.registry_check(&host).await.unwrap();
    let LoginCheck::Accepted(account) = check else {
        panic!("{check:?}")
    };
    assert_eq!(
        (account.username.as_str(), account.origin.as_str()),
        (Registry::CREDENTIALS.user, origin)
    );

    let scope = Scope::new("logins");
    let name = scope.name("image");
    let reference = ImageRef::parse(&format!("{host}/{name}:1")).unwrap();
    let tag = format!(
        "/images/{}/tag?repo={host}/{name}&tag=1",
        scope.tag("image").await
    );
    scope.daemon().post(&tag, &serde_json::Value::Null).await.ok();
    let _events: Vec<_> = engine
        .image_push(&reference)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    scope
        .daemon()
        .delete(&format!("/images/{host}/{name}:1"))
        .await
        .ok();
    let pull = engine::ops::images::Pull {
        image: reference,
        platform: None,
    };
    let _events: Vec<_> = engine
        .image_pull(&pull)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    scope
        .daemon()
        .delete(&format!("/images/{host}/{name}:1"))
        .await
        .ok();
    scope.finish().await;
}

#[tokio::test]
async fn kept_in_the_configuration() {
    let registry = Registry::start_with_password().await;
    image().await;
    let folder = tempfile::tempdir().unwrap();
    let host = RegistryHost::parse(registry.authority()).unwrap();
    let before = engine(folder.path()).registry_check(&host).await.unwrap();
    assert_eq!(before, LoginCheck::NoCredentials);
    docker_login(folder.path(), &registry).await;
    let origin = folder.path().join("config.json").display().to_string();
    push_and_pull(folder.path(), &registry, &origin).await;
}

#[tokio::test]
async fn kept_by_a_helper() {
    let registry = Registry::start_with_password().await;
    image().await;
    for config in [
        r#"{"credsStore": "files"}"#.to_owned(),
        format!(r#"{{"credHelpers": {{"{}": "files"}}}}"#, registry.authority()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("docker-credential-files");
        fs_err::write(&helper, HELPER).unwrap();
        fs_err::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
        fs_err::write(folder.path().join("config.json"), config).unwrap();
        docker_login(folder.path(), &registry).await;
        let text = fs_err::read_to_string(folder.path().join("config.json")).unwrap();
        assert!(
            !text.contains("\"auth\":"),
            "the CLI has left the password to the helper: {text}"
        );
        push_and_pull(folder.path(), &registry, "docker-credential-files").await;
    }
}
