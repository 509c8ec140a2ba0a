//! What containers may be given: each rule, on creation and on update.

use super::*;

/// Creates a container with each of these.
fn check_each(table: &[(Value, Option<Rule>)]) {
    for (host, wanted) in table {
        check("", &create(host), *wanted);
    }
}

#[test]
fn harmless_and_privileged() {
    check_each(&[
        (json!({}), None),
        // What the engine's own client sends where nobody asked for anything.
        (
            json!({"Privileged": false, "CapAdd": null, "Devices": [], "SecurityOpt": null, "MaskedPaths": null}),
            None,
        ),
        (json!({"Privileged": true}), Some(Rule::Privileged)),
    ]);
}

#[test]
fn namespaces() {
    check_each(&[
        (json!({"PidMode": ""}), None),
        (json!({"PidMode": "host"}), Some(Rule::Namespace)),
        (json!({"PidMode": "container:db"}), Some(Rule::Namespace)),
        (json!({"PidMode": "HOST"}), Some(Rule::Namespace)),
        (json!({"PidMode": "ns:/proc/1/ns/pid"}), Some(Rule::Namespace)),
        (json!({"IpcMode": "shareable"}), None),
        (json!({"IpcMode": "private"}), None),
        (json!({"IpcMode": "none"}), None),
        (json!({"IpcMode": "host"}), Some(Rule::Namespace)),
        (json!({"IpcMode": "container:db"}), Some(Rule::Namespace)),
        (json!({"UTSMode": "host"}), Some(Rule::Namespace)),
        (json!({"UsernsMode": "host"}), Some(Rule::Namespace)),
        (json!({"CgroupnsMode": "private"}), None),
        (json!({"CgroupnsMode": "host"}), Some(Rule::Namespace)),
        (json!({"Cgroup": "container:db"}), Some(Rule::Namespace)),
        (json!({"NetworkMode": "host"}), Some(Rule::Namespace)),
        (json!({"NetworkMode": "container:db"}), Some(Rule::Namespace)),
        (json!({"NetworkMode": "ns:/proc/1/ns/net"}), Some(Rule::Namespace)),
        (json!({"NetworkMode": "bridge"}), None),
        (json!({"NetworkMode": "none"}), None),
        (json!({"NetworkMode": "default"}), None),
        (json!({"NetworkMode": "backend"}), None),
    ]);
}

#[test]
fn capabilities() {
    check_each(&[
        (json!({"CapAdd": ["NET_BIND_SERVICE", "CAP_CHOWN", "kill"]}), None),
        (json!({"CapDrop": ["ALL"]}), None),
        (json!({"CapAdd": ["ALL"]}), Some(Rule::Capability)),
        (json!({"CapAdd": "ALL"}), Some(Rule::Capability)),
        (json!({"CapAdd": ["CHOWN", "SYS_ADMIN"]}), Some(Rule::Capability)),
        (json!({"CapAdd": ["cap_sys_admin"]}), Some(Rule::Capability)),
        (json!({"CapAdd": ["Cap_Net_Admin"]}), Some(Rule::Capability)),
    ]);
}

#[test]
fn devices() {
    check_each(&[
        (
            json!({"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]}),
            Some(Rule::Device),
        ),
        (json!({"DeviceCgroupRules": ["a *:* rwm"]}), Some(Rule::Device)),
        (
            json!({"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]}),
            Some(Rule::Gpu),
        ),
        (
            json!({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/device=all"]}]}),
            Some(Rule::Gpu),
        ),
    ]);
}

#[test]
fn confinement() {
    check_each(&[
        (json!({"SecurityOpt": ["no-new-privileges"]}), None),
        (json!({"SecurityOpt": ["no-new-privileges:true"]}), None),
        (
            json!({"SecurityOpt": ["no-new-privileges:false"]}),
            Some(Rule::SecurityOpt),
        ),
        (
            json!({"SecurityOpt": ["seccomp=unconfined"]}),
            Some(Rule::SecurityOpt),
        ),
        (
            json!({"SecurityOpt": ["no-new-privileges", "apparmor:unconfined"]}),
            Some(Rule::SecurityOpt),
        ),
        (json!({"SecurityOpt": ["label=disable"]}), Some(Rule::SecurityOpt)),
        (
            json!({"SecurityOpt": ["systempaths=unconfined"]}),
            Some(Rule::SecurityOpt),
        ),
        (json!({"MaskedPaths": []}), Some(Rule::MaskedPaths)),
        (json!({"ReadonlyPaths": ["/proc/bus"]}), Some(Rule::MaskedPaths)),
        (
            json!({"Sysctls": {"net.core.somaxconn": "1024"}}),
            Some(Rule::Sysctl),
        ),
        (json!({"CgroupParent": "/"}), Some(Rule::CgroupParent)),
        (json!({"CgroupParent": ""}), None),
        (json!({"Runtime": "runc"}), None),
        (json!({"Runtime": "sysbox"}), Some(Rule::Runtime)),
        (json!({"OomKillDisable": true}), Some(Rule::Oom)),
        (json!({"OomScoreAdj": -1}), Some(Rule::Oom)),
        (json!({"OomScoreAdj": 500}), None),
        (
            json!({"Annotations": {"run.oci.keep_original_groups": "1"}}),
            Some(Rule::Annotation),
        ),
    ]);
}

#[test]
fn logs() {
    check_each(&[
        (
            json!({"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}}),
            None,
        ),
        (json!({"LogConfig": {"Type": "", "Config": {}}}), None),
        (json!({"LogConfig": {"Type": "none"}}), None),
        (
            json!({"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://192.0.2.1:514"}}}),
            Some(Rule::LogDriver),
        ),
        (json!({"LogConfig": {"Type": "fluentd"}}), Some(Rule::LogDriver)),
        (
            json!({"LogConfig": {"Config": {"syslog-address": "tcp://192.0.2.1:514"}}}),
            Some(Rule::LogDriver),
        ),
    ]);
}

#[test]
fn what_people_set_every_day() {
    check_each(&[
        (
            json!({"RestartPolicy": {"Name": "always"}, "Memory": 67_108_864, "NanoCpus": 500_000_000, "PidsLimit": 100}),
            None,
        ),
        (
            json!({"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}], "ShmSize": 67_108_864, "Init": true}),
            None,
        ),
        (
            json!({"Tmpfs": {"/tmp": "rw,noexec,nosuid,size=64m"}, "ReadonlyRootfs": true, "AutoRemove": true}),
            None,
        ),
        (json!({"Tmpfs": {"/tmp": "rw,size=64m,U"}}), None),
        (json!({"Tmpfs": {"/tmp": "bind"}}), Some(Rule::Bind)),
        (
            json!({"Dns": ["192.0.2.1"], "ExtraHosts": ["db:192.0.2.2"], "GroupAdd": ["audio"], "Links": ["db:db"]}),
            None,
        ),
        (
            json!({"StorageOpt": {"size": "1G"}, "Isolation": "default", "ConsoleSize": [24, 80]}),
            None,
        ),
    ]);
}

#[test]
fn lists_open_what_they_name() {
    for (text, host) in [
        ("privileged = true", json!({"Privileged": true})),
        (
            "namespaces = [\"pid\", \"network\"]",
            json!({"PidMode": "host", "NetworkMode": "host"}),
        ),
        (
            "namespaces = [\"network\"]",
            json!({"NetworkMode": "container:db"}),
        ),
        (
            "capabilities = [\"cap_net_admin\"]",
            json!({"CapAdd": ["NET_ADMIN"]}),
        ),
        (
            "devices = [\"/dev/fuse\"]",
            json!({"Devices": [{"PathOnHost": "/dev/fuse"}]}),
        ),
        (
            "device_cgroup_rules = [\"c 189:* rmw\"]",
            json!({"DeviceCgroupRules": ["c 189:* rmw"]}),
        ),
        (
            "gpus = true",
            json!({"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu", "compute"]]}]}),
        ),
        (
            "cdi_devices = [\"a.com/b=c\"]",
            json!({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["a.com/b=c"]}]}),
        ),
        (
            "security_opts = [\"seccomp=unconfined\"]",
            json!({"SecurityOpt": ["seccomp=unconfined"]}),
        ),
        (
            "sysctls = [\"net.core.somaxconn\"]",
            json!({"Sysctls": {"net.core.somaxconn": "1"}}),
        ),
        (
            "cgroup_parents = [\"agents.slice\"]",
            json!({"CgroupParent": "agents.slice"}),
        ),
        ("runtimes = [\"runsc\"]", json!({"Runtime": "runsc"})),
        (
            "oom_protection = true",
            json!({"OomScoreAdj": -5, "OomKillDisable": true}),
        ),
        (
            "unmasked_paths = true",
            json!({"MaskedPaths": [], "ReadonlyPaths": []}),
        ),
        ("annotations = [\"a\"]", json!({"Annotations": {"a": "b"}})),
        (
            "log_drivers = [\"gelf\"]",
            json!({"LogConfig": {"Type": "gelf", "Config": {"gelf-address": "udp://a"}}}),
        ),
    ] {
        check(text, &create(&host), None);
    }
}

#[test]
fn lists_open_nothing_else() {
    use Rule::*;
    for (text, host, wanted) in [
        ("namespaces = [\"pid\"]", json!({"IpcMode": "host"}), Namespace),
        ("namespaces = [\"pid\"]", json!({"PidMode": "ns:/x"}), Namespace),
        (
            "capabilities = [\"NET_ADMIN\"]",
            json!({"CapAdd": ["NET_ADMIN", "SYS_PTRACE"]}),
            Capability,
        ),
        (
            "capabilities = [\"NET_ADMIN\"]",
            json!({"CapAdd": ["ALL"]}),
            Capability,
        ),
        (
            "devices = [\"/dev/fuse\"]",
            json!({"Devices": [{"PathOnHost": "/dev/fuse"}, {"PathOnHost": "/dev/kvm"}]}),
            Device,
        ),
        (
            "devices = [\"/dev\"]",
            json!({"Devices": [{"PathOnHost": "/dev/sda"}]}),
            Device,
        ),
        (
            "gpus = true",
            json!({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["a.com/b=c"], "Capabilities": [["gpu"]]}]}),
            Gpu,
        ),
        (
            "gpus = true",
            json!({"DeviceRequests": [{"Driver": "", "Capabilities": [["tpu"]]}]}),
            Gpu,
        ),
        (
            "gpus = true",
            json!({"DeviceRequests": [{"Driver": "", "Capabilities": []}]}),
            Gpu,
        ),
        (
            "gpus = true",
            json!({"DeviceRequests": [{"Driver": "other", "Capabilities": [["gpu"]]}]}),
            Gpu,
        ),
        (
            "cdi_devices = [\"a.com/b=c\"]",
            json!({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": []}]}),
            Gpu,
        ),
        (
            "privileged = true",
            json!({"Privileged": true, "PidMode": "host"}),
            Namespace,
        ),
        (
            "runtimes = [\"runsc\"]",
            json!({"Runtime": "/usr/bin/runsc"}),
            Runtime,
        ),
    ] {
        let refusal = create(&host)
            .judged(&policy(text), &local(), &Known::default())
            .unwrap_err();
        assert_eq!(refusal.rule, wanted, "{text}: {host}");
    }
}

#[test]
fn publishing() {
    let bind = |address: &str| json!({"PortBindings": {"80/tcp": [{"HostIp": address, "HostPort": "8080"}]}});
    for (text, host, wanted) in [
        ("", bind("127.0.0.1"), None),
        ("", bind("127.8.8.8"), None),
        ("", bind("::1"), None),
        ("", bind("::ffff:127.0.0.1"), None),
        ("", json!({"PortBindings": {}}), None),
        ("", bind(""), Some(Rule::Publish)),
        ("", bind("0.0.0.0"), Some(Rule::Publish)),
        ("", bind("::"), Some(Rule::Publish)),
        ("", bind("::ffff:0.0.0.0"), Some(Rule::Publish)),
        ("", bind("::ffff:192.0.2.7"), Some(Rule::Publish)),
        ("", bind("192.0.2.7"), Some(Rule::Publish)),
        ("", bind("127.0.0.1 "), Some(Rule::Publish)),
        ("", bind("127.1"), Some(Rule::Publish)),
        ("", bind("0177.0.0.1"), Some(Rule::Publish)),
        ("", bind("127.000.000.001"), Some(Rule::Publish)),
        ("", bind("0x7f.0.0.1"), Some(Rule::Publish)),
        ("", bind("2130706433"), Some(Rule::Publish)),
        ("", bind("[::1]"), Some(Rule::Publish)),
        ("", bind("::1%lo"), Some(Rule::Publish)),
        ("", bind("localhost"), Some(Rule::Publish)),
        (
            "",
            json!({"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}),
            Some(Rule::Publish),
        ),
        ("", json!({"PortBindings": {"80/tcp": []}}), Some(Rule::Publish)),
        ("", json!({"PortBindings": {"80/tcp": null}}), Some(Rule::Publish)),
        (
            "",
            json!({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}, {"HostIp": ""}]}}),
            Some(Rule::Publish),
        ),
        ("", json!({"PublishAllPorts": true}), Some(Rule::Publish)),
        ("publish = [\"192.0.2.7\"]", bind("192.0.2.7"), None),
        ("publish = [\"192.0.2.7\"]", bind("::ffff:192.0.2.7"), None),
        (
            "publish = [\"192.0.2.7\"]",
            bind("192.0.2.8"),
            Some(Rule::Publish),
        ),
        ("publish = [\"192.0.2.7\"]", bind(""), Some(Rule::Publish)),
        ("publish = [\"0.0.0.0\"]", bind("192.0.2.8"), None),
        ("publish = [\"0.0.0.0\"]", bind(""), None),
        ("publish = [\"0.0.0.0\"]", bind("::"), Some(Rule::Publish)),
        ("publish = [\"0.0.0.0\"]", json!({"PublishAllPorts": true}), None),
        ("publish = [\"::\"]", bind("2001:db8::1"), None),
        ("publish = [\"::\"]", bind("192.0.2.8"), Some(Rule::Publish)),
    ] {
        check(text, &create(&host), wanted);
    }
}

#[test]
fn updates() {
    use Rule::*;
    for (body, wanted) in [
        (
            json!({"Memory": 67_108_864, "RestartPolicy": {"Name": "no"}, "PidsLimit": null}),
            None,
        ),
        (json!({"Devices": [{"PathOnHost": "/dev/sda"}]}), Some(Device)),
        (json!({"DeviceCgroupRules": ["a *:* rwm"]}), Some(Device)),
        (
            json!({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["a.com/b=c"]}]}),
            Some(Gpu),
        ),
        (json!({"CgroupParent": "/"}), Some(CgroupParent)),
        (json!({"OomKillDisable": true}), Some(Oom)),
        (json!({"Privileged": true}), Some(UnknownField)),
        (json!({"Binds": ["/:/host"]}), Some(UnknownField)),
    ] {
        check("", &post("/containers/web/update").json(&body), wanted);
    }
}

#[test]
fn host_configuration_in_the_wrong_place() {
    // Engines up to 24 take these for the host configuration if there is none.
    for name in [
        "Privileged",
        "privileged",
        "Binds",
        "CapAdd",
        "PidMode",
        "Mounts",
        "VolumeDriver",
    ] {
        check(
            "",
            &post("/containers/create").json(&json!({"Image": "a", name: true})),
            Some(Rule::UnknownField),
        );
    }
    check(
        "",
        &post("/containers/create").json(&json!({"Image": "a", "Cpuset": "0"})),
        Some(Rule::UnknownField),
    );
}

/// What Docker takes as it stands and Podman reads as something else.
#[test]
fn what_another_engine_would_read() {
    for (body, wanted) in [
        (
            json!({"Volumes": {"/data": {}}, "Env": ["A=b", "EMPTY=", "C=d=*"]}),
            None,
        ),
        (json!({"Volumes": {"/etc:/host": {}}}), Some(Rule::Bind)),
        (json!({"volume\u{17f}": {"/etc:/host:rw": {}}}), Some(Rule::Bind)),
        (json!({"Env": ["A=b", "*"]}), Some(Rule::Body)),
        (json!({"Env": ["AWS_SECRET_ACCESS_KEY"]}), Some(Rule::Body)),
    ] {
        check("", &post("/containers/create").json(&body), wanted);
    }
}

#[test]
fn what_the_engines_own_client_sends() {
    let body: Value = serde_json::from_str(
        r#"{
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true, "AttachStderr": true,
        "ExposedPorts": {"80/tcp": {}}, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": ["A=b"],
        "Cmd": ["sh"], "Image": "busybox", "Volumes": {}, "WorkingDir": "", "Entrypoint": null, "OnBuild": null,
        "Labels": {},
        "HostConfig": {
            "Binds": ["data:/d"], "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}},
            "NetworkMode": "default", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]},
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}, "AutoRemove": false, "VolumeDriver": "",
            "VolumesFrom": null, "ConsoleSize": [0, 0], "CapAdd": null, "CapDrop": null, "CgroupnsMode": "",
            "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": null, "GroupAdd": null, "IpcMode": "",
            "Cgroup": "", "Links": null, "OomScoreAdj": 0, "PidMode": "", "Privileged": false,
            "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "", "UsernsMode": "",
            "ShmSize": 0, "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "",
            "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
            "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0,
            "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
            "DeviceCgroupRules": null, "DeviceRequests": null, "MemoryReservation": 0, "MemorySwap": 0,
            "MemorySwappiness": -1, "OomKillDisable": false, "PidsLimit": 0, "Ulimits": [], "CpuCount": 0,
            "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths": null, "ReadonlyPaths": null
        },
        "NetworkingConfig": {"EndpointsConfig": {"default": {
            "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "", "DriverOpts": null, "GwPriority": 0,
            "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
            "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null
        }}}
    }"#,
    )
    .unwrap();
    let ask = post("/containers/create?name=web&platform=linux%2Famd64").json(&body);
    let verdict = ask.judged(&policy(""), &local(), &Known::default()).unwrap();
    // What is sent says the same, but for what stands there as null.
    let sent: Value = serde_json::from_slice(&verdict.body.unwrap()).unwrap();
    assert_eq!(
        sent["HostConfig"]["PortBindings"],
        body["HostConfig"]["PortBindings"]
    );
    assert_eq!(sent["Env"], body["Env"]);
    assert_eq!(sent.get("Entrypoint"), None);
}
