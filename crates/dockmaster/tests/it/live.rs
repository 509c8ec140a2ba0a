//! Commands that reach the gateways that run: how they do, what is stopped in them, and which tools they have.

use serde_json::{Value, json};

use crate::harness::Dockmaster;
use crate::servers::{containers, gone, script, store_secret};

const VERSION: &str = "2025-11-25";

fn servers(dockmaster: &Dockmaster) -> Vec<Value> {
    let list = dockmaster.run(&["server", "list", "--json"]);
    assert_eq!(list.code(), 0, "{}", list.transcript());
    serde_json::from_str(&list.stdout()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_seen_and_restarted_where_it_runs() {
    let dockmaster = script("again", "[profiles.default.servers.again]\n").await;
    store_secret(&dockmaster, "script.token", "s3cret-value-of-again");
    let nobody = dockmaster.run(&["server", "restart", "again"]);
    insta::assert_snapshot!(nobody.transcript(), @"
    exit 69
    ! error: no gateway runs, so again does not either; what is configured now holds from the next `dockmaster gateway run`
    ");
    assert_eq!(servers(&dockmaster)[1]["gateways"], json!([]));

    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let first = client.call("whoami", json!({})).await.ok().text();
    let listed = servers(&dockmaster);
    let gateway = &listed[1]["gateways"][0];
    assert_eq!(gateway["server"]["state"], "idle", "{listed:?}");
    assert_eq!(gateway["server"]["memory_bytes"], 2_u64 << 30, "{listed:?}");
    assert_eq!(gateway["server"]["instances"][0]["calls"], 1, "{listed:?}");
    let shown = dockmaster.run(&["server", "list"]);
    assert!(
        shown.stdout().contains("again   container  idle   again"),
        "{}",
        shown.transcript()
    );

    let before = containers("again").await;
    let restarted = dockmaster.run(&["server", "restart", "again"]);
    insta::assert_snapshot!(restarted.transcript(), @"
    exit 0
    | again was stopped in one gateway; its next use starts it anew
    ");
    testkit::eventually("the end of what ran", async || {
        let now = containers("again").await;
        (!now.iter().any(|container| container["Id"] == before[0]["Id"])).then_some(())
    })
    .await;
    let second = client.call("whoami", json!({})).await.ok().text();
    assert_ne!(first, second, "it is another container");
    let status = dockmaster.run(&["gateway", "status"]);
    for wanted in [
        "gateway 0.1.0 over stdio, process ",
        "\nagain ",
        "  everyone: idle for ",
        ", calls 1, at most 2 GiB of memory",
        "stopped  everyone",
        "a restart was asked for",
    ] {
        assert!(
            status.stdout().contains(wanted),
            "{wanted}: {}",
            status.transcript()
        );
    }
    let rows = dockmaster.audit();
    let row = rows.iter().find(|row| row["tool"] == "server.restart").unwrap();
    assert_eq!(row["server"], "again", "{row}");
    let unknown = dockmaster.run(&["server", "restart", "nobody"]);
    assert_eq!(unknown.code(), 1, "{}", unknown.transcript());
    client.close().await;
    gone("again").await;
    let left = fs_err::read_dir(dockmaster.file("gateways")).unwrap().count();
    assert_eq!(left, 0, "the gateway's socket goes with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_has_what_is_switched_on_and_off() {
    let dockmaster = script("late", "").await;
    store_secret(&dockmaster, "script.token", "s3cret-value-of-late");
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let has = async |tool: &str| {
        let tools = client.tools().await;
        tools.iter().any(|listed| listed["name"] == tool)
    };
    assert!(!has("whoami").await);
    let enabled = dockmaster.run(&["server", "enable", "late"]);
    assert_eq!(enabled.code(), 0, "{}", enabled.transcript());
    assert!(
        enabled
            .stderr()
            .contains("the gateway that runs has taken it over"),
        "{}",
        enabled.transcript()
    );
    testkit::eventually("its tools", async || has("whoami").await.then_some(())).await;
    assert!(has("token").await && has("list_containers").await);
    client.call("whoami", json!({})).await.ok();
    assert_eq!(dockmaster.run(&["tools", "disable", "late/token"]).code(), 0);
    testkit::eventually("its other tool", async || has("whoami").await.then_some(())).await;
    assert!(!has("token").await);
    let disabled = dockmaster.run(&["server", "disable", "late"]);
    assert_eq!(disabled.code(), 0, "{}", disabled.transcript());
    assert!(!has("whoami").await && has("list_containers").await);
    client.close().await;
    gone("late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_failure_is_listed_and_a_dead_socket_removed() {
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new().configured(&format!(
        "[servers.sick]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", \"echo the disk is full >&2; exit 3\"]\n[profiles.default.servers.sick]\n"
    ));
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client.tools().await;
    let failed = testkit::eventually("the failure", async || {
        let list = dockmaster.run(&["server", "list"]);
        let line = list
            .stdout()
            .lines()
            .find(|line| line.starts_with("sick"))?
            .to_owned();
        line.contains("failed").then_some(line)
    })
    .await;
    assert!(
        failed.contains("it ended by itself with exit code 3; its last words: the disk is full"),
        "{failed}"
    );
    // A gateway that was killed can't take its socket along.
    let killed = std::process::Command::new("kill")
        .args(["-9", &client.pid().to_string()])
        .status();
    assert!(killed.unwrap().success());
    client.close().await;
    let files = || fs_err::read_dir(dockmaster.file("gateways")).unwrap().count();
    assert_eq!(files(), 1);
    assert_eq!(servers(&dockmaster)[1]["gateways"], json!([]));
    assert_eq!(files(), 0);
    gone("sick").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_switched_on_and_off() {
    let dockmaster = script(
        "some",
        "[profiles.default.servers.some] # mine\nprefix = \"own\"\n[policy]\ndeny = [\n  \"docker/prune_*\", # never\n]\n",
    )
    .await;
    store_secret(&dockmaster, "script.token", "s3cret-value-of-some");
    let config = || fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    for (arguments, code, said) in [
        (
            &["tools", "enable", "some/whoami"][..],
            0,
            "every tool of some is on already",
        ),
        (&["tools", "disable", "some/nothing"], 1, "it has whoami, token"),
        (&["tools", "disable", "some"], 2, "SERVER/TOOL"),
        (&["tools", "disable", "nobody/x"], 1, "no catalog has a server"),
        (
            &["tools", "disable", "memory/read_graph"],
            1,
            "server enable memory",
        ),
        (&["tools", "disable", "some/token"], 0, "some/token is off"),
        (&["tools", "disable", "some/token"], 0, "off already"),
        (
            &["tools", "disable", "docker/remove_volume", "docker/nothing"],
            1,
            "no tool nothing",
        ),
        (
            &["tools", "disable", "docker/remove_volume"],
            0,
            "docker/remove_volume is off",
        ),
    ] {
        let ended = dockmaster.run(arguments);
        let transcript = ended.transcript();
        assert_eq!(ended.code(), code, "{arguments:?}: {transcript}");
        assert!(transcript.contains(said), "{arguments:?}: {transcript}");
    }
    let text = config();
    let tail = &text[text.find("[profiles").unwrap()..];
    insta::assert_snapshot!(tail, @r#"
    [profiles.default.servers.some] # mine
    prefix = "own"
    tools = ["whoami"]
    [policy]
    deny = [
      "docker/prune_*", # never
      "docker/remove_volume",
    ]
    "#);
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client.call("own_whoami", json!({})).await.ok();
    let call = json!({ "name": "own_token", "arguments": {} });
    let hidden = client.request("tools/call", call).await.unwrap_err();
    assert_eq!(hidden.code, -32602, "{hidden:?}");
    client.close().await;
    let on = dockmaster.run(&["tools", "enable", "some/token", "docker/remove_volume"]);
    assert_eq!(on.code(), 0, "{}", on.transcript());
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client.call("own_token", json!({})).await.ok();
    client.close().await;
    let all = dockmaster.run(&["tools", "enable", "some/*"]);
    assert_eq!(all.code(), 0, "{}", all.transcript());
    assert!(!config().contains("tools ="), "{}", config());
    gone("some").await;
}
