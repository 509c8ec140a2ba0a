//! Tools that reach registries, on the real engine and real registries.

#![expect(clippy::expect_used, reason = "a fixture that fails must fail the test")]

use crate::here::server;
use crate::images::{copy, own};
use base::Secret;
use docker_server::{DockerServer, Options};
use engine::credentials::{self, Credentials, Explicit, Given, RegistryHost, Scope as GivenScope};
use engine::guard::{DaemonPlace, Guard, Policy, Surroundings};
use engine::{ApiVersion, Endpoint, Engine};
use serde_json::json;
use std::time::Duration;
use testkit::{Daemon, McpClient, Registry, Scope};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[tokio::test]
async fn an_image_goes_to_a_registry_and_comes_back() {
    let (registry, scope, server) = (
        Registry::start().await,
        Scope::new("images-registry"),
        server().await,
    );
    let local = own(&scope, "local").await;
    let remote = format!("{}/{local}", registry.authority());
    server
        .ok("tag_image", json!({ "image": local, "target": remote }))
        .await;
    let pushed = server
        .with_progress("push_image", json!({ "image": remote }))
        .await
        .ok()
        .text();
    let reported = server.client.notifications("notifications/progress").len();
    assert!(reported > 0);
    assert!(
        pushed.starts_with(&format!("pushed {remote} (1 layers, ")),
        "{pushed}"
    );
    let digest = pushed.split("digest: ").nth(1).unwrap().to_owned();

    let looked_up = server
        .ok("inspect_registry_image", json!({ "image": remote }))
        .await;
    assert!(
        looked_up.contains(&format!("digest: {digest}")) && looked_up.contains("platforms: linux/"),
        "{looked_up}"
    );

    server.ok("remove_image", json!({ "image": remote })).await;
    server.ok("remove_image", json!({ "image": local })).await;
    let answer = server
        .with_progress("pull_image", json!({ "image": remote }))
        .await
        .ok();
    assert!(
        answer.text().starts_with(&format!("pulled {remote} (id ")),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().ends_with(&format!("digest: {digest}")),
        "{}",
        answer.text()
    );
    let reports = server.client.notifications("notifications/progress");
    assert!(reports.len() > reported);
    let again = server.ok("pull_image", json!({ "image": remote })).await;
    assert!(
        again.starts_with(&format!("up to date: {remote} (id ")),
        "{again}"
    );

    for (tool, image) in [
        ("pull_image", "no/such:1"),
        ("inspect_registry_image", "no/such:1"),
    ] {
        let image = format!("{}/{image}", registry.authority());
        let error = server.fails(tool, json!({ "image": image })).await;
        assert!(
            error.starts_with(&format!(
                "not_found: registry {} has no {image}",
                registry.authority()
            )),
            "{error}"
        );
    }
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn a_registry_that_wants_a_login() {
    let (registry, scope, server) = (
        Registry::start_with_password().await,
        Scope::new("images-login"),
        server().await,
    );
    let host = registry.authority().to_owned();
    let remote = format!("{host}/{}", scope.image("private"));
    copy(&scope, &server, &remote).await;
    for tool in ["push_image", "pull_image", "inspect_registry_image"] {
        let error = server.fails(tool, json!({ "image": remote })).await;
        assert!(
            error.starts_with(&format!("refused: registry {host} does not give {remote}")),
            "{tool}: {error}"
        );
        assert!(
            error.contains(&format!(
                "no credentials are kept for {host}: let the user log in out of band with `docker login {host}`"
            )),
            "{tool}: {error}"
        );
    }
    let error = server
        .fails("check_registry_login", json!({ "registry": host }))
        .await;
    assert!(
        error.starts_with(&format!("not_found: no credentials are kept for {host}")),
        "{error}"
    );
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn transfers_that_cannot_be() {
    let server = server().await;
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for (tool, image, expected) in [
        (
            "pull_image",
            format!("{free}/x:1"),
            format!("unreachable: registry {free} does not answer"),
        ),
        (
            "pull_image",
            "no-such-host.invalid/x:1".to_owned(),
            "unreachable: ".to_owned(),
        ),
        (
            "pull_image",
            format!("sha256:{}", "0a".repeat(32)),
            "invalid_arguments: sha256:".to_owned(),
        ),
        (
            "push_image",
            format!("sha256:{}", "0a".repeat(32)),
            "invalid_arguments: sha256:".to_owned(),
        ),
        (
            "push_image",
            format!("{free}/no/such:1"),
            format!("not_found: image {free}/no/such:1 is not on this engine"),
        ),
        (
            "tag_image",
            "x".to_owned(),
            "invalid_arguments: parameter target is missing".to_owned(),
        ),
    ] {
        let error = server.fails(tool, json!({ "image": image })).await;
        assert!(error.starts_with(&expected), "{tool} {image}: {error}");
    }
    server.end().await;
}

/// A cancelled pull closes its request to the daemon, and the daemon its own to the registry.
#[tokio::test]
async fn cancelling_a_pull_stops_it() {
    let (mute, server) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), server().await);
    let image = format!("{}/slow:1", mute.local_addr().unwrap());
    let params = json!({ "name": "pull_image", "arguments": { "image": image } });
    let pending = server.client.start("tools/call", params).await;
    let mut connection = loop {
        let (mut connection, _) = mute.accept().await.unwrap();
        // The daemon may try TLS first.
        let mut head = [0; 4];
        if connection.read_exact(&mut head).await.is_ok() && head == *b"GET " {
            break connection;
        }
    };
    server
        .client
        .notify("notifications/cancelled", json!({ "requestId": pending.id }))
        .await;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), connection.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    server.end().await;
}

#[tokio::test]
async fn a_search_needs_words() {
    let server = server().await;
    let error = server.fails("search_images", json!({ "query": " " })).await;
    assert!(error.starts_with("invalid_arguments: parameter query"), "{error}");
    // Where Docker Hub can be reached there are hits, elsewhere the error says that it can't.
    let call = server
        .client
        .call("search_images", json!({ "query": "busybox", "limit": 3 }))
        .await;
    let text = call.text();
    assert!(
        text.contains("busybox") || text.starts_with("unreachable: "),
        "{text}"
    );
    server.end().await;
}

/// A client of a server whose user has this password for the registry.
fn client_with_login(registry: &Registry, password: &str, tasks: &mut JoinSet<()>) -> McpClient {
    let host = RegistryHost::parse(registry.authority()).expect("the registry has a host");
    let explicit = Explicit::parse(Given {
        username: Some(Registry::CREDENTIALS.user.to_owned()),
        password: Some(Secret::new(password)),
        auth_config: None,
        scope: GivenScope::Registries(vec![host]),
    });
    let credentials = Credentials::new(credentials::Options {
        explicit: explicit.expect("user and password are given"),
        ..credentials::Options::default()
    });
    client_with(credentials, tasks)
}

/// A client of a server whose user has these credentials.
fn client_with(credentials: Credentials, tasks: &mut JoinSet<()>) -> McpClient {
    let surroundings = Surroundings {
        daemon: DaemonPlace::Local,
        ..Surroundings::default()
    };
    let engine = Engine::open(engine::Options {
        endpoint: Endpoint::parse(&Daemon::here().endpoint()).expect("the engine under test has an address"),
        api_version: ApiVersion::Auto,
        timeout: Duration::from_mins(1),
        guard: Guard::new(Policy::default(), surroundings),
        credentials,
    });
    let server = DockerServer::new(Options::new(engine.expect("opening does no I/O")));
    let (near, far) = tokio::io::duplex(64 << 10);
    tasks.spawn(async move { server.serve(far).await.expect("the client speaks MCP") });
    let (reader, writer) = tokio::io::split(near);
    McpClient::over(reader, writer)
}

#[tokio::test]
async fn a_broken_credential_helper_is_named_when_the_registry_says_no() {
    use std::os::unix::fs::PermissionsExt;

    let registry = Registry::start_with_password().await;
    let host = registry.authority();
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let config = json!({ "credHelpers": { host: "broken" } }).to_string();
    fs_err::write(folder.path().join("config.json"), config).expect("the folder is ours");
    let helper = folder.path().join("docker-credential-broken");
    fs_err::write(&helper, "#!/bin/sh\necho the keyring is locked >&2\nexit 1\n")
        .expect("the folder is ours");
    fs_err::set_permissions(&helper, PermissionsExt::from_mode(0o755)).expect("the file is ours");
    let mut tasks = JoinSet::new();
    let client = client_with(
        Credentials::new(credentials::Options {
            config_dir: Some(folder.path().to_owned()),
            path: Some(format!("{}:/usr/bin:/bin", folder.path().display()).into()),
            ..credentials::Options::default()
        }),
        &mut tasks,
    );
    client.initialize("2025-11-25").await;
    let image = format!("{host}/dockmaster-test/none:1");
    for (tool, arguments) in [
        ("pull_image", json!({ "image": image })),
        ("check_registry_login", json!({ "registry": host })),
    ] {
        let error = client.call(tool, arguments).await.failure();
        for part in [
            "docker-credential-broken gave no credentials",
            "the keyring is locked",
            "\nfix: only the user can mend this: run the helper by hand or unlock its keyring",
            &format!("`docker login {host}`"),
        ] {
            assert!(error.contains(part), "{tool} lacks {part:?}: {error}");
        }
    }
    drop(client);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_login_is_used_and_never_shown() {
    let (registry, scope) = (
        Registry::start_with_password().await,
        Scope::new("registries-login"),
    );
    let host = registry.authority();
    let mut tasks = JoinSet::new();
    let right = client_with_login(&registry, Registry::CREDENTIALS.password, &mut tasks);
    right.initialize("2025-11-25").await;
    let ok = async |tool: &str, arguments| right.call(tool, arguments).await.ok().text();
    let local = own(&scope, "local").await;
    let remote = format!("{host}/{local}");
    ok("tag_image", json!({ "image": local, "target": remote })).await;
    ok("push_image", json!({ "image": remote })).await;
    ok("remove_image", json!({ "image": remote })).await;
    ok("pull_image", json!({ "image": remote })).await;
    let accepted = ok(
        "check_registry_login",
        json!({ "registry": format!("http://{host}/") }),
    )
    .await;
    assert_eq!(
        accepted,
        format!("{host} accepts the login of dockmaster (from REGISTRY_USERNAME)")
    );

    let wrong = client_with_login(&registry, "hunter2-is-wrong", &mut tasks);
    wrong.initialize("2025-11-25").await;
    for (tool, arguments) in [
        ("pull_image", json!({ "image": remote })),
        ("push_image", json!({ "image": remote })),
        ("check_registry_login", json!({ "registry": host })),
    ] {
        let error = wrong.call(tool, arguments).await.failure();
        assert!(error.starts_with("refused: "), "{tool}: {error}");
        assert!(
            error.contains("dockmaster") && error.contains("REGISTRY_USERNAME"),
            "{tool}: {error}"
        );
        assert!(!error.contains("hunter2"), "{tool}: {error}");
    }
    scope.finish().await;
    drop((right, wrong));
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
