//! Network tools on the real engine.

use crate::here::server;
use serde_json::json;
use testkit::Scope;

#[tokio::test]
async fn a_network_from_its_making_to_its_removal() {
    let (scope, server) = (Scope::new("networks"), server().await);
    let name = scope.name("net");
    let create = json!({
        "name": name, "subnet": "10.231.18.0/24", "gateway": "10.231.18.1", "internal": true,
        "labels": { Scope::KEY: scope.value() }, "options": { "com.docker.network.bridge.enable_icc": "false" },
    });
    let created = server.ok("create_network", create.clone()).await;
    assert!(
        created.starts_with(&format!("created network {name} (id ")),
        "{created}"
    );
    let again = server.fails("create_network", create).await;
    assert!(
        again.starts_with(&format!("name_in_use: a network {name} exists already")),
        "{again}"
    );
    let overlap = json!({ "name": scope.name("other"), "subnet": "10.231.18.128/25" });
    let overlap = server.fails("create_network", overlap).await;
    assert!(
        overlap.contains("fix: another network has this address range"),
        "{overlap}"
    );

    let list = server
        .ok("list_networks", json!({ "filters": { "label": scope.label() } }))
        .await;
    assert_eq!(
        list,
        format!("name\tdriver\tsubnet\t\n{name}\tbridge\t10.231.18.0/24\tinternal")
    );

    let box_name = scope.name("box");
    scope.run("box", &["sleep", "1000"]).await;
    let both = json!({ "network": name, "container": box_name });
    let connect = json!({ "network": name, "container": box_name, "aliases": ["db"], "ip": "10.231.18.7" });
    let connected = server.ok("connect_container_to_network", connect).await;
    assert_eq!(
        connected,
        format!("connected {box_name} to {name}, address 10.231.18.7")
    );
    let twice = server.fails("connect_container_to_network", both.clone()).await;
    assert_eq!(
        twice,
        format!("conflict: container {box_name} is in network {name} already")
    );

    let inspected = server.ok("inspect_network", json!({ "network": name })).await;
    assert!(
        inspected.contains(&format!("containers: {box_name} 10.231.18.7/24")),
        "{inspected}"
    );
    let projected = server
        .ok(
            "inspect_network",
            json!({ "network": name, "fields": ["Containers.*.Name"] }),
        )
        .await;
    assert!(projected.contains(&format!(".Name: {box_name}")), "{projected}");

    let used = server.fails("remove_network", json!({ "network": name })).await;
    assert_eq!(
        used,
        format!(
            "conflict: network {name} is used by container {box_name}\n\
             fix: disconnect or stop them first, or call remove_network with force=true, which disconnects them"
        )
    );
    assert_eq!(
        server.ok("disconnect_container", both.clone()).await,
        format!("disconnected {box_name} from {name}")
    );
    let gone = server.fails("disconnect_container", both.clone()).await;
    assert!(
        gone.starts_with(&format!(
            "conflict: container {box_name} is not in network {name}"
        )),
        "{gone}"
    );

    server.ok("connect_container_to_network", both).await;
    assert_eq!(
        server
            .ok("remove_network", json!({ "network": name, "force": true }))
            .await,
        format!("removed network {name}; disconnected {box_name}")
    );
    let near = server.fails("inspect_network", json!({ "network": name })).await;
    assert!(
        near.starts_with(&format!("not_found: no network is called {name}")),
        "{near}"
    );
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn what_cannot_be_with_networks() {
    let (scope, server) = (Scope::new("networks-errors"), server().await);
    let (name, box_name) = (scope.name("net"), scope.name("box"));
    scope.network("net").await;
    scope.run("box", &["sleep", "1000"]).await;
    for (tool, arguments, expected) in [
        (
            "remove_network",
            json!({ "network": "bridge" }),
            "refused: network bridge is the engine's own".to_owned(),
        ),
        (
            "create_network",
            json!({ "name": scope.name("x"), "gateway": "10.1.0.1" }),
            "invalid_arguments: gateway and ip_range need a subnet".to_owned(),
        ),
        (
            "create_network",
            json!({ "name": "a/b" }),
            "invalid_arguments: parameter name: ".to_owned(),
        ),
        (
            "connect_container_to_network",
            json!({ "network": name, "container": "dmt-nobody" }),
            "not_found: no container is called dmt-nobody".to_owned(),
        ),
        (
            "connect_container_to_network",
            json!({ "network": name, "container": box_name, "ip": "10.9.9.9" }),
            format!("conflict: network {name} takes no fixed addresses"),
        ),
        (
            "connect_container_to_network",
            json!({ "network": "dmt-no-network", "container": box_name }),
            "not_found: no network is called dmt-no-network".to_owned(),
        ),
        (
            "disconnect_container",
            json!({ "network": name, "container": "dmt-nobody" }),
            "not_found: no container is called dmt-nobody".to_owned(),
        ),
        (
            "connect_container_to_network",
            json!({ "network": name, "container": box_name, "ip": "not-an-ip" }),
            "invalid_arguments: parameter ip: ".to_owned(),
        ),
    ] {
        let error = server.fails(tool, arguments.clone()).await;
        assert!(error.starts_with(&expected), "{tool} {arguments}: {error}");
    }
    scope.finish().await;
    server.end().await;
}
