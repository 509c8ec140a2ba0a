use std::collections::BTreeMap;

use base::names::ServerName;
use catalog::docker_mcp::{Files, import};
use catalog::profile::{self, Profile, Server};
use serde_json::json;

use crate::setup;

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

#[test]
fn a_docker_mcp_set_up() {
    let files = Files {
        registry: Some(
            "registry:\n  github-official: { ref: '' }\n  atlassian:\n    ref: ''\n    config: { early: 1 }\n  SQLite: {}\n  bad name: {}\n",
        ),
        config: Some(
            "atlassian:\n  jira.url: https://j.example.com\n  confluence: { url: https://c.example.com }\noff:\n  a: b\nodd: 7\n",
        ),
        tools: Some("github-official: [get_me, list_issues]\nSQLite: []\natlassian:\n"),
        secrets: Some(
            "# comment\n\ngithub.personal_access_token=ghp_\"quoted\" x=y \n  spaced =1\nno value\n=nothing\n",
        ),
        catalogs: Some(
            r#"{"catalogs": {"docker-mcp": {"displayName": "Docker", "url": "https://x/catalog.yaml", "lastUpdate": "t"}, "mine": {"url": ""}}}"#,
        ),
    };
    let imported = import(&files);
    let on: Vec<&str> = imported.servers.keys().map(ServerName::as_str).collect();
    assert_eq!(on, ["SQLite", "atlassian", "github-official"]);
    let atlassian = &imported.servers[&name("atlassian")];
    assert_eq!(
        serde_json::Value::Object(atlassian.config.clone()),
        json!({"early": 1, "jira.url": "https://j.example.com", "confluence": {"url": "https://c.example.com"}})
    );
    assert_eq!(atlassian.tools.as_deref(), Some(&[][..]));
    assert_eq!(
        imported.servers[&name("github-official")]
            .tools
            .as_ref()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(
        imported
            .switched_off
            .keys()
            .map(ServerName::as_str)
            .collect::<Vec<_>>(),
        ["off"]
    );
    let secrets: Vec<(&str, &str)> = imported
        .secrets
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        secrets,
        [
            ("github.personal_access_token", "ghp_\"quoted\" x=y "),
            ("spaced", "1")
        ]
    );
    let faults: Vec<String> = imported.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            r#"registry.yaml: bad name (line 7): "bad name" is not a valid server name: use letters, digits, '_', '.' and '-', the first a letter or digit"#,
            "config.yaml: odd (line 6): its configuration is not a mapping",
            ".env (line 5): it is not NAME=VALUE",
            ".env (line 6): there is nothing before the =",
        ]
    );
    assert!(!format!("{imported:?}").contains("ghp_"));
    let catalogs: Vec<_> = imported
        .catalogs
        .iter()
        .map(|known| (known.name.as_str(), known.place.as_deref()))
        .collect();
    assert_eq!(
        catalogs,
        [("docker-mcp", Some("https://x/catalog.yaml")), ("mine", None)]
    );
    assert!(import(&Files::default()).servers.is_empty());
    let broken = import(&Files {
        registry: Some("a: ["),
        config: Some("x: { a: 1 }"),
        ..Files::default()
    });
    assert_eq!((broken.faults.len(), broken.switched_off.len()), (1, 1));
}

#[test]
fn profiles_of_docker() {
    let text = r"version: 1
id: work
name: Work
servers:
  - type: image
    image: mcp/x@sha256:0000000000000000000000000000000000000000000000000000000000000000
    config: { a: b }
    tools: [one]
    secrets: default
    snapshot: { server: { name: x, type: server, title: X } }
  - type: registry
    source: https://registry.example.com/v0/servers/abc
  - type: remote
    endpoint: https://y.example.com/mcp
    snapshot: { server: { name: y, type: remote, remote: { url: https://y.example.com/mcp, transport_type: http } } }
  - type: image
  - 7
secrets: { default: { provider: docker-desktop-store } }
";
    let imported = profile::docker(text).unwrap();
    assert_eq!(imported.name.as_deref(), Some("Work"));
    let servers: Vec<&str> = imported.servers.keys().map(ServerName::as_str).collect();
    assert_eq!(servers, ["abc", "x", "y"]);
    assert_eq!(
        imported.servers[&name("x")].tools.as_deref(),
        Some(&["one".to_owned()][..])
    );
    assert_eq!(imported.entries.len(), 2);
    assert_eq!(imported.faults.len(), 2, "{:?}", imported.faults);
    assert_eq!(
        imported.notes[0].text,
        "abc: its definition (registry) is not in the document; it has to be in a catalog here"
    );
    assert!(profile::docker("a: 1").is_err());
}

#[test]
fn profiles_of_ours_hold_no_secrets() {
    let toml =
        "config = { api_key = 'hunter2', url = 'https://x', db = { password = 'hunter3', name = 'n' } }
env = { TOKEN = 'hunter4', LEVEL = 'info', PASSWORD = '$X' }
secrets = { 'x.key' = 'mine' }";
    let own = toml::from_str("url = 'https://x'\nheaders = { Authorization = 'Bearer hunter5', X = '$KEY' }")
        .unwrap();
    let servers = BTreeMap::from([
        (
            name("x"),
            Server {
                setup: setup(toml),
                own: Some(own),
            },
        ),
        (name("y"), Server::default()),
    ]);
    let (profile, left_out) = Profile::export("work", servers);
    assert_eq!(
        left_out,
        [
            "x: env.TOKEN",
            "x: config.api_key",
            "x: config.db.password",
            "x: own.headers.Authorization"
        ]
    );
    let text = profile.to_text();
    assert!(!text.contains("hunter") && text.contains("\"mine\""), "{text}");
    assert_eq!(Profile::parse(&text).unwrap(), profile);
    for (text, expected) in [
        ("{}", "it does not say that its format is dockmaster/profile"),
        (
            r#"{"format": "dockmaster/profile", "version": 2, "servers": {}}"#,
            "its version is 2, and 1 can be read here",
        ),
        (
            r#"{"format": "dockmaster/profile", "version": 1, "name": "x", "servers": {"a b": {}}}"#,
            "is not a valid server name",
        ),
        (
            r#"{"format": "dockmaster/profile", "version": 1, "name": "x", "servers": {"a": {"setup": {"hosts": ["x y"]}}}}"#,
            "is not a destination",
        ),
        ("{", "line 1"),
    ] {
        let error = Profile::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
