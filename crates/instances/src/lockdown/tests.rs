//! What requests are made of plans.

use super::*;
use base::names::ServerName;
use catalog::plan::{Build, Ecosystem, HostPort, Mount as Planned, Part, Value};
use std::collections::BTreeMap;

use crate::labels::Kind;

fn image(user: &str) -> Image {
    Image {
        reference: "acme/tool:1".to_owned(),
        id: "sha256:0123".to_owned(),
        digests: Vec::new(),
        user: user.to_owned(),
        env: vec!["PATH=/bin".to_owned()],
        entrypoint: vec!["serve".to_owned()],
        command: vec!["--all".to_owned()],
    }
}

fn made(container: &Container, image: &Image, owner: Option<&str>) -> Result<ContainerCreateBody, Error> {
    made_on(EngineKind::Docker, container, image, owner)
}

fn made_on(
    kind: EngineKind,
    container: &Container,
    image: &Image,
    owner: Option<&str>,
) -> Result<ContainerCreateBody, Error> {
    let server = ServerName::parse("tool").unwrap();
    let labels = || Labels::new(Kind::Instance, &server, &BTreeMap::new());
    let egress = matches!(container.network, Network::Hosts(_)).then(|| Way::Network {
        id: "0123abcd".to_owned(),
        proxy: "172.18.0.1:4000".parse().unwrap(),
    });
    let facts = Facts {
        server: "tool",
        image,
        host: Host {
            cpus: Some(2.0),
            kind,
        },
        owner: owner.map(str::to_owned),
        egress,
        secret_files: HashMap::new(),
        socket: None,
        labels: labels(),
        volume_labels: labels(),
        stdin: true,
        is_whole: false,
    };
    body(container, facts, &|name| {
        (name == "key").then(|| Secret::new("value"))
    })
}

fn volume(read_only: bool) -> Vec<Planned> {
    vec![Planned {
        source: Source::Volume("data".to_owned()),
        target: "/data".to_owned(),
        read_only,
    }]
}

#[test]
fn who_it_runs_as() {
    let plain = Container::default();
    let named = Container {
        user: Some("root".to_owned()),
        ..Container::default()
    };
    let reads = Container {
        mounts: volume(true),
        ..Container::default()
    };
    let writes = Container {
        mounts: volume(false),
        ..Container::default()
    };
    let writable = Container {
        writable_root: true,
        ..Container::default()
    };
    let package = |mounts| Container {
        mounts,
        build: Some(Build {
            ecosystem: Ecosystem::Npm,
            package: "tool".to_owned(),
            version: None,
            base: "node".to_owned(),
            registry: None,
            with: Vec::new(),
            program: None,
        }),
        ..Container::default()
    };
    let (package, package_writes) = (package(Vec::new()), package(volume(false)));
    for (container, user, owner, expected) in [
        (&package, NOBODY, None, Some(NOBODY)),
        (&package, NOBODY, Some("1000:1000"), Some("1000:1000")),
        (&package_writes, NOBODY, None, Some("0:0")),
        (&plain, "", None, Some(NOBODY)),
        (&plain, "root", None, Some(NOBODY)),
        (&plain, "0:1000", None, Some(NOBODY)),
        (&plain, "node", None, None),
        (&plain, "1000", Some("5:5"), None),
        (&plain, "", Some("1000:1000"), Some("1000:1000")),
        (&named, "node", None, Some("root")),
        (&reads, "", None, Some(NOBODY)),
        (&writes, "", None, None),
        (&writable, "", None, None),
    ] {
        let body = made(container, &image(user), owner).unwrap();
        assert_eq!(body.user.as_deref(), expected, "{user:?} {container:?}");
    }
}

#[test]
fn what_it_may_reach() {
    let with = |network| Container {
        network,
        ..Container::default()
    };
    let host = |container: &Container| {
        let body = made(container, &image("node"), None).unwrap();
        let env = body.env.unwrap().join(" ");
        let host = body.host_config.unwrap();
        (host.network_mode.unwrap(), host.dns, env)
    };
    let (mode, dns, env) = host(&with(Network::None));
    assert_eq!((mode.as_str(), dns, env.as_str()), ("none", None, "HOME=/tmp"));
    let (mode, dns, env) = host(&with(Network::Hosts(vec![HostPort {
        host: "example.com".to_owned(),
        port: 443,
    }])));
    assert_eq!(
        (mode.as_str(), dns),
        ("0123abcd", Some(vec!["127.0.0.1".to_owned()]))
    );
    assert!(
        env.contains("HTTPS_PROXY=http://172.18.0.1:4000 https_proxy=http://172.18.0.1:4000"),
        "{env}"
    );
    assert!(env.contains("no_proxy=localhost,127.0.0.1,::1"), "{env}");
    let (mode, dns, env) = host(&with(Network::Open));
    assert_eq!((mode.as_str(), dns, env.as_str()), ("bridge", None, "HOME=/tmp"));
}

#[test]
fn what_engines_differ_in() {
    let container = Container::default();
    for (kind, option, limits) in [(EngineKind::Docker, "uid=65532", 1), (EngineKind::Podman, "U", 3)] {
        let body = made_on(kind, &container, &image(""), None).unwrap();
        let host = body.host_config.unwrap();
        let tmp = host.tmpfs.unwrap()["/tmp"].clone();
        assert_eq!(tmp.rsplit(',').next(), Some(option), "{tmp}");
        let ulimits = host.ulimits.unwrap();
        assert_eq!(
            (ulimits[0].name.as_deref(), ulimits.len()),
            (Some("core"), limits)
        );
    }
}

#[test]
fn what_is_asked_for() {
    let container = Container {
        gpus: Some(Gpus::All),
        extra_hosts: vec![("db".to_owned(), "10.0.0.7".to_owned())],
        env: vec![(
            "KEY".to_owned(),
            Value::Parts(vec![Part::Text("k=".to_owned()), Part::Secret("key".to_owned())]),
        )],
        command: vec!["serve".to_owned(), "--key=[key]".to_owned()],
        secret_arguments: BTreeMap::from([(1, Value::Parts(vec![Part::Secret("key".to_owned())]))]),
        limits: catalog::plan::Limits {
            cpus: 64.0,
            ..catalog::plan::Limits::default()
        },
        ..Container::default()
    };
    let body = made(&container, &image(""), None).unwrap();
    assert_eq!(body.cmd.unwrap(), ["serve", "value"]);
    assert!(body.env.unwrap().contains(&"KEY=k=value".to_owned()));
    let host = body.host_config.unwrap();
    assert_eq!(host.device_requests.unwrap()[0].count, Some(-1));
    assert_eq!(host.extra_hosts.unwrap(), ["db:10.0.0.7"]);
    assert_eq!(host.nano_cpus, Some(2_000_000_000), "no more than the host has");
}

#[test]
fn what_can_not_be_given() {
    let missing = Container {
        secret_arguments: BTreeMap::from([(0, Value::Parts(vec![Part::Secret("other".to_owned())]))]),
        command: vec![String::new()],
        ..Container::default()
    };
    let faulty = Container {
        env: vec![("A=B".to_owned(), Value::Plain(String::new()))],
        ..Container::default()
    };
    let relative = Container {
        mounts: vec![Planned {
            target: "data".to_owned(),
            ..volume(true).remove(0)
        }],
        ..Container::default()
    };
    for (container, expected) in [
        (missing, "needs the secret other"),
        (faulty, "is no name for a variable"),
        (relative, "is no absolute path"),
    ] {
        let error = made(&container, &image(""), None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
