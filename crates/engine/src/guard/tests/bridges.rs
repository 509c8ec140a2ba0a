//! Bridges: every way to name one, in every mode.

use super::*;

const ID: &str = "b41d6e0fb41d6e0fb41d6e0fb41d6e0fb41d6e0fb41d6e0fb41d6e0fb41d6e0f";

/// An engine with a bridge, and a container that has an id like it.
fn engine() -> Known {
    let bridge = json!({"Id": ID, "Config": {"Labels": {"dockmaster.bridge": "one"}}, "HostConfig": {}});
    let other = json!({
        "Id": "0123", "Config": {"Labels": {}}, "HostConfig": {}, "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {}}},
    });
    known([
        (container(ID), bridge.clone()),
        (container("b41d"), bridge),
        (container("0123"), other),
        (Object::Exec("e1".to_owned()), json!({"ContainerID": ID})),
        (Object::Exec("e2".to_owned()), json!({"ContainerID": "0123"})),
        (
            network("b41d"),
            json!({"Id": ID, "Name": "dockmaster.bridge-1a2b", "Driver": "bridge"}),
        ),
        (
            network("dockmaster.bridge-1a2b"),
            json!({"Id": ID, "Name": "dockmaster.bridge-1a2b", "Driver": "bridge"}),
        ),
        (
            network("face"),
            json!({"Id": "face", "Name": "face", "Driver": "bridge"}),
        ),
    ])
}

fn refused(ask: &Ask) {
    // Nothing in the policy opens it, not even the mode that opens everything.
    check_never(
        "exec_into_unsafe = true\nnamespaces = [\"network\", \"pid\"]",
        ask,
        &engine(),
        Rule::Bridge,
    );
    let mut open = policy("");
    open.mode = Mode::Open;
    let refusal = ask.judged(&open, &local(), &engine()).unwrap_err();
    assert_eq!(refusal.rule, Rule::Bridge, "{ask:?}: {refusal}");
    // Who takes care of the bridge passes this rule.
    open.bridges = true;
    ask.judged(&open, &local(), &engine()).unwrap();
}

#[test]
fn no_endpoint_reaches_one() {
    for name in ["dockmaster.bridge-1a2b", ID, "b41d"] {
        for path in [
            "start",
            "stop",
            "restart",
            "kill",
            "pause",
            "unpause",
            "rename?name=x",
            "resize?h=1&w=1",
        ] {
            refused(&post(format!("/containers/{name}/{path}")));
        }
        refused(&post(format!("/containers/{name}/attach?stream=1")));
        refused(&get(format!("/containers/{name}/attach/ws")));
        refused(&post(format!("/containers/{name}/update")).json(&json!({"Memory": 1})));
        refused(&post(format!("/containers/{name}/exec")).json(&json!({"Cmd": ["x"]})));
        refused(&delete(format!("/containers/{name}?force=1")));
        refused(&get(format!(
            "/containers/{name}/archive?path=/var/lib/dockmaster"
        )));
        refused(&ask(Method::HEAD, format!("/containers/{name}/archive?path=/x")));
        refused(&ask(Method::PUT, format!("/containers/{name}/archive?path=/x")).stream());
        refused(&get(format!("/containers/{name}/export")));
        refused(&get(format!("/containers/{name}/checkpoints")));
        refused(&post(format!("/containers/{name}/checkpoints")).json(&json!({"CheckpointID": "x"})));
        refused(&post(format!("/commit?container={name}&repo=x")));
        refused(&post("/networks/n/connect").json(&json!({"Container": name})));
        refused(&post("/networks/n/disconnect").json(&json!({"Container": name})));
        refused(&post(format!("/build?networkmode=container%3A{name}")).stream());
        for host in [
            json!({"VolumesFrom": [format!("{name}:ro")]}),
            json!({"NetworkMode": format!("container:{name}")}),
            json!({"PidMode": format!("container:{name}")}),
            json!({"IpcMode": format!("container:{name}")}),
            json!({"Links": [format!("{name}:b")]}),
        ] {
            refused(&create(&host));
        }
    }
    refused(&post("/exec/e1/start").json(&json!({"Detach": false})));
    refused(&post("/exec/e1/resize?h=1&w=1"));
}

#[test]
fn nobody_takes_what_it_keeps() {
    let volume = "dockmaster.bridge-1a2b";
    let folder = format!("/var/lib/docker/volumes/{volume}/_data");
    for host in [
        json!({"Binds": [format!("{volume}:/t")]}),
        json!({"Binds": [format!("{folder}:/t:ro")]}),
        json!({"Mounts": [{"Type": "volume", "Source": volume, "Target": "/t"}]}),
        json!({"Mounts": [{"Type": "bind", "Source": folder, "Target": "/t"}]}),
        json!({"Mounts": [{"Type": "volume", "Target": "/t", "VolumeOptions": {
            "DriverConfig": {"Options": {"type": "none", "o": "bind", "device": folder}}}}]}),
    ] {
        refused(&create(&host));
    }
    refused(&post("/volumes/create").json(&json!({"Name": "v", "DriverOpts": {
        "type": "none", "o": "bind", "device": folder}})));
    refused(
        &post("/services/create").json(&json!({"Name": "s", "TaskTemplate": {"ContainerSpec": {
        "Image": "busybox", "Mounts": [{"Type": "volume", "Source": volume, "Target": "/t"}]}}})),
    );
    refused(&delete(format!("/volumes/{volume}?force=1")));
    for image in [
        "dockmaster.bridge",
        "docker.io/library/dockmaster.bridge",
        "library/dockmaster.bridge:x",
    ] {
        refused(&delete(format!("/images/{image}?force=1")));
        refused(&post("/containers/create").json(&json!({"Image": image})));
    }
}

#[test]
fn nobody_joins_its_network() {
    for name in ["dockmaster.bridge-1a2b", "b41d"] {
        refused(&post(format!("/networks/{name}/connect")).json(&json!({"Container": "web"})));
        refused(&post(format!("/networks/{name}/disconnect")).json(&json!({"Container": "web"})));
        refused(
            &post("/networks/n/connect")
                .json(&json!({"Container": "web", "EndpointConfig": {"NetworkID": name}})),
        );
        refused(&delete(format!("/networks/{name}")));
        refused(&create(&json!({"NetworkMode": name})));
        refused(&post(format!("/build?networkmode={name}")).stream());
        for endpoints in [json!({name: {}}), json!({"n": {"NetworkID": name}})] {
            refused(
                &post("/containers/create")
                    .json(&json!({"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": endpoints}})),
            );
        }
    }
    refused(&post("/networks/create").json(&json!({"Name": "dockmaster.bridge-2"})));
    refused(&post("/networks/create").json(&json!({"Name": "n", "Labels": {"dockmaster.bridge": "x"}})));
}

/// In a bridge: what a container is given lies in the folder that the bridge shares with its engine.
#[test]
fn a_bridge_gives_what_is_named_to_the_letter() {
    let place = tempfile::tempdir().unwrap();
    let shared = place.path().join("dockmaster.bridge-1-given");
    fs_err::create_dir_all(shared.join("own")).unwrap();
    for name in ["socket", "relay", "other"] {
        fs_err::write(shared.join("own").join(name), "").unwrap();
    }
    let at = |name: &str| shared.join(name).to_str().unwrap().to_owned();
    let surroundings = Surroundings {
        shared: vec![shared.clone()],
        ..Surroundings::default()
    };
    let judged = |policy: &Policy, source: &str, surroundings: &Surroundings| {
        let mount = json!({"Type": "bind", "Source": source, "Target": "/t", "ReadOnly": true});
        let judged = create(&json!({"Mounts": [mount]})).judged(policy, surroundings, &known([]));
        judged.map_err(|refusal| refusal.rule)
    };
    let root = |path: String| Root {
        path: path.into(),
        write: false,
    };
    let mut policy = policy("");
    policy.roots.push(root(at("own/relay")));
    assert!(judged(&policy, &at("own/relay"), &surroundings).is_ok());
    // Elsewhere the same words give nothing.
    let elsewhere = judged(&policy, &at("own/relay"), &Surroundings::default());
    assert_eq!(elsewhere.unwrap_err(), Rule::Bridge);
    for other in [
        at("own/other"),
        at("own"),
        at(""),
        at("own/relay/../other"),
        format!("{}/", at("own/relay")),
    ] {
        assert_eq!(
            judged(&policy, &other, &surroundings).unwrap_err(),
            Rule::Bridge,
            "{other}"
        );
    }
    // A root of the user's above it opens nothing in it.
    policy.roots.push(root("/".to_owned()));
    policy.symlinks = Symlinks::Lexical;
    assert_eq!(
        judged(&policy, &at("own/other"), &surroundings).unwrap_err(),
        Rule::Bridge
    );
}

#[test]
fn nothing_poses_as_one() {
    refused(&post("/containers/create?name=dockmaster.bridge-2").json(&json!({"Image": "busybox"})));
    refused(&post("/containers/create?name=/dockmaster.bridge-2").json(&json!({"Image": "busybox"})));
    refused(
        &post("/containers/create").json(&json!({"Image": "busybox", "Labels": {"dockmaster.bridge": ""}})),
    );
    refused(&post("/containers/web/rename?name=dockmaster.bridge-2"));
    refused(&post("/volumes/create").json(&json!({"Name": "dockmaster.bridge-2"})));
    refused(&post("/volumes/create").json(&json!({"Name": "v", "Labels": {"dockmaster.bridge": "x"}})));
    refused(&post("/images/busybox/tag?repo=dockmaster.bridge"));
    refused(&post("/build?t=ok&t=dockmaster.bridge%3A1").stream());
}

#[test]
fn looking_is_open_and_others_are_as_they_were() {
    let engine = engine();
    for ask in [
        get(format!("/containers/{ID}/json")),
        get("/containers/dockmaster.bridge-1a2b/logs?stdout=1"),
        get("/containers/dockmaster.bridge-1a2b/top"),
        get("/volumes/dockmaster.bridge-1a2b"),
        post("/containers/0123/kill"),
        get("/networks/dockmaster.bridge-1a2b"),
        post("/networks/face/connect").json(&json!({"Container": "0123"})),
        delete("/networks/face"),
        post("/containers/0123/exec").json(&json!({"Cmd": ["x"]})),
        post("/exec/e2/start").json(&json!({"Detach": false})),
        post("/containers/my-dockmaster.bridge/kill"),
        post("/containers/create?name=dockmaster-bridge-1a2b").json(&json!({"Image": "busybox"})),
        // Not there, so the engine says so.
        post("/containers/ffff/kill"),
        create(&json!({"Binds": ["data:/dockmaster.bridge"]})),
    ] {
        check_with("", &ask, &engine, None);
    }
    // What may be one and can't be looked at is none of ours to touch.
    let silent = Known(vec![(
        container("b41d"),
        Err(LookupError::Failed("no answer".to_owned())),
    )]);
    check_with("", &post("/containers/b41d/kill"), &silent, Some(Rule::Lookup));
}
