//! An MCP server that is placed on another host, when the link, the daemons and the configuration change beneath it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::{Daemon, Registry, Scope};

use super::{Far, links, recovers};
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

/// Each call of a declared tool makes its container on the host of its server, also when that was away meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_declared_tool_runs_on_its_host() {
    let name = "declared";
    let ssh = "ServerAliveInterval 1\nServerAliveCountMax 2\nConnectTimeout 3";
    let Some(far) = Far::new(ssh, "", "") else { return };
    let file = format!(
        "[tools.count]\ndescription = \"d\"\nread_only = true\ncontainer.image = \"{}\"\n\
         container.command = [\"wc\", \"-c\"]\ncontainer.stdin = \"hello\"\n",
        testkit::IMAGE
    );
    let path = far.dockmaster.home().join("mine.toml");
    fs_err::write(&path, file).unwrap();
    let daemon = far.daemon("three");
    testkit::image_on(&daemon).await;
    let path = path.display().to_string();
    let added = far.dockmaster.run(&["server", "add", name, "--tools", &path]);
    assert_eq!(added.code(), 0, "{}", added.transcript());
    let enabled = far
        .dockmaster
        .run(&["server", "enable", name, "--host", "three", "--yes"]);
    assert!(
        enabled.stdout().contains("it runs on the host three"),
        "{}",
        enabled.transcript()
    );
    let client = far.gateway().await;
    let made = async || {
        let filters = format!(r#"{{"event":["create"],"label":["dockmaster.server={name}"]}}"#);
        let filters = filters
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('"', "%22");
        // Events until a time to come end then.
        let until = jiff::Timestamp::now().as_second() + 1;
        let path = format!("/events?since=0&until={until}&filters={filters}");
        let events = daemon.get(&path).await.ok().text();
        events.lines().filter(|line| !line.trim().is_empty()).count()
    };
    let before = made().await;
    let counted = client.call("count", json!({})).await.ok().text();
    assert_eq!(counted.trim(), "5");
    assert_eq!(made().await, before + 1);
    far.run(&["cut", "three"]);
    let said = client.call("count", json!({})).await.failure();
    assert!(said.contains("count was not run"), "{said}");
    far.run(&["heal", "three"]);
    let counted = recovers(&client, "count", &json!({}), &["count was not run"]).await;
    assert_eq!(counted.trim(), "5");
    client.close().await;
    testkit::eventually("no container", async || {
        containers(&daemon, name).await.is_empty().then_some(())
    })
    .await;
}

/// A newer image is fetched where its server is placed, from a registry that both machines call by the same name.
#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_an_update_is_fetched_where_the_server_runs() {
    let registry = Registry::start().await;
    let image = format!("{}/placed:1", registry.authority());
    let further = format!(
        "[servers.moving]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{SCRIPT}''']\n[profiles.default.servers.moving]\nhost = 'two'\n"
    );
    let Some(far) = Far::new("", "", &further) else {
        return;
    };
    let (there, scope) = (far.daemon("two"), Scope::new("placed"));
    let _tunnel = tunnel(&far, &registry).await;
    for change in ["FIRST=1", "SECOND=1"] {
        let id = scope
            .create(&change.to_lowercase().replace('=', "-"), json!({}))
            .await;
        let (repository, tag) = image.rsplit_once(':').unwrap();
        let path = format!("/commit?container={id}&repo={repository}&tag={tag}&changes=ENV%20{change}");
        scope.daemon().post(&path, &Value::Null).await.ok();
        let pushed = scope
            .daemon()
            .push(&format!("/images/{repository}/push?tag={tag}"), "e30=")
            .await
            .ok();
        assert!(!pushed.text().contains("error"), "{}", pushed.text());
        scope.daemon().delete(&format!("/images/{image}")).await.ok();
        let command: &[&str] = if change == "FIRST=1" {
            &["server", "enable", "moving", "--yes"]
        } else {
            &["server", "update", "--yes"]
        };
        let done = far.dockmaster.run(command);
        assert_eq!(done.code(), 0, "{}", done.transcript());
        let images = there.get("/images/json").await.ok().json();
        let mut has = false;
        for image in images.as_array().unwrap() {
            let id = image["Id"].as_str().unwrap();
            let seen = there.get(&format!("/images/{id}/json")).await.ok().json();
            has |= seen["Config"]["Env"].to_string().contains(change);
        }
        assert!(
            has,
            "two has no image with {change}: {images}; {}",
            done.transcript()
        );
        let called = far.dockmaster.run(&["tools", "call", "whoami"]);
        assert!(called.stdout().contains("uid "), "{}", called.transcript());
    }
    scope.finish().await;
}

/// Ends with its value.
struct Tunnel(std::process::Child);

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The registry's port on the loopback of `two`, too.
async fn tunnel(far: &Far, registry: &Registry) -> Tunnel {
    let config = fs_err::read_to_string(far.ssh("config")).unwrap();
    let (address, authority) = (links::address(&config, "two"), registry.authority());
    let child = Command::new("ssh")
        .args(["-N", "-F", "none", "-R", &format!("{authority}:{authority}")])
        .args(["-i", &far.ssh("id_ed25519").display().to_string()])
        .args([
            "-o",
            &format!("UserKnownHostsFile={}", far.ssh("known_hosts").display()),
        ])
        .arg(format!("deploy@{address}"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let tunnel = Tunnel(child);
    let port = authority.rsplit_once(':').unwrap().1.to_owned();
    testkit::eventually("the tunnel", async || {
        let open = far.run(&[
            "sh",
            "two",
            "bash",
            "-c",
            &format!("(: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo open; :"),
        ]);
        (open == "open").then_some(())
    })
    .await;
    tunnel
}
