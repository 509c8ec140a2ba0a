//! Every tool there is, called through the executable on a real engine: an image's and a container's life from the
//! build to the removal, and what stands around them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{McpClient, Registry, Scope};

use crate::harness::Dockmaster;

struct Life {
    client: McpClient,
    called: BTreeSet<String>,
}

impl Life {
    async fn ok(&mut self, tool: &str, arguments: Value) -> String {
        self.called.insert(tool.to_owned());
        let answer = self.client.call(tool, arguments.clone()).await;
        assert!(!answer.is_error(), "{tool} {arguments}: {}", answer.text());
        answer.text()
    }

    /// A call that has to fail here, with this in its message.
    async fn fails(&mut self, tool: &str, arguments: Value, wanted: &str) {
        self.called.insert(tool.to_owned());
        let failure = self.client.call(tool, arguments).await.failure();
        assert!(failure.contains(wanted), "{tool}: {failure}");
    }
}

/// The handle of the plan that an answer names.
fn plan_of(answer: &str) -> String {
    let plan = answer
        .split("plan=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    plan.unwrap_or_else(|| panic!("no plan in {answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_through_the_executable() {
    let scope = Scope::new("everything");
    let base = testkit::image().await;
    let files = TempDir::new().unwrap();
    let dockmaster = Dockmaster::new().configured(&format!(
        "[policy]\nask = 'never'\n\n[docker]\ntoolset = 'full'\n\n[hosts.local.guard]\nroots = [{{ path = '{}', write = true }}]\n",
        files.path().display()
    ));
    let client = dockmaster.client(&[]);
    client.initialize("2025-11-25").await;
    let mut life = Life {
        client,
        called: BTreeSet::new(),
    };

    engine(&mut life).await;
    images(&mut life, &scope, base, files.path()).await;
    networks_and_volumes(&mut life, &scope).await;
    container(&mut life, &scope, base).await;
    container_files(&mut life, &scope, base, files.path()).await;
    sessions(&mut life, &scope, base).await;
    plans(&mut life, &scope, base).await;
    compact(&mut life, &scope, base, files.path()).await;
    prunes(&mut life, &scope, base).await;

    let mut all: BTreeSet<String> = life
        .client
        .tools()
        .await
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    let compact = dockmaster
        .run(&["tools", "list", "--toolset", "compact", "--json"])
        .stdout();
    let compact: Vec<Value> = serde_json::from_str(&compact).unwrap();
    all.extend(
        compact
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned()),
    );
    let missing: Vec<_> = all.difference(&life.called).collect();
    assert!(missing.is_empty(), "no test here calls {missing:?}");
    assert!(life.client.close().await.success());
    assert_eq!(dockmaster.run(&["audit", "verify"]).code(), 0);
    scope.finish().await;
}

async fn engine(life: &mut Life) {
    life.ok("ping_engine", json!({})).await;
    life.ok("get_docker_version", json!({})).await;
    life.ok("get_docker_info", json!({})).await;
    life.ok("get_system_df", json!({})).await;
    life.ok("get_events", json!({"since": "1s"})).await;
}

async fn images(life: &mut Life, scope: &Scope, base: &str, files: &Path) {
    let registry = Registry::start().await;
    let context = files.join("context");
    fs_err::create_dir_all(&context).unwrap();
    fs_err::write(
        context.join("Dockerfile"),
        format!("FROM {base}\nCOPY hello /hello\n"),
    )
    .unwrap();
    fs_err::write(context.join("hello"), "hello\n").unwrap();
    let (built, remote) = (
        scope.image("built"),
        format!("{}/{}", registry.authority(), scope.image("remote")),
    );
    life.ok(
        "build_image",
        json!({"path": context, "tag": built, "labels": scope.labels()}),
    )
    .await;
    life.ok("inspect_image", json!({"image": built})).await;
    life.ok("image_history", json!({"image": built})).await;
    assert!(
        life.ok("list_images", json!({"filters": {"reference": built}}))
            .await
            .contains("everything")
    );
    life.ok("tag_image", json!({"image": built, "target": remote}))
        .await;
    life.ok("push_image", json!({"image": remote})).await;
    life.ok("inspect_registry_image", json!({"image": remote})).await;
    life.ok("remove_image", json!({"image": remote})).await;
    life.ok("pull_image", json!({"image": remote})).await;
    life.ok("remove_image", json!({"image": remote})).await;
    life.fails(
        "check_registry_login",
        json!({"registry": registry.authority()}),
        "no credentials",
    )
    .await;
    // Where Docker Hub can be reached, this one succeeds.
    let search = life
        .client
        .call("search_images", json!({"query": "busybox", "limit": 1}))
        .await;
    life.called.insert("search_images".to_owned());
    assert!(!search.text().is_empty());

    let archive = files.join("image.tar");
    life.ok("save_images", json!({"images": built, "path": archive}))
        .await;
    life.ok("remove_image", json!({"image": built})).await;
    life.ok("load_images", json!({"path": archive})).await;
    life.ok("remove_image", json!({"image": built})).await;
}

async fn networks_and_volumes(life: &mut Life, scope: &Scope) {
    let (network, volume) = (scope.name("net"), scope.name("vol"));
    life.ok(
        "create_network",
        json!({"name": network, "labels": scope.labels()}),
    )
    .await;
    life.ok("inspect_network", json!({"network": network})).await;
    assert!(life.ok("list_networks", json!({})).await.contains(&network));
    life.ok("create_volume", json!({"name": volume, "labels": scope.labels()}))
        .await;
    life.ok("inspect_volume", json!({"volume": volume})).await;
    assert!(life.ok("list_volumes", json!({})).await.contains(&volume));
    life.ok("remove_volume", json!({"volume": volume})).await;
    life.fails("inspect_volume", json!({"volume": volume}), "not_found")
        .await;
}

async fn container(life: &mut Life, scope: &Scope, base: &str) {
    let (name, network) = (scope.name("web"), scope.name("net"));
    let own = json!({"container": name});
    let create = json!({
        "image": base, "name": name, "labels": scope.labels(), "stop_timeout": "1s",
        "command": "echo begun; while sleep 0.2; do :; done", "healthcheck": {"test": "true", "interval": "1s"},
    });
    life.ok("create_container", create.clone()).await;
    life.fails("create_container", create, "name").await;
    life.ok("start_container", own.clone()).await;
    life.ok(
        "connect_container_to_network",
        json!({"container": name, "network": network}),
    )
    .await;
    life.ok(
        "disconnect_container",
        json!({"container": name, "network": network}),
    )
    .await;
    life.ok("remove_network", json!({"network": network})).await;
    assert!(life.ok("list_containers", json!({})).await.contains(&name));
    life.ok("inspect_container", own.clone()).await;
    life.ok(
        "wait_container",
        json!({"container": name, "condition": "healthy"}),
    )
    .await;
    life.ok("get_container_stats", own.clone()).await;
    assert!(
        life.ok("monitor_container_logs", own.clone())
            .await
            .contains("begun")
    );
    life.ok("top_container", own.clone()).await;
    assert!(
        life.ok(
            "execute_command_in_container",
            json!({"container": name, "command": "echo $((6*7))"})
        )
        .await
        .contains("42")
    );
    life.ok("update_container", json!({"container": name, "pids_limit": 50}))
        .await;
    life.ok("pause_container", own.clone()).await;
    life.ok("unpause_container", own.clone()).await;
    life.ok("restart_container", own.clone()).await;
    life.ok(
        "recreate_container",
        json!({"container": name, "settings": {"hostname": "anew"}, "stable": "1s"}),
    )
    .await;
    life.ok("diagnose_container", own.clone()).await;
    life.ok("kill_container", own.clone()).await;
    life.ok("start_container", own.clone()).await;
    life.ok("stop_container", own.clone()).await;
    let renamed = scope.name("web2");
    life.ok(
        "rename_container",
        json!({"container": name, "new_name": renamed}),
    )
    .await;
    life.ok("remove_container", json!({"container": renamed, "force": true}))
        .await;
}

async fn container_files(life: &mut Life, scope: &Scope, base: &str, files: &Path) {
    let name = scope.name("files");
    let create = json!({"image": base, "name": name, "labels": scope.labels(), "command": ["sleep", "600"], "start": true});
    life.ok("create_container", create).await;
    life.ok(
        "copy_files_to_container",
        json!({"container": name, "destination": "/tmp/note", "content": "a note"}),
    )
    .await;
    assert!(
        life.ok(
            "copy_files_from_container",
            json!({"container": name, "source": "/tmp/note"})
        )
        .await
        .contains("a note")
    );
    life.ok(
        "stat_container_path",
        json!({"container": name, "path": "/tmp/note"}),
    )
    .await;
    assert!(
        life.ok("diff_container", json!({"container": name}))
            .await
            .contains("/tmp/note")
    );
    let committed = scope.image("committed");
    life.ok("commit_container", json!({"container": name, "image": committed}))
        .await;
    life.ok("remove_image", json!({"image": committed})).await;
    let (archive, imported) = (files.join("root.tar"), scope.image("imported"));
    life.ok(
        "export_container",
        json!({"container": name, "destination": archive}),
    )
    .await;
    life.ok("import_image", json!({"path": archive, "image": imported}))
        .await;
    life.ok("remove_image", json!({"image": imported})).await;
}

async fn sessions(life: &mut Life, scope: &Scope, _base: &str) {
    let name = scope.name("files");
    let begun = life
        .ok(
            "start_exec_session",
            json!({"container": name, "command": ["sh"]}),
        )
        .await;
    let session = begun.split(' ').nth(1).unwrap().trim_end_matches(':').to_owned();
    let answer = life
        .ok(
            "write_exec_session",
            json!({"session": session, "input": "echo $((6*7))"}),
        )
        .await;
    assert!(answer.contains("42"), "{answer}");
    life.ok("read_exec_session", json!({"session": session, "wait": 0}))
        .await;
    life.ok("end_exec_session", json!({"session": session})).await;
}

async fn plans(life: &mut Life, scope: &Scope, base: &str) {
    let web = json!({"name": "web", "image": base, "command": ["sleep", "600"], "labels": scope.labels(), "stop_timeout": "1s"});
    let project = scope.name("plan");
    let plan = life
        .ok(
            "plan_containers",
            json!({"project": project, "containers": [web]}),
        )
        .await;
    life.ok("apply_plan", json!({"plan": plan_of(&plan)})).await;
    let plan = life
        .ok(
            "plan_containers",
            json!({"project": project, "containers": [], "remove": "all"}),
        )
        .await;
    life.ok("apply_plan", json!({"plan": plan_of(&plan)})).await;
}

async fn compact(life: &mut Life, scope: &Scope, base: &str, files: &Path) {
    let (name, image, network) = (
        scope.name("compact"),
        scope.image("compact"),
        scope.name("compact-net"),
    );
    life.ok(
        "build-image",
        json!({"path": files.join("context"), "tag": image}),
    )
    .await;
    let said = life
        .ok(
            "run-container",
            json!({"image": base, "name": name, "command": "echo said", "detach": false}),
        )
        .await;
    assert!(said.contains("said"), "{said}");
    life.ok("network-management", json!({"name": network, "action": "create"}))
        .await;
    life.ok(
        "network-management",
        json!({"name": network, "action": "connect", "containers": [name]}),
    )
    .await;
    life.ok(
        "network-management",
        json!({"name": network, "action": "disconnect", "containers": [name]}),
    )
    .await;
    life.ok("network-management", json!({"name": network, "action": "remove"}))
        .await;
    life.ok(
        "manage-container",
        json!({"container_id": name, "action": "inspect"}),
    )
    .await;
    life.ok(
        "manage-container",
        json!({"container_id": name, "action": "remove", "force": true}),
    )
    .await;
    life.ok("image-operations", json!({"image": image, "action": "remove"}))
        .await;
}

/// Removes what bears this test's label, and nothing else.
async fn prunes(life: &mut Life, scope: &Scope, base: &str) {
    let name = scope.name("pruned");
    let own = json!({"label": scope.label()});
    life.ok(
        "create_container",
        json!({"image": base, "name": name, "labels": scope.labels()}),
    )
    .await;
    let told = life.ok("prune_containers", json!({"filters": own})).await;
    assert!(told.contains(&name), "{told}");
    let pruned = life
        .ok("prune_containers", json!({"filters": own, "dry_run": false}))
        .await;
    assert!(pruned.contains(&name), "{pruned}");
    for tool in ["prune_images", "prune_networks", "prune_volumes", "prune_system"] {
        life.ok(tool, json!({"filters": own})).await;
    }
    life.ok("prune_builds", json!({})).await;
}
