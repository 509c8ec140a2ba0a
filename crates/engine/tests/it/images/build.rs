//! Builds on real engines.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::reference;
use crate::here::{all_but_podman, on};
use engine::context::{BuildContext, Dockerfile};
use engine::ops::images::{Build, BuildEvent, BuildFailure, Cache, ImageQuery};
use engine::ops::system::{Reach, Selection, Sweep};
use engine::tarball::{Limits, TarStream};
use engine::{Engine, Error, Filters};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::{Scope, eventually, image_on};

struct Project {
    folder: tempfile::TempDir,
    scope: Scope,
}

impl Project {
    async fn new(scope: Scope, dockerfile: &str) -> Self {
        let base = image_on(scope.daemon()).await;
        let folder = tempfile::tempdir().unwrap();
        // The label comes first, so that the containers of later steps bear it too.
        let label = format!("LABEL {}=\"{}\"", Scope::KEY, scope.value());
        let text = dockerfile
            .replace("{base}", &format!("FROM {base}"))
            .replace("{label}", &label);
        fs_err::write(folder.path().join("Dockerfile"), text).unwrap();
        Self { folder, scope }
    }

    async fn context(&self) -> TarStream {
        BuildContext::open(self.folder.path(), Dockerfile::Default, Limits::GENEROUS)
            .await
            .unwrap()
            .stream()
    }

    fn build(&self) -> Build {
        Build {
            tags: vec![reference(&self.scope.image("built"))],
            dockerfile: "Dockerfile".to_owned(),
            labels: BTreeMap::from([(Scope::KEY.to_owned(), self.scope.value().to_owned())]),
            ..Build::default()
        }
    }

    /// Builds leave images without a name behind: of steps before one that failed, of names that moved on.
    async fn end(self) {
        let leftovers = Selection {
            labels: vec![self.scope.label()],
            until: None,
        };
        on(self.scope.daemon())
            .prune(Sweep::Images(Reach::Leftovers), &leftovers)
            .await
            .unwrap();
        self.scope.finish().await;
    }

    async fn run(&self, engine: &Engine, build: &Build) -> Result<Vec<BuildEvent>, Error> {
        engine
            .image_build(build, self.context().await)
            .await?
            .try_collect()
            .await
    }
}

fn outputs(events: &[BuildEvent]) -> Vec<&str> {
    let lines = events.iter().filter_map(|event| match event {
        BuildEvent::Output(line) => Some(line.as_str()),
        _ => None,
    });
    lines.collect()
}

fn steps(events: &[BuildEvent]) -> Vec<&str> {
    let steps = events.iter().filter_map(|event| match event {
        BuildEvent::Step { instruction, .. } => Some(instruction.as_str()),
        _ => None,
    });
    steps.collect()
}

#[tokio::test]
async fn a_build_with_arguments_and_cache() {
    for daemon in all_but_podman("builds with a log of its own").await {
        let text =
            "{base}\nARG GREETING=nothing\n{label}\nCOPY file /file\nRUN echo $GREETING $(cat /file)\n";
        let project = Project::new(Scope::on(daemon.clone(), "build"), text).await;
        fs_err::write(project.folder.path().join("file"), "from a file").unwrap();
        let engine = on(&daemon);
        let args = BTreeMap::from([("GREETING".to_owned(), "hello & welcome".to_owned())]);
        let build = Build {
            args,
            ..project.build()
        };

        let events = project.run(&engine, &build).await.unwrap();
        assert_eq!(outputs(&events), ["hello & welcome from a file"]);
        let BuildEvent::Image(id) = events.last().unwrap() else {
            panic!("{events:?}")
        };
        let image = engine.image_inspect(&build.tags[0]).await.unwrap();
        assert_eq!(image["Id"], **id);

        let again = project.run(&engine, &build).await.unwrap();
        assert!(
            again.contains(&BuildEvent::Cached) && outputs(&again).is_empty(),
            "{again:?}"
        );
        let cache = Cache {
            ignore: true,
            ..Cache::default()
        };
        let anew = project.run(&engine, &Build { cache, ..build }).await.unwrap();
        assert_eq!(outputs(&anew), ["hello & welcome from a file"]);
        project.end().await;
    }
}

#[tokio::test]
async fn one_stage_of_several() {
    for daemon in all_but_podman("builds with a log of its own").await {
        let text = "{base} AS first\n{label}\nRUN echo one\nFROM first AS second\nRUN echo two\n";
        let project = Project::new(Scope::on(daemon.clone(), "build-target"), text).await;
        let engine = on(&daemon);
        let build = Build {
            target: Some("first".to_owned()),
            ..project.build()
        };
        let events = project.run(&engine, &build).await.unwrap();
        assert_eq!(outputs(&events), ["one"]);
        assert!(!steps(&events).contains(&"RUN echo two"), "{events:?}");

        let none = Build {
            target: Some("third".to_owned()),
            ..project.build()
        };
        let error = project.run(&engine, &none).await.unwrap_err();
        assert!(error.to_string().contains("third"), "{error}");
        project.end().await;
    }
}

#[tokio::test]
async fn a_step_that_fails_is_an_event_and_leaves_no_container() {
    for daemon in all_but_podman("builds with a log of its own").await {
        let text = "{base}\n{label}\nRUN echo before; echo worse >&2; exit 7\n";
        let project = Project::new(Scope::on(daemon.clone(), "build-fails"), text).await;
        let events = project.run(&on(&daemon), &project.build()).await.unwrap();
        let Some(BuildEvent::Failed(BuildFailure { message, exit_code })) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(*exit_code, Some(7));
        assert!(message.contains("returned a non-zero code: 7"), "{message}");
        assert_eq!(
            steps(&events).last(),
            Some(&"RUN echo before; echo worse >&2; exit 7")
        );
        assert_eq!(outputs(&events).len(), 2, "{events:?}");
        assert_eq!(containers(&project.scope).await, 0);
        project.end().await;
    }
}

async fn containers(scope: &Scope) -> usize {
    let filters = json!({ "label": [scope.label()] }).to_string();
    let filters = filters
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22")
        .replace('[', "%5B")
        .replace(']', "%5D");
    let found = scope
        .daemon()
        .get(&format!("/containers/json?all=1&filters={filters}"))
        .await
        .ok();
    found.json().as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_dropped_build_stops() {
    for daemon in all_but_podman("builds with a log of its own").await {
        let text = "{base}\n{label}\nRUN echo going; sleep 1000\n";
        let project = Project::new(Scope::on(daemon.clone(), "build-dropped"), text).await;
        let engine = on(&daemon);
        let events = engine
            .image_build(&project.build(), project.context().await)
            .await
            .unwrap();
        let mut events = Box::pin(events);
        while !matches!(events.next().await.unwrap().unwrap(), BuildEvent::Output(line) if line == "going") {}
        assert_eq!(containers(&project.scope).await, 1);
        drop(events);
        eventually("the step's container to go", async || {
            (containers(&project.scope).await == 0).then_some(())
        })
        .await;
        let query = ImageQuery {
            filters: Filters::new().with("reference", project.build().tags[0].as_str()),
            ..ImageQuery::default()
        };
        assert!(engine.image_list(&query).await.unwrap().is_empty());
        project.end().await;
    }
}

#[tokio::test]
async fn what_the_daemon_cannot_begin_is_an_error() {
    for daemon in all_but_podman("builds with a log of its own").await {
        for (text, expected) in [
            ("{base}\nFOO bar\n", "unknown instruction: FOO"),
            ("{base}\nCOPY nothing-there /\n", "nothing-there"),
            ("FROM 127.0.0.1:9/nothing:1\n", "connection refused"),
        ] {
            let project = Project::new(Scope::on(daemon.clone(), "build-faulty"), text).await;
            let told = match project.run(&on(&daemon), &project.build()).await {
                Err(error) => error.to_string(),
                Ok(events) => match events.into_iter().next_back() {
                    Some(BuildEvent::Failed(failure)) => failure.message,
                    other => panic!("{text}: {other:?}"),
                },
            };
            assert!(told.contains(expected), "{text}: {told}");
            project.end().await;
        }
    }
}

#[tokio::test]
async fn a_context_that_breaks_off_makes_no_image() {
    let scope = Scope::new("build-broken");
    let project = Project::new(scope, "{base}\n{label}\n").await;
    let engine = on(project.scope.daemon());
    let broken = futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(&[0; 512])),
        Err(std::io::Error::other("the disk is on fire")),
    ]);
    let error = match engine.image_build(&project.build(), broken).await {
        Err(error) => error,
        Ok(events) => events.try_collect::<Vec<_>>().await.unwrap_err(),
    };
    assert!(error.to_string().contains("on fire"), "{error}");
    let missing = engine.image_inspect(&project.build().tags[0]).await;
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{:?}",
        missing.map(|image: Value| image["Id"].clone())
    );
    project.end().await;
}
