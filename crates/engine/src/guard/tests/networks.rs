//! Networks: making them, joining them.

use super::*;

fn engine() -> Known {
    known([
        (
            network("backend"),
            json!({"Id": "ab", "Name": "backend", "Driver": "bridge"}),
        ),
        (
            network("lan"),
            json!({"Id": "cd", "Name": "lan", "Driver": "macvlan"}),
        ),
        (
            network("nat"),
            json!({"Id": "ee", "Name": "nat", "Driver": "macvlan"}),
        ),
        (
            network("0123abcd"),
            json!({"Id": "0123abcd", "Name": "host", "Driver": "host"}),
        ),
        (
            network("plain"),
            json!({"Id": "ef", "Driver": "null", "IPAM": {"Driver": "default"}, "Options": {}}),
        ),
        (
            network("abroad"),
            json!({"Id": "f0", "Driver": "null", "IPAM": {"Driver": "default", "Config": [{"Subnet": "8.8.8.0/24"}]}}),
        ),
        (
            network("wired"),
            json!({"Id": "ef", "Driver": "null", "IPAM": {"Driver": "default"}, "Options": {"parent": "eth0"}}),
        ),
    ])
}

#[test]
fn making() {
    use Rule::*;
    let option = |name: &str, value: &str| json!({"Name": "n", "Options": {name: value}});
    for (body, wanted) in [
        (json!({"Name": "n"}), None),
        (
            json!({"Name": "n", "Driver": "bridge", "Internal": true, "EnableIPv6": true, "CheckDuplicate": true}),
            None,
        ),
        (
            json!({"Name": "n", "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.9.0.0/16", "Gateway": "10.9.0.1"}]}}),
            None,
        ),
        (subnets(&["172.31.0.0/24", "fd00:1::/64"]), None),
        (subnets(&[""]), None),
        (subnets(&["10.9.0.0/16", "1.1.1.0/24"]), Some(Network)),
        (subnets(&["10.0.0.0/7"]), Some(Network)),
        (subnets(&["100.64.0.0/24"]), Some(Network)),
        (subnets(&["2001:4860::/32"]), Some(Network)),
        (subnets(&["169.254.169.0/24"]), Some(Network)),
        (
            json!({"Name": "n", "ConfigFrom": {"Network": "abroad"}}),
            Some(Network),
        ),
        (
            json!({"Name": "n", "Driver": "overlay", "Attachable": true}),
            None,
        ),
        (json!({"Name": "n", "Driver": "host"}), Some(Network)),
        (
            json!({"Name": "n", "Driver": "macvlan", "Options": {"parent": "eth0"}}),
            Some(Network),
        ),
        (json!({"Name": "n", "Driver": "ipvlan"}), Some(Network)),
        (json!({"Name": "n", "Driver": "weave"}), Some(Network)),
        (json!({"Name": "n", "IPAM": {"Driver": "weave"}}), Some(Network)),
        (json!({"Name": "n", "Ingress": true}), Some(Swarm)),
        (option("com.docker.network.driver.mtu", "1400"), None),
        (option("com.docker.network.bridge.enable_icc", "false"), None),
        (option("com.docker.network.bridge.name", "br-lan"), Some(Network)),
        (option("parent", "eth0"), Some(Network)),
        (
            option("com.docker.network.bridge.trusted_host_interfaces", "eth0"),
            Some(Network),
        ),
        (
            option("com.docker.network.bridge.host_binding_ipv4", "127.0.0.1"),
            None,
        ),
        (
            option("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            Some(Publish),
        ),
        (
            option("com.docker.network.bridge.host_binding_ipv4", "192.0.2.1"),
            Some(Publish),
        ),
        (
            option("com.docker.network.bridge.gateway_mode_ipv4", "isolated"),
            None,
        ),
        (
            option("com.docker.network.bridge.gateway_mode_ipv4", "routed"),
            Some(Publish),
        ),
        (
            option("com.docker.network.bridge.gateway_mode_ipv6", "nat-unprotected"),
            Some(Publish),
        ),
        (json!({"Name": "n", "ConfigFrom": {"Network": "plain"}}), None),
        (
            json!({"Name": "n", "ConfigFrom": {"Network": "wired"}}),
            Some(Network),
        ),
        (
            json!({"Name": "n", "ConfigFrom": {"Network": "nowhere"}}),
            Some(NotFound),
        ),
        (
            json!({"Name": "n", "ConfigOnly": true, "Options": {"parent": "eth0"}}),
            Some(Network),
        ),
    ] {
        check_with("", &post("/networks/create").json(&body), &engine(), wanted);
    }
    for (subnet, wanted) in [
        ("203.0.113.64/26", None),
        ("10.0.0.0/8", None),
        ("203.0.112.0/23", Some(Network)),
    ] {
        let ask = post("/networks/create").json(&subnets(&[subnet]));
        check_with("network_subnets = [\"203.0.113.0/24\"]", &ask, &engine(), wanted);
    }
}

#[test]
fn what_is_no_subnet() {
    for text in [
        "somewhere",
        "10.0.0.0/",
        "10.0.0.0/99",
        "::ffff:10.0.0.0/104",
        "10.9.0.0/16,1.1.1.0/24",
    ] {
        let ask = post("/networks/create").json(&subnets(&[text]));
        check_never(
            "network_subnets = [\"0.0.0.0/0\", \"::/0\"]",
            &ask,
            &engine(),
            Rule::Network,
        );
    }
}

fn subnets(subnets: &[&str]) -> Value {
    let config: Vec<Value> = subnets.iter().map(|subnet| json!({"Subnet": subnet})).collect();
    json!({"Name": "n", "IPAM": {"Config": config}})
}

/// Each way in which a container gets into a network.
fn ways(name: &str, options: &Value) -> Vec<Ask> {
    let endpoint = json!({"DriverOpts": options});
    // The engine prefers the id in the endpoint to the name under which it stands.
    let by_id = json!({"DriverOpts": options, "NetworkID": name});
    let mut ways = vec![
        post("/containers/create").json(&json!({"Image": "a", "HostConfig": {"NetworkMode": "backend"}, "NetworkingConfig": {"EndpointsConfig": {"backend": by_id}}})),
        post("/networks/backend/connect").json(&json!({"Container": "web", "EndpointConfig": by_id})),
        post("/containers/create").json(&json!({"Image": "a", "NetworkingConfig": {"EndpointsConfig": {name: endpoint}}})),
        post("/containers/create").json(&json!({"Image": "a", "HostConfig": {"NetworkMode": name}, "NetworkingConfig": {"EndpointsConfig": {name: endpoint}}})),
        post("/services/create").json(&json!({"TaskTemplate": {"Networks": [{"Target": name, "DriverOpts": options}]}})),
        post("/services/create").json(&json!({"Networks": [{"Target": name, "DriverOpts": options}]})),
    ];
    if !name.contains(':') {
        ways.push(
            post(format!("/networks/{name}/connect"))
                .json(&json!({"Container": "web", "EndpointConfig": endpoint})),
        );
    }
    ways
}

#[test]
fn joining() {
    use Rule::*;
    let none = json!({});
    for (name, options, wanted) in [
        ("bridge", &none, None),
        ("backend", &none, None),
        ("nowhere", &none, None),
        ("host", &none, Some(Namespace)),
        // The host's network by its id.
        ("0123abcd", &none, Some(Namespace)),
        ("lan", &none, Some(Network)),
        ("container:db", &none, Some(Namespace)),
        ("ns:x", &none, Some(Namespace)),
        // Named like the one that Windows has built in.
        ("nat", &none, Some(Network)),
        (
            "backend",
            &json!({"com.docker.network.endpoint.ifname": "eth7"}),
            None,
        ),
        (
            "backend",
            &json!({"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.route_localnet=1"}),
            Some(Sysctl),
        ),
        (
            "backend",
            &json!({"com.docker.network.endpoint.other": "x"}),
            Some(Network),
        ),
    ] {
        for ask in ways(name, options) {
            check_with("", &ask, &engine(), wanted);
        }
    }
    // Podman joins both.
    check_never(
        "",
        &create(&json!({"NetworkMode": "backend,lan"})),
        &engine(),
        Network,
    );
    let failing = Known(vec![(
        network("backend"),
        Err(LookupError::Failed("no answer".to_owned())),
    )]);
    check_with(
        "",
        &create(&json!({"NetworkMode": "backend"})),
        &failing,
        Some(Rule::Lookup),
    );
}
