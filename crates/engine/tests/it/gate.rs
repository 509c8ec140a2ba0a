//! There is one way to a daemon, and the guard stands in it: under a policy that only reads, no operation of this
//! crate gets a single changing request through.

use crate::here::{guard, options};
use base::names::{ContainerRef, ExecId, ImageRef, NetworkRef, VolumeName};
use engine::guard::Mode;
use engine::models::{ContainerUpdateBody, ExecConfig, NetworkCreateRequest, VolumeCreateRequest};
use engine::ops::containers::{Attach, Commit, NewContainer, RemoveContainer, Stop, WaitFor};
use engine::ops::files::Unpack;
use engine::ops::images::{Build, Import, Pull, RemoveImage};
use engine::ops::networks::{Join, Leave};
use engine::ops::system::{Reach, Selection, Sweep};
use engine::ops::volumes::RemoveVolume;
use engine::{Engine, Error, Filters, Options, Request, Tty, path};
use http::Method;
use serde_json::json;
use testkit::{DaemonDouble, Reply};

/// Says yes to everything, so that whatever is let through would succeed.
fn daemon() -> DaemonDouble {
    DaemonDouble::start(|seen| match seen.path() {
        "/_ping" => Reply::ping("1.51"),
        _ => Reply::json(200, &json!({ "Id": "a1", "StatusCode": 0 })),
    })
}

fn read_only(double: &DaemonDouble) -> Engine {
    Engine::open(Options {
        guard: guard(Mode::ReadOnly),
        ..options(&double.endpoint())
    })
    .unwrap()
}

fn check<T>(double: &DaemonDouble, operation: &str, result: Result<T, Error>) {
    match result {
        Err(Error::Refused(_)) => {}
        Err(error) => panic!("{operation} failed for another reason: {error}"),
        Ok(_) => panic!("{operation} was let through"),
    }
    let changing: Vec<String> = double
        .seen()
        .into_iter()
        .filter(|seen| seen.method != "GET" && seen.method != "HEAD")
        .map(|seen| format!("{} {}", seen.method, seen.target))
        .collect();
    assert!(changing.is_empty(), "{operation} sent {changing:?}");
}

#[tokio::test]
async fn no_operation_on_containers_gets_past_the_guard() {
    let double = daemon();
    let engine = read_only(&double);
    let web = &ContainerRef::parse("web").unwrap();
    let other = &ContainerRef::parse("other").unwrap();
    let none = || futures_util::stream::empty();
    check(
        &double,
        "create",
        engine.container_create(NewContainer::default()).await,
    );
    check(&double, "start", engine.container_start(web).await);
    check(&double, "stop", engine.container_stop(web, Stop::default()).await);
    check(
        &double,
        "restart",
        engine.container_restart(web, Stop::default()).await,
    );
    check(&double, "kill", engine.container_kill(web, None).await);
    check(&double, "pause", engine.container_pause(web).await);
    check(&double, "unpause", engine.container_unpause(web).await);
    check(&double, "rename", engine.container_rename(web, other).await);
    check(
        &double,
        "remove",
        engine.container_remove(web, RemoveContainer::default()).await,
    );
    check(
        &double,
        "update",
        engine
            .container_update(web, &ContainerUpdateBody::default())
            .await,
    );
    check(
        &double,
        "commit",
        engine.container_commit(web, Commit::default()).await,
    );
    check(&double, "prune", engine.container_prune(&Filters::new()).await);
    check(
        &double,
        "attach",
        engine
            .container_attach(
                web,
                Attach {
                    stdin: true,
                    ..Attach::default()
                },
                Tty::No,
            )
            .await,
    );
    check(&double, "resize", engine.container_resize(web, 24, 80).await);
    check(
        &double,
        "put",
        engine.files_put(web, "/", none(), Unpack::default()).await,
    );
    // Waiting changes nothing.
    engine.container_wait(web, WaitFor::NotRunning).await.unwrap();
}

#[tokio::test]
async fn no_exec_gets_past_the_guard() {
    let double = daemon();
    let engine = read_only(&double);
    let web = &ContainerRef::parse("web").unwrap();
    let exec = &ExecId::parse("ab12").unwrap();
    check(
        &double,
        "exec create",
        engine.exec_create(web, ExecConfig::default()).await,
    );
    check(&double, "exec start", engine.exec_start(exec, Tty::No).await);
    check(
        &double,
        "exec start detached",
        engine.exec_start_detached(exec).await,
    );
    check(&double, "exec resize", engine.exec_resize(exec, 24, 80).await);
}

#[tokio::test]
async fn no_operation_on_images_gets_past_the_guard() {
    let double = daemon();
    let engine = read_only(&double);
    let image = &ImageRef::parse("localhost:5000/a/b:1").unwrap();
    let none = || futures_util::stream::empty();
    let pull = Pull {
        image: image.clone(),
        platform: None,
    };
    check(&double, "pull", engine.image_pull(&pull).await.map(drop));
    check(&double, "push", engine.image_push(image).await.map(drop));
    check(&double, "tag", engine.image_tag(image, image).await);
    check(
        &double,
        "remove",
        engine.image_remove(image, RemoveImage::default()).await,
    );
    check(&double, "load", engine.image_load(none()).await.map(drop));
    check(
        &double,
        "import",
        engine.image_import(&Import::default(), none()).await.map(drop),
    );
    check(
        &double,
        "build",
        engine.image_build(&Build::default(), none()).await.map(drop),
    );
}

#[tokio::test]
async fn no_operation_on_the_rest_gets_past_the_guard() {
    let double = daemon();
    let engine = read_only(&double);
    let web = &ContainerRef::parse("web").unwrap();
    let network = &NetworkRef::parse("n 1").unwrap();
    let volume = &VolumeName::parse("v").unwrap();
    check(
        &double,
        "network create",
        engine
            .network_create(&NetworkCreateRequest::default())
            .await
            .map(drop),
    );
    check(&double, "network remove", engine.network_remove(network).await);
    check(
        &double,
        "network connect",
        engine.network_connect(network, web, &Join::default()).await,
    );
    check(
        &double,
        "network disconnect",
        engine.network_disconnect(network, web, Leave::Orderly).await,
    );
    check(
        &double,
        "volume create",
        engine.volume_create(&VolumeCreateRequest::default()).await,
    );
    check(
        &double,
        "volume remove",
        engine.volume_remove(volume, RemoveVolume::Orderly).await,
    );
    // Volumes are pruned one by one, with `volume_remove`.
    for sweep in [
        Sweep::Containers,
        Sweep::Networks,
        Sweep::Images(Reach::Leftovers),
        Sweep::BuildCache(Reach::Leftovers),
    ] {
        check(
            &double,
            &format!("prune {sweep:?}"),
            engine.prune(sweep, &Selection::default()).await,
        );
    }
}

#[tokio::test]
async fn nothing_written_by_hand_gets_past_the_guard() {
    let double = daemon();
    let engine = read_only(&double);
    let image = &ImageRef::parse("a/b:1").unwrap();
    let network = &NetworkRef::parse("n 1").unwrap();
    let volume = &VolumeName::parse("v").unwrap();
    check(
        &double,
        "image remove",
        engine.image_remove(image, RemoveImage::default()).await,
    );
    for request in [
        Request::post(path!["images", "create"]).query("fromImage", image),
        Request::post(path!["build"]).whole("application/x-tar", "x"),
        Request::post(path!["networks", "create"]).json(&json!({ "Name": "n" })),
        Request::delete(path!["networks", network]),
        Request::post(path!["volumes", "create"]).json(&json!({ "Name": "v" })),
        Request::delete(path!["volumes", volume]),
        Request::post(path!["plugins", "pull"]),
        Request::post(path!["swarm", "init"]).json(&json!({})),
        Request::post(path!["no", "such", "endpoint"]),
        Request::put(path!["info"]),
    ] {
        let operation = format!("{request:?}");
        check(&double, &operation, engine.raw(request).await);
    }
    check(
        &double,
        "send",
        engine.send(Request::post(path!["build"])).await.map(drop),
    );
    check(
        &double,
        "lines",
        engine.lines(Request::post(path!["build"])).await.map(drop),
    );
    check(
        &double,
        "bytes",
        engine.bytes(Request::post(path!["build"])).await.map(drop),
    );
    check(
        &double,
        "hijack",
        engine.hijack(Request::post(path!["session"])).await.map(drop),
    );
    assert!(
        double
            .seen()
            .iter()
            .all(|seen| seen.method == Method::GET.as_str())
    );
}

/// Guards what the tests above can't: that no second way is built beside the first.
#[test]
fn requests_are_sent_in_one_place() {
    let mut callers = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs_err::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            for needle in [
                "transport.send(",
                "client.request(",
                "UnixStream::connect",
                "TcpStream::connect",
            ] {
                callers.extend(source.matches(needle).map(|_| format!("{name}: {needle}")));
            }
        }
    }
    callers.sort();
    assert_eq!(
        callers,
        [
            "connect.rs: TcpStream::connect",
            "connect.rs: UnixStream::connect",
            "engine.rs: transport.send(",
            "mod.rs: client.request(",
        ]
    );
}
