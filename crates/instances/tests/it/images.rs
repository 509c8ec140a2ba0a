//! Images: pulled when they are not there, made for packages, checked before they run.

use std::sync::Arc;

use base::names::ImageRef;
use bytes::Bytes;
use catalog::plan::{Build, Container, Ecosystem};
use engine::guard::Policy;
use engine::tarball::{Limits, Source, pack};
use futures_util::TryStreamExt;
use instances::{Progress, Start};
use testkit::{IMAGE, Registry};
use tokio::sync::mpsc;

use crate::here::{Lines, Rig, printed, secrets, server, shell};

#[tokio::test]
async fn a_missing_image_is_pulled_with_progress_and_pinned() {
    let rig = Rig::new("pull").await;
    let registry = Registry::start().await;
    let image = format!("{}/tool:1", registry.authority());
    let (name, _) = image.rsplit_once(':').unwrap();
    let daemon = rig.scope.daemon();
    let null = serde_json::json!(null);
    daemon
        .post(&format!("/images/{IMAGE}/tag?repo={name}&tag=1"), &null)
        .await
        .ok();
    let push = format!("/images/{name}/push?tag=1");
    daemon.push(&push, "e30=").await.ok();
    daemon.delete(&format!("/images/{image}")).await.ok();

    let container = Container {
        image: image.clone(),
        ..shell("echo pulled")
    };
    let (sink, mut told) = mpsc::channel(256);
    let found = rig
        .instances
        .image(&server(), &container, Some(&sink))
        .await
        .unwrap();
    let pin = found.pin().unwrap().to_owned();
    assert!(pin.starts_with(&format!("{name}@sha256:")), "{pin}");
    assert!(matches!(told.try_recv(), Ok(Progress::Pulling { .. })));
    assert_eq!(printed(&rig, &container).await, "pulled\n");
    let other = Container {
        command: Vec::new(),
        ..container.clone()
    };
    assert_ne!(found.fingerprint(&container), found.fingerprint(&other));
    daemon.delete(&format!("/images/{image}")).await.ok();

    // By digest, as it is when it was enabled.
    let pinned = Container {
        image: pin.clone(),
        ..container
    };
    assert_eq!(printed(&rig, &pinned).await, "pulled\n");
    daemon.delete(&format!("/images/{pin}")).await.ok();

    let missing = Container {
        image: format!("{name}:none"),
        ..shell("true")
    };
    let refused = rig.try_start(&missing).await.unwrap_err().to_string();
    assert!(refused.contains("can't be pulled"), "{refused}");
    rig.finish().await;
}

#[tokio::test]
async fn what_was_listed_of_one_image_does_not_hold_for_the_next_of_its_name() {
    let rig = Rig::new("moved").await;
    let daemon = rig.scope.daemon();
    let source = rig
        .scope
        .create("source", serde_json::json!({ "Cmd": ["true"] }))
        .await;
    let image = rig.scope.image("moved");
    let repository = image.trim_end_matches(":1");
    // As instructions: Podman does not read the body.
    let label = rig.scope.label().replace('=', "%3D");
    let commit = format!(
        "/commit?container={source}&repo={repository}&tag=1&changes=LABEL%20{label}&changes=ENV%20WHAT%3D"
    );
    let container = Container {
        image: image.clone(),
        ..shell("echo $WHAT; read -r line")
    };
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    for what in ["one", "two"] {
        let body = serde_json::json!({});
        daemon.post(&format!("{commit}{what}"), &body).await.ok();
        let found = rig.instances.image(&server(), &container, None).await.unwrap();
        let mut running = rig.try_start(&container).await.unwrap();
        assert_eq!(running.fingerprint(), found.fingerprint(&container));
        assert_eq!(Lines::of(&mut running).hear().await, what);
        seen.push(found.fingerprint(&container));
        // The first one runs on while its name moves to the second.
        kept.push(running);
    }
    assert_ne!(seen[0], seen[1]);
    for running in kept {
        running.stop().await;
    }
    let made = daemon.delete(&format!("/containers/{source}?force=1")).await;
    made.ok();
    rig.finish().await;
}

#[tokio::test]
async fn an_image_whose_signature_does_not_hold_is_not_started() {
    let rig = Rig::with("signature", Policy::default(), |options| {
        options.signature = Some(Arc::new(|signed| {
            let state = match signed.digests {
                None => "before the pull",
                Some(_) => "as it is here",
            };
            let cause = format!("nobody signed {} for {}", state, signed.server);
            Box::pin(async move { Err(cause) })
        }));
    })
    .await;
    let refused = rig.try_start(&shell("true")).await.unwrap_err().to_string();
    assert!(
        refused.contains("does not hold: nobody signed as it is here for "),
        "{refused}"
    );
    let absent = Container {
        image: "127.0.0.1:9/nobody/has-it:1".to_owned(),
        ..shell("true")
    };
    let refused = rig.try_start(&absent).await.unwrap_err().to_string();
    assert!(refused.contains("nobody signed before the pull"), "{refused}");
    assert!(rig.containers().await.is_empty());
    rig.finish().await;
}

/// Stands in for npm and Node.js: it "installs" a program that says how it was installed.
const NPM: &str = r#"#!/bin/sh
mkdir -p node_modules/.bin
echo "$*" > installed
printf '%s\n' '#!/bin/sh' 'echo installed: $(cat /opt/server/installed)' 'echo called: "$@"' > node_modules/.bin/thing
chmod +x node_modules/.bin/thing
"#;
const NODE: &str = r#"#!/bin/sh
[ "$1" = -e ] && [ "$4" = @acme/thing ] && ln -s /opt/server/node_modules/.bin/thing /opt/server/run
"#;

#[tokio::test]
async fn a_package_gets_an_image_of_its_own() {
    let rig = Rig::new("package").await;
    let base = rig.scope.image("node");
    let file = |path: &str, text: &str| Source::Memory {
        path: path.to_owned(),
        content: Bytes::copy_from_slice(text.as_bytes()),
        mode: 0o755,
    };
    let dockerfile = format!("FROM {IMAGE}\nCOPY npm node /bin/\nLABEL {}\n", rig.scope.label());
    let context = pack(
        vec![
            file("Dockerfile", &dockerfile),
            file("npm", NPM),
            file("node", NODE),
        ],
        Limits::default(),
    );
    let context: Vec<Bytes> = context.try_collect().await.unwrap();
    let build = format!("/build?t={base}");
    rig.scope
        .daemon()
        .post_bytes(&build, "application/x-tar", context.concat().into())
        .await
        .ok();

    let tag = rig.scope.image("thing");
    let container = |version: &str| Container {
        image: tag.clone(),
        build: Some(Build {
            ecosystem: Ecosystem::Npm,
            package: "@acme/thing".to_owned(),
            version: Some(version.to_owned()),
            base: base.clone(),
            registry: None,
            with: Vec::new(),
            program: None,
        }),
        command: vec!["one".to_owned(), "two words".to_owned()],
        ..shell("")
    };
    let text = printed(&rig, &container("1.0.0; touch /tmp/x")).await;
    assert!(
        text.contains("-- @acme/thing@1.0.0; touch /tmp/x\n"),
        "no shell reads it: {text}"
    );
    assert!(text.ends_with("called: one two words\n"), "{text}");
    let (sink, mut told) = mpsc::channel(256);
    let start = async |version: &str| {
        let container = container(version);
        let server = server();
        let start = Start {
            server: &server,
            container: &container,
            share: "everyone",
            secrets: &secrets,
            stderr: None,
            progress: Some(sink.clone()),
        };
        rig.instances.start(start).await.unwrap().stop().await;
    };
    start("1.0.0; touch /tmp/x").await;
    assert!(told.try_recv().is_err(), "it is there, and made of the same");
    let inspect = format!("/images/{tag}/json");
    let old = rig.scope.daemon().get(&inspect).await.ok().json()["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    start("2.0.0").await;
    let left = rig.scope.daemon().get(&format!("/images/{old}/json")).await;
    assert_eq!(left.status, 404, "the old one is gone");
    assert!(
        matches!(told.try_recv(), Ok(Progress::Building(_))),
        "it is made anew"
    );

    let failing = Container {
        build: container("1").build.map(|build| Build {
            package: "other".to_owned(),
            ..build
        }),
        ..container("1")
    };
    let refused = rig.try_start(&failing).await.unwrap_err().to_string();
    assert!(refused.contains("could not be built"), "{refused}");
    let labels = rig
        .scope
        .daemon()
        .get(&format!("/images/{tag}/json"))
        .await
        .ok()
        .json();
    assert_eq!(labels["Config"]["Labels"]["dockmaster.managed"], "image");
    assert!(ImageRef::parse(&tag).is_ok());
    rig.finish().await;
}
