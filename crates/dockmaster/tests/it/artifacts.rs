//! Profiles and catalogs in a real registry.

use bytes::Bytes;
use oci::{Artifact, Credentials, Layer, Limits, Options, Reference, Registries, media};
use testkit::Registry;

use crate::harness::Dockmaster;

/// A client for registries of this machine.
pub(crate) fn registries() -> Registries {
    Registries::new(Options {
        http: fetch::Client::new(fetch::Options {
            addresses: fetch::Addresses::Private,
            plain: fetch::Plain::Loopback,
            ..fetch::Options::default()
        }),
        credentials: Credentials::none(),
        insecure: [].into(),
        limits: Limits::default(),
    })
}

/// Puts a document into a registry, as `docker mcp` does.
async fn publish(registry: &Registry, place: &str, kind: &str, text: &str) {
    let reference = Reference::parse(&format!("{}/{place}", registry.authority())).unwrap();
    let artifact = Artifact {
        kind: kind.to_owned(),
        layers: vec![Layer {
            media_type: kind.to_owned(),
            content: Bytes::from(text.to_owned()),
            annotations: [].into(),
        }],
        annotations: [].into(),
        subject: None,
    };
    registries().push_artifact(&reference, artifact).await.unwrap();
}

fn transcript(dockmaster: &Dockmaster, registry: &Registry, arguments: &[&str]) -> String {
    let text = dockmaster.run(arguments).transcript();
    text.replace(registry.authority(), "REGISTRY")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_goes_to_a_registry_and_comes_back() {
    let registry = Registry::start_with_password().await;
    let place = format!("oci://{}/team/work:1", registry.authority());
    let dockmaster = Dockmaster::new().configured(
        "[servers.mine]\nimage = \"busybox\"\nenv = { API_TOKEN = \"s3cret\", MODE = \"x\" }\n\
         [profiles.work.servers.mine]\ntools = [\"one\"]\n[profiles.work.servers.memory]\n",
    );
    let stranger = dockmaster.run(&["profile", "push", "work", &place]);
    assert_eq!(stranger.code(), 1, "{}", stranger.transcript());
    assert!(
        stranger.stderr().contains("docker login"),
        "{}",
        stranger.transcript()
    );

    let login = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!(
            "{}:{}",
            Registry::CREDENTIALS.user,
            Registry::CREDENTIALS.password
        ),
    );
    let config = format!(
        "{{\"auths\": {{\"{}\": {{\"auth\": \"{login}\"}}}}}}",
        registry.authority()
    );
    fs_err::create_dir_all(dockmaster.home().join(".docker")).unwrap();
    fs_err::write(dockmaster.home().join(".docker/config.json"), config).unwrap();
    let pushed = dockmaster.run(&["profile", "push", "work", &place]);
    assert_eq!(pushed.code(), 0, "{}", pushed.transcript());
    assert!(
        pushed
            .stderr()
            .contains("left out, since it may be a secret: mine: own.env.API_TOKEN"),
        "{}",
        pushed.transcript()
    );
    let digest = pushed.stdout().lines().last().unwrap().to_owned();
    let pulled = dockmaster.run(&["profile", "pull", &place, "--name", "copy"]);
    assert_eq!(
        pulled.code(),
        1,
        "its own server differs by now: {}",
        pulled.transcript()
    );

    let other = Dockmaster::new();
    fs_err::create_dir_all(other.home().join(".docker")).unwrap();
    fs_err::copy(
        dockmaster.home().join(".docker/config.json"),
        other.home().join(".docker/config.json"),
    )
    .unwrap();
    let pinned = format!("oci://{}/team/work@{digest}", registry.authority());
    let pulled = other.run(&["profile", "pull", &pinned, "--yes"]);
    assert_eq!(pulled.code(), 0, "{}", pulled.transcript());
    assert!(
        pulled.stdout().contains("made work with 2 servers"),
        "{}",
        pulled.transcript()
    );
    let config = fs_err::read_to_string(other.file("config.toml")).unwrap();
    insta::assert_snapshot!(config, @r#"
    [profiles.work.servers]

    [profiles.work.servers.memory]

    [profiles.work.servers.mine]
    tools = ["one"]

    [servers.mine]
    env = { "MODE" = "x" }
    image = "busybox"
    "#);
    assert_eq!(
        transcript(&other, &registry, &["profile", "pull", "work"]),
        "exit 1\n! error: \"work\" is no place in a registry; write oci://registry/repository:tag\n"
    );
}

const CATALOG: &str = r#"{"title": "Team", "servers": [{"type": "image", "image": "mcp/one:1", "snapshot": {"server": {"name": "one", "type": "server", "image": "mcp/one:1", "tools": [{"name": "read"}, {"name": "write"}]}}}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_is_taken_in_from_a_registry_and_read_again() {
    let registry = Registry::start().await;
    let place = format!("oci://{}/team/catalog:1", registry.authority());
    publish(&registry, "team/catalog:1", media::MCP_CATALOG, CATALOG).await;
    publish(&registry, "team/other:1", "application/x-other", "{}").await;
    let dockmaster = Dockmaster::new();
    assert_eq!(
        transcript(
            &dockmaster,
            &registry,
            &["catalog", "import", &place, "--name", "team"]
        ),
        "exit 0\n| imported team: 1 server\n"
    );
    let other = format!("oci://{}/team/other:1", registry.authority());
    let wrong = dockmaster.run(&["catalog", "import", &other]);
    assert_eq!(wrong.code(), 1, "{}", wrong.transcript());
    let missing = format!("oci://{}/team/nothing:1", registry.authority());
    assert_eq!(dockmaster.run(&["catalog", "import", &missing]).code(), 1);

    let changed = CATALOG
        .replace("mcp/one:1", "mcp/one:2")
        .replace(r#", {"name": "write"}"#, r#", {"name": "erase"}"#);
    publish(&registry, "team/catalog:1", media::MCP_CATALOG, &changed).await;
    let updated = transcript(&dockmaster, &registry, &["catalog", "update", "team"]);
    insta::assert_snapshot!(updated, @"
    exit 0
    | team: 1 changes
    |   ~ one
    |       runs: mcp/one:1 -> mcp/one:2
    |       tools: + erase, - write
    ");
    let again = transcript(&dockmaster, &registry, &["catalog", "update", "team"]);
    insta::assert_snapshot!(again, @"
    exit 0
    | team: 0 changes
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_of_docker_mcp_knows_catalogs_of_a_registry() {
    let registry = Registry::start().await;
    publish(&registry, "team/catalog:1", media::MCP_CATALOG, CATALOG).await;
    let dockmaster = Dockmaster::new();
    let folder = dockmaster.home().join(".docker/mcp");
    fs_err::create_dir_all(&folder).unwrap();
    let known = format!(
        "{{\"catalogs\": {{\"team\": {{\"url\": \"oci://{}/team/catalog:1\"}}, \"away\": {{\"url\": \"oci://{}/team/away:1\"}}}}}}",
        registry.authority(),
        registry.authority()
    );
    fs_err::write(folder.join("catalog.json"), known).unwrap();
    fs_err::write(folder.join("registry.yaml"), "registry:\n  one:\n    ref: \"\"\n").unwrap();
    let imported = transcript(&dockmaster, &registry, &["import", "docker-mcp", "--catalogs"]);
    assert!(
        imported.starts_with(
            "exit 0\n| imported team: 1 server\n| server one: switched on in the profile default\n"
        ),
        "{imported}"
    );
    assert!(
        imported.contains("! catalog away was not taken in: "),
        "{imported}"
    );
    let profile = r#"{"version": 1, "id": "theirs", "name": "theirs", "servers": [{"type": "image", "image": "mcp/two:1", "snapshot": {"server": {"name": "two", "type": "server", "image": "mcp/two:1"}}}]}"#;
    publish(&registry, "team/theirs:1", media::MCP_PROFILE, profile).await;
    let place = format!("oci://{}/team/theirs:1", registry.authority());
    let pulled = dockmaster.run(&["profile", "pull", &place, "--yes"]);
    assert_eq!(pulled.code(), 0, "{}", pulled.transcript());
    let inspected = dockmaster.run(&["server", "inspect", "two", "--profile", "theirs"]);
    assert!(
        inspected.stdout().contains("two (container, from theirs)"),
        "{}",
        inspected.transcript()
    );
}
