//! A server with a filtered Docker socket sees and makes only its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use catalog::plan::{Container, Mount, Source};
use engine::guard::{Policy, Root};
use instances::{Instances, Options};
use serde_json::json;
use testkit::{Daemon, IMAGE, Scope};

use crate::here::{Lines, Rig, options, shell};

/// Where the socket of the one instance lies on this machine.
fn socket(rig: &Rig) -> PathBuf {
    let only = |folder: PathBuf| {
        let mut entries = fs_err::read_dir(folder).unwrap();
        entries.next().unwrap().unwrap().path()
    };
    only(only(rig.run.path().to_owned())).join("docker.sock")
}

#[tokio::test]
async fn the_api_through_the_socket() {
    let rig = Rig::new("socket").await;
    let bystander = rig.scope.run("bystander", &["sleep", "600"]).await;
    let container = Container {
        docker_socket: true,
        ..shell("ls -l /var/run/docker.sock | cut -c1-10; cat")
    };
    let mut running = rig.try_start(&container).await.unwrap();
    let mut lines = Lines::of(&mut running);
    assert_eq!(lines.hear().await, "srw-rw-rw-");
    let docker = Daemon::at(socket(&rig));
    assert_eq!(docker.get("/_ping").await.ok().text(), "OK");
    assert_eq!(
        docker.get("/v1.41/containers/json?all=1").await.ok().json(),
        json!([])
    );
    assert_eq!(docker.get("/networks").await.ok().json(), json!([]));
    assert_eq!(
        docker.get(&format!("/containers/{bystander}/json")).await.status,
        403
    );
    assert_eq!(
        docker
            .delete(&format!("/containers/{bystander}?force=1"))
            .await
            .status,
        403
    );
    assert_eq!(
        docker
            .get(&format!("/containers/{}/json", running.id()))
            .await
            .status,
        403
    );

    let create =
        |host: serde_json::Value| json!({ "Image": IMAGE, "Cmd": ["sleep", "600"], "HostConfig": host });
    for closed in [
        json!({ "Privileged": true }),
        json!({ "Binds": ["/:/host"] }),
        json!({ "Binds": ["/var/run/docker.sock:/s"] }),
        json!({ "NetworkMode": "host" }),
        json!({ "PidMode": "host" }),
        json!({ "VolumesFrom": [bystander] }),
    ] {
        let refused = docker.post("/containers/create", &create(closed.clone())).await;
        assert_eq!(refused.status, 403, "{closed}: {}", refused.text());
    }
    let made = docker
        .post("/containers/create", &create(json!({})))
        .await
        .ok()
        .json();
    let id = made["Id"].as_str().unwrap();
    docker
        .post(&format!("/containers/{id}/start"), &json!(null))
        .await
        .ok();
    let listed = docker.get("/containers/json").await.ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let inspect = docker.get(&format!("/containers/{id}/json")).await.ok().json();
    assert_eq!(
        inspect["HostConfig"]["NetworkMode"], "none",
        "no more than the server itself"
    );
    assert_eq!(inspect["HostConfig"]["Memory"], 64 << 20);
    docker.delete(&format!("/containers/{id}?force=1")).await.ok();
    running.stop().await;
    rig.scope
        .daemon()
        .delete(&format!("/containers/{bystander}?force=1"))
        .await
        .ok();
    rig.finish().await;
}

/// Two people on one engine have a server of the same name.
#[tokio::test]
async fn what_another_one_of_its_name_made_is_not_its_own() {
    let rig = Rig::new("namesake").await;
    let (state, run) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir_in("/dev/shm").unwrap(),
    );
    let other = Rig {
        scope: Scope::new("namesake-other"),
        instances: Instances::open(Options {
            labels: BTreeMap::from([(Scope::KEY.to_owned(), rig.scope.value().to_owned())]),
            ..options(rig.scope.daemon(), Policy::default(), &state, &run)
        })
        .unwrap(),
        state,
        run,
    };
    let container = Container {
        docker_socket: true,
        ..shell("echo ready; cat")
    };
    let mut listed = Vec::new();
    for house in [&rig, &other] {
        let mut running = house.start_shared(&container, rig.scope.value()).await.unwrap();
        Lines::of(&mut running).hear().await;
        let docker = Daemon::at(socket(house));
        let made = json!({ "Image": IMAGE, "Cmd": ["true"] });
        docker.post("/containers/create", &made).await.ok();
        let all = docker.get("/containers/json?all=1").await.ok().json();
        listed.push(all.as_array().unwrap().len());
        running.stop().await;
    }
    assert_eq!(listed, [1, 1], "each sees what it made itself");
    for made in rig.containers().await {
        let path = format!("/containers/{}?force=1", made["Id"].as_str().unwrap());
        rig.scope.daemon().delete(&path).await.ok();
    }
    other.finish().await;
    rig.finish().await;
}

#[tokio::test]
async fn the_docker_command_line_in_the_container() {
    let client = ["/usr/local/bin/docker", "/usr/bin/docker"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("a docker client on this machine");
    let folder = tempfile::tempdir().unwrap();
    fs_err::copy(client, folder.path().join("docker")).unwrap();
    let policy = Policy {
        roots: vec![Root {
            path: folder.path().to_owned(),
            write: false,
        }],
        ..Policy::default()
    };
    let rig = Rig::with("client", policy, |_| {}).await;
    let script = format!(
        "export DOCKER_CONFIG=/tmp PATH=$PATH:/client
        docker run --rm {IMAGE} echo from a container
        docker run -d --name {name} {IMAGE} sleep 600 >/dev/null
        echo through exec | docker exec -i {name} cat
        docker ps --format '{{{{.Names}}}}'
        docker logs {name}; docker rm -f {name} >/dev/null; docker ps -aq | wc -l",
        name = rig.scope.name("inner")
    );
    let mut container = Container {
        docker_socket: true,
        mounts: vec![Mount {
            source: Source::Path(folder.path().to_owned()),
            target: "/client".to_owned(),
            read_only: true,
        }],
        ..shell(&script)
    };
    container.limits.memory = 256 << 20;
    let mut running = rig.try_start(&container).await.unwrap();
    let text = Lines::of(&mut running).rest().await;
    let stderr = running.stderr().join("\n");
    running.stop().await;
    let expected = format!("from a container\nthrough exec\n{}\n0\n", rig.scope.name("inner"));
    assert_eq!(text, expected, "{stderr}");
    rig.finish().await;
}
