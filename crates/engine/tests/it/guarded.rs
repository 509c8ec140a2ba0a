//! The default policy lets through what people do all day, on every engine: the guard reads each request as this
//! crate writes it, and what it writes anew the daemon accepts.

use crate::containers::{new, on_each};
use crate::here::{guard, is_podman};
use crate::output::texts;
use base::names::{ContainerRef, ImageRef};
use engine::guard::Mode;
use engine::models::{
    ContainerUpdateBody, ExecConfig, HealthConfig, HostConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use engine::ops::containers::{
    Attach, Change, Commit, LogQuery, NewContainer, RemoveContainer, Stop, WaitFor,
};
use engine::ops::files::Unpack;
use engine::{Engine, Error, Options, Tty};
use futures_util::TryStreamExt;
use std::collections::HashMap;
use testkit::Scope;

fn guarded(engine: &Engine) -> Engine {
    Engine::open(Options {
        guard: guard(Mode::Guarded),
        ..engine.options().clone()
    })
    .unwrap()
}

/// What people set on containers: environment, ports, limits, health check, restarts.
fn ordinary(scope: &Scope) -> NewContainer {
    let mut container = new(scope, "web", &["sh", "-c", "echo hello; sleep 600"]);
    let body = &mut container.body;
    body.env = Some(vec!["A=1".to_owned()]);
    body.exposed_ports = Some(vec!["80/tcp".to_owned()]);
    body.healthcheck = Some(HealthConfig {
        test: Some(vec!["CMD".to_owned(), "true".to_owned()]),
        interval: Some(1_000_000_000),
        ..Default::default()
    });
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: Some("0".to_owned()),
    };
    body.host_config = Some(HostConfig {
        memory: Some(64 << 20),
        nano_cpus: Some(500_000_000),
        pids_limit: Some(100),
        cap_drop: Some(vec!["ALL".to_owned()]),
        init: Some(true),
        port_bindings: Some(HashMap::from([("80/tcp".to_owned(), Some(vec![binding]))])),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::ON_FAILURE),
            maximum_retry_count: Some(2),
        }),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(64),
            hard: Some(128),
        }]),
        ..Default::default()
    });
    container
}

#[tokio::test]
async fn the_life_of_a_container() {
    on_each("guarded", async |engine, scope| {
        if is_podman(&engine).await {
            eprintln!(
                "not on Podman, which has no health checks without systemd and adds limits to those asked for"
            );
            return scope;
        }
        let engine = guarded(&engine);
        let container = ordinary(&scope);
        let web = engine.container_create(container).await.unwrap().id;
        assert_eq!(engine.container_start(&web).await.unwrap(), Change::Done);
        let inspect = engine.container_inspect(&web).await.unwrap();
        let host = &inspect["HostConfig"];
        assert_eq!(
            (&host["Memory"], &host["PidsLimit"]),
            (&(64 << 20).into(), &100.into())
        );
        assert!(inspect["Config"]["Env"].to_string().contains("A=1"));
        let ports = &inspect["NetworkSettings"]["Ports"]["80/tcp"];
        assert_eq!(ports[0]["HostIp"], "127.0.0.1", "{ports}");

        let exec = ExecConfig {
            cmd: Some(vec!["cat".to_owned(), "/tmp/file".to_owned()]),
            attach_stdout: Some(true),
            ..Default::default()
        };
        engine
            .files_put(&web, "/tmp", tar(b"content"), Unpack::default())
            .await
            .unwrap();
        let exec = engine.exec_create(&web, exec).await.unwrap();
        let (_input, outputs) = engine.exec_start(&exec, Tty::No).await.unwrap().split();
        assert_eq!(texts(outputs).await.0, "content");
        assert_eq!(engine.exec_exit_code(&exec).await.unwrap(), Some(0));

        let logs = engine
            .container_logs(&web, &LogQuery::default(), Tty::No)
            .await
            .unwrap();
        assert_eq!(texts(logs).await.0, "hello\n");
        drop(
            engine
                .container_attach(&web, Attach::default(), Tty::No)
                .await
                .unwrap(),
        );
        let (_stat, tar) = engine.files_get(&web, "/tmp/file").await.unwrap();
        assert!(tar.try_collect::<Vec<_>>().await.is_ok());
        let less = ContainerUpdateBody {
            pids_limit: Some(50),
            ..Default::default()
        };
        engine.container_update(&web, &less).await.unwrap();
        let target = ImageRef::parse(&scope.image("guarded")).unwrap();
        let commit = Commit {
            target: Some(target),
            changes: vec!["ENV B=2".to_owned()],
            ..Commit::default()
        };
        engine.container_commit(&web, commit).await.unwrap();

        engine.container_pause(&web).await.unwrap();
        engine.container_unpause(&web).await.unwrap();
        let name = ContainerRef::parse(&scope.name("renamed")).unwrap();
        engine.container_rename(&web, &name).await.unwrap();
        let stop = Stop {
            timeout: Some(0),
            signal: None,
        };
        engine.container_restart(&name, stop).await.unwrap();
        engine.container_stop(&name, stop).await.unwrap();
        engine.container_wait(&name, WaitFor::NotRunning).await.unwrap();
        engine
            .container_remove(
                &name,
                RemoveContainer {
                    force: true,
                    volumes: true,
                },
            )
            .await
            .unwrap();
        let error = engine.container_inspect(&web).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        scope
    })
    .await;
}

fn tar(content: &[u8]) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send + use<> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "file", content).unwrap();
    futures_util::stream::iter([Ok(archive.into_inner().unwrap().into())])
}

#[tokio::test]
async fn a_refusal_says_what_and_why_and_nothing_is_made() {
    on_each("refused", async |engine, scope| {
        let engine = guarded(&engine);
        let mut container = new(&scope, "web", &["true"]);
        container.body.host_config = Some(HostConfig {
            privileged: Some(true),
            ..Default::default()
        });
        let error = engine.container_create(container).await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(error.to_string().contains("privileged"), "{error}");
        let name = ContainerRef::parse(&scope.name("web")).unwrap();
        let error = engine.container_inspect(&name).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        scope
    })
    .await;
}

#[tokio::test]
async fn what_the_guard_had_to_look_at_and_is_not_there_is_not_found() {
    on_each("guard", async |engine, scope| {
        let engine = guarded(&engine);
        let missing = ContainerRef::parse("no-such-container-here").unwrap();
        let config = ExecConfig {
            cmd: Some(vec!["true".to_owned()]),
            ..Default::default()
        };
        match engine.exec_create(&missing, config).await {
            Err(Error::NotFound { message, .. }) => {
                assert_eq!(message, "No such container: no-such-container-here");
            }
            other => panic!("{other:?}"),
        }
        scope
    })
    .await;
}
