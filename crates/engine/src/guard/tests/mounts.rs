//! Mounts of containers, by each of the ways to ask for one, and starting a container whose mounts have changed.

use super::*;
use std::os::unix::fs::symlink;

/// A directory with `open` and `read` as roots, and `closed` beside them.
struct Ground {
    dir: tempfile::TempDir,
    text: String,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["open/web", "read/web", "closed"] {
            fs_err::create_dir_all(dir.path().join(name)).unwrap();
        }
        let root = dir.path().display();
        let text =
            format!("roots = [{{ path = \"{root}/open\", write = true }}, {{ path = \"{root}/read\" }}]");
        Self { dir, text }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.dir.path().display())
    }
}

/// The same mount, asked for in each way that the API has.
fn ways(source: &str, write: bool) -> Vec<Ask> {
    let mode = if write { "rw" } else { "ro" };
    let options = json!({"type": "none", "o": format!("bind,{mode}"), "device": source});
    let volume = |driver: &str| json!({"Type": "volume", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Name": driver, "Options": options}}});
    vec![
        create(&json!({"Binds": [format!("{source}:/t:{mode}")]})),
        create(&json!({"Mounts": [{"Type": "bind", "Source": source, "Target": "/t", "ReadOnly": !write}]})),
        create(&json!({"Mounts": [volume("local")]})),
        create(&json!({"Mounts": [volume("")]})),
        post("/volumes/create").json(&json!({"Name": "v", "DriverOpts": options})),
        post("/volumes/create").json(&json!({"Name": "v", "Driver": "local", "DriverOpts": {"type": "tmpfs", "o": format!("{mode},bind"), "device": source}})),
        post("/volumes/create").json(&json!({"Name": "v", "DriverOpts": {"type": "", "o": mode, "device": source}})),
        post("/volumes/create").json(&json!({"Name": "v", "DriverOpts": {"type": "ext4", "o": format!("rbind,{mode}"), "device": source}})),
    ]
}

#[test]
fn sources_in_every_way() {
    let ground = Ground::new();
    symlink("/etc", ground.dir.path().join("open/out")).unwrap();
    symlink(ground.at("open/web"), ground.dir.path().join("open/within")).unwrap();
    symlink(ground.at("open/web"), ground.dir.path().join("closed/into")).unwrap();
    symlink(ground.at("closed"), ground.dir.path().join("read/beside")).unwrap();
    symlink(ground.at("nowhere"), ground.dir.path().join("open/dangling")).unwrap();
    for (source, write, wanted) in [
        (ground.at("open"), true, None),
        (ground.at("open/web"), true, None),
        (ground.at("open/web"), false, None),
        (ground.at("open//web/."), true, None),
        (ground.at("open/within"), true, None),
        // The way to it does not matter, only where it is.
        (ground.at("closed/into"), true, None),
        (ground.at("read/web"), false, None),
        (ground.at("read/web"), true, Some(Rule::Bind)),
        (ground.at("closed"), false, Some(Rule::Bind)),
        (ground.at(""), false, Some(Rule::Bind)),
        (ground.at("open/../closed"), false, Some(Rule::Bind)),
        (ground.at("open/out"), false, Some(Rule::Bind)),
        (ground.at("open/out/ssl"), false, Some(Rule::Bind)),
        (ground.at("open/within/../out"), false, Some(Rule::Bind)),
        (ground.at("read/beside"), false, Some(Rule::Bind)),
        (ground.at("read/beside/new"), false, Some(Rule::Bind)),
        (ground.at("open/dangling"), true, Some(Rule::Bind)),
        (ground.at("open/dangling/x"), true, Some(Rule::Bind)),
        ("/".to_owned(), false, Some(Rule::Bind)),
        ("//".to_owned(), false, Some(Rule::Bind)),
        ("/proc/self/root".to_owned(), false, Some(Rule::Bind)),
    ] {
        for ask in ways(&source, write) {
            check(&ground.text, &ask, wanted);
            // Without roots nothing is open.
            check("", &ask, Some(Rule::Bind));
        }
    }
}

#[test]
fn sources_that_do_not_exist() {
    let ground = Ground::new();
    let bind = |source: &str, mode: &str| create(&json!({"Binds": [format!("{source}:/t:{mode}")]}));
    let mount = |source: &str, options: Value| {
        create(
            &json!({"Mounts": [{"Type": "bind", "Source": source, "Target": "/t", "ReadOnly": true, "BindOptions": options}]}),
        )
    };
    check(&ground.text, &bind(&ground.at("open/new/deep"), "rw"), None);
    // The engine would make a directory in a root that may only be read.
    check(
        &ground.text,
        &bind(&ground.at("read/new"), "ro"),
        Some(Rule::Bind),
    );
    check(
        &ground.text,
        &mount(&ground.at("read/new"), json!({"CreateMountpoint": true})),
        Some(Rule::Bind),
    );
    // Here it answers with an error of its own.
    check(&ground.text, &mount(&ground.at("read/new"), json!({})), None);
}

#[test]
fn modes_of_binds() {
    let ground = Ground::new();
    let bind = |source: &str, rest: &str| create(&json!({"Binds": [format!("{}{rest}", ground.at(source))]}));
    for (source, rest, wanted) in [
        ("open", ":/t", None),
        ("open", ":/t:", None),
        ("open", ":/t:rw,z", None),
        ("open", ":/t:rprivate,cached", None),
        ("read", ":/t:ro", None),
        ("read", ":/t:ro,nocopy", None),
        ("read", ":/t", Some(Rule::Bind)),
        ("read", ":/t:z,ro", Some(Rule::Bind)),
        ("open", ":/t:rshared", Some(Rule::Bind)),
        ("open", ":/t:slave", Some(Rule::Bind)),
        ("open", ":/t:idmap", Some(Rule::Bind)),
        ("open", ":/t:U", Some(Rule::Bind)),
        ("open", ":t", Some(Rule::Bind)),
        ("open", ":/t:ro:x", Some(Rule::Bind)),
        ("open", "", None),
    ] {
        check(&ground.text, &bind(source, rest), wanted);
    }
    for bind in [
        "../closed:/t",
        "./x:/t",
        "~/x:/t",
        "C:\\x:/t",
        "\\etc:/t",
        ":/t",
        "a b:/t",
        "/a\nb:/t",
    ] {
        let refusal =
            create(&json!({"Binds": [bind]})).judged(&policy(&ground.text), &local(), &Known::default());
        assert_eq!(refusal.unwrap_err().rule, Rule::Bind, "{bind}");
    }
}

#[test]
fn kinds_of_mounts() {
    let ground = Ground::new();
    let mount = |mount: Value| create(&json!({"Mounts": [mount]}));
    let open = ground.at("open");
    let read = ground.at("read");
    for (given, wanted) in [
        (
            json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1, "Mode": 511}}),
            None,
        ),
        (
            json!({"Type": "volume", "Source": "data", "Target": "/t", "VolumeOptions": {"Subpath": "a"}}),
            None,
        ),
        (json!({"Type": "volume", "Target": "/t"}), None),
        (
            json!({"Type": "image", "Source": "busybox", "Target": "/t"}),
            None,
        ),
        (
            json!({"Type": "bind", "Source": open, "Target": "/t", "BindOptions": {"Propagation": "rprivate", "NonRecursive": true}}),
            None,
        ),
        (
            json!({"Type": "bind", "Source": open, "Target": "/t", "BindOptions": {"Propagation": "rshared"}}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "bind", "Source": read, "Target": "/t", "ReadOnly": true, "BindOptions": {"ReadOnlyForceRecursive": true}}),
            None,
        ),
        (
            json!({"Type": "bind", "Source": read, "Target": "/t", "ReadOnly": true, "BindOptions": {"ReadOnlyNonRecursive": true}}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "bind", "Source": "", "Target": "/t"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "npipe", "Source": "\\\\.\\pipe\\docker_engine", "Target": "/t"}),
            Some(Rule::Socket),
        ),
        (
            json!({"Type": "cluster", "Source": "group:a", "Target": "/t"}),
            Some(Rule::VolumeDriver),
        ),
        (
            json!({"Type": "BIND", "Source": "/", "Target": "/t"}),
            Some(Rule::Bind),
        ),
        // Podman reads these as options of the mount; the last source counts.
        (
            json!({"Type": "bind", "Source": open, "Target": "/t,source=/etc"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "bind", "Source": open, "Target": "/t\",\"src=/etc"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "bind", "Source": format!("{open},src=/etc"), "Target": "/t"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "volume", "Source": "data", "Target": "/t\nsource=/etc"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "volume", "Source": "data", "Target": "/t", "Consistency": "cached"}),
            None,
        ),
        (
            json!({"Type": "volume", "Source": "data", "Target": "/t", "Consistency": "x,volume-opt=o=bind,volume-opt=device=/"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "bind", "Source": open, "Target": "/t", "Consistency": "cached,source=/"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"Options": [["noexec"], ["uid", "1000"]]}}),
            None,
        ),
        (
            json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"Options": [["bind"]]}}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "", "Source": "/", "Target": "/t"}),
            Some(Rule::Bind),
        ),
        (
            json!({"Type": "overlay", "Source": "/", "Target": "/t"}),
            Some(Rule::Bind),
        ),
    ] {
        check(&ground.text, &mount(given), wanted);
    }
}

#[test]
fn volumes_that_exist() {
    let ground = Ground::new();
    let disguised = |source: &str, o: &str| json!({"Driver": "local", "Options": {"type": "none", "o": o, "device": source}});
    let engine = known([
        (volume("plain"), json!({"Driver": "local", "Options": null})),
        (
            volume("tmp"),
            json!({"Driver": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000"}}),
        ),
        (volume("good"), disguised(&ground.at("open/web"), "bind")),
        (volume("half"), disguised(&ground.at("read"), "bind")),
        (volume("bad"), disguised("/", "bind")),
        (
            volume("nfs"),
            json!({"Driver": "local", "Options": {"type": "nfs", "o": "addr=192.0.2.1", "device": ":/x"}}),
        ),
        (
            volume("plugin"),
            json!({"Driver": "vieux/sshfs:latest", "Options": {}}),
        ),
    ]);
    for (name, mode, wanted) in [
        ("unknown", "rw", None),
        ("plain", "rw", None),
        ("tmp", "rw", None),
        ("good", "rw", None),
        ("half", "ro", None),
        ("half", "rw", Some(Rule::Bind)),
        ("bad", "ro", Some(Rule::Bind)),
        ("nfs", "rw", Some(Rule::VolumeDriver)),
        ("plugin", "rw", Some(Rule::VolumeDriver)),
    ] {
        let asks = [
            create(&json!({"Binds": [format!("{name}:/t:{mode}")]})),
            create(
                &json!({"Mounts": [{"Type": "volume", "Source": name, "Target": "/t", "ReadOnly": mode == "ro"}]}),
            ),
        ];
        for ask in asks {
            check_with(&ground.text, &ask, &engine, wanted);
        }
    }
    let failing = Known(vec![(
        volume("plain"),
        Err(LookupError::Failed("no answer".to_owned())),
    )]);
    check_with(
        "",
        &create(&json!({"Binds": ["plain:/t"]})),
        &failing,
        Some(Rule::Lookup),
    );
}

#[test]
fn volumes_from_another_container() {
    let ground = Ground::new();
    let mount = |kind: &str, source: &str, write: bool| json!([{"Type": kind, "Source": source, "Name": "v", "RW": write, "Propagation": "rprivate"}]);
    let engine = known([
        (container("empty"), state(&json!({}), &json!([]))),
        (
            container("good"),
            state(&json!({}), &mount("bind", &ground.at("open"), true)),
        ),
        (
            container("half"),
            state(&json!({}), &mount("bind", &ground.at("read"), true)),
        ),
        (
            container("socket"),
            state(&json!({}), &mount("bind", "/var/run/docker.sock", true)),
        ),
        (
            container("disguised"),
            state(&json!({}), &mount("volume", "", true)),
        ),
        (
            volume("v"),
            json!({"Driver": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}),
        ),
    ]);
    for (from, wanted) in [
        ("empty", None),
        ("good", None),
        ("good:rw", None),
        ("good:ro,z", Some(Rule::VolumesFrom)),
        ("half:ro", None),
        ("half", Some(Rule::VolumesFrom)),
        ("socket", Some(Rule::VolumesFrom)),
        ("socket:ro", Some(Rule::VolumesFrom)),
        ("disguised:ro", Some(Rule::VolumesFrom)),
        ("nobody", Some(Rule::NotFound)),
        ("good:rshared", Some(Rule::VolumesFrom)),
        ("../x", Some(Rule::Lookup)),
    ] {
        check_with(
            &ground.text,
            &create(&json!({"VolumesFrom": [from]})),
            &engine,
            wanted,
        );
    }
}

#[test]
fn a_container_renamed_meanwhile_gives_no_volumes() {
    let engine = known([(container("web"), state(&json!({}), &json!([])))]);
    let ask = create(&json!({"VolumesFrom": ["web", "web:ro"]}));
    let verdict = ask.judged(&policy(""), &local(), &engine).unwrap();
    let sent: Value = serde_json::from_slice(&verdict.body.unwrap()).unwrap();
    assert_eq!(sent["HostConfig"]["VolumesFrom"], json!(["c0ffee", "c0ffee:ro"]));
}

#[test]
fn starting_looks_again() {
    let ground = Ground::new();
    let mount = |source: &str| json!([{"Type": "bind", "Source": source, "RW": true}]);
    let engine = known([
        (
            container("same"),
            state(&json!({}), &mount(&ground.at("open/web"))),
        ),
        (
            container("swapped"),
            state(&json!({}), &mount(&ground.at("open/swap"))),
        ),
        // Its owner made it, not the guard; it may be started, and nobody may act in it.
        (
            container("foreign"),
            state(&json!({}), &mount("/var/run/docker.sock")),
        ),
        (
            container("disguised"),
            state(&json!({}), &json!([{"Type": "volume", "Name": "v", "RW": true}])),
        ),
        (
            volume("v"),
            json!({"Driver": "local", "Options": {"type": "none", "o": "bind", "device": ground.at("open/swap")}}),
        ),
    ]);
    symlink("/etc", ground.dir.path().join("open/swap")).unwrap();
    for verb in ["start", "restart"] {
        for (name, wanted) in [
            ("same", None),
            ("foreign", None),
            ("swapped", Some(Rule::Bind)),
            ("disguised", Some(Rule::Bind)),
            ("nobody", Some(Rule::NotFound)),
        ] {
            check_with(
                &ground.text,
                &post(format!("/containers/{name}/{verb}")),
                &engine,
                wanted,
            );
        }
    }
    // The one that was looked at is the one that is started.
    let verdict = post("/containers/same/start")
        .judged(&policy(&ground.text), &local(), &engine)
        .unwrap();
    assert_eq!(verdict.path.as_deref(), Some("/containers/c0ffee/start"));
}
