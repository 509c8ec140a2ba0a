//! Containers on every engine that the runner started: made, run, changed, removed.

use crate::here::{is_podman, on};
use base::names::{ContainerRef, ImageRef};
use engine::models::{ContainerCreateBody, ContainerUpdateBody, HostConfig};
use engine::ops::containers::{
    Change, Commit, ContainerQuery, Created, Exit, NewContainer, RemoveContainer, Stop, WaitFor,
};
use engine::{Engine, Error, Filters, Options, Version};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use testkit::{Scope, all_engines, image_on};

pub(crate) fn reference(name: &str) -> ContainerRef {
    ContainerRef::parse(name).unwrap()
}

/// Runs one scenario on each engine, and says on which it failed.
pub(crate) async fn on_each<F>(name: &str, scenario: impl Fn(Engine, Scope) -> F)
where
    F: Future<Output = Scope>,
{
    for daemon in all_engines() {
        image_on(&daemon).await;
        eprintln!("on {}", daemon.endpoint());
        let scope = scenario(on(&daemon), Scope::on(daemon, name)).await;
        scope.finish().await;
    }
}

/// A container to be made: the test image with this command and the scope's label.
pub(crate) fn new(scope: &Scope, what: &str, command: &[&str]) -> NewContainer {
    let labels = HashMap::from([(Scope::KEY.to_owned(), scope.value().to_owned())]);
    let body = ContainerCreateBody {
        image: Some(testkit::IMAGE.to_owned()),
        cmd: Some(command.iter().map(ToString::to_string).collect()),
        labels: Some(labels),
        stop_signal: Some("SIGKILL".to_owned()),
        ..Default::default()
    };
    NewContainer {
        name: Some(reference(&scope.name(what))),
        platform: None,
        body,
    }
}

async fn made(engine: &Engine, scope: &Scope, what: &str, command: &[&str]) -> ContainerRef {
    let Created { id, warnings } = engine.container_create(new(scope, what, command)).await.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    id
}

async fn status(engine: &Engine, container: &ContainerRef) -> String {
    let inspect = engine.container_inspect(container).await.unwrap();
    inspect["State"]["Status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn from_create_to_remove() {
    on_each("life", async |engine, scope| {
        let web = made(&engine, &scope, "web", &["sleep", "600"]).await;
        assert_eq!(status(&engine, &web).await, "created");
        assert_eq!(engine.container_start(&web).await.unwrap(), Change::Done);
        assert_eq!(engine.container_start(&web).await.unwrap(), Change::AlreadySo);
        engine.container_pause(&web).await.unwrap();
        assert_eq!(status(&engine, &web).await, "paused");
        engine.container_unpause(&web).await.unwrap();
        engine
            .container_restart(
                &web,
                Stop {
                    timeout: Some(1),
                    signal: None,
                },
            )
            .await
            .unwrap();
        assert_eq!(status(&engine, &web).await, "running");

        let other = reference(&scope.name("other"));
        engine.container_rename(&web, &other).await.unwrap();
        assert_eq!(
            engine.container_inspect(&other).await.unwrap()["Id"],
            web.as_str()
        );

        let error = engine
            .container_remove(&web, RemoveContainer::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "it runs: {error}");
        let stop = Stop {
            timeout: Some(0),
            signal: None,
        };
        assert_eq!(engine.container_stop(&web, stop).await.unwrap(), Change::Done);
        assert_eq!(
            engine.container_stop(&web, stop).await.unwrap(),
            Change::AlreadySo
        );
        engine
            .container_remove(&web, RemoveContainer::default())
            .await
            .unwrap();
        let error = engine.container_inspect(&web).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        scope
    })
    .await;
}

#[tokio::test]
async fn what_create_refuses() {
    on_each("refusals", async |engine, scope| {
        made(&engine, &scope, "taken", &["true"]).await;
        let error = engine
            .container_create(new(&scope, "taken", &["true"]))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");

        let mut missing = new(&scope, "missing", &["true"]);
        missing.body.image = Some("dockmaster-test/there-is-none:1".to_owned());
        let error = engine.container_create(missing).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert!(
            error.to_string().contains("dockmaster-test/there-is-none:1"),
            "{error}"
        );

        // Podman finds that out at the start.
        if !is_podman(&engine).await {
            let mut wrong = new(&scope, "wrong", &["true"]);
            wrong.body.host_config = Some(HostConfig {
                memory: Some(1),
                ..Default::default()
            });
            let error = engine.container_create(wrong).await.unwrap_err();
            assert!(matches!(error, Error::Daemon { status: 400.., .. }), "{error}");
        }

        // A program that is not there shows at the start, and the container stays.
        let web = made(&engine, &scope, "web", &["/no/such/program"]).await;
        let error = engine.container_start(&web).await.unwrap_err();
        assert!(error.to_string().contains("no such file or directory"), "{error}");
        assert_eq!(status(&engine, &web).await, "created");
        scope
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there() {
    on_each("missing", async |engine, scope| {
        let none = reference(&scope.name("none"));
        for error in [
            engine.container_inspect(&none).await.unwrap_err(),
            engine.container_start(&none).await.unwrap_err(),
            engine.container_stop(&none, Stop::default()).await.unwrap_err(),
            engine
                .container_restart(&none, Stop::default())
                .await
                .unwrap_err(),
            engine.container_kill(&none, None).await.unwrap_err(),
            engine.container_pause(&none).await.unwrap_err(),
            engine.container_unpause(&none).await.unwrap_err(),
            engine
                .container_rename(&none, &reference(&scope.name("b")))
                .await
                .unwrap_err(),
            engine
                .container_remove(&none, RemoveContainer::default())
                .await
                .unwrap_err(),
            engine
                .container_wait(&none, WaitFor::NotRunning)
                .await
                .unwrap_err(),
            engine.container_top(&none, None).await.unwrap_err(),
            engine.container_changes(&none).await.unwrap_err(),
            engine
                .container_update(&none, &ContainerUpdateBody::default())
                .await
                .unwrap_err(),
            engine
                .container_commit(&none, Commit::default())
                .await
                .unwrap_err(),
            engine.container_stats_once(&none).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
            assert!(error.to_string().contains(none.as_str()), "{error}");
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn lists_and_their_filters() {
    on_each("list", async |engine, scope| {
        let runs = made(&engine, &scope, "runs", &["sleep", "600"]).await;
        engine.container_start(&runs).await.unwrap();
        let ended = made(&engine, &scope, "ended", &["true"]).await;
        let ours = Filters::new().with("label", scope.label());
        let list = async |all, filters: Filters| -> Vec<String> {
            let query = ContainerQuery {
                all,
                filters,
                ..ContainerQuery::default()
            };
            let listed = engine.container_list(&query).await.unwrap();
            listed
                .iter()
                .map(|entry| entry["Id"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(list(false, ours.clone()).await, [runs.as_str()]);
        let mut both = list(true, ours.clone()).await;
        both.sort();
        let mut expected = [runs.as_str(), ended.as_str()];
        expected.sort_unstable();
        assert_eq!(both, expected);
        assert_eq!(
            list(true, ours.clone().with("status", "created")).await,
            [ended.as_str()]
        );
        assert!(list(true, ours.with("name", "no+such&name=%2f")).await.is_empty());
        let error = engine
            .container_list(&ContainerQuery {
                filters: Filters::new().with("no-such-filter", "x"),
                ..ContainerQuery::default()
            })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Daemon { .. }), "{error}");
        scope
    })
    .await;
}

#[tokio::test]
async fn exit_codes_are_answers() {
    on_each("wait", async |engine, scope| {
        let three = made(&engine, &scope, "three", &["sh", "-c", "exit 3"]).await;
        // Begun before the start, so that even the shortest life is not missed.
        let waiting = engine
            .container_wait_begin(&three, WaitFor::NextExit)
            .await
            .unwrap();
        engine.container_start(&three).await.unwrap();
        assert_eq!(waiting.exit().await.unwrap(), Exit { code: 3, error: None });
        let again = engine.container_wait(&three, WaitFor::NotRunning).await.unwrap();
        assert_eq!(again.code, 3);

        let killed = made(&engine, &scope, "killed", &["sleep", "600"]).await;
        engine.container_start(&killed).await.unwrap();
        let waiting = engine
            .container_wait_begin(&killed, WaitFor::NotRunning)
            .await
            .unwrap();
        engine.container_kill(&killed, Some("SIGKILL")).await.unwrap();
        assert_eq!(waiting.exit().await.unwrap().code, 137);
        let error = engine.container_kill(&killed, None).await.unwrap_err();
        assert!(
            matches!(error, Error::Conflict { .. }),
            "it does not run: {error}"
        );

        let removed = engine
            .container_wait_begin(&killed, WaitFor::Removed)
            .await
            .unwrap();
        engine
            .container_remove(&killed, RemoveContainer::default())
            .await
            .unwrap();
        removed.exit().await.unwrap();
        scope
    })
    .await;
}

#[tokio::test]
async fn a_signal_for_stopping_is_not_lost() {
    on_each("signal", async |engine, scope| {
        let web = made(
            &engine,
            &scope,
            "web",
            &["sh", "-c", "trap 'exit 7' USR1; sleep 600 & wait"],
        )
        .await;
        engine.container_start(&web).await.unwrap();
        let stop = Stop {
            timeout: Some(5),
            signal: Some("SIGUSR1"),
        };
        let result = engine.container_stop(&web, stop).await;
        if engine.api_version().await.unwrap() < (Version { major: 1, minor: 42 }) {
            // The daemon would ignore it and say nothing.
            let error = result.unwrap_err();
            assert!(error.to_string().contains("needs API 1.42"), "{error}");
        } else {
            assert_eq!(result.unwrap(), Change::Done);
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn a_container_may_take_its_own_time_to_stop() {
    on_each("slow-stop", async |engine, scope| {
        let mut slow = new(
            &scope,
            "slow",
            &["sh", "-c", "trap 'sleep 1; exit' TERM; sleep 600 & wait"],
        );
        slow.body.stop_signal = None;
        slow.body.stop_timeout = Some(60);
        let web = engine.container_create(slow).await.unwrap().id;
        engine.container_start(&web).await.unwrap();
        // The engine's own limit is shorter than what the container needs.
        let timeout = Duration::from_millis(500);
        let hasty = Engine::open(Options {
            timeout,
            ..engine.options().clone()
        })
        .unwrap();
        // Until the trap is set, the signal is lost.
        testkit::eventually("the trap", || async {
            let top = engine.container_top(&web, None).await.unwrap();
            top["Processes"].to_string().contains("sleep 600").then_some(())
        })
        .await;
        assert_eq!(
            hasty.container_stop(&web, Stop::default()).await.unwrap(),
            Change::Done
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn processes_and_changed_files() {
    on_each("look", async |engine, scope| {
        let fresh = made(&engine, &scope, "fresh", &["true"]).await;
        assert!(engine.container_changes(&fresh).await.unwrap().is_empty());

        let web = made(&engine, &scope, "web", &["sh", "-c", "echo x > /new; sleep 600"]).await;
        engine.container_start(&web).await.unwrap();
        // The engine itself changes a file or two before the command runs.
        testkit::eventually("the new file", || async {
            let changes = engine.container_changes(&web).await.unwrap();
            let is_new = |change: &Value| change["Path"] == "/new" && change["Kind"] == 1;
            changes.iter().any(is_new).then_some(())
        })
        .await;
        for ps in [None, Some("-o pid,args")] {
            let top = engine.container_top(&web, ps).await.unwrap();
            assert!(top["Processes"].to_string().contains("sleep 600"), "{top}");
        }
        let error = engine.container_top(&fresh, None).await.unwrap_err();
        assert!(
            !matches!(error, Error::NotFound { .. }),
            "it does not run: {error}"
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn limits_are_changed_while_it_runs() {
    on_each("update", async |engine, scope| {
        let web = made(&engine, &scope, "web", &["sleep", "600"]).await;
        engine.container_start(&web).await.unwrap();
        let body = ContainerUpdateBody {
            memory: Some(64 << 20),
            memory_swap: Some(64 << 20),
            ..Default::default()
        };
        let result = engine.container_update(&web, &body).await;
        if !engine.endpoint().to_string().contains("podman") {
            result.unwrap();
            let inspect = engine.container_inspect(&web).await.unwrap();
            assert_eq!(inspect["HostConfig"]["Memory"], 64 << 20);
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn an_image_of_a_container() {
    on_each("commit", async |engine, scope| {
        let web = made(&engine, &scope, "web", &["sh", "-c", "echo x > /new"]).await;
        engine.container_start(&web).await.unwrap();
        engine.container_wait(&web, WaitFor::NotRunning).await.unwrap();
        let target = ImageRef::parse(&scope.image("commit")).unwrap();
        let commit = Commit {
            target: Some(target.clone()),
            comment: Some("by a test".to_owned()),
            changes: vec!["ENV A=1".to_owned(), "CMD [\"cat\", \"/new\"]".to_owned()],
            ..Commit::default()
        };
        let id = engine.container_commit(&web, commit).await.unwrap();
        let image: Value = engine.image_inspect(&target).await.unwrap();
        assert!(
            image["Id"]
                .as_str()
                .unwrap()
                .ends_with(id.as_str().trim_start_matches("sha256:")),
            "{id}"
        );
        assert_eq!(image["Config"]["Cmd"], serde_json::json!(["cat", "/new"]));
        assert!(image["Config"]["Env"].to_string().contains("A=1"));
        scope
    })
    .await;
}

#[tokio::test]
async fn pruning_takes_what_the_filter_says() {
    on_each("prune", async |engine, scope| {
        let ended = made(&engine, &scope, "ended", &["true"]).await;
        let runs = made(&engine, &scope, "runs", &["sleep", "600"]).await;
        engine.container_start(&ended).await.unwrap();
        engine.container_start(&runs).await.unwrap();
        engine.container_wait(&ended, WaitFor::NotRunning).await.unwrap();
        let ours = Filters::new().with("label", scope.label());
        let pruned = engine.container_prune(&ours).await.unwrap();
        assert_eq!(pruned.removed, [ended.as_str()]);
        assert!(engine.container_prune(&ours).await.unwrap().removed.is_empty());
        assert_eq!(status(&engine, &runs).await, "running");
        scope
    })
    .await;
}
