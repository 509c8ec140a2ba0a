use catalog::entry::{Format, Kind};
use catalog::plan::Sharing;
use catalog::read;

use crate::entry;

#[test]
fn every_field_of_a_catalog() {
    let entry = entry(
        "  Full_one.x:
    name: Full_one.x
    type: server
    title: T
    description: D
    icon: https://i
    readme: https://r
    toolsUrl: https://t
    source: https://s
    upstream: https://u
    dateAdded: 2025-05-01T00:00:00Z
    ref: ''
    image: a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000
    longLived: true
    prefix: p
    command: [--x, '{{Full_one.x.k}}']
    volumes: ['v:/v']
    user: '{{Full_one.x.u}}'
    disableNetwork: false
    allowHosts: ['h:443/https']
    extraHosts: ['db:10.0.0.1', 'up:host-gateway']
    secrets: [{ name: s, env: S, example: e, description: d, required: false }]
    env: [{ name: E, value: v }]
    config: [{ name: Full_one.x, description: c, type: object, properties: { k: { type: string } }, required: [k], anyOf: [{ required: [k] }] }]
    tools: [{ name: t, description: td, arguments: [{ name: a, type: string, desc: ad, optional: true }], annotations: { readOnlyHint: true } }, bare]
    oauth: { providers: [{ provider: p, secret: s, env: S }], scopes: [one] }
    metadata: { category: c, tags: [x], license: MIT, owner: o, pulls: 1, stars: 2, githubStars: 3, registryUrl: https://m }
    prompts: 1
    resources: {}
    sseEndpoint: https://old
    what: ever
",
    );
    assert_eq!(entry.name.as_str(), "Full_one.x");
    assert_eq!(
        (entry.format, entry.sharing),
        (Format::Catalog, Some(Sharing::Session))
    );
    assert_eq!(
        (
            entry.prefix.as_ref().map(catalog::setup::Prefix::as_str),
            entry.oauth_scopes.as_slice()
        ),
        (Some("p"), &["one".to_owned()][..])
    );
    assert_eq!(
        (entry.tools.len(), entry.oauth.len(), entry.secrets.len()),
        (2, 1, 1)
    );
    assert!(!entry.secrets[0].required);
    assert_eq!(entry.about.more.len(), 8, "{:?}", entry.about.more);
    let notes: Vec<String> = entry.notes.iter().map(ToString::to_string).collect();
    let mut expected = [
        "line 31: sseEndpoint is not known here and has no effect",
        "line 32: what is not known here and has no effect",
    ];
    expected.sort_unstable();
    let mut notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    notes.sort_unstable();
    assert_eq!(notes, expected);
    let Kind::Container { run, .. } = &entry.kind else {
        panic!("a container")
    };
    assert_eq!(
        run.extra_hosts,
        [
            ("db".to_owned(), "10.0.0.1".to_owned()),
            ("up".to_owned(), "host-gateway".to_owned())
        ]
    );
}

#[test]
fn a_broken_entry_spoils_no_other() {
    let text = "version: 2
name: n
displayName: N
registry:
  good: { type: server, image: a/b }
  no image: { type: server, image: a/b }
  empty: { type: server }
  kind: { type: plugin }
  list: [1]
  flag:
    type: server
    image: a/b
    disableNetwork: sometimes
  hosts: { type: server, image: a/b, allowHosts: ['nope nope'] }
  tool: { type: poci, tools: [{ name: t }] }
  builtin: { type: builtin }
  good: { type: server, image: c/d }
  old: { sseEndpoint: 'https://x/sse' }
";
    let catalog = read::catalog(text).unwrap();
    assert_eq!(
        (catalog.name.as_deref(), catalog.title.as_deref()),
        (Some("n"), Some("N"))
    );
    let names: Vec<&str> = catalog.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["good", "old"]);
    let faults: Vec<String> = catalog.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            r#"no image (line 6): "no image" is not a valid server name: use letters, digits, '_', '.' and '-', the first a letter or digit"#,
            "empty (line 7): image is missing",
            r#"kind (line 8): type is "plugin", which is none of server, remote, poci"#,
            "list (line 9): it is a list; a mapping is expected",
            "flag (line 13): disableNetwork is text; true or false is expected",
            r#"hosts (line 14): allowHosts has what can't be used: "nope nope" is not a destination (host:port): the host is a name, an address, *.name, or * for all"#,
            "tool (line 15): tools[].container is missing",
            "builtin (line 16): type is builtin, which only the catalog that comes along may say",
            "good (line 17): there is another entry of this name before it, which counts",
        ]
    );
}

#[test]
fn an_entry_that_is_no_yaml_spoils_no_other() {
    let text = "version: 3
name: n
registry:
  # a comment
  one: { type: server, image: a/b }
  broken:
    type: [server
    image: a/b
  two:
    type: server
    image: c/d
    surprise: 1
  'three': { type: remote, remote: { url: 'https://x' } }
displayName: N
";
    let catalog = read::catalog(text).unwrap();
    let names: Vec<&str> = catalog.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(
        (names, catalog.title.as_deref()),
        (vec!["one", "two", "three"], Some("N"))
    );
    assert_eq!(
        catalog.entries[1].notes[0].to_string(),
        "line 12: surprise is not known here and has no effect"
    );
    assert_eq!(catalog.faults.len(), 1);
    let fault = catalog.faults[0].to_string();
    assert!(
        fault.starts_with("broken (line ") && fault.contains("it is not YAML that can be read"),
        "{fault}"
    );
    assert!((6..=9).contains(&catalog.faults[0].line), "{fault}");
}

#[test]
fn documents_that_are_no_catalog() {
    for (text, expected) in [
        ("", "it has neither `registry` nor `servers`, so it is no catalog"),
        ("[1]", "line 1: it is a list; a mapping is expected"),
        ("registry: [1]", "registry is not a mapping of entries by name"),
        ("a: [", "it is not YAML that can be read"),
        ("{\"registry\": {", "it is not JSON that can be read"),
        ("a: 1\n---\nb: 2\n", "it is not YAML that can be read"),
    ] {
        let error = read::catalog(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(
        read::catalog(r#"{"registry": {"a": {"type": "server", "image": "a/b"}}}"#)
            .unwrap()
            .get("a")
            .is_some()
    );
    assert!(
        read::catalog("{registry: {a: {type: server, image: a/b}}}")
            .unwrap()
            .get("a")
            .is_some()
    );
}

#[test]
fn bombs_end_as_errors() {
    let mut aliases = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let line = format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(","));
        aliases.push_str(&line);
    }
    let deep = format!("a: {}{}", "[".repeat(500), "]".repeat(500));
    let deep_json = format!("{{\"a\": {}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let wide = format!("a: [{}]", "1,".repeat(200_001));
    let large = "#".repeat(17 << 20);
    for text in [aliases, deep, deep_json, wide, large] {
        assert!(read::catalog(&text).is_err(), "{}", &text[..40]);
    }
}

#[test]
fn lists_of_servers_with_snapshots() {
    let text = r#"{"title": "Mine", "servers": [
        {"type": "image", "image": "a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000", "tools": ["x"],
         "snapshot": {"server": {"name": "one", "type": "server", "title": "One"}}},
        {"type": "remote", "endpoint": "https://x"},
        {"name": "two", "type": "remote", "remote": {"url": "https://y", "transport_type": "sse"}}]}"#;
    let catalog = read::catalog(text).unwrap();
    let names: Vec<&str> = catalog.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(
        catalog.faults[0].to_string(),
        "servers[1]: it has no name and no snapshot of its entry"
    );
}

#[test]
fn labels_of_images() {
    let entry = read::label(
        "ghcr.io/x/weather:1",
        "title: Weather\ndescription: D\nsecrets: [{ name: w.k, env: K }]",
    )
    .unwrap();
    assert_eq!((entry.name.as_str(), entry.format), ("weather", Format::Label));
    let named = read::label("a/b", r#"{"name": "other", "type": "server"}"#).unwrap();
    assert_eq!(named.name.as_str(), "other");
    assert!(read::label("a/b", "type: remote\nremote: { url: 'https://x' }").is_err());
    assert!(read::label("a/b", "- 1").is_err());
}

#[test]
fn folders() {
    let yaml = "name: x
image: a/b
type: server
dynamic: { tools: true }
longLived: true
requirement: neo4j
meta: { category: c, tags: [t] }
about: { title: X, description: D, icon: I }
source: { project: https://p, branch: main, commit: 0123456789012345678901234567890123456789, directory: d }
run:
  command: [run]
  volumes: ['{{x.paths|volume|into}}']
  env: { MODE: stdio }
  ports: ['1:1']
config:
  description: C
  secrets: [{ name: x.s, env: S }]
  env: [{ name: A, value: '{{x.a}}' }, { name: NO_VALUE }, { name: x.t, env: T, required: true }]
  parameters: null
  type: object
  properties: { a: { type: string }, paths: { type: array, items: { type: string } } }
  required: [a]
oauth: [{ provider: p, secret: x.s, env: S }]
";
    let entry = read::folder(
        "x",
        yaml,
        Some(r#"[{"name": "t", "description": "td", "arguments": []}]"#),
        Some("# X"),
    )
    .unwrap();
    let notes: Vec<String> = entry.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "line 14: run.ports is not known here and has no effect",
            "line 18: NO_VALUE has no value; give it one in `env`",
            "line 18: x.t stands under env and is taken as a secret, as it names its variable",
            "it needs neo4j, which it does not bring along",
        ]
    );
    let secrets: Vec<&str> = entry.secrets.iter().map(|need| need.env.as_str()).collect();
    assert_eq!(secrets, ["S", "T"]);
    assert_eq!(entry.config.schema.unwrap()["required"], serde_json::json!(["a"]));
    let Kind::Container { run, .. } = entry.kind else {
        panic!("a container")
    };
    let env: Vec<&str> = run.env.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(env, ["A", "NO_VALUE", "MODE"]);
    assert_eq!(
        (entry.tools.len(), entry.about.readme.as_deref()),
        (1, Some("# X"))
    );
    let fault =
        |yaml: &str, tools: Option<&str>| read::folder("x", yaml, tools, None).unwrap_err().to_string();
    assert_eq!(fault("type: server", None), "x (line 1): image is missing");
    assert_eq!(fault("type: remote", None), "x (line 1): remote is missing");
    assert_eq!(
        fault("{ type: server, image: a }", Some("{}")),
        "x: tools.json is not a list of tools"
    );
}
