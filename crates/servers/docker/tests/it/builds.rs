//! `build_image` on the real engine.
#![expect(clippy::expect_used, reason = "a fixture that fails must fail the test")]

use crate::here::{Server, Setup, server_with_root};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use testkit::{Scope, eventually};

/// A build context, and a server that may read it.
struct Project {
    folder: TempDir,
    scope: Scope,
    server: Server,
}

impl Project {
    async fn new(name: &str, dockerfile: &str) -> Self {
        let base = testkit::image().await;
        let scope = Scope::new(name);
        let folder = tempfile::tempdir().expect("a folder");
        let server = server_with_root(folder.path()).await;
        let project = Self {
            folder,
            scope,
            server,
        };
        // The label comes first, so that the containers of later steps bear it too.
        let label = format!("LABEL {}=\"{}\"", Scope::KEY, project.scope.value());
        project.write(
            "Dockerfile",
            &dockerfile
                .replace("{base}", &format!("FROM {base}"))
                .replace("{label}", &label),
        );
        project
    }

    fn write(&self, name: &str, content: &str) {
        fs_err::write(self.path().join(name), content).expect("the folder is ours");
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn arguments(&self, more: &Value) -> Value {
        let mut arguments = json!({ "path": self.path(), "tag": self.scope.image("built") });
        for (key, value) in more.as_object().into_iter().flatten() {
            arguments[key] = value.clone();
        }
        arguments
    }

    async fn build(&self, more: &Value) -> String {
        self.server.ok("build_image", self.arguments(more)).await
    }

    async fn fails(&self, more: &Value) -> String {
        self.server.fails("build_image", self.arguments(more)).await
    }

    /// Runs the image that was built, and gives what it prints.
    async fn output(&self) -> String {
        let run = json!({ "image": self.scope.image("built"), "wait": true, "auto_remove": true, "name": self.scope.name("run") });
        self.server.ok("create_container", run).await
    }

    async fn end(self) {
        // Builds leave images without a name behind, of steps before one that failed.
        let leftovers = json!({ "filters": { "label": self.scope.label() }, "dry_run": false });
        self.server.ok("prune_images", leftovers).await;
        self.scope.finish().await;
        self.server.end().await;
    }
}

#[tokio::test]
async fn a_build_from_context_to_image() {
    let text = "{base}\n{label}\nARG WHO=nobody\nENV WHO=$WHO\nCOPY . /src\nRUN ls /src >/list\n\
                CMD [\"sh\", \"-c\", \"echo $WHO; cat /list\"]\n";
    let project = Project::new("builds", text).await;
    project.write("kept", "1");
    project.write("left-out.log", "1");
    project.write(".dockerignore", "*.log\nDockerfile\n.dockerignore\n");
    let answer = project
        .server
        .with_progress(
            "build_image",
            project.arguments(&json!({ "build_args": { "WHO": "somebody" } })),
        )
        .await
        .ok()
        .text();
    let built = format!("built {} (id ", project.scope.image("built"));
    assert!(
        answer.starts_with(&built) && answer.contains(" steps, "),
        "{answer}"
    );
    let reports = project.server.client.notifications("notifications/progress");
    let tells = |report: &Value| report["message"].as_str().is_some_and(|m| m.starts_with("step "));
    assert!(reports.iter().any(tells), "{reports:?}");
    let output = project.output().await;
    assert!(output.contains("somebody\nkept\n"), "{output}");

    let again = project.build(&json!({ "build_args": ["WHO=somebody"] })).await;
    assert!(
        again.contains("7 steps, ") && !again.contains(" 0 cached"),
        "{again}"
    );
    project.end().await;
}

#[tokio::test]
async fn a_stage_and_a_dockerfile_elsewhere() {
    let project = Project::new("builds-stage", "FROM nothing-of-the-kind\n").await;
    let base = testkit::image().await;
    fs_err::create_dir(project.path().join("context")).unwrap();
    let label = format!("LABEL {}=\"{}\"", Scope::KEY, project.scope.value());
    let text = format!(
        "FROM {base} AS first\n{label}\nCMD [\"echo\", \"of the first\"]\nFROM first AS second\nRUN false\n"
    );
    project.write("Other", &text);
    let outside = json!({ "path": project.path().join("context"), "dockerfile": project.path().join("Other"), "target": "first" });
    project.build(&outside).await;
    let output = project.output().await;
    assert!(output.contains("of the first"), "{output}");

    let inside = json!({ "dockerfile": "Other", "target": "first" });
    project.build(&inside).await;
    let error = project
        .fails(&json!({ "dockerfile": "Other", "target": "third" }))
        .await;
    assert!(
        error.starts_with("invalid_arguments: ") && error.contains("fix: third is no stage of Other"),
        "{error}"
    );
    let error = project.fails(&json!({ "dockerfile": "None" })).await;
    assert!(
        error.starts_with("not_found: the Dockerfile None can't be read"),
        "{error}"
    );
    project.end().await;
}

#[tokio::test]
async fn a_failing_step_is_told_with_its_last_lines_only() {
    let text = "{base}\n{label}\nRUN echo earlier\nRUN for n in $(seq 500); do echo line $n; done; exit 9\n";
    let project = Project::new("builds-fail", text).await;
    let error = project.fails(&json!({})).await;
    assert!(
        error.starts_with("failed: step 4/4: RUN for n in $(seq 500)"),
        "{error}"
    );
    assert!(
        error.contains("ended with exit code 9; last output:\n[untrusted output of the build"),
        "{error}"
    );
    assert!(
        error.contains("line 500") && !error.contains("line 400") && !error.contains("earlier"),
        "{error}"
    );
    assert!(base::text::tokens(error.len()) < 400, "{error}");
    project.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_dockerfile() {
    for (text, expected) in [
        (
            "{base}\n{label}\nCOPY missing /\n",
            "failed: step 3/3: COPY missing /\nfailed: COPY failed",
        ),
        ("{base}\nFOO bar\n", "invalid_arguments: dockerfile parse error "),
        (
            "FROM 127.0.0.1:9/nothing:1\n",
            "unreachable: step 1/1: FROM 127.0.0.1:9/nothing:1: registry 127.0.0.1:9 does not answer",
        ),
    ] {
        let project = Project::new("builds-wrong", text).await;
        let error = project.fails(&json!({})).await;
        assert!(error.starts_with(expected), "{text}: {error}");
        project.end().await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_arguments() {
    let project = Project::new("builds-arguments", "{base}\n").await;
    let empty = project.path().join("empty");
    fs_err::create_dir(&empty).unwrap();
    for (more, expected) in [
        (json!({ "path": empty }), "not_found: there is no Dockerfile in "),
        (
            json!({ "path": project.path().join("none") }),
            "not_found: the build context ",
        ),
        (
            json!({ "path": "relative" }),
            "invalid_arguments: path \"relative\" is not absolute",
        ),
        (json!({ "tag": "Not A Name" }), "invalid_arguments: "),
        (
            json!({ "tag": format!("sha256:{}", "0a".repeat(32)) }),
            "invalid_arguments: parameter tag: ",
        ),
        (
            json!({ "squash": true }),
            "invalid_arguments: unknown parameter \"squash\"",
        ),
        (
            json!({ "build_args": "A=b" }),
            "invalid_arguments: parameter build_args: ",
        ),
    ] {
        let error = project.fails(&more).await;
        assert!(error.starts_with(expected), "{more}: {error}");
    }
    project.end().await;
}

#[tokio::test]
async fn cancelling_a_build_stops_it() {
    let project = Project::new("builds-cancel", "{base}\n{label}\nRUN sleep 1000\n").await;
    let params = json!({ "name": "build_image", "arguments": project.arguments(&json!({})) });
    let pending = project.server.client.start("tools/call", params).await;
    let filters = json!({ "filters": { "label": project.scope.label() }, "all": true });
    let listed = async || project.server.ok("list_containers", filters.clone()).await;
    eventually("the step to run", async || {
        listed().await.contains("up ").then_some(())
    })
    .await;
    let cancel = json!({ "requestId": pending.id });
    project
        .server
        .client
        .notify("notifications/cancelled", cancel)
        .await;
    eventually("the step to be gone", async || {
        listed().await.starts_with("no container").then_some(())
    })
    .await;
    project.end().await;
}

#[tokio::test]
async fn what_is_built_bears_the_label_of_the_scope() {
    let folder = tempfile::tempdir().unwrap();
    let scope = Scope::new("builds-scope");
    let base = testkit::image().await;
    fs_err::write(folder.path().join("Dockerfile"), format!("FROM {base}\n")).unwrap();
    let setup = Setup {
        root: Some(folder.path().to_owned()),
        scope_label: Some(scope.label()),
        ..Setup::default()
    };
    let server = setup.start().await;
    let image = scope.image("built");
    server
        .ok(
            "build_image",
            json!({ "path": folder.path(), "tag": [image], "labels": { "own": "1" } }),
        )
        .await;
    server
        .ok("create_network", json!({ "name": scope.name("net") }))
        .await;
    server
        .ok("create_volume", json!({ "name": scope.name("vol") }))
        .await;
    let labels = server
        .ok(
            "inspect_image",
            json!({ "image": image, "fields": ["Config.Labels"] }),
        )
        .await;
    assert!(
        labels.contains(scope.value()) && labels.contains("\"own\":\"1\""),
        "{labels}"
    );
    for (tool, kind, name) in [
        ("inspect_network", "network", scope.name("net")),
        ("inspect_volume", "volume", scope.name("vol")),
    ] {
        let digest = server.ok(tool, json!({ kind: name })).await;
        assert!(digest.contains(&format!("labels: {}", scope.label())), "{digest}");
    }
    scope.finish().await;
    server.end().await;
}
