//! Volume tools on the real engine.

use crate::here::server;
use serde_json::json;
use testkit::Scope;

#[tokio::test]
async fn a_volume_from_its_making_to_its_removal() {
    let (scope, server) = (Scope::new("volumes"), server().await);
    let name = scope.name("data");
    let create = json!({ "name": name, "labels": { Scope::KEY: scope.value() } });
    assert_eq!(
        server.ok("create_volume", create.clone()).await,
        format!("created volume {name} (driver local)")
    );
    assert_eq!(
        server.ok("create_volume", create).await,
        format!("volume {name} exists already (driver local); it was left as it is")
    );
    let list = server
        .ok("list_volumes", json!({ "filters": { "label": scope.label() } }))
        .await;
    assert!(
        list.starts_with(&format!("name\tdriver\tage\n{name}\tlocal\t")),
        "{list}"
    );

    let holder = scope.name("holder");
    scope
        .create(
            "holder",
            json!({ "HostConfig": { "Binds": [format!("{name}:/data")] } }),
        )
        .await;
    let digest = server.ok("inspect_volume", json!({ "volume": name })).await;
    assert!(
        digest.contains(&format!("used by: {holder} (created)")),
        "{digest}"
    );
    let full = server
        .ok("inspect_volume", json!({ "volume": name, "full": true }))
        .await;
    assert!(full.contains("\"Mountpoint\":"), "{full}");
    for force in [false, true] {
        let used = server
            .fails("remove_volume", json!({ "volume": name, "force": force }))
            .await;
        assert_eq!(
            used,
            format!(
                "conflict: volume {name} is used by container {holder} (created)\n\
                 fix: remove what uses it first; a stopped container keeps its volumes too"
            )
        );
    }
    server
        .ok("remove_container", json!({ "container": holder }))
        .await;
    assert_eq!(
        server.ok("remove_volume", json!({ "volume": name })).await,
        format!("removed volume {name}")
    );
    for tool in ["inspect_volume", "remove_volume"] {
        let gone = server.fails(tool, json!({ "volume": name })).await;
        assert!(
            gone.starts_with(&format!("not_found: no volume is called {name}")),
            "{gone}"
        );
    }
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn what_cannot_be_with_volumes() {
    let (scope, server) = (Scope::new("volumes-errors"), server().await);
    for (arguments, expected) in [
        (json!({ "name": "a/b" }), "invalid_arguments: parameter name: "),
        // A bind mount in disguise.
        (
            json!({ "name": scope.name("x"), "options": { "type": "none", "o": "bind", "device": "/etc" } }),
            "refused: ",
        ),
        (
            json!({ "name": scope.name("x"), "size": "1g" }),
            "invalid_arguments: unknown parameter \"size\"",
        ),
    ] {
        let error = server.fails("create_volume", arguments.clone()).await;
        assert!(error.starts_with(expected), "{arguments}: {error}");
    }
    scope.finish().await;
    server.end().await;
}
