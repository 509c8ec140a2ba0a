use std::collections::BTreeSet;

use catalog::plan::{HostPort, Network, PerCall, Source, Target, Value};
use catalog::{Around, Known, Processes, plan};
use serde_json::json;

use crate::{around, entry, lines, setup};

fn container(yaml: &str, toml: &str) -> catalog::plan::Container {
    let plan =
        plan(&entry(yaml), &setup(toml), &around()).unwrap_or_else(|lacks| panic!("{}", lines(&lacks)));
    let Target::Container(container) = plan.target else {
        panic!("a container")
    };
    container
}

#[test]
fn nothing_is_granted_that_nobody_asked_for() {
    let plan = plan(&entry("  x: { type: server, image: a/b }"), &setup(""), &around()).unwrap();
    assert_eq!(plan.asks_for, [""; 0]);
    assert_eq!(
        plan.notes,
        [
            "it has no network, as its entry declares no hosts; to permit some, write under [profiles.default.servers.x]: hosts = [\"HOST:443\"], or network = \"open\" for all"
        ]
    );
    let Target::Container(container) = plan.target else {
        panic!("a container")
    };
    let expected = catalog::plan::Container {
        image: "a/b".to_owned(),
        ..Default::default()
    };
    assert_eq!(container, expected);
}

#[test]
fn networks() {
    let hosts = |list: &[&str]| {
        let host = |text: &&str| {
            text.rsplit_once(':').map(|(host, port)| HostPort {
                host: host.to_owned(),
                port: port.parse().unwrap(),
            })
        };
        Network::Hosts(list.iter().filter_map(host).collect())
    };
    let declared =
        "  x: { type: server, image: a/b, allowHosts: ['B.example.com:443/https', 'a.example.com:80/tcp'] }";
    let none = "  x: { type: server, image: a/b, disableNetwork: true }";
    let silent = "  x: { type: server, image: a/b }";
    for (yaml, toml, expected) in [
        (declared, "", hosts(&["a.example.com:80", "b.example.com:443"])),
        (declared, "network = 'none'", Network::None),
        (declared, "network = 'open'", Network::Open),
        (
            declared,
            "hosts = ['c.example.com']",
            hosts(&["a.example.com:80", "b.example.com:443", "c.example.com:443"]),
        ),
        (none, "", Network::None),
        (none, "network = 'declared'", Network::None),
        (none, "hosts = ['10.0.0.1:5432']", hosts(&["10.0.0.1:5432"])),
        (silent, "", Network::None),
        (
            silent,
            "hosts = ['*.example.com/http', '[::1]:8080', '*:8081']",
            hosts(&["*:8081", "*.example.com:80", "::1:8080"]),
        ),
    ] {
        assert_eq!(container(yaml, toml).network, expected, "{yaml} {toml}");
    }
    let port = |host: &str| HostPort {
        host: host.to_owned(),
        port: 443,
    };
    for (rule, host, permitted) in [
        ("a.b", "A.B.", true),
        ("a.b", "x.a.b", false),
        ("*.a.b", "x.a.b", true),
        ("*.a.b", "a.b", false),
        ("*.a.b", "xa.b", false),
        ("*", "anything", true),
    ] {
        assert_eq!(port(rule).permits(host, 443), permitted, "{rule} {host}");
        assert!(!port(rule).permits(host, 80));
    }
}

#[test]
fn what_a_setup_may_say() {
    for (toml, fault) in [
        (
            "hosts = ['a b']",
            "the host is a name, an address, *.name, or * for all",
        ),
        ("hosts = ['a:0']", "the port is a number from 1 to 65535"),
        ("hosts = ['a/ftp']", "behind the / stands tcp, http or https"),
        ("hosts = ['a/tcp']", "a port is needed"),
        ("memory = '1m'", "Docker wants at least 6 MiB"),
        ("memory = 'lots'", "the units are k, m, g and t"),
        ("cpus = 0.0", "a number of CPUs is from 0.01 to 4096"),
        ("gpus = 'some'", "GPUs are \"all\" or a number"),
        ("mounts = ['/a']", "the target is missing"),
        (
            "mounts = ['/a:/b:rwx']",
            "behind the target stands ro, rw or nothing",
        ),
        ("sharing = 'nobody'", "unknown variant"),
        ("privileged = true", "unknown field"),
    ] {
        let error = toml::from_str::<catalog::Setup>(toml).unwrap_err().to_string();
        assert!(error.contains(fault), "{toml}: {error}");
    }
    let all = setup(
        "hosts = ['a:1', '[::1]:2']\nmounts = ['/a:/b:ro']\nmemory = '2Gb'\ncpus = 2.5\ngpus = 2\nenv = { A = 'b' }",
    );
    let again: catalog::Setup = toml::from_str(&toml::to_string(&all).unwrap()).unwrap();
    assert_eq!(again, all);
}

#[test]
fn limits_and_the_rest_of_a_setup() {
    let yaml = "  x: { type: server, image: a/b, env: [{ name: A, value: one }], volumes: ['data:/data'] }";
    let toml = "memory = '512MiB'\ncpus = 0.5\npids = 64\ngpus = 'all'\nuser = '1000:1000'\nimage = 'c/d:2'\nenv = { A = 'two', B = '$C' }\nmounts = ['/home/you/proj:/data', 'cache:/cache:ro']";
    let container = container(yaml, toml);
    assert_eq!(container.image, "c/d:2");
    assert_eq!((container.limits.memory, container.limits.pids), (512 << 20, 64));
    assert_eq!(container.user.as_deref(), Some("1000:1000"));
    let plain = |text: &str| Value::Plain(text.to_owned());
    assert_eq!(
        container.env,
        [("A".to_owned(), plain("two")), ("B".to_owned(), plain("$C"))]
    );
    let mounts: Vec<_> = container
        .mounts
        .iter()
        .map(|mount| (mount.source.clone(), mount.target.as_str(), mount.read_only))
        .collect();
    assert_eq!(
        mounts,
        [
            (Source::Path("/home/you/proj".into()), "/data", false),
            (Source::Volume("cache".to_owned()), "/cache", true)
        ]
    );
}

#[test]
fn digests_that_are_known_pin() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let around = Around {
        digests: [("a/b".to_owned(), digest.clone())].into(),
        ..around()
    };
    let plan = plan(&entry("  x: { type: server, image: a/b }"), &setup(""), &around).unwrap();
    let Target::Container(container) = plan.target else {
        panic!("a container")
    };
    assert_eq!(container.image, format!("a/b@{digest}"));
}

#[test]
fn secrets_only_by_name() {
    let yaml = "  x:
    type: server
    image: a/b
    secrets:
      - { name: x.key, env: KEY }
      - { name: x.more, env: MORE, required: false }
    command: [--key, $KEY, --more=$MORE, '{{x.url}}']
    env: [{ name: HEADERS, value: '{\"Authorization\": \"Bearer $KEY\"}' }, { name: OTHER, value: $MORE }]";
    let known = |names: &[&str]| Around {
        secrets: Known::These(names.iter().map(|name| (*name).to_owned()).collect()),
        ..around()
    };
    let full = plan(
        &entry(yaml),
        &setup("secrets = { 'x.key' = 'mine' }"),
        &known(&["mine", "x.more"]),
    )
    .unwrap();
    assert_eq!(full.secrets, ["mine", "x.more"]);
    let Target::Container(container) = full.target else {
        panic!("a container")
    };
    assert_eq!(
        container.command,
        ["--key", "<secret mine>", "--more=<secret x.more>"]
    );
    let value = |name: &str| Some(base::Secret::new(format!("value of {name}")));
    let run: Vec<String> = container
        .arguments(value)
        .unwrap()
        .iter()
        .map(|text| text.expose().to_owned())
        .collect();
    assert_eq!(run, ["--key", "value of mine", "--more=value of x.more"]);
    assert!(!serde_json::to_string(&container).unwrap().contains("value of"));

    let less = plan(&entry(yaml), &setup(""), &known(&["x.key"])).unwrap();
    let Target::Container(container) = less.target else {
        panic!("a container")
    };
    assert_eq!(container.command, ["--key", "<secret x.key>"]);
    let names: Vec<&str> = container.env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["KEY", "HEADERS"]);
    assert!(
        less.notes
            .contains(&"it does without MORE, which it can use: dockmaster secret set x.more".to_owned())
    );

    let without = plan(&entry(yaml), &setup("secrets = { 'x.key' = '' }"), &known(&[])).unwrap();
    assert_eq!(without.secrets, [""; 0]);
    let lacks = plan(&entry(yaml), &setup(""), &known(&[])).unwrap_err();
    assert_eq!(
        lines(&lacks),
        "x needs the secret x.key, for KEY: dockmaster secret set x.key"
    );
}

#[test]
fn secrets_as_files() {
    let catalog = "  x:
    type: server
    image: a/b
    secrets: [{ name: x.key, env: KEY }]
    command: ['--key=$KEY']";
    let known = Around {
        secrets: Known::These(["x.key", "mine", "other"].map(str::to_owned).into()),
        ..around()
    };
    let files = |container: &catalog::plan::Container| -> Vec<String> {
        let file = |mount: &catalog::plan::Mount| match &mount.source {
            Source::Secret(name) if mount.read_only => format!("{} {name}", mount.target),
            source => panic!("{source:?}"),
        };
        container.mounts.iter().map(file).collect()
    };
    // The entry's comes out of its variable, under the name that the user has for it; others come beside.
    let wanted =
        "secrets = { 'x.key' = 'mine' }\nsecret_files = { '/run/secrets//k' = 'x.key', '/o' = 'other' }";
    let planned = plan(&entry(catalog), &setup(wanted), &known).unwrap();
    assert_eq!(planned.secrets, ["mine", "other"]);
    let Target::Container(container) = &planned.target else {
        panic!("a container")
    };
    assert_eq!(files(container), ["/o other", "/run/secrets/k mine"]);
    assert_eq!((container.env.len(), container.command.len()), (0, 0));

    // The name that the user has for it means the same secret.
    let wanted = "secrets = { 'x.key' = 'mine' }\nsecret_files = { '/k' = 'mine' }";
    let planned = plan(&entry(catalog), &setup(wanted), &known).unwrap();
    let Target::Container(container) = &planned.target else {
        panic!("a container")
    };
    assert_eq!(files(container), ["/k mine"]);
    assert_eq!((container.env.len(), container.command.len()), (0, 0));

    // One's own servers name them in their definition, where one may be in a variable as well.
    let name = base::names::ServerName::parse("x").unwrap();
    let own = |toml: &str| catalog::read::own(&name, &toml::from_str(toml).unwrap(), None);
    let both =
        own("image = 'a'\nsecrets = { KEY = 'mine' }\nsecret_files = { '/k' = 'mine', '/o' = 'other' }")
            .unwrap();
    let planned = plan(&both, &setup("secret_files = { '/o' = 'x.key' }"), &known).unwrap();
    let Target::Container(container) = &planned.target else {
        panic!("a container")
    };
    assert_eq!(files(container), ["/k mine", "/o x.key"]);
    assert_eq!(container.env.len(), 1);
    let setup_of_both = setup("secrets = { mine = 'kept' }\nsecret_files = { '/n' = 'new' }");
    let names: Vec<&str> = setup_of_both.secret_names(&both).into_iter().collect();
    assert_eq!(names, ["kept", "new", "other"]);

    let tool =
        "  x: { type: poci, description: d, tools: [{ name: t, container: { image: a/b, command: [c] } }] }";
    let planned = plan(&entry(tool), &setup("secret_files = { '/k' = 'mine' }"), &known).unwrap();
    let Target::PerCall(tools) = &planned.target else {
        panic!("a container for each call")
    };
    assert_eq!(files(&tools[0].container), ["/k mine"]);
    let shown = serde_json::to_value(&planned).unwrap();
    assert_eq!(shown["target"]["tools"][0]["name"], "t", "{shown}");

    for (yaml, toml, expected) in [
        (
            catalog,
            "secret_files = { '/k' = 'absent' }",
            "x needs the secret absent, for the file /k: dockmaster secret set absent",
        ),
        (
            catalog,
            "secret_files = { 'k' = 'mine' }",
            "the secret mine can't be the file \"k\": the place in the container is an absolute path: \
             change `secret_files` under [profiles.default.servers.x]",
        ),
        (
            catalog,
            "secret_files = { '/proc/k' = 'mine' }",
            "the secret mine can't be the file \"/proc/k\": /proc, /sys and /dev belong to the engine: \
             change `secret_files` under [profiles.default.servers.x]",
        ),
        (
            catalog,
            "secrets = { 'x.key' = '' }\nsecret_files = { '/k' = 'x.key' }",
            "the secret x.key can't be the file \"/k\": `secrets` says that it does without: \
             change `secret_files` under [profiles.default.servers.x]",
        ),
        (
            "  x: { type: remote, remote: { url: 'https://a.example/mcp' } }",
            "secret_files = { '/k' = 'mine' }",
            "x is no container, so it can be given no secret as a file: take `secret_files` out of [profiles.default.servers.x]",
        ),
    ] {
        let lacks = plan(&entry(yaml), &setup(toml), &known).unwrap_err();
        assert_eq!(lines(&lacks), expected);
    }
    for toml in ["url = 'https://a'", "command = ['a']"] {
        let refused = own(&format!("{toml}\nsecret_files = {{ '/k' = 'mine' }}")).unwrap_err();
        assert!(
            refused.to_string().contains("secret_files are for containers"),
            "{refused}"
        );
    }
}

#[test]
fn a_prefix_that_can_be_none_is_refused_where_it_is_read() {
    for bad in ["", "a b", "a.b", "é", &"x".repeat(33)] {
        let refused = toml::from_str::<catalog::Setup>(&format!("prefix = '{bad}'")).unwrap_err();
        assert!(
            refused.to_string().contains("is not a prefix of names of tools"),
            "{refused}"
        );
    }
    assert!(
        catalog::read::own(
            &base::names::ServerName::parse("x").unwrap(),
            &toml::from_str("image = 'a'\nprefix = 'Gh_1-'").unwrap(),
            None
        )
        .is_ok()
    );
}

#[test]
fn the_user_may_loosen_a_container() {
    let image = "  x:
    type: server
    image: a/b
    dockmaster: { capabilities: [CAP_CHOWN] }";
    let poci =
        "  x: { type: poci, description: d, tools: [{ name: t, container: { image: a/b, command: [c] } }] }";
    let remote = "  x: { type: remote, remote: { url: 'https://a.example/mcp' } }";
    let wanted = "tmpfs = ['/var//cache']
capabilities = ['CAP_NET_RAW', 'CHOWN']
docker_socket = true
writable_root = true";
    for (yaml, capabilities) in [(image, &["CHOWN", "NET_RAW"]), (poci, &["NET_RAW", "CHOWN"])] {
        let planned = plan(&entry(yaml), &setup(wanted), &around()).unwrap();
        let container = match &planned.target {
            Target::Container(container) => container,
            Target::PerCall(tools) => &tools[0].container,
            target => panic!("{target:?}"),
        };
        assert_eq!(container.capabilities, capabilities);
        assert_eq!((container.docker_socket, container.writable_root), (true, true));
        assert_eq!(
            container.mounts,
            [catalog::plan::Mount {
                source: Source::Tmpfs,
                target: "/var/cache".to_owned(),
                read_only: false,
            }]
        );
        assert!(
            planned
                .asks_for
                .iter()
                .any(|ask| ask.starts_with("drives Docker")),
            "{:?}",
            planned.asks_for
        );
    }
    for (yaml, toml, expected) in [
        (
            image,
            "tmpfs = ['cache']",
            "\"cache\" can't be memory: the place in the container is an absolute path: \
             change `tmpfs` under [profiles.default.servers.x]",
        ),
        (
            remote,
            "tmpfs = ['/c']",
            "x is no container, so it can be given no memory: take `tmpfs` out of [profiles.default.servers.x]",
        ),
        (
            remote,
            "capabilities = ['CHOWN']",
            "x is no container, so it can be given no capability: \
             take `capabilities` out of [profiles.default.servers.x]",
        ),
        (
            remote,
            "docker_socket = true",
            "x is no container, so it can be given no Docker socket: \
             take `docker_socket` out of [profiles.default.servers.x]",
        ),
    ] {
        let lacks = plan(&entry(yaml), &setup(toml), &around()).unwrap_err();
        assert_eq!(lines(&lacks), expected);
    }
    for bad in ["", "net_raw", "CAP_", "NET RAW"] {
        let refused = toml::from_str::<catalog::Setup>(&format!("capabilities = ['{bad}']")).unwrap_err();
        assert!(refused.to_string().contains("is not a capability"), "{refused}");
    }
}

#[test]
fn mounts_that_are_refused_or_changed() {
    for (volume, config, expected) in [
        ("{{x.p}}:/a", "/srv/x", "is under none of your roots"),
        ("{{x.p}}:/a", "/home/you/../etc", "a path of the host has no .."),
        ("{{x.p}}:/a", "work", ""),
        ("{{x.p}}:/a", "./proj", "a path of the host is absolute"),
        ("{{x.p}}:/a", "/home/you/x:/etc", ""),
        (
            "{{x.p}}:/proc/x",
            "/home/you",
            "/proc, /sys and /dev belong to the engine",
        ),
        (
            "{{x.p}}:/a/../..",
            "/home/you",
            "the place in the container has ..",
        ),
        ("{{x.p}}:/", "/home/you", "it would replace the container's root"),
        ("{{x.p}}:a", "/home/you", "is an absolute path"),
        (
            "/etc:/a",
            "",
            "is what its entry wants to mount, and is under none of your roots",
        ),
        ("{{x.p}}:/a", "~/proj/y", ""),
        ("{{x.p}}:/a", "$HOME/proj/y", ""),
        ("{{x.p}}:/a", "", ""),
    ] {
        let yaml = format!("  x: {{ type: server, image: a/b, volumes: ['{volume}'] }}");
        let result = plan(
            &entry(&yaml),
            &setup(&format!("config = {{ p = '{config}' }}")),
            &around(),
        );
        match result {
            Ok(_) => assert_eq!(expected, "", "{volume} {config}"),
            Err(lacks) => assert!(
                !expected.is_empty() && lines(&lacks).contains(expected),
                "{volume} {config}: {}",
                lines(&lacks)
            ),
        }
    }
    let mounted = |config: &str| {
        container(
            "  x: { type: server, image: a/b, volumes: ['{{x.p}}:/a'] }",
            &format!("config = {{ p = '{config}' }}"),
        )
        .mounts
    };
    assert_eq!(
        mounted("/home/you/x:/etc")[0].source,
        Source::Path("/home/you/x:/etc".into())
    );
    assert!(mounted("/home/you/x")[0].read_only, "its root may not be written");
    assert!(!mounted("/home/you/proj//y/")[0].read_only);
    assert_eq!(
        mounted("/home/you/proj//y/")[0].source,
        Source::Path("/home/you/proj/y".into())
    );
    assert_eq!(mounted(""), []);
    for socket in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "//var/run/./docker.sock",
        "/home/you/proj/docker.sock",
    ] {
        let container = container(
            &format!("  x: {{ type: server, image: a/b, volumes: ['{socket}:/var/run/docker.sock'] }}"),
            "",
        );
        assert!(container.docker_socket && container.mounts.is_empty(), "{socket}");
    }
}

#[test]
fn configurations_are_checked_and_defaults_filled_in() {
    let yaml = "  x:
    type: server
    image: a/b
    env: [{ name: LEVEL, value: '{{x.level}}' }, { name: URL, value: '{{x.jira.url}}' }, { name: LOOSE, value: '{{x.loose}}' }]
    volumes: ['{{x.where}}:/data']
    config:
      - name: x
        type: object
        properties:
          level: { type: string, enum: [low, high], default: low }
          where: { type: string, default: /Users/somebody/data }
          jira: { type: object, properties: { url: { type: string, format: uri } }, required: [url] }
        required: [where]";
    let lacks = plan(
        &entry(yaml),
        &setup("config = { level = 'mid', jira = { url = 'nope' } }"),
        &around(),
    )
    .unwrap_err();
    assert_eq!(
        lines(&lacks),
        r#"the configuration of x: where is missing; expected is text: dockmaster server config x where=/Users/somebody/data
the configuration of x: jira.url is "nope"; expected is a URL with its scheme: dockmaster server config x jira.url=VALUE
the configuration of x: level is "mid"; expected is one of "low", "high": dockmaster server config x level=low"#
    );
    let toml = "config = { where = '/home/you/proj', 'jira.url' = 'https://j.example.com/x', wehre = 1 }";
    let plan = plan(&entry(yaml), &setup(toml), &around()).unwrap();
    assert_eq!(
        plan.notes,
        [
            r#"its configuration has "wehre", which x does not know; there are: level, where, jira.url"#,
            r#"it has no network, as its entry declares no hosts; to permit some, write under [profiles.default.servers.x]: hosts = ["HOST:443"], or network = "open" for all"#,
            "variables left out, as nothing is configured for them: LOOSE (loose)",
        ]
    );
    let Target::Container(container) = plan.target else {
        panic!("a container")
    };
    let variable = |name: &str, text: &str| (name.to_owned(), Value::Plain(text.to_owned()));
    assert_eq!(
        container.env,
        [
            variable("LEVEL", "low"),
            variable("URL", "https://j.example.com/x")
        ]
    );
}

#[test]
fn remotes() {
    let remote = |url: &str, more: &str, toml: &str| {
        let yaml = format!(
            "  x: {{ type: remote, remote: {{ url: '{url}', transport_type: streamable-http, headers: {{ {more} }} }}, secrets: [{{ name: x.t, env: T }}, {{ name: x.o, env: O, required: false }}] }}"
        );
        plan(&entry(&yaml), &setup(toml), &around())
    };
    let good = remote(
        "https://x.example.com/{{x.team}}/mcp",
        "Authorization: 'Bearer ${T}', X-Other: $O",
        "config = { team = 'a' }",
    )
    .unwrap();
    let Target::Remote(remote_target) = good.target else {
        panic!("a remote")
    };
    assert_eq!(remote_target.url, "https://x.example.com/a/mcp");
    assert_eq!(
        serde_json::to_value(&remote_target.headers).unwrap(),
        json!({"Authorization": {"parts": [{"text": "Bearer "}, {"secret": "x.t"}]}})
    );
    let hidden = remote("https://x.example.com/mcp?key=$T", "", "").unwrap();
    let Target::Remote(hidden) = hidden.target else {
        panic!("a remote")
    };
    assert_eq!(hidden.url, "https://x.example.com/mcp?key=<secret x.t>");
    let address = hidden.address(|_| Some(base::Secret::new("s3"))).unwrap();
    assert_eq!(address.expose(), "https://x.example.com/mcp?key=s3");
    for (url, expected) in [
        ("http://x.example.com/mcp", "it is plain HTTP"),
        ("ftp://x.example.com", "only https is spoken"),
        (
            "https://user:pass@x.example.com",
            "it has a user name or password in it",
        ),
        ("https://", "it names no host"),
        ("x.example.com", "it is not an address with https:// before it"),
    ] {
        let lacks = remote(url, "", "").unwrap_err();
        assert!(lines(&lacks).contains(expected), "{url}: {}", lines(&lacks));
    }
    assert!(
        remote("http://localhost:8080/mcp", "", "").is_ok() && remote("http://127.0.0.1/mcp", "", "").is_ok()
    );
    let lacks = remote("https://x.example.com/mcp", "'A B': x", "").unwrap_err();
    assert!(lines(&lacks).contains("is none that HTTP has"));
}

fn tool(plan: catalog::plan::Plan) -> PerCall {
    let Target::PerCall(mut tools) = plan.target else {
        panic!("tools")
    };
    tools.remove(0)
}

#[test]
fn tools_that_are_a_container_for_each_call() {
    let yaml = "  x:
    type: poci
    tools:
      - name: show
        description: shows
        parameters: { type: object, properties: { args: { type: array, items: { type: string } }, path: { type: string } }, required: [args] }
        container: { image: busybox, command: [cat, '{{args|into}}'], volumes: ['{{path}}:{{path}}', '/var/run/docker.sock:/var/run/docker.sock'] }";
    let plan = plan(&entry(yaml), &setup(""), &around()).unwrap();
    assert_eq!(
        plan.asks_for,
        [
            "show mounts what a call names, under /home/you, /home/you/proj",
            "drives Docker, by a filtered socket that shows only what it made itself"
        ]
    );
    let tool = tool(plan);
    let call = |arguments: serde_json::Value| catalog::call::fill(&tool, arguments.as_object().unwrap());
    let container =
        call(json!({"args": ["-n", "; rm -rf / $(id) {{path}}"], "path": "/home/you/proj/a"})).unwrap();
    assert_eq!(container.command, ["cat", "-n", "; rm -rf / $(id) {{path}}"]);
    assert_eq!(
        container.mounts[0].source,
        Source::Path("/home/you/proj/a".into())
    );
    for (arguments, expected) in [
        (json!({}), "args is missing"),
        (json!({"args": "x"}), "args is \"x\"; expected is a list"),
        (
            json!({"args": [], "path": "/etc/passwd"}),
            "is under none of your roots",
        ),
        (
            json!({"args": [], "path": "/home/you/../../etc"}),
            "the place in the container has ..",
        ),
        (
            json!({"args": [], "path": "/home/you/proj:/etc"}),
            "has characters that no path has",
        ),
        (
            json!({"args": [], "path": "/home/you/docker.sock"}),
            "may not be given the Docker socket by a call",
        ),
        (json!({"args": ["a\u{0}b"]}), "holds a zero byte"),
        (json!({"args": ["x".repeat(200_000)]}), "is too long"),
    ] {
        let lacks = call(arguments.clone()).unwrap_err();
        assert!(lines(&lacks).contains(expected), "{arguments}: {}", lines(&lacks));
    }
}

#[test]
fn the_users_own_servers() {
    let name = base::names::ServerName::parse("mine").unwrap();
    let read = |toml: &str| {
        catalog::read::own(&name, &toml::from_str(toml).unwrap(), None).map_err(|fault| fault.to_string())
    };
    let permitted = Around {
        processes: Processes::Permitted,
        ..around()
    };
    let made = plan(
        &read("pypi = 'mcp-server-sqlite==2025.4.25'\nwith = ['mcp<2']\nargs = ['--db-path', '/data/x']")
            .unwrap(),
        &setup(""),
        &around(),
    )
    .unwrap();
    let Target::Container(made) = made.target else {
        panic!("a container")
    };
    let build = made.build.unwrap();
    assert_eq!(
        (
            build.package.as_str(),
            build.version.as_deref(),
            build.with.as_slice()
        ),
        ("mcp-server-sqlite", Some("2025.4.25"), &["mcp<2".to_owned()][..])
    );
    assert_eq!(made.command, ["--db-path", "/data/x"]);
    let scoped = plan(&read("npm = '@a/b@1.0.0'").unwrap(), &setup(""), &around()).unwrap();
    let Target::Container(scoped) = scoped.target else {
        panic!("a container")
    };
    assert_eq!(
        scoped.build.map(|build| (build.package, build.version)),
        Some(("@a/b".to_owned(), Some("1.0.0".to_owned())))
    );

    let process = read("command = ['npx', 'x']\nenv = { A = 'b' }\nsecrets = { T = 'mine.t' }").unwrap();
    let plan_of = plan(&process, &setup(""), &permitted).unwrap();
    assert_eq!(
        plan_of.asks_for,
        ["runs on this machine with your rights, outside any container"]
    );
    let lacks = plan(&process, &setup(""), &around()).unwrap_err();
    assert_eq!(
        lines(&lacks),
        "mine is a program on this machine, outside any container, which is not permitted: write [gateway] commands = true"
    );
    let secret = read("command = ['x', '$T']\nsecrets = { T = 'mine.t' }").unwrap();
    assert!(
        lines(&plan(&secret, &setup(""), &permitted).unwrap_err())
            .contains("which every user of this machine could see")
    );

    for (toml, expected) in [
        (
            "",
            "mine: exactly one of image, npm, pypi, url, command and tools says what it is",
        ),
        (
            "image = 'a'\nurl = 'https://b'",
            "mine: exactly one of image, npm, pypi, url, command and tools says what it is",
        ),
        (
            "image = 'a'\nheaders = { a = 'b' }",
            "mine: headers and transport belong to a url",
        ),
        (
            "command = ['a']\nargs = ['b']",
            "mine: the arguments of a command stand in it, not in args",
        ),
    ] {
        assert_eq!(read(toml).unwrap_err(), expected);
    }
    for (toml, expected) in [
        ("image = 'Not An Image'", "is not an image reference"),
        ("npm = '--global'", "is not a name that npm has"),
        ("pypi = 'x==latest'", "is not an exact version"),
    ] {
        let lacks = plan(&read(toml).unwrap(), &setup(""), &around()).unwrap_err();
        assert!(lines(&lacks).contains(expected), "{toml}: {}", lines(&lacks));
    }
}

#[test]
fn all_lacks_come_at_once() {
    let yaml = "  x:
    type: server
    image: Bad Image
    secrets: [{ name: x.a, env: A }, { name: x.b, env: B }]
    volumes: ['{{x.p}}:/data']
    config: [{ name: x, properties: { n: { type: integer } }, required: [n] }]";
    let around = Around {
        secrets: Known::These(BTreeSet::new()),
        ..around()
    };
    let lacks = plan(&entry(yaml), &setup("tmpfs = ['a']"), &around).unwrap_err();
    let sorts: Vec<String> = lacks.iter().map(|lack| format!("{:?}", lack.sort)).collect();
    assert_eq!(sorts, ["Config", "Secret", "Secret", "Entry"]);
}
