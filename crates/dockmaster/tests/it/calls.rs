//! What a person sees of tools and of the audit.

use insta::assert_snapshot;
use serde_json::Value;
use testkit::Scope;

use crate::harness::{Dockmaster, masked};

#[test]
fn tools_list_and_inspect() {
    let dockmaster = Dockmaster::new();
    let listed = |arguments: &[&str]| {
        let listed: Vec<Value> = serde_json::from_str(&dockmaster.run(arguments).stdout()).unwrap();
        listed
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(listed(&["tools", "list", "--json"]).contains(&"list_containers".to_owned()));
    assert!(
        listed(&["tools", "list", "--json", "--toolset", "compact"]).contains(&"run-container".to_owned())
    );
    assert!(
        dockmaster
            .run(&["tools", "list"])
            .stdout()
            .contains("\nlist_containers ")
    );
    assert_snapshot!(masked(&dockmaster.run(&["tools", "inspect", "rename_container"]).transcript()), @"
    exit #
    | rename_container
    |
    | Give a container another name.
    |
    | ARGUMENT  TYPE  ABOUT
    | container  string  required
    | new_name  string  required
    ");
    assert_eq!(
        dockmaster
            .run(&["tools", "inspect", "run-container", "--json"])
            .code(),
        0
    );
    assert_snapshot!(dockmaster.run(&["tools", "inspect", "no_such"]).transcript(), @r#"
    exit 1
    ! error: there is no tool "no_such" that may be used; `dockmaster tools list --toolset full` lists them
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_call() {
    let scope = Scope::new("cli-call");
    let image = testkit::image().await;
    let name = scope.name("web");
    let dockmaster = Dockmaster::new();
    let call = |arguments: &[&str]| {
        dockmaster
            .run(&[&["tools", "call"], arguments].concat())
            .transcript()
            .replace(&name, "NAME")
    };
    let labels = format!("labels={}", scope.labels());
    let created = call(&[
        "create_container",
        "--arg",
        &format!("name={name}"),
        "--arg",
        &format!("image={image}"),
        "--arg",
        &labels,
    ]);
    assert!(created.starts_with("exit 0"), "{created}");
    assert!(call(&["list_containers", "{\"all\": true}"]).contains("NAME"));
    let json: Value = serde_json::from_str(
        &dockmaster
            .run(&["tools", "call", "get_docker_info", "--json"])
            .stdout(),
    )
    .unwrap();
    assert_eq!(json["content"][0]["type"], "text");

    let missing = call(&["inspect_container", "--arg", "container=no-such-thing"]);
    assert!(missing.starts_with("exit 1\n! "), "{missing}");
    assert_snapshot!(call(&["no_such_tool"]), @r#"
    exit 1
    ! error: there is no tool "no_such_tool"
    "#);
    let unasked = call(&["remove_container", "--arg", &format!("container={name}")]);
    assert_snapshot!(unasked, @r#"
    exit 77
    ! docker/remove_container was not made: to remove container NAME needs a person's yes (it destroys, and policy.ask is "destroy"), and nobody can be asked here. Use `--yes` or a terminal, or set `when_unable = "allow"` or another `ask` under [policy] in the configuration
    "#);
    assert!(
        call(&["remove_container", "--yes", "--arg", &format!("container={name}")]).starts_with("exit 0")
    );
    let denied = Dockmaster::new().configured("[policy]\npreset = 'read-only'\n");
    assert_snapshot!(denied.run(&["tools", "call", "create_network", "{\"name\": \"x\"}"]).transcript(), @r#"
    exit 77
    ! docker/create_network is not permitted: policy.preset is "read-only", and this call changes. To allow it, write under [policy]: allow = ["docker/create_network"]
    "#);
    scope.finish().await;
}

#[test]
fn an_engine_that_is_not_there() {
    let nowhere = Dockmaster::on("unix:///nonexistent/docker.sock");
    let ended = nowhere.run(&["tools", "call", "list_containers"]);
    assert_eq!(ended.code(), 1, "{}", ended.transcript());
    assert!(
        ended.stderr().contains("/nonexistent/docker.sock"),
        "{}",
        ended.stderr()
    );
}

#[test]
fn audit() {
    let dockmaster = Dockmaster::new();
    assert_snapshot!(dockmaster.run(&["audit", "list"]).transcript(), @"
    exit 0
    ! nothing was recorded yet in ~/dm/dockmaster.db
    ");
    assert_snapshot!(dockmaster.run(&["audit", "verify"]).transcript(), @"
    exit 0
    ! nothing was recorded yet in ~/dm/dockmaster.db
    ");
    for _ in 0..3 {
        dockmaster.run(&["tools", "call", "list_networks"]);
    }
    dockmaster.run(&["tools", "call", "no_such_tool"]);
    let user = dockmaster.audit()[0]["principal"].as_str().unwrap().to_owned();
    let list = |arguments: &[&str]| {
        let listed = dockmaster
            .run(&[&["audit", "list"], arguments].concat())
            .transcript();
        masked(&listed.replace(&user, "local:USER"))
    };
    assert_snapshot!(list(&[]), @r#"
    exit #
    | ROW  TIME  PRINCIPAL  CLIENT  TOOL  DECISION  MS  BYTES  OUTCOME
    | #  #-#-#T#:#:#Z  local:USER  dockmaster-cli #.#.#  docker/list_networks  allow  #  #  ok
    | #  #-#-#T#:#:#Z  local:USER  dockmaster-cli #.#.#  docker/list_networks  allow  #  #  ok
    | #  #-#-#T#:#:#Z  local:USER  dockmaster-cli #.#.#  docker/list_networks  allow  #  #  ok
    | #  #-#-#T#:#:#Z  local:USER  dockmaster-cli #.#.#  no_such_tool  none  #  #  failed: there is no tool "no_such_tool"
    "#);
    assert_snapshot!(list(&["--tool", "list_networks", "--limit", "1"]), @"
    exit #
    | ROW  TIME  PRINCIPAL  CLIENT  TOOL  DECISION  MS  BYTES  OUTCOME
    | #  #-#-#T#:#:#Z  local:USER  dockmaster-cli #.#.#  docker/list_networks  allow  #  #  ok
    ");
    assert_snapshot!(list(&["--until", "2020-01-01"]), @"exit #");
    let json: Vec<Value> =
        serde_json::from_str(&dockmaster.run(&["audit", "list", "--json"]).stdout()).unwrap();
    assert_eq!(json.len(), 4);
    assert_snapshot!(masked(&dockmaster.run(&["audit", "verify"]).transcript()), @"
    exit #
    | rows: #, all as they were written
    | head: HASH
    ");

    let head = dockmaster.audit()[2]["hash"].as_str().unwrap().to_owned();
    assert_eq!(dockmaster.run(&["audit", "verify", "--noted", &head]).code(), 0);
    assert_snapshot!(dockmaster.run(&["audit", "verify", "--noted", &"0".repeat(64)]).transcript(), @"
    exit 65
    | rows: 4
    | tampered with: the rows are whole, but none has the noted hash: they were written anew, or are another audit's
    ");

    let file = dockmaster.file("export.jsonl");
    let export = || {
        dockmaster
            .run(&["audit", "export", "--output", file.to_str().unwrap()])
            .transcript()
    };
    assert_snapshot!(export(), @"
    exit 0
    ! 4 rows in HOME/dm/export.jsonl
    ");
    assert_snapshot!(export(), @"
    exit 1
    ! error: the export needs a file of its own: failed to open file `HOME/dm/export.jsonl`: File exists (os error 17)
    ");
    assert_eq!(fs_err::read_to_string(&file).unwrap().lines().count(), 4);

    dockmaster.tamper("UPDATE audit SET decision = 'confirmed' WHERE seq = 2");
    assert_snapshot!(dockmaster.run(&["audit", "verify"]).transcript(), @"
    exit 65
    | rows: 4
    | tampered with: row 2 was changed or moved
    ");
    dockmaster.tamper("DELETE FROM audit WHERE seq = 2");
    let report: Value =
        serde_json::from_str(&dockmaster.run(&["audit", "verify", "--json"]).stdout()).unwrap();
    assert_eq!(report["problem"], "row 2 is missing");
}
