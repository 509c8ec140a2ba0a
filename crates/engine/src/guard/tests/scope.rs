//! A host that is confined to a label.

use super::*;

const BLUE: &str = "label = \"team=blue\"";

fn labels(value: &str) -> Value {
    json!({"team": value, "other": "x"})
}

/// Two of everything: `ours` bears the label, `theirs` another.
fn engine() -> Known {
    let mut objects = Vec::new();
    for (name, id, value) in [("ours", "aaaa", "blue"), ("theirs", "bbbb", "red")] {
        let named = |kind: fn(String) -> Object| kind(name.to_owned());
        let mut state = state(&json!({}), &json!([]));
        state["Config"]["Labels"] = labels(value);
        state["Id"] = id.into();
        objects.extend([
            (named(Object::Container), state.clone()),
            (Object::Container(id.to_owned()), state),
            (named(Object::Exec), json!({"ContainerID": id})),
            (named(Object::Image), json!({"Config": {"Labels": labels(value)}})),
            (
                named(Object::Network),
                json!({"Id": id, "Driver": "bridge", "Labels": labels(value)}),
            ),
            (
                named(Object::Volume),
                json!({"Driver": "local", "Labels": labels(value)}),
            ),
            (
                named(Object::Service),
                json!({"ID": id, "Spec": {"Labels": labels(value)}}),
            ),
            (
                Object::Service(id.to_owned()),
                json!({"ID": id, "Spec": {"Labels": labels(value)}}),
            ),
            (named(Object::Task), json!({"ID": id, "ServiceID": id})),
            (
                named(Object::Secret),
                json!({"ID": id, "Spec": {"Labels": labels(value)}}),
            ),
            (
                named(Object::Config),
                json!({"ID": id, "Spec": {"Labels": labels(value)}}),
            ),
        ]);
    }
    objects.push((
        network("bridge"),
        json!({"Id": "br", "Name": "bridge", "Driver": "bridge", "Labels": {}}),
    ));
    known(objects)
}

#[test]
fn single_objects() {
    for (before, after, method) in [
        ("/containers/", "/json", "GET"),
        ("/containers/", "/logs?stdout=1", "GET"),
        ("/containers/", "/stats", "GET"),
        ("/containers/", "/start", "POST"),
        ("/containers/", "/stop", "POST"),
        ("/containers/", "/rename?name=x", "POST"),
        ("/containers/", "/attach", "POST"),
        ("/containers/", "/archive?path=%2F", "GET"),
        ("/containers/", "?force=1", "DELETE"),
        ("/exec/", "/json", "GET"),
        ("/exec/", "/start", "POST"),
        ("/exec/", "/resize?h=1&w=1", "POST"),
        ("/images/", "/json", "GET"),
        ("/images/", "/get", "GET"),
        ("/images/get?names=ours&names=", "", "GET"),
        ("/images/", "/tag?repo=x", "POST"),
        ("/images/", "/push", "POST"),
        ("/images/", "", "DELETE"),
        ("/networks/", "", "GET"),
        ("/networks/", "", "DELETE"),
        ("/volumes/", "", "GET"),
        ("/volumes/", "", "DELETE"),
        ("/services/", "", "GET"),
        ("/services/", "/logs", "GET"),
        ("/services/", "", "DELETE"),
        ("/tasks/", "", "GET"),
        ("/tasks/", "/logs", "GET"),
        ("/secrets/", "", "DELETE"),
        ("/configs/", "", "GET"),
    ] {
        let ask = |name: &str| ask(method.parse().unwrap(), format!("{before}{name}{after}"));
        check_with(BLUE, &ask("ours"), &engine(), None);
        check_with(BLUE, &ask("theirs"), &engine(), Some(Rule::Scope));
        check_with(BLUE, &ask("nobody"), &engine(), Some(Rule::NotFound));
    }
}

#[test]
fn names_are_replaced_by_ids() {
    for (target, wanted) in [
        ("/containers/ours/json", "/containers/aaaa/json"),
        ("/networks/ours", "/networks/aaaa"),
        ("/services/ours/logs", "/services/aaaa/logs"),
        ("/tasks/ours", "/tasks/aaaa"),
        ("/secrets/ours", "/secrets/aaaa"),
        ("/configs/ours", "/configs/aaaa"),
    ] {
        let verdict = get(target).judged(&policy(BLUE), &local(), &engine()).unwrap();
        assert_eq!(verdict.path.as_deref(), Some(wanted));
    }
}

#[test]
fn what_is_made_bears_the_label() {
    let ask = |target: &str, labels: &Value| post(target).json(&json!({"Labels": labels}));
    for target in [
        "/containers/create",
        "/networks/create",
        "/volumes/create",
        "/services/create",
        "/secrets/create",
        "/configs/create",
    ] {
        check(BLUE, &ask(target, &labels("blue")), None);
        check(BLUE, &ask(target, &labels("red")), Some(Rule::Scope));
        check(BLUE, &ask(target, &json!({"TEAM": "blue"})), Some(Rule::Scope));
        check(BLUE, &ask(target, &json!({"team": null})), Some(Rule::Scope));
        check(BLUE, &ask(target, &json!({})), Some(Rule::Scope));
        check(BLUE, &post(target).json(&json!({})), Some(Rule::Scope));
        check("label = \"team\"", &ask(target, &labels("red")), None);
    }
    for (target, wanted) in [
        ("/build?labels=%7B%22team%22%3A%22blue%22%7D", None),
        ("/build?labels=%7B%22team%22%3A%22red%22%7D", Some(Rule::Scope)),
        ("/build", Some(Rule::Scope)),
        ("/images/load", Some(Rule::Scope)),
        ("/images/create?fromSrc=-", Some(Rule::Scope)),
        ("/images/create?fromImage=busybox", None),
    ] {
        check(BLUE, &post(target).stream(), wanted);
    }
}

#[test]
fn labels_stay_on() {
    for kind in ["services", "secrets", "configs"] {
        let update =
            |labels: &Value| post(format!("/{kind}/ours/update?version=1")).json(&json!({"Labels": labels}));
        check_with(BLUE, &update(&labels("blue")), &engine(), None);
        check_with(BLUE, &update(&labels("red")), &engine(), Some(Rule::Scope));
        check_with(BLUE, &update(&json!({})), &engine(), Some(Rule::Scope));
    }
    for (target, body, wanted) in [
        ("/commit?container=ours&repo=x", json!({}), None),
        (
            "/commit?container=ours&repo=x",
            json!({"Labels": {"other": "y"}}),
            None,
        ),
        (
            "/commit?container=ours&repo=x",
            json!({"Labels": {"team": "red"}}),
            Some(Rule::Scope),
        ),
        ("/commit?container=ours&repo=x&changes=CMD+x", json!({}), None),
        (
            "/commit?container=ours&repo=x&changes=label+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        (
            "/commit?container=ours&repo=x&changes=CMD+x%0ALABEL+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        // A byte order mark, an instruction in two lines, another escape character, an instruction for later.
        (
            "/commit?container=ours&repo=x&changes=%EF%BB%BFLABEL+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        (
            "/commit?container=ours&repo=x&changes=LA%5C%0ABEL+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        (
            "/commit?container=ours&repo=x&changes=LA%5C&changes=BEL+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        (
            "/commit?container=ours&repo=x&changes=%23+escape%3D%60%0ALAB%60%0AEL+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        (
            "/commit?container=ours&repo=x&changes=ONBUILD+LABEL+team%3Dred",
            json!({}),
            Some(Rule::Scope),
        ),
        (
            "/commit?container=ours&repo=x&changes=env+a%3Db&changes=EXPOSE+80",
            json!({}),
            None,
        ),
        ("/commit?container=theirs&repo=x", json!({}), Some(Rule::Scope)),
        ("/commit?repo=x", json!({}), Some(Rule::Lookup)),
    ] {
        check_with(BLUE, &post(target).json(&body), &engine(), wanted);
    }
}

#[test]
fn what_is_referred_to_bears_the_label() {
    let create =
        |host: Value| post("/containers/create").json(&json!({"Labels": labels("blue"), "HostConfig": host}));
    for (name, wanted) in [("ours", None), ("theirs", Some(Rule::Scope))] {
        for host in [
            json!({"Binds": [format!("{name}:/t")]}),
            json!({"Mounts": [{"Type": "volume", "Source": name, "Target": "/t"}]}),
            json!({"VolumesFrom": [name]}),
            json!({"Links": [format!("{name}:alias")]}),
            json!({"NetworkMode": name}),
        ] {
            check_with(BLUE, &create(host), &engine(), wanted);
        }
        let shared = format!("namespaces = [\"pid\"]\n{BLUE}");
        check_with(
            &shared,
            &create(json!({"PidMode": format!("container:{name}")})),
            &engine(),
            wanted,
        );
        for body in [
            json!({"Container": name}),
            json!({"Container": name, "EndpointConfig": {"Links": [name]}}),
            json!({"Container": "ours", "EndpointConfig": {"NetworkID": name}}),
        ] {
            check_with(
                BLUE,
                &post("/networks/ours/connect").json(&body),
                &engine(),
                wanted,
            );
        }
        check_with(
            BLUE,
            &post("/networks/ours/disconnect").json(&json!({"Container": name})),
            &engine(),
            wanted,
        );
        for list in ["Secrets", "Configs"] {
            let id = if list == "Secrets" { "SecretID" } else { "ConfigID" };
            let body =
                json!({"Labels": labels("blue"), "TaskTemplate": {"ContainerSpec": {list: [{id: name}]}}});
            check_with(BLUE, &post("/services/create").json(&body), &engine(), wanted);
        }
    }
    // A volume that is not there would be made without the label, unless the mount gives it one.
    check_with(
        BLUE,
        &create(json!({"Binds": ["fresh:/t"]})),
        &engine(),
        Some(Rule::Scope),
    );
    let mount = |labels: Value| json!({"Mounts": [{"Type": "volume", "Source": "fresh", "Target": "/t", "VolumeOptions": {"Labels": labels}}]});
    check_with(BLUE, &create(mount(json!({}))), &engine(), Some(Rule::Scope));
    check_with(BLUE, &create(mount(labels("blue"))), &engine(), None);
    check_with(BLUE, &create(json!({"NetworkMode": "bridge"})), &engine(), None);
}

#[test]
fn lists_ask_for_the_label() {
    let encode = |filters: &str| {
        percent_encoding::utf8_percent_encode(filters, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    for (method, path) in [
        ("GET", "/containers/json"),
        ("GET", "/images/json"),
        ("GET", "/networks"),
        ("GET", "/volumes"),
        ("GET", "/services"),
        ("GET", "/secrets"),
        ("GET", "/configs"),
        ("GET", "/events"),
        ("POST", "/containers/prune"),
        ("POST", "/images/prune"),
        ("POST", "/networks/prune"),
        ("POST", "/volumes/prune"),
    ] {
        let ask = |filters: &str| {
            ask(
                method.parse().unwrap(),
                format!("{path}?filters={}", encode(filters)),
            )
        };
        for (filters, wanted) in [
            ("{\"label\":[\"team=blue\"]}", None),
            ("{\"label\":{\"team=blue\":true}}", None),
            (
                "{\"label\":[\"other=x\",\"team=blue\"],\"status\":[\"running\"]}",
                None,
            ),
            ("", Some(Rule::Scope)),
            ("{}", Some(Rule::Scope)),
            ("{\"label\":[]}", Some(Rule::Scope)),
            ("{\"label\":[\"team\"]}", Some(Rule::Scope)),
            ("{\"label\":[\"team=red\"]}", Some(Rule::Scope)),
            ("{\"label\":[\"team=blue\",\"team=red\"]}", Some(Rule::Scope)),
            ("{\"label\":{\"team=blue\":false}}", Some(Rule::Scope)),
            (
                "{\"label\":{\"team=blue\":true,\"team=red\":false}}",
                Some(Rule::Scope),
            ),
            ("{\"label\":\"team=blue\"}", Some(Rule::Scope)),
            ("{\"Label\":[\"team=blue\"]}", Some(Rule::Scope)),
            ("{\"label!\":[\"team=blue\"]}", Some(Rule::Scope)),
            ("{\"label\":[\"team=blue\"],\"label\":[]}", Some(Rule::Query)),
            ("{\"label\":[\"team=blue\"]", Some(Rule::Query)),
        ] {
            check(BLUE, &ask(filters), wanted);
        }
    }
    for (method, path) in [
        ("GET", "/system/df"),
        ("GET", "/tasks"),
        ("GET", "/nodes"),
        ("GET", "/swarm"),
        ("GET", "/plugins"),
        ("POST", "/build/prune"),
        ("POST", "/build/cancel?id=x"),
    ] {
        check(BLUE, &ask(method.parse().unwrap(), path), Some(Rule::Scope));
    }
    for path in ["/_ping", "/version", "/info", "/images/search?term=x"] {
        check(BLUE, &get(path), None);
    }
}

#[test]
fn a_look_up_that_fails_is_a_refusal() {
    let failing = Known(vec![
        (
            container("web"),
            Err(LookupError::Failed("no answer within 5 s".to_owned())),
        ),
        (
            network("web"),
            Err(LookupError::Failed("no answer within 5 s".to_owned())),
        ),
        (
            volume("web"),
            Err(LookupError::Failed("no answer within 5 s".to_owned())),
        ),
    ]);
    for ask in [
        get("/containers/web/json"),
        delete("/networks/web"),
        delete("/volumes/web"),
    ] {
        check_never(BLUE, &ask, &failing, Rule::Lookup);
    }
    for ask in [
        post("/containers/web/exec").json(&json!({})),
        get("/containers/web/archive?path=a"),
    ] {
        check_never("", &ask, &failing, Rule::Lookup);
    }
}
