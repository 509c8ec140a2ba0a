//! Daemons that are killed, hang, and come back, under a gateway that goes on.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Far, recovers, volume, volumes};

/// What a machine that is busy takes at most. What waits for longer than it should waits for the keep-alive (45 s), or for
/// the time limit that requests have by themselves (60 s).
const BUSY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_killed_daemon_is_found_again() {
    let Some(far) = Far::new("", "", "") else { return };
    let scope = far.scope("two", "killed");
    let client = far.gateway().await;
    let list = json!({"host": "two"});
    for (program, words) in [
        ("dockerd", "does not open the socket /var/run/docker.sock"),
        ("sshd", "is sshd running there"),
    ] {
        client.call("list_volumes", list.clone()).await.ok();
        far.run(&["signal", "two", program, "KILL"]);
        let begun = Instant::now();
        let write = client.call("create_volume", volume(&scope, "two", program)).await;
        let (said, took) = (write.failure(), begun.elapsed());
        assert!(took < BUSY, "{program}, {took:?}: {said}");
        assert!(said.contains("on host two"), "{program}: {said}");
        // A read tries once more, and says what is so now.
        let said = client.call("list_volumes", list.clone()).await.failure();
        assert!(said.contains(words), "{program}: {said}");
        assert!(!said.contains("TLS") && !said.contains("DOCKER_HOST"), "{said}");
        far.run(&["start", "two", program]);
        recovers(&client, "list_volumes", &list, &[words]).await;
        client
            .call("create_volume", volume(&scope, "two", program))
            .await
            .ok();
    }
    assert_eq!(volumes(&scope).await, 2);
    client.close().await;
    scope.finish().await;
}

/// A host that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_host_that_never_answers_is_given_up_in_time() {
    let Some(far) = Far::new("ConnectTimeout 2", "timeout = '4s'", "") else {
        return;
    };
    let list = json!({"host": "two"});
    far.run(&["signal", "two", "sshd", "STOP"]);
    let client = far.gateway().await;
    let begun = Instant::now();
    let said = client.call("list_volumes", list.clone()).await.failure();
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(1900)..BUSY).contains(&took),
        "{took:?}: {said}"
    );
    assert!(
        said.contains("the key exchange took more than 2 s; is the host overloaded, or the network cut?"),
        "{said}"
    );
    far.run(&["signal", "two", "sshd", "CONT"]);
    recovers(&client, "list_volumes", &list, &["the key exchange"]).await;

    // The same of the engine behind it: the time limit of the request holds.
    far.run(&["signal", "two", "dockerd", "STOP"]);
    let begun = Instant::now();
    let said = client.call("list_volumes", list.clone()).await.failure();
    let took = begun.elapsed();
    assert!(took < BUSY, "{took:?}: {said}");
    assert!(
        said.contains("no answer to GET /volumes within 4 s; nothing has been changed"),
        "{said}"
    );
    // Also for what changes something.
    let scope = far.scope("two", "hangs");
    let network = json!({"host": "two", "name": scope.name("net"), "labels": scope.labels()});
    let unnamed = json!({"host": "two", "labels": scope.labels()});
    let post = |path: &str| {
        format!(
            "no answer to POST {path} within 4 s; the action may have happened all the same: look before you repeat it"
        )
    };
    for (tool, arguments, words) in [
        (
            "create_volume",
            volume(&scope, "two", "data"),
            format!(
                "no answer to GET /volumes/{} within 4 s; nothing has been changed",
                scope.name("data")
            ),
        ),
        ("create_volume", unnamed, post("/volumes/create")),
        ("create_network", network, post("/networks/create")),
    ] {
        let begun = Instant::now();
        let said = client.call(tool, arguments).await.failure();
        let took = begun.elapsed();
        assert!(took < BUSY, "{took:?}: {said}");
        assert!(said.contains(&words), "{said}");
    }
    client.call("list_volumes", json!({"host": "one"})).await.ok();
    far.run(&["signal", "two", "dockerd", "CONT"]);
    client.call("list_volumes", list).await.ok();
    client.close().await;
    scope.finish().await;
}
