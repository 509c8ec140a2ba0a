//! Plans: made, looked at, applied exactly.

use crate::here::server;
use docker_server::describe;
use policy::Effect;
use serde_json::{Value, json};
use testkit::Scope;

/// The project's name is unique, so that what it leaves is found by name.
fn project(scope: &Scope) -> String {
    scope.name("p")
}

async fn wanted(scope: &Scope, command: &[&str]) -> Value {
    let image = testkit::image().await;
    json!({
        "project": project(scope),
        "networks": ["net"], "volumes": ["data"],
        "containers": [
            { "name": "db", "image": image, "command": ["sleep", "600"], "volumes": ["data:/data"],
              "labels": scope.labels(), "stop_timeout": 1 },
            { "name": "web", "image": image, "command": command, "labels": scope.labels(), "stop_timeout": 1 },
        ],
    })
}

#[expect(clippy::expect_used, reason = "a test may fail loudly")]
fn handle(answer: &str) -> String {
    let handle = answer
        .split("plan=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    handle.expect("the answer names a plan").to_owned()
}

#[tokio::test]
async fn from_nothing_to_nothing() {
    let scope = Scope::new("plan");
    let server = server().await;
    let arguments = wanted(&scope, &["sleep", "600"]).await;
    let plan = server.ok("plan_containers", arguments.clone()).await;
    let name = project(&scope);
    for step in [
        "1. create network",
        "2. create volume",
        "3. create and start container",
        "4. create and start",
    ] {
        assert!(plan.contains(step), "{step}: {plan}");
    }
    let id = handle(&plan);
    assert_eq!(
        describe::effect("apply_plan", &json!({ "plan": id })),
        Effect::Change
    );
    assert!(
        describe::about("apply_plan", &json!({ "plan": id }))
            .ends_with(&format!("{name}: 4 created or started"))
    );
    let applied = server.ok("apply_plan", json!({ "plan": id })).await;
    assert!(
        applied.contains("4. done: create and start container"),
        "{applied}"
    );
    // Containers of a project find each other by their short names.
    let found = server
        .ok(
            "execute_command_in_container",
            json!({ "container": format!("{name}-web"), "command": "nslookup db || ping -c1 db" }),
        )
        .await;
    assert!(found.contains("exit 0"), "{found}");

    let again = server.ok("plan_containers", arguments).await;
    assert!(again.contains("is as wanted: nothing to do"), "{again}");
    let error = server.fails("apply_plan", json!({ "plan": id })).await;
    assert!(error.starts_with("stale: there is no plan"), "{error}");

    let change = server
        .ok("plan_containers", wanted(&scope, &["sleep", "700"]).await)
        .await;
    assert!(
        change.contains("1. replace container") && change.contains("other settings"),
        "{change}"
    );
    assert!(!change.contains("2. "), "{change}");
    let id = handle(&change);
    assert_eq!(
        describe::effect("apply_plan", &json!({ "plan": id })),
        Effect::Destroy
    );
    server.ok("apply_plan", json!({ "plan": id })).await;

    let down = server
        .ok("plan_containers", json!({ "project": name, "remove": "all" }))
        .await;
    let id = handle(&down);
    assert_eq!(
        describe::data_loss("apply_plan", &json!({ "plan": id })),
        Some(name.clone())
    );
    let applied = server.ok("apply_plan", json!({ "plan": id })).await;
    assert!(
        applied.contains(&format!("remove volume {name}-data with its data")),
        "{applied}"
    );
    let left = server
        .ok(
            "list_containers",
            json!({ "all": true, "filters": { "label": scope.label() } }),
        )
        .await;
    assert_eq!(left, "no container");
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_plan_is_stale_when_something_has_changed() {
    let scope = Scope::new("stale-plan");
    let server = server().await;
    let plan = server
        .ok("plan_containers", wanted(&scope, &["sleep", "600"]).await)
        .await;
    scope
        .daemon()
        .post(
            "/volumes/create",
            &json!({ "Name": format!("{}-data", project(&scope)) }),
        )
        .await
        .ok();
    let error = server.fails("apply_plan", json!({ "plan": handle(&plan) })).await;
    assert!(
        error.starts_with("stale: nothing was done") && error.contains("-data is new"),
        "{error}"
    );
    let foreign = server
        .fails("plan_containers", wanted(&scope, &["sleep", "600"]).await)
        .await;
    assert!(foreign.contains("does not belong to this project"), "{foreign}");
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_step_that_fails_says_how_far_it_came() {
    let scope = Scope::new("failing-plan");
    let server = server().await;
    let mut arguments = wanted(&scope, &["no-such-program"]).await;
    arguments["containers"][1]["name"] = json!("aaa");
    let plan = server.ok("plan_containers", arguments).await;
    let error = server.fails("apply_plan", json!({ "plan": handle(&plan) })).await;
    assert!(
        error.contains("done before and left so: create network"),
        "{error}"
    );
    assert!(
        error.contains("removed again") && error.contains("make a new plan, which goes on from here"),
        "{error}"
    );
    let next = server
        .ok("plan_containers", wanted(&scope, &["sleep", "600"]).await)
        .await;
    assert!(
        next.contains("1. create and start container") && next.contains("stays"),
        "{next}"
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn plans_that_make_no_sense() {
    let server = server().await;
    for (arguments, part) in [
        (json!({ "project": "a/b" }), "parameter project"),
        (
            json!({ "project": "x", "containers": [{ "name": "web" }] }),
            "has no image",
        ),
        (
            json!({ "project": "x", "containers": [{ "name": "web", "image": "nope/nope:1" }] }),
            "nope/nope:1",
        ),
        (
            json!({ "project": "x", "containers": [{ "nam": "web" }] }),
            "unknown field `nam`",
        ),
        (
            json!({ "project": "x", "remove": "everything" }),
            "one of nothing, containers, all",
        ),
    ] {
        let error = server.fails("plan_containers", arguments).await;
        assert!(error.contains(part), "{error}");
    }
    let forged = server
        .fails(
            "apply_plan",
            json!({ "plan": "plan-c1-r0-d0-v0-shop-0123456789" }),
        )
        .await;
    assert!(forged.starts_with("stale: "), "{forged}");
    server.end().await;
}
