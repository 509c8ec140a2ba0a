//! What a killed gateway left goes at the next start, and nothing else does.

use instances::Reaped;
use serde_json::json;
use testkit::Scope;

use crate::here::Rig;

/// What the kernel leaves of a killed gateway: its file, unlocked, and what bears its id.
async fn left_by(rig: &Rig, gateway: &str, what: &str) -> String {
    let labels = json!({ "dockmaster.managed": "instance", "dockmaster.gateway": gateway });
    let body = json!({ "Cmd": ["sleep", "600"], "Labels": labels });
    let id = rig.scope.create(what, body).await;
    let start = format!("/containers/{id}/start");
    rig.scope.daemon().post(&start, &json!(null)).await.ok();
    id
}

#[tokio::test]
async fn only_what_the_dead_left() {
    let rig = Rig::new("reap").await;
    let (dead, elsewhere, unknown) = ("00000000000000aa", "00000000000000bb", "00000000000000cc");
    let locks = rig.state.path().join("instances");
    fs_err::write(locks.join(format!("{dead}.lock")), rig.scope.daemon().endpoint()).unwrap();
    fs_err::write(locks.join(format!("{elsewhere}.lock")), "tcp://elsewhere:2375").unwrap();
    let theirs = left_by(&rig, dead, "dead").await;
    let mut stay = vec![
        left_by(&rig, elsewhere, "elsewhere").await,
        left_by(&rig, unknown, "unknown").await,
        rig.scope.run("bystander", &["sleep", "600"]).await,
    ];
    let network = json!({
        "Name": rig.scope.name("net"),
        "Labels": { "dockmaster.managed": "network", "dockmaster.gateway": dead, Scope::KEY: rig.scope.value() },
    });
    rig.scope.daemon().post("/networks/create", &network).await.ok();
    fs_err::create_dir_all(rig.run.path().join(dead).join("x")).unwrap();
    let alive = rig.start("cat").await;
    stay.push(alive.id().to_string());

    let reaped = rig.instances.reap().await.unwrap();
    assert_eq!(
        reaped,
        Reaped {
            containers: 1,
            networks: 1
        }
    );
    let mut left: Vec<String> = rig
        .containers()
        .await
        .iter()
        .map(|container| container["Id"].as_str().unwrap().to_owned())
        .collect();
    left.sort();
    stay.sort();
    assert_eq!(left, stay);
    assert!(!left.contains(&theirs));
    assert!(!rig.run.path().join(dead).exists());
    assert!(!locks.join(format!("{dead}.lock")).exists());
    assert_eq!(rig.instances.reap().await.unwrap(), Reaped::default());
    alive.stop().await;
    for what in ["elsewhere", "unknown", "bystander"] {
        let remove = format!("/containers/{}?force=1", rig.scope.name(what));
        rig.scope.daemon().delete(&remove).await.ok();
    }
    rig.finish().await;
}
