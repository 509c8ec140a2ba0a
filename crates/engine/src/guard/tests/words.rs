//! What refusals say, as the model and the person read it.

use super::*;

fn said(text: &str, ask: &Ask, known: &Known) -> String {
    ask.judged(&policy(text), &local(), known)
        .unwrap_err()
        .to_string()
}

#[test]
fn refusals() {
    let nobody = Known::default();
    insta::assert_snapshot!(said("", &create(&json!({"Privileged": true})), &nobody), @"the guard refused container create: HostConfig.Privileged = true (rule privileged): a privileged container is root on the host. Only the owner of the configuration can allow it, with `[hosts.local.guard] privileged = true` in /conf/dockmaster.toml.");
    insta::assert_snapshot!(said("", &create(&json!({"Binds": ["/etc:/t"]})), &nobody), @r#"the guard refused container create: HostConfig.Binds = /etc (rule bind): /etc holds what the host or its people trust in, and is never shared. Only the owner of the configuration can allow it, with `[hosts.local.guard] allow_sensitive = ["/etc"]` in /conf/dockmaster.toml."#);
    insta::assert_snapshot!(said("", &create(&json!({"Binds": ["/srv/app:/t"]})), &nobody), @r#"the guard refused container create: HostConfig.Binds = /srv/app (rule bind): no directory of the host is open; use a named volume. Only the owner of the configuration can allow it, with `[hosts.local.guard] roots = [{ path = "/srv/app", write = true }]` in /conf/dockmaster.toml."#);
    insta::assert_snapshot!(said("", &create(&json!({"Binds": ["/var/run/docker.sock:/t"]})), &nobody), @r#"the guard refused container create: HostConfig.Binds = /var/run/docker.sock (rule socket): it leads to /run/docker.sock, and through a socket one commands the program behind it, and whoever commands the engine is root on the host. Only the owner of the configuration can allow it, with `[hosts.local.guard] sockets = ["/var/run/docker.sock"]` in /conf/dockmaster.toml."#);
    insta::assert_snapshot!(said("", &create(&json!({"PortBindings": {"80/tcp": [{"HostPort": "80"}]}})), &nobody), @r#"the guard refused container create: HostConfig.PortBindings[80/tcp].HostIp = no address (rule publish): the port would be open on all interfaces of the host; publish it on 127.0.0.1. Only the owner of the configuration can allow it, with `[hosts.local.guard] publish = ["0.0.0.0"]` in /conf/dockmaster.toml."#);
    insta::assert_snapshot!(said("", &create(&json!({"NetworkMode": "host"})), &nobody), @r#"the guard refused container create: HostConfig.NetworkMode = host (rule namespace): the container would share a namespace of the host, with its processes, network or users. Only the owner of the configuration can allow it, with `[hosts.local.guard] namespaces = ["network"]` in /conf/dockmaster.toml."#);
    insta::assert_snapshot!(said("", &create(&json!({"Frobnicate": true})), &nobody), @"the guard refused container create: HostConfig = Frobnicate (rule unknown-field): the guard does not know this field here, so it can't tell what it allows. No key of the guard allows this.");
    insta::assert_snapshot!(said("", &create(&json!({"Memory": "1g"})), &nobody), @"the guard refused container create: HostConfig.Memory (rule body): it has to be a whole number.");
    insta::assert_snapshot!(said("", &post("/containers/create").text("{"), &nobody), @"the guard refused container create: the body (rule body): it can't be read as JSON: EOF while parsing an object at line 1 column 1.");
    insta::assert_snapshot!(said("", &post("/containers/web/frobnicate"), &nobody), @r#"the guard refused the endpoint = POST /containers/web/frobnicate (rule unknown-endpoint): the guard does not know this endpoint, so it can't tell what it does. Only the owner of the configuration can allow it, with `[hosts.local] mode = "open"` in /conf/dockmaster.toml."#);
    insta::assert_snapshot!(said("", &post("/containers/../web/kill"), &nobody), @"the guard refused the request's path = /containers/../web/kill (rule path): it has a segment that climbs.");
    insta::assert_snapshot!(said("", &post("/containers/web/exec").json(&json!({})), &nobody), @"the guard refused exec create: container web (rule not-found): there is none.");
    insta::assert_snapshot!(said("label = \"team=blue\"", &get("/containers/json"), &nobody), @r#"the guard refused container list: the filter label (rule scope): this host is confined to a label; filter by label=team=blue. Only the owner of the configuration can allow it, by taking out `[hosts.local.guard] label = "team=blue"` in /conf/dockmaster.toml."#);
    let engine = known([
        (container("web"), state(&json!({"Privileged": true}), &json!([]))),
        (
            volume("data"),
            json!({"Driver": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}),
        ),
    ]);
    insta::assert_snapshot!(said("", &post("/containers/web/exec").json(&json!({"Cmd": ["sh"]})), &engine), @"the guard refused exec create: the container = web (rule exec-into-unsafe): the policy would not create this container (rule privileged, HostConfig.Privileged = true: a privileged container is root on the host), so nobody may act in it. Only the owner of the configuration can allow it, with `[hosts.local.guard] exec_into_unsafe = true` in /conf/dockmaster.toml.");
    insta::assert_snapshot!(said("", &create(&json!({"Binds": ["data:/t"]})), &engine), @"the guard refused container create: HostConfig.Binds = / (rule bind): it holds /bin, which is never shared. No key of the guard allows this.");
    let mut policy = policy("");
    policy.mode = Mode::ReadOnly;
    let refusal = delete("/containers/web")
        .judged(&policy, &local(), &nobody)
        .unwrap_err();
    insta::assert_snapshot!(refusal.to_string(), @r#"the guard refused container remove (rule mode): it destroys something, and the mode of this host is read-only. Only the owner of the configuration can allow it, with `[hosts.local] mode = "guarded"` in /conf/dockmaster.toml."#);
}

#[test]
fn values_of_strangers_are_cleaned_and_cut() {
    let long = "x".repeat(1000);
    for value in ["\u{1b}[31mred", "a\nb", "a`b", "\u{202e}abc", long.as_str()] {
        let refusal = create(&json!({"Runtime": value}))
            .judged(&policy(""), &local(), &Known::default())
            .unwrap_err();
        for text in std::iter::once(&refusal.value).chain(&refusal.allow) {
            assert!(text.len() < 250, "{text}");
            assert!(!text.contains(['\u{1b}', '\n', '\u{202e}', '`']), "{text:?}");
        }
    }
}

#[test]
fn every_rule_and_key_is_documented() {
    let docs = include_str!("../../../../../docs/guard.md");
    for rule in Rule::ALL {
        assert!(
            docs.contains(&format!("`{rule}`")),
            "docs/guard.md does not tell of the rule {rule}"
        );
    }
    // serde names the keys when it meets one that it does not know.
    let error = toml::from_str::<Policy>("frobnicate = 1")
        .unwrap_err()
        .to_string();
    let keys: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
    assert!(keys.len() > 30, "{error}");
    for key in keys {
        assert!(
            docs.contains(&format!("{key} = ")),
            "docs/guard.md does not tell of the key {key}"
        );
    }
}

#[test]
fn keys_and_values_are_checked() {
    for text in [
        "frobnicate = true",
        "Privileged = true",
        "privileged = \"true\"",
        "mode = \"open\"",
        "roots = [\"/srv\"]",
        "roots = [{ path = \"srv\" }]",
        "roots = [{ path = \"/srv/../etc\" }]",
        "roots = [{ path = \"/srv\", writable = true }]",
        "publish = [\"localhost\"]",
        "publish = [\"127.1\"]",
        "capabilities = [\"SYS ADMIN\"]",
        "namespaces = [\"host\"]",
        "symlinks = \"follow\"",
        "registries = [\"nginx\"]",
        "registries = [\"*/nginx\"]",
        "registries = [\"*.example.com/x\"]",
        "label = \"\"",
        "label = \"=blue\"",
        "label = \"a b\"",
    ] {
        assert!(toml::from_str::<Policy>(text).is_err(), "{text}");
    }
    assert_eq!(toml::from_str::<Policy>("").unwrap(), Policy::default());
}
