//! Every mode over the whole table.

use super::super::endpoints::{Confine, Endpoint, TABLE, Takes};
use super::*;

/// A request to an endpoint that is in its form, whatever it is for.
fn plain(endpoint: &Endpoint) -> Ask {
    let target: String = endpoint
        .pattern
        .split('/')
        .skip(1)
        .map(|part| {
            if part.starts_with('{') {
                "/c0ffee"
            } else {
                ["/", part].concat().leak()
            }
        })
        .collect();
    let ask = ask(Method::from_bytes(endpoint.method.as_bytes()).unwrap(), target);
    match endpoint.body {
        Takes::Nothing => ask,
        Takes::Stream => ask.stream(),
        Takes::Json(_) | Takes::MaybeJson(_) => ask.json(&json!({})),
    }
}

/// An engine where everything exists and is harmless.
fn harmless() -> Known {
    let name = || "c0ffee".to_owned();
    known([
        (Object::Container(name()), state(&json!({}), &json!([]))),
        (Object::Container(String::new()), state(&json!({}), &json!([]))),
        (
            Object::Exec(name()),
            json!({"ContainerID": "c0ffee", "ProcessConfig": {"privileged": false}}),
        ),
        (Object::Network(name()), json!({"Id": "ab", "Driver": "bridge"})),
        (
            Object::Volume(name()),
            json!({"Driver": "local", "Options": null}),
        ),
    ])
}

/// What only a key of its own opens.
const CLOSED: [&str; 7] = [
    "swarm",
    "plugin",
    "BuildKit",
    "checkpoint",
    "node update",
    "node remove",
    "volume update",
];

#[test]
fn the_table_in_every_mode() {
    for endpoint in TABLE {
        for mode in [Mode::ReadOnly, Mode::NoDestroy, Mode::Guarded, Mode::Open] {
            let mut policy = policy("");
            policy.mode = mode;
            let got = plain(endpoint).judged(&policy, &local(), &harmless());
            let rule = got.as_ref().err().map(|refusal| refusal.rule);
            let closed = CLOSED.iter().any(|part| endpoint.title.starts_with(part))
                && !matches!(
                    endpoint.title,
                    "plugin list" | "plugin inspect" | "plugin privileges"
                );
            let wanted = match mode {
                Mode::Open => true,
                _ if !mode.admits(endpoint.effect) => {
                    assert_eq!(rule, Some(Rule::Mode), "{endpoint:?} in {mode}");
                    continue;
                }
                _ => !closed,
            };
            assert_eq!(got.is_ok(), wanted, "{endpoint:?} in {mode}: {got:?}");
        }
    }
}

#[test]
fn read_only_admits_nothing_but_reads() {
    // The few that are not GET or HEAD, written down here a second time so that none slips in.
    let others: Vec<_> = TABLE
        .iter()
        .filter(|endpoint| {
            Mode::ReadOnly.admits(endpoint.effect) && !matches!(endpoint.method, "GET" | "HEAD")
        })
        .map(|endpoint| endpoint.title)
        .collect();
    assert_eq!(others, ["container wait", "registry login"]);
}

#[test]
fn what_is_not_in_the_table_is_refused() {
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "FOO",
    ] {
        for target in [
            "/containers/web/frobnicate",
            "/v1.24/containers/create",
            "/libpod/containers/json",
            "/debug/vars",
        ] {
            let ask = ask(Method::from_bytes(method.as_bytes()).unwrap(), target);
            check("", &ask, Some(Rule::UnknownEndpoint));
        }
    }
    check(
        "",
        &ask(Method::PATCH, "/containers/c0ffee"),
        Some(Rule::UnknownEndpoint),
    );
}

#[test]
fn open_still_wants_plain_paths() {
    let mut open = policy("");
    open.mode = Mode::Open;
    for (target, wanted) in [
        ("/anything/at/all", None),
        ("/containers/../images/json", Some(Rule::Path)),
        ("/containers/%2e%2e/json", Some(Rule::Path)),
        ("//containers/json", Some(Rule::Path)),
    ] {
        let got = post(target)
            .json(&json!({"Privileged": true}))
            .judged(&open, &local(), &Known::default());
        assert_eq!(got.err().map(|refusal| refusal.rule), wanted, "{target}");
    }
}

#[test]
fn a_confined_host_lets_nothing_through_unlooked() {
    // With a label, every request that could show or touch a labelled object is refused where the engine knows
    // none: as not found, for want of the label, or because it can't be told apart.
    for endpoint in TABLE {
        let got = plain(endpoint).judged(&policy("label = \"team=blue\""), &local(), &Known::default());
        let rule = got.err().map(|refusal| refusal.rule);
        // Pulling makes an image that no one else labelled; it touches none.
        let wanted = endpoint.confine == Confine::Free || endpoint.title == "image create";
        assert_eq!(rule.is_none(), wanted, "{endpoint:?}: {rule:?}");
        let scoped = matches!(rule, None | Some(Rule::Scope | Rule::NotFound | Rule::Lookup));
        assert!(scoped, "{endpoint:?}: {rule:?}");
    }
}
