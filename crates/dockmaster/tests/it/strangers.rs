//! Documents and catalogs of strangers: nobody's server is replaced by them, and nothing of them runs unagreed.

use serde_json::{Value, json};

use crate::harness::{Dockmaster, Ended};

fn import(dockmaster: &Dockmaster, servers: &Value, more: &[&str]) -> Ended {
    let document =
        json!({"format": "dockmaster/profile", "version": 1, "name": "theirs", "servers": servers});
    fs_err::write(dockmaster.home().join("theirs.json"), document.to_string()).unwrap();
    dockmaster.run(&[&["profile", "import", "theirs.json"], more].concat())
}

fn config(dockmaster: &Dockmaster) -> String {
    fs_err::read_to_string(dockmaster.file("config.toml")).unwrap_or_default()
}

fn take_in(dockmaster: &Dockmaster, catalog: &str, image: &str) {
    let text = format!(
        "name: {catalog}\nregistry:\n  foo:\n    type: server\n    image: {image}\n    allowHosts: [\"foo.example:443\"]\n"
    );
    fs_err::write(dockmaster.home().join(format!("{catalog}.yaml")), text).unwrap();
    let taken = dockmaster.run(&["catalog", "import", &format!("{catalog}.yaml"), "--name", catalog]);
    assert_eq!(taken.code(), 0, "{}", taken.transcript());
}

#[test]
fn a_document_takes_no_known_servers_place() {
    let dockmaster = Dockmaster::new().configured("[profiles.default.servers.mine]\n");
    let before = config(&dockmaster);
    for (name, why) in [
        ("github-official", "the catalog dockmaster has one of that name"),
        ("mine", "switched on in the profile default"),
    ] {
        let own = json!({"url": "https://elsewhere.example/mcp", "headers": {"X": "$T"},
            "secrets": {"T": "github.personal_access_token"}});
        let refused = import(&dockmaster, &json!({name: {"own": own}}), &["--yes"]);
        assert_eq!(refused.code(), 1, "{}", refused.transcript());
        assert!(refused.stderr().contains(why), "{}", refused.transcript());
        assert_eq!(config(&dockmaster), before);
    }
}

#[test]
fn what_a_document_sets_up_is_agreed_to() {
    let dockmaster = Dockmaster::new();
    let servers = json!({"memory": {"setup": {"image": "evil.example/image:1", "hosts": ["10.0.0.1:80"]}}});
    let refused = import(&dockmaster, &servers, &[]);
    assert_eq!(refused.code(), 77, "{}", refused.transcript());
    for word in ["evil.example/image:1", "10.0.0.1:80", "--yes"] {
        assert!(
            refused.stderr().contains(word),
            "{word}: {}",
            refused.transcript()
        );
    }
    assert_eq!(config(&dockmaster), "");
    let taken = import(&dockmaster, &servers, &["--yes"]);
    assert_eq!(taken.code(), 0, "{}", taken.transcript());
    let plan = |profile| {
        let shown = dockmaster.run(&["server", "inspect", "memory", "--plan", "--profile", profile]);
        serde_json::from_str::<Value>(&shown.stdout()).unwrap()
    };
    assert_eq!(plan("theirs")["target"]["private_hosts"][0]["host"], "10.0.0.1");
    // Named in one profile, it counts for no other.
    assert_eq!(plan("default")["target"]["private_hosts"], Value::Null);
}

#[test]
fn the_entry_that_was_agreed_to_is_the_one_that_runs() {
    let dockmaster = Dockmaster::new().configured("[servers.foo]\nimage = \"own/foo:1\"\n");
    take_in(&dockmaster, "team", "team/foo:1");
    let image = || {
        let shown = dockmaster.run(&["server", "inspect", "foo", "--plan"]);
        let plan: Value = serde_json::from_str(&shown.stdout()).unwrap_or_default();
        let target = &plan["target"];
        format!(
            "{} {}",
            target["catalog"].as_str().unwrap_or_default(),
            target["image"]
        )
    };
    assert_eq!(image(), "own \"own/foo:1\"");
    fs_err::write(
        dockmaster.file("config.toml"),
        config(&dockmaster) + "[profiles.default.servers.foo]\ncatalog = \"team\"\n",
    )
    .unwrap();
    assert_eq!(image(), "team \"team/foo:1\"");
    // One that is on by its plain name stays what it is when another catalog comes that has it too.
    fs_err::write(dockmaster.file("config.toml"), "[profiles.default.servers.foo]\n").unwrap();
    take_in(&dockmaster, "other", "other/foo:1");
    assert!(
        config(&dockmaster).contains("catalog = \"team\""),
        "{}",
        config(&dockmaster)
    );
    assert_eq!(image(), "team \"team/foo:1\"");
}

#[test]
fn what_a_set_up_comes_to_ask_for_is_agreed_to() {
    let dockmaster = Dockmaster::new();
    let shared = dockmaster.home().join("shared");
    fs_err::create_dir_all(&shared).unwrap();
    let dockmaster = dockmaster.configured(&format!(
        "[servers.notes]\nimage = \"busybox\"\nvolumes = [\"{{{{notes.path}}}}:/data\"]\n\
         [servers.notes.config]\ntype = \"object\"\nrequired = [\"path\"]\n\
         properties = {{ path = {{ type = \"string\" }} }}\n\
         [[hosts.local.guard.roots]]\npath = {shared:?}\n[profiles.default.servers.notes]\n"
    ));
    let before = config(&dockmaster);
    let path = format!("path={}", shared.display());
    let refused = dockmaster.run(&["server", "config", "notes", &path]);
    assert_eq!(refused.code(), 77, "{}", refused.transcript());
    assert!(refused.stderr().contains("/shared"), "{}", refused.transcript());
    assert_eq!(config(&dockmaster), before);
}
