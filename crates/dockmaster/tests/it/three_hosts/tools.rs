//! The Docker tools on three hosts, one of which is reached through another.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ALL, Far, volume, volumes};

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_every_tool_works_through_a_jump_as_well() {
    let Some(far) = Far::new("", "", "") else { return };
    let client = far.gateway().await;
    let mut scopes = Vec::new();
    for host in ALL {
        let scope = far.scope(host, "tools");
        let made = client.call("create_volume", volume(&scope, host, "data")).await;
        let made = made.ok().text();
        assert!(made.contains(&format!("[host {host}]")), "{made}");
        let id = scope.run("web", &["sleep", "600"]).await;
        let arguments = json!({"host": host, "container": id, "command": ["echo", "through"]});
        let said = client.call("execute_command_in_container", arguments).await;
        let said = said.ok().text();
        assert!(said.contains("through"), "{said}");
        // It is that host's engine and no other.
        let info = client.call("get_docker_info", json!({"host": host})).await.ok();
        assert!(info.text().contains(host), "{}", info.text());
        assert_eq!(volumes(&scope).await, 1);
        scopes.push(scope);
    }
    let listed = client
        .call("list_containers", json!({"host": "*"}))
        .await
        .ok()
        .text();
    for (host, scope) in ALL.iter().zip(&scopes) {
        let line = format!("{host}\t{}\t", scope.name("web"));
        assert_eq!(listed.matches(&line).count(), 1, "{listed}");
    }
    client.close().await;
    for scope in scopes {
        scope.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_list_of_all_says_who_is_away() {
    let quick = "ConnectTimeout 4\nServerAliveInterval 1\nServerAliveCountMax 2";
    let Some(far) = Far::new(quick, "", "") else {
        return;
    };
    let client = far.gateway().await;
    let all = json!({"host": "*"});
    client.call("list_volumes", all.clone()).await.ok();
    // One that was connected, one that never was, and the one behind it.
    for (cut, away) in [("two", &["two"][..]), ("one", &["one", "three"])] {
        far.run(&["cut", cut]);
        let begun = Instant::now();
        let listed = client.call("list_volumes", all.clone()).await.ok().text();
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{cut}: {:?}",
            begun.elapsed()
        );
        let fresh = far.call("list_volumes", &all);
        for said in [&listed, &fresh.1] {
            for host in ALL {
                let is_told = said.contains(&format!("[{host} did not answer: "));
                assert_eq!(is_told, away.contains(&host), "{cut}, {host}: {said}");
            }
            assert!(said.contains("local\t"), "{said}");
        }
        // The reason is in it, and no advice that belongs elsewhere.
        assert!(
            fresh.1.contains(&format!("can't connect to {cut}")),
            "{}",
            fresh.1
        );
        assert!(fresh.1.contains("is the network up?"), "{}", fresh.1);
        assert!(!fresh.1.contains("TLS"), "{}", fresh.1);
        let states = far.dockmaster.run(&["host", "list"]);
        assert!(
            states.stdout().contains("down") && states.stdout().contains("up"),
            "{}",
            states.transcript()
        );
        far.run(&["heal", cut]);
        super::recovers(&client, "list_volumes", &json!({"host": cut}), &["on host"]).await;
    }
    client.close().await;
}
