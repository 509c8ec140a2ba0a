//! The names that other servers taught people and models: accepted through the executable with the arguments that fit,
//! not listed, and recorded under the tool's own name.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{McpClient, Scope};

use crate::harness::Dockmaster;

async fn ok(client: &McpClient, alias: &str, arguments: Value) -> String {
    let answer = client.call(alias, arguments.clone()).await;
    assert!(!answer.is_error(), "{alias} {arguments}: {}", answer.text());
    answer.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_lead_to_their_tools() {
    let scope = Scope::new("aliases");
    let image = testkit::image().await;
    let files = TempDir::new().unwrap();
    let note = files.path().join("note");
    fs_err::write(&note, "from the host\n").unwrap();
    let dockmaster = Dockmaster::new().configured(&format!(
        "[policy]\nask = 'never'\n\n[hosts.local.guard]\nroots = [{{ path = '{}', write = true }}]\n",
        files.path().display()
    ));
    let client = dockmaster.client(&[]);
    client.initialize("2025-11-25").await;
    let tools = client.tools().await;
    let (one, two) = (scope.name("one"), scope.name("two"));
    let create = |name: &str| {
        json!({
            "image": image, "name": name, "labels": scope.labels(), "command": ["sh", "-c", "echo begun; sleep 600"],
            "stop_timeout": 1, "start": true, "ulimits": ["nofile=100:200"],
        })
    };

    let made = ok(&client, "docker_create_container", create(&one)).await;
    assert!(made.contains(&one), "{made}");
    let made = ok(&client, "container_create", create(&two)).await;
    assert!(made.contains(&two), "{made}");
    let say = json!({ "container": one, "command": ["sh", "-c", "ulimit -n"] });
    for alias in ["docker_exec_command", "container_exec"] {
        let said = ok(&client, alias, say.clone()).await;
        assert!(said.contains("100"), "{alias}: {said}");
    }
    let inspected = ok(&client, "docker_inspect", json!({ "container": one })).await;
    assert!(inspected.contains("running"), "{inspected}");
    let said = testkit::eventually("the first line of the log", async || {
        let said = ok(&client, "docker_logs", json!({ "container": one })).await;
        said.contains("begun").then_some(said)
    })
    .await;
    assert!(said.contains("begun"));

    // Into the container from the host and as text; out of it as text and to the host.
    let to = json!({ "container": one, "source": note, "destination": "/tmp/note" });
    ok(&client, "docker_copy_files", to).await;
    let text = json!({ "container": one, "content": "as text\n", "destination": "/tmp/text" });
    ok(&client, "docker_copy_files", text).await;
    let from = json!({ "container": one, "source": "/tmp/note" });
    let read = ok(&client, "docker_copy_from_container", from).await;
    assert!(read.contains("from the host"), "{read}");
    let out = files.path().join("out");
    let from = json!({ "container": one, "source": "/tmp/text", "destination": out });
    ok(&client, "copy_from_container", from).await;
    assert_eq!(fs_err::read_to_string(&out).unwrap(), "as text\n");
    let wrong = json!({ "container": one, "source": format!("{one}:/tmp/note"), "destination": out });
    let refusal = client.call("docker_copy_files", wrong).await.failure();
    assert!(refusal.contains("copy_files_from_container"), "{refusal}");

    let called = [
        ("docker_create_container", "create_container"),
        ("container_create", "create_container"),
        ("docker_exec_command", "execute_command_in_container"),
        ("container_exec", "execute_command_in_container"),
        ("docker_inspect", "inspect_container"),
        ("docker_logs", "monitor_container_logs"),
        ("docker_copy_files", "copy_files_to_container"),
        ("docker_copy_from_container", "copy_files_from_container"),
    ];
    assert!(client.close().await.success());
    let recorded = dockmaster.audit();
    for (alias, own) in called {
        assert!(
            !tools.iter().any(|tool| tool["name"] == alias),
            "{alias} is listed"
        );
        assert!(
            recorded.iter().any(|row| row["tool"] == own),
            "{own}: {recorded:?}"
        );
        assert!(
            !recorded.iter().any(|row| row["tool"] == alias),
            "{alias}: {recorded:?}"
        );
    }
    scope.finish().await;
}
