//! What a container may do and what it is given.

use catalog::plan::{Container, Limits, Mount, Part, Source, Value};
use engine::guard::{Policy, Root};
use instances::End;
use testkit::Scope;

use crate::here::{Lines, Rig, printed, shell};

#[tokio::test]
async fn everything_is_shut() {
    let rig = Rig::new("shut").await;
    let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' '  '
        echo; id -u; echo $HOME
        touch /x 2>/dev/null || echo root is read-only
        printf '#!/bin/sh\\necho runs from tmp' > /tmp/x; chmod +x /tmp/x; /tmp/x
        dd if=/dev/zero of=/tmp/big bs=1M count=40 2>/dev/null || echo tmp is bounded
        ls /sys/class/net; ulimit -c; ls /var/run/docker.sock 2>/dev/null || echo no socket";
    let text = printed(&rig, &shell(script)).await;
    insta::assert_snapshot!(text, @r"
    CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 
    65532
    /tmp
    root is read-only
    runs from tmp
    tmp is bounded
    lo
    0
    no socket
    ");
    let running = rig.start("cat").await;
    let inspect = rig.inspect(&running).await;
    let host = &inspect["HostConfig"];
    insta::assert_snapshot!(
        format!(
            "memory {} swap {} cpus {} pids {} init {} log {} restart {} network {} oom {}",
            host["Memory"],
            host["MemorySwap"],
            host["NanoCpus"],
            host["PidsLimit"],
            host["Init"],
            host["LogConfig"]["Type"],
            host["RestartPolicy"]["Name"],
            host["NetworkMode"],
            host["OomScoreAdj"]
        ),
        @r#"memory 67108864 swap 67108864 cpus 1000000000 pids 32 init true log "none" restart "no" network "none" oom 0"#
    );
    let labels = &inspect["Config"]["Labels"];
    assert_eq!(labels["dockmaster.managed"], "instance");
    assert_eq!(labels["dockmaster.server"], "fake");
    assert_eq!(labels["dockmaster.gateway"], rig.instances.gateway());
    assert_eq!(labels["dockmaster.fingerprint"], running.fingerprint());
    assert_ne!(
        labels["dockmaster.share"],
        rig.scope.value(),
        "a hash, not the name"
    );
    assert!(running.name().starts_with("dockmaster-fake-"));
    drop(running);
    rig.finish().await;
}

#[tokio::test]
async fn bounds_hold_and_orphans_are_reaped() {
    let rig = Rig::new("bounds").await;
    let script = r#"
        (i=0; while [ $i -lt 60 ]; do sleep 3 >/dev/null 2>&1 & i=$((i+1)); done; echo all forked) 2>&1 | grep -o "can't fork"
        # The sleepers end meanwhile; a shell that can't fork ends, too.
        read -t 6 x
        cat /sys/fs/cgroup/cpu*/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | head -1 | cut -d' ' -f1
        sh -c 'sleep 0.1 & exec true'
        read -t 2 x
        grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"#;
    let container = Container {
        limits: Limits {
            memory: 64 << 20,
            cpus: 0.5,
            pids: 32,
        },
        ..shell(script)
    };
    let text = printed(&rig, &container).await;
    assert_eq!(text, "can't fork\n50000\n0\n");
    rig.finish().await;
}

#[tokio::test]
async fn secrets_come_as_environment_and_as_files_and_stand_nowhere_else() {
    let rig = Rig::new("secrets").await;
    let token = || {
        vec![
            Part::Text("Bearer ".to_owned()),
            Part::Secret("fake.token".to_owned()),
        ]
    };
    let container = Container {
        env: vec![("TOKEN".to_owned(), Value::Parts(token()))],
        mounts: vec![Mount {
            source: Source::Secret("fake.token".to_owned()),
            target: "/run/token".to_owned(),
            read_only: true,
        }],
        ..shell("echo $TOKEN; cat /run/token; echo; (echo x > /run/token) 2>&1 || true; read -r line")
    };
    let mut running = rig.try_start(&container).await.unwrap();
    let mut lines = Lines::of(&mut running);
    assert_eq!(lines.hear().await, "Bearer s3cr3t-value");
    assert_eq!(lines.hear().await, "s3cr3t-value");
    assert!(lines.hear().await.contains("can't create /run/token"));
    let inspect = rig.inspect(&running).await;
    assert!(!inspect["Config"]["Labels"].to_string().contains("s3cr3t"));
    assert!(!inspect["Name"].to_string().contains("s3cr3t"));
    running.stop().await;
    assert_eq!(
        fs_err::read_dir(rig.run.path()).unwrap().count(),
        0,
        "the file is gone"
    );

    let missing = Container {
        env: vec![(
            "KEY".to_owned(),
            Value::Parts(vec![Part::Secret("fake.other".to_owned())]),
        )],
        ..shell("true")
    };
    let refused = rig.try_start(&missing).await.unwrap_err();
    insta::assert_snapshot!(refused, @"server fake needs the secret fake.other, which has no value; give it one with `dockmaster secret set fake.other`");
    rig.finish().await;
}

#[tokio::test]
async fn folders_of_the_host_only_under_the_users_roots() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("note"), "hello").unwrap();
    let mount = |path: &std::path::Path, read_only| Mount {
        source: Source::Path(path.to_owned()),
        target: "/data".to_owned(),
        read_only,
    };
    let container = |mount| Container {
        mounts: vec![mount],
        ..shell("cat /data/note; echo; echo x > /data/new && echo written")
    };

    let rig = Rig::new("no-roots").await;
    let refused = rig
        .try_start(&container(mount(folder.path(), true)))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("no directory of the host is open"),
        "{refused}"
    );
    let socket = Container {
        mounts: vec![mount("/var/run/docker.sock".as_ref(), false)],
        ..shell("true")
    };
    let refused = rig.try_start(&socket).await.unwrap_err();
    assert!(refused.to_string().contains("rule socket"), "{refused}");
    rig.finish().await;

    let policy = Policy {
        roots: vec![Root {
            path: folder.path().to_owned(),
            write: true,
        }],
        ..Policy::default()
    };
    let rig = Rig::with("roots", policy, |_| {}).await;
    let text = printed(&rig, &container(mount(folder.path(), true))).await;
    assert_eq!(text, "hello\n");
    let text = printed(&rig, &container(mount(folder.path(), false))).await;
    assert_eq!(text, "hello\nwritten\n", "as the folder's owner");
    rig.finish().await;
}

#[tokio::test]
async fn what_is_asked_for_is_given() {
    let rig = Rig::new("asked").await;
    // Not in `/` itself: where an image has no entry for it, Podman makes it with mode 0555, and root without capabilities
    // may not write there.
    let volume = rig.scope.name("data");
    let container = Container {
        capabilities: vec!["NET_BIND_SERVICE".to_owned(), "SYS_PTRACE".to_owned()],
        writable_root: true,
        working_dir: Some("/data".to_owned()),
        mounts: vec![Mount {
            source: Source::Volume(volume.clone()),
            target: "/data".to_owned(),
            read_only: false,
        }],
        ..shell(
            "grep CapBnd /proc/self/status; id -u; touch /bin/x && pwd; cat kept 2>/dev/null; echo kept > kept",
        )
    };
    let alone = Container {
        capabilities: vec!["NET_BIND_SERVICE".to_owned()],
        ..shell("grep CapEff /proc/self/status; id -u")
    };
    let used = printed(&rig, &alone).await;
    assert_eq!(used, "CapEff:\t0000000000000400\n0\n", "one that counts");
    let first = printed(&rig, &container).await;
    assert_eq!(first, "CapBnd:\t0000000000080400\n0\n/data\n");
    let again = printed(&rig, &container).await;
    assert!(
        again.ends_with("/data\nkept\n"),
        "the volume outlives the container: {again}"
    );
    let volume = rig
        .scope
        .daemon()
        .get(&format!("/volumes/{volume}"))
        .await
        .ok()
        .json();
    assert_eq!(volume["Labels"]["dockmaster.managed"], "data");
    assert_eq!(volume["Labels"][Scope::KEY], rig.scope.value());
    rig.finish().await;
}

#[tokio::test]
async fn a_volume_of_somebody_else_is_left_alone() {
    let rig = Rig::new("foreign").await;
    let volume = rig.scope.volume("theirs").await;
    let container = Container {
        mounts: vec![Mount {
            source: Source::Volume(volume.clone()),
            target: "/data".to_owned(),
            read_only: false,
        }],
        ..shell("echo kept > /data/note; cat /data/note")
    };
    let refused = rig.try_start(&container).await.unwrap_err();
    assert!(
        refused.to_string().contains(&format!("volumes = [{volume:?}]")),
        "{refused}"
    );
    // Another one's permission is none.
    let other = Container {
        volumes: vec!["another".to_owned()],
        ..container.clone()
    };
    assert!(rig.try_start(&other).await.is_err());
    let permitted = Container {
        volumes: vec![volume],
        ..container
    };
    assert_eq!(printed(&rig, &permitted).await, "kept\n");
    rig.finish().await;
}

#[tokio::test]
async fn who_can_not_do_without_root_is_told_how_to_get_it() {
    let rig = Rig::new("hint").await;
    let mut running = rig
        .start("cat /etc/shadow-of-root; echo 'EACCES: permission denied' >&2; exit 1")
        .await;
    Lines::of(&mut running).rest().await;
    let exited = running.exited().await;
    assert_eq!(exited.end, End::Itself);
    assert!(
        exited.to_string().contains("give it `user = \"root\"`"),
        "{exited}"
    );
    let container = Container {
        user: Some("root".to_owned()),
        ..shell("id -u; grep CapEff /proc/self/status")
    };
    assert_eq!(printed(&rig, &container).await, "0\nCapEff:\t0000000000000000\n");
    rig.finish().await;
}
