//! An MCP server that is placed on another host, when the link, the daemons and the configuration change beneath it.

use serde_json::json;
use testkit::Daemon;

use super::{Far, recovers};
use crate::servers::SCRIPT;

/// The containers of a server on a host.
async fn containers(daemon: &Daemon, server: &str) -> Vec<String> {
    let list = daemon.get("/containers/json?all=1").await.ok().json();
    let of = list.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let of = of.filter(|container| container["Labels"]["dockmaster.server"] == server);
    of.map(|container| container["Id"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_server_comes_back_after_whatever_befell_its_host() {
    let name = "faraway";
    let further = format!(
        "[servers.{name}]\nimage = \"{}\"\nargs = [\"sh\", \"-c\", '''{SCRIPT}''']\n[profiles.default.servers.{name}]\nhost = 'two'\n",
        testkit::IMAGE
    );
    let ssh = "ServerAliveInterval 1\nServerAliveCountMax 2\nConnectTimeout 3";
    let Some(far) = Far::new(ssh, "", &further) else {
        return;
    };
    let daemon = far.daemon("two");
    testkit::image_on(&daemon).await;
    let client = far.gateway().await;
    client.call("whoami", json!({})).await.ok();
    assert_eq!(containers(&daemon, name).await.len(), 1);
    for (act, take_back) in [
        (&["cut", "two"][..], &["heal", "two"][..]),
        (&["signal", "two", "sshd", "KILL"], &["start", "two", "sshd"]),
        (
            &["signal", "two", "dockerd", "KILL"],
            &["start", "two", "dockerd"],
        ),
    ] {
        far.run(act);
        let answer = client.try_call("whoami", json!({})).await;
        let failed = answer.as_ref().map_or(true, testkit::ToolAnswer::is_error);
        assert!(failed, "{act:?}: {answer:?}");
        // Others go on.
        client.call("list_volumes", json!({"host": "one"})).await.ok();
        far.run(take_back);
        testkit::eventually(&format!("the server after {act:?}"), async || {
            let answer = client.try_call("whoami", json!({})).await.ok()?;
            (!answer.is_error()).then_some(())
        })
        .await;
        // What ran before is not left beside it.
        testkit::eventually(&format!("one container after {act:?}"), async || {
            (containers(&daemon, name).await.len() == 1).then_some(())
        })
        .await;
    }

    // Its host is confined and moved while it runs.
    let edited = far.dockmaster.run(&["host", "edit", "two", "--label", "busy"]);
    assert_eq!(edited.code(), 0, "{}", edited.transcript());
    let told = recovers(&client, "whoami", &json!({}), &[]).await;
    assert!(told.contains("uid "), "{told}");
    let edited = far.dockmaster.run(&["host", "edit", "two", "ssh://one"]);
    assert_eq!(edited.code(), 0, "{}", edited.transcript());
    client.close().await;
    testkit::eventually("no container", async || {
        containers(&daemon, name).await.is_empty().then_some(())
    })
    .await;
}
