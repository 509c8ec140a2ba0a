//! No spelling of a path, a field or a value gets by.

use std::os::unix::fs::symlink;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// A name in any of the spellings that the daemon takes for it.
fn spelled(name: &'static str) -> impl Strategy<Value = String> {
    proptest::collection::vec(0u8..3, name.len()).prop_map(move |how| {
        let letters = name.chars().zip(how);
        letters
            .map(|(letter, how)| match (how, letter.to_ascii_lowercase()) {
                (0, _) => letter,
                (1, _) if letter.is_ascii_lowercase() => letter.to_ascii_uppercase(),
                (1, _) => letter.to_ascii_lowercase(),
                (_, 's') => '\u{17f}',
                (_, 'k') => '\u{212a}',
                (_, lower) => lower,
            })
            .collect()
    })
}

/// A JSON string with any of its characters written as escapes.
fn escaped(text: &str, which: &[bool]) -> String {
    let mut out = String::from("\"");
    for (index, c) in text.chars().enumerate() {
        if which.get(index).copied().unwrap_or_default() {
            let mut units = [0; 2];
            out.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// Fields that are dangerous alone, with their values.
const DANGEROUS: [(&str, &str); 16] = [
    ("Privileged", "true"),
    ("PidMode", "\"host\""),
    ("IpcMode", "\"host\""),
    ("UTSMode", "\"host\""),
    ("UsernsMode", "\"host\""),
    ("NetworkMode", "\"host\""),
    ("CapAdd", "[\"ALL\"]"),
    ("Devices", "[{\"PathOnHost\":\"/dev/sda\"}]"),
    ("SecurityOpt", "[\"seccomp=unconfined\"]"),
    ("Sysctls", "{\"kernel.shmmax\":\"1\"}"),
    ("Binds", "[\"/:/host\"]"),
    (
        "Mounts",
        "[{\"Type\":\"bind\",\"Source\":\"/\",\"Target\":\"/host\"}]",
    ),
    ("PublishAllPorts", "true"),
    ("MaskedPaths", "[]"),
    ("OomKillDisable", "true"),
    ("CgroupParent", "\"/\""),
];

/// Fields that are dangerous elsewhere: the endpoint, a harmless body in which `@` stands for the field, its name and
/// its value.
const ELSEWHERE: [(&str, &str, &str, &str); 13] = [
    ("/services/create", SERVICE, "CapabilityAdd", "[\"ALL\"]"),
    (
        "/services/create",
        SERVICE,
        "Sysctls",
        "{\"kernel.msgmax\":\"1\"}",
    ),
    ("/services/create", SERVICE, "OomScoreAdj", "-10"),
    (
        "/services/create",
        SERVICE,
        "Privileges",
        "{\"Seccomp\":{\"Mode\":\"unconfined\"}}",
    ),
    (
        "/services/create",
        SERVICE,
        "Mounts",
        "[{\"Type\":\"bind\",\"Source\":\"/\",\"Target\":\"/t\"}]",
    ),
    (
        "/services/s/update?version=1",
        SERVICE,
        "Mounts",
        "[{\"Type\":\"bind\",\"Source\":\"/\",\"Target\":\"/t\"}]",
    ),
    (
        "/services/s/update?version=1",
        SERVICE,
        "CapabilityAdd",
        "[\"ALL\"]",
    ),
    (
        "/containers/safe/exec",
        "{\"Cmd\":[\"sh\"],@}",
        "Privileged",
        "true",
    ),
    (
        "/containers/safe/update",
        "{\"Memory\":1,@}",
        "CgroupParent",
        "\"/\"",
    ),
    (
        "/containers/safe/update",
        "{\"Memory\":1,@}",
        "Devices",
        "[{\"PathOnHost\":\"/dev/sda\"}]",
    ),
    (
        "/volumes/create",
        "{\"Name\":\"v\",@}",
        "DriverOpts",
        "{\"type\":\"none\",\"o\":\"bind\",\"device\":\"/\"}",
    ),
    ("/volumes/create", "{\"Name\":\"v\",@}", "Driver", "\"rexray\""),
    ("/networks/create", "{\"Name\":\"n\",@}", "Driver", "\"macvlan\""),
];

const SERVICE: &str = "{\"Name\":\"s\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"a\",@}}}";

#[test]
fn without_the_dangerous_field_they_pass() {
    for (target, body, ..) in ELSEWHERE {
        let ask = post(target).text(body.replace(",@", ""));
        let got = ask.judged(&policy(""), &local(), &exec::engine());
        assert!(got.is_ok(), "{target} {body}: {got:?}");
    }
}

fn refused(ask: &Ask) -> Result<(), TestCaseError> {
    let got = ask.judged(&policy(""), &local(), &Known::default());
    prop_assert!(
        got.is_err(),
        "{:?} {:?}",
        ask,
        ask.text.as_deref().map(String::from_utf8_lossy)
    );
    Ok(())
}

proptest! {
    #[test]
    fn no_spelling_of_a_field(
        (name, value) in select(&DANGEROUS[..]).prop_flat_map(|(name, value)| (spelled(name), Just(value))),
        host in spelled("HostConfig"),
        escapes in proptest::collection::vec(any::<bool>(), 20),
    ) {
        let body = format!("{{\"Image\":\"a\",{}:{{{}:{value}}}}}", escaped(&host, &escapes), escaped(&name, &escapes));
        refused(&post("/containers/create").text(body))?;
    }

    #[test]
    fn no_spelling_of_a_field_elsewhere(
        (target, body, name, value) in select(&ELSEWHERE[..])
            .prop_flat_map(|(target, body, name, value)| (Just(target), Just(body), spelled(name), Just(value))),
        escapes in proptest::collection::vec(any::<bool>(), 20),
    ) {
        let body = body.replace('@', &format!("{}:{value}", escaped(&name, &escapes)));
        let got = post(target).text(body.clone()).judged(&policy(""), &local(), &exec::engine());
        prop_assert!(got.is_err(), "{target} {body}");
    }

    #[test]
    fn no_second_field_beside_a_harmless_one(
        first in spelled("Privileged"),
        second in spelled("Privileged"),
        order in any::<bool>(),
    ) {
        let (one, other) = if order { ("true", "false") } else { ("false", "true") };
        let body = format!("{{\"HostConfig\":{{\"{first}\":{one},\"{second}\":{other}}}}}");
        refused(&post("/containers/create").text(body))?;
        let body = format!("{{\"HostConfig\":{{\"{first}\":{one}}},\"hostconfig\":{{\"{second}\":{other}}}}}");
        refused(&post("/containers/create").text(body))?;
    }

    #[test]
    fn no_spelling_of_a_path(
        cut in any::<Index>(),
        trick in select(&["/", "/.", "/./", "/../containers/", "%2F", "%2f", "%2e%2e/", "%2E", "\\", ";x", "%00", "%0a", "//", "%", "+", "\u{2215}", "?", "#"][..]),
        name in select(&["Privileged", "privileged"][..]),
    ) {
        let path = "/containers/create";
        let at = cut.index(path.len() + 1);
        let target = format!("{}{trick}{}", &path[..at], &path[at..]);
        let ask = post(target).json(&json!({"HostConfig": {name: true}}));
        refused(&ask)?;
    }

    #[test]
    fn no_spelling_of_an_address(text in "[0-9a-fA-FxX.:\\[\\]% ]{1,20}|(0{0,3}[0-9]{1,3}\\.){3}[0-9]{1,4}|::ffff:[0-9.]{7,15}") {
        let ask = create(&json!({"PortBindings": {"80/tcp": [{"HostIp": text}]}}));
        if ask.judged(&policy(""), &local(), &Known::default()).is_ok() {
            let address: std::net::IpAddr = text.parse().unwrap();
            prop_assert!(address.to_canonical().is_loopback());
        }
    }

    #[test]
    fn no_spelling_of_a_capability(text in "(?i)(cap_)?[a-z_]{1,16}|[\u{17f}\u{212a}A-Z_]{1,12}|ALL| ?ALL ?") {
        let ask = create(&json!({"CapAdd": [text]}));
        if ask.judged(&policy(""), &local(), &Known::default()).is_ok() {
            let upper = text.to_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            prop_assert!(Capability::DEFAULT.contains(&name), "{}", text);
        }
    }

    #[test]
    fn no_spelling_of_an_image(text in "[a-zA-Z0-9./:@_-]{1,40}") {
        let ask = post("/containers/create").json(&json!({"Image": text}));
        let open = "registries = [\"docker.io/library/*\"]";
        if ask.judged(&policy(open), &local(), &Known::default()).is_ok() {
            let first = text.split('/').next().unwrap_or_default();
            let hosts = ["library", "docker.io", "index.docker.io", "registry-1.docker.io"];
            let is_id = text.starts_with("sha256:") || text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert!(!text.contains('/') || is_id || hosts.contains(&first.to_lowercase().as_str()), "{}", text);
        }
    }
}

/// A tree of directories with links between them, as numbers say.
fn tree(links: &[(usize, usize, bool)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["open/a/b", "open/c", "closed/d", "open/.ssh"] {
        fs_err::create_dir_all(dir.path().join(name)).unwrap();
    }
    let places = [
        "open",
        "open/a",
        "open/a/b",
        "open/c",
        "closed",
        "closed/d",
        "open/.ssh",
        ".",
        "/etc",
        "/",
    ];
    for (index, (from, to, absolute)) in links.iter().enumerate() {
        let from = dir.path().join(places[from % 6]).join(format!("l{index}"));
        let to = places[to % places.len()];
        let target = if *absolute || to.starts_with('/') {
            dir.path().join(to)
        } else {
            PathBuf::from("../".repeat(1 + from.components().count() - dir.path().components().count() - 1))
                .join(to)
        };
        drop(symlink(target, from));
    }
    dir
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_layout_of_links(
        links in proptest::collection::vec((0usize..6, 0usize..10, any::<bool>()), 1..6),
        parts in proptest::collection::vec(select(&["open", "a", "b", "c", "closed", "d", ".ssh", "l0", "l1", "l2", "l3", "..", ".", "new", ""][..]), 1..7),
    ) {
        let dir = tree(&links);
        let text = format!("roots = [{{ path = \"{}/open\", write = true }}]", dir.path().display());
        let source = format!("{}/{}", dir.path().display(), parts.join("/"));
        let asks = [
            create(&json!({"Binds": [format!("{source}:/t")]})),
            post("/volumes/create").json(&json!({"DriverOpts": {"type": "none", "o": "bind", "device": source}})),
        ];
        let open = fs_err::canonicalize(dir.path().join("open")).unwrap();
        for ask in asks {
            if ask.judged(&policy(&text), &local(), &Known::default()).is_err() {
                continue;
            }
            // The kernel's own word for where it leads, if it leads anywhere.
            let mut existing = PathBuf::from(&source);
            while fs_err::symlink_metadata(&existing).is_err() {
                existing.pop();
            }
            let place = fs_err::canonicalize(&existing).unwrap();
            prop_assert!(place.starts_with(&open), "{source} leads to {}", place.display());
            prop_assert!(!place.starts_with(open.join(".ssh")), "{source}");
            // The root itself holds the credentials.
            let whole = place == open && fs_err::symlink_metadata(&source).is_ok();
            prop_assert!(!whole, "{source}");
        }
    }
}
