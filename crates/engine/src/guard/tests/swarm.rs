//! Services, which are containers elsewhere; the swarm itself; plugins.

use super::*;

/// `POST /services/create` and its update, of a service with this container.
fn services(container: &Value) -> [Ask; 2] {
    let body = json!({"Name": "s", "TaskTemplate": {"ContainerSpec": container}});
    [
        post("/services/create").json(&body),
        post("/services/s/update?version=1").json(&body),
    ]
}

#[test]
fn containers_of_services() {
    use Rule::*;
    for (container, wanted) in [
        (
            json!({"Image": "nginx", "Args": ["a"], "Env": ["A=b"], "Init": false, "DNSConfig": {}, "User": "1000"}),
            None,
        ),
        (
            json!({"Privileges": {"NoNewPrivileges": true, "Seccomp": {"Mode": "default"}, "AppArmor": {"Mode": "default"}}}),
            None,
        ),
        (
            json!({"Privileges": {"CredentialSpec": null, "SELinuxContext": null}}),
            None,
        ),
        (
            json!({"Privileges": {"Seccomp": {"Mode": "unconfined"}}}),
            Some(SecurityOpt),
        ),
        (
            json!({"Privileges": {"Seccomp": {"Mode": "custom", "Profile": "e30="}}}),
            Some(SecurityOpt),
        ),
        (
            json!({"Privileges": {"AppArmor": {"Mode": "disabled"}}}),
            Some(SecurityOpt),
        ),
        (
            json!({"Privileges": {"SELinuxContext": {"Disable": true}}}),
            Some(SecurityOpt),
        ),
        (
            json!({"Privileges": {"SELinuxContext": {"Type": "spc_t"}}}),
            Some(SecurityOpt),
        ),
        (
            json!({"Privileges": {"CredentialSpec": {"File": "x.json"}}}),
            Some(SecurityOpt),
        ),
        (json!({"CapabilityAdd": ["NET_BIND_SERVICE"]}), None),
        (json!({"CapabilityAdd": ["ALL"]}), Some(Capability)),
        (json!({"CapabilityDrop": ["ALL"]}), None),
        (json!({"Sysctls": {"kernel.msgmax": "1"}}), Some(Sysctl)),
        (json!({"OomScoreAdj": -10}), Some(Oom)),
        (json!({"Mounts": [{"Type": "tmpfs", "Target": "/t"}]}), None),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/t"}]}),
            None,
        ),
        (
            json!({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/t"}]}),
            Some(Bind),
        ),
        (
            json!({"Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/t"}]}),
            Some(Bind),
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}}}]}),
            Some(Bind),
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Name": "acme"}}}]}),
            Some(VolumeDriver),
        ),
        (
            json!({"Mounts": [{"Type": "npipe", "Source": "x", "Target": "/t"}]}),
            Some(Socket),
        ),
        (json!({"Privileged": true}), Some(UnknownField)),
    ] {
        for ask in services(&container) {
            check("", &ask, wanted);
        }
    }
    let spelled = "symlinks = \"lexical\"\nroots = [{ path = \"/srv/app\" }]";
    let bind = |source: &str| json!({"Mounts": [{"Type": "bind", "Source": source, "Target": "/t", "ReadOnly": true}]});
    for ask in services(&bind("/srv/app")) {
        check(spelled, &ask, None);
    }
    for ask in services(&bind("/etc")) {
        check(spelled, &ask, Some(Rule::Bind));
    }
}

#[test]
fn services_as_a_whole() {
    use Rule::*;
    for (body, wanted) in [
        (
            json!({"Mode": {"Replicated": {"Replicas": 2}}, "UpdateConfig": {"MaxFailureRatio": 0.5}, "TaskTemplate": {"ForceUpdate": 0}}),
            None,
        ),
        (
            json!({"Mode": {"GlobalJob": {}}, "TaskTemplate": {"Resources": {"Limits": {"Pids": 3}}, "Placement": {"Constraints": ["node.role==worker"]}}}),
            None,
        ),
        (json!({"EndpointSpec": {"Mode": "vip"}}), None),
        (
            json!({"EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 80}]}}),
            Some(Publish),
        ),
        (
            json!({"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishMode": "host"}]}}),
            Some(Publish),
        ),
        (
            json!({"TaskTemplate": {"LogDriver": {"Name": "gelf"}}}),
            Some(LogDriver),
        ),
        (
            json!({"TaskTemplate": {"LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}}}}),
            None,
        ),
        (
            json!({"TaskTemplate": {"Networks": [{"Target": "host"}]}}),
            Some(Namespace),
        ),
        (json!({"TaskTemplate": {"Runtime": "container"}}), None),
        (
            json!({"TaskTemplate": {"Runtime": "plugin", "PluginSpec": {"Remote": "a"}}}),
            Some(Plugin),
        ),
        (
            json!({"TaskTemplate": {"PluginSpec": {"Remote": "a"}}}),
            Some(Plugin),
        ),
        (json!({"TaskTemplate": {"Runtime": "attachment"}}), Some(Plugin)),
        (
            json!({"TaskTemplate": {"NetworkAttachmentSpec": {"ContainerID": "a"}}}),
            Some(UnknownField),
        ),
        (json!({"Frobnicate": 1}), Some(UnknownField)),
    ] {
        check("", &post("/services/create").json(&body), wanted);
        check(
            "",
            &post("/services/s/update?version=1&registryAuthFrom=spec").json(&body),
            wanted,
        );
    }
}

#[test]
fn rolling_back_is_judged_by_what_it_brings_back() {
    let previous = |spec: Value| {
        known([(
            Object::Service("s".to_owned()),
            json!({"ID": "s", "PreviousSpec": spec}),
        )])
    };
    let body = json!({"Name": "s"});
    let ask = post("/services/s/update?version=1&rollback=previous").json(&body);
    check_with(
        "",
        &ask,
        &previous(json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}}})),
        None,
    );
    check_with("", &ask, &previous(Value::Null), None);
    check_with(
        "",
        &ask,
        &previous(json!({"TaskTemplate": {"ContainerSpec": {"CapabilityAdd": ["ALL"]}}})),
        Some(Rule::Capability),
    );
    check("", &ask, Some(Rule::NotFound));
}

#[test]
fn the_swarm_itself() {
    let any = json!({"anything": "at all"});
    for ask in [
        post("/swarm/init").json(&any),
        post("/swarm/join").json(&any),
        post("/swarm/update?version=1&rotateWorkerToken=1").json(&any),
        post("/swarm/unlock").json(&any),
        post("/swarm/leave?force=1"),
        // These tell keys and tokens.
        get("/swarm"),
        get("/swarm/unlockkey"),
        post("/nodes/n/update?version=1").json(&any),
        delete("/nodes/n?force=1"),
    ] {
        check("", &ask, Some(Rule::Swarm));
        check("swarm = true", &ask, None);
    }
    check("", &get("/nodes"), None);
    check("", &get("/services"), None);
}

#[test]
fn plugins() {
    for ask in [
        post("/plugins/pull?remote=acme%2Fp&name=p").json(&json!([{"Name": "network", "Value": ["host"]}])),
        post("/plugins/create?name=p").stream(),
        post("/plugins/acme/p:1/enable?timeout=0"),
        post("/plugins/acme/p:1/disable?force=1"),
        post("/plugins/p/upgrade?remote=p").json(&json!([])),
        post("/plugins/p/push"),
        post("/plugins/p/set").json(&json!(["A=b"])),
        delete("/plugins/acme/p:1?force=1"),
    ] {
        check("", &ask, Some(Rule::Plugin));
        check("plugins = true", &ask, None);
    }
    check("", &get("/plugins"), None);
}

#[test]
fn secrets_and_configs() {
    for kind in ["secrets", "configs"] {
        for (body, wanted) in [
            (json!({"Name": "s", "Data": "aGk=", "Labels": {"a": "b"}}), None),
            (
                json!({"Name": "s", "Data": "aGk=", "Templating": {"Name": "golang"}}),
                None,
            ),
            (
                json!({"Name": "s", "Driver": {"Name": "vault"}}),
                Some(Rule::Plugin),
            ),
            (
                json!({"Name": "s", "Driver": {"Options": {"path": "/etc/cron.d"}}}),
                Some(Rule::Plugin),
            ),
            (
                json!({"Name": "s", "Templating": {"Name": "other"}}),
                Some(Rule::Plugin),
            ),
        ] {
            check("", &post(format!("/{kind}/create")).json(&body), wanted);
            check(
                "",
                &post(format!("/{kind}/s/update?version=1")).json(&body),
                wanted,
            );
        }
    }
}

#[test]
fn sessions() {
    for ask in [
        post("/session").stream().header("upgrade", "h2c"),
        post("/grpc").header("upgrade", "h2c"),
    ] {
        check("", &ask, Some(Rule::BuildkitSession));
        check("buildkit_session = true", &ask, None);
    }
}
