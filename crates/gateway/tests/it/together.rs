//! Many servers that look like one: remembered lists, names that collide, views, servers that come and go, definitions
//! that were approved, and text that is screened.

#![expect(
    clippy::disallowed_methods,
    reason = "the end of the runtime is the owner of what a test spawns"
)]

use std::sync::Arc;

use gateway::{CancellationToken, Gateway, Principal, Server, Sharing, View};
use serde_json::{Value, json};
use store::Store;
use testkit::{McpClient, eventually};

use crate::bots::{Bot, Mode, gateway, tools};

pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);

fn client(gateway: &Gateway, view: View) -> McpClient {
    let (ours, theirs) = tokio::io::duplex(16 << 10);
    let (reader, writer) = tokio::io::split(theirs);
    let gateway = gateway.with_view(view);
    tokio::spawn(async move {
        let served = gateway
            .serve_stdio(Principal::new("ann"), reader, writer, CancellationToken::new())
            .await;
        drop(served);
    });
    let (reader, writer) = tokio::io::split(ours);
    McpClient::over(reader, writer)
}

async fn names(client: &McpClient, method: &str, list: &str, member: &str) -> Vec<String> {
    let answer = client.request(method, json!({})).await.unwrap();
    let items = answer[list].as_array().unwrap().iter();
    items
        .map(|item| item[member].as_str().unwrap().to_owned())
        .collect()
}

async fn prompts(client: &McpClient) -> Vec<String> {
    names(client, "prompts/list", "prompts", "name").await
}

async fn tool_names(client: &McpClient) -> Vec<String> {
    names(client, "tools/list", "tools", "name").await
}

fn full(tool: &str) -> Bot {
    Bot::with(
        Mode::Good,
        &[tool],
        json!({
            "instructions": format!("How to {tool}."),
            "prompts": [{"name": "greet"}],
            "resources": [{"uri": "ui://page", "name": "page"}, {"uri": format!("file:///{tool}"), "name": "own"}],
            "resourceTemplates": [{"uriTemplate": "db://{table}", "name": "table"}],
        }),
    )
}

pub(crate) fn marked(bot: &Bot, name: &str, fingerprint: &str) -> Server {
    Server {
        fingerprint: Some(fingerprint.to_owned()),
        ..bot.server(name)
    }
}

#[tokio::test]
async fn what_is_known_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("state.db"));
    let bots: Vec<_> = (0..20).map(|at| full(&format!("tool_{at}"))).collect();
    let open = |version: &str| {
        let servers = bots.iter().enumerate();
        let servers = servers.map(|(at, bot)| marked(bot, &format!("s{at}"), &format!("{version}-{at}")));
        gateway(servers.collect(), |parts| {
            parts.memory = Some(Arc::new(store.clone()));
        })
    };
    let first = open("1");
    assert_eq!(tools(&first).await.len(), 20);
    assert!(first.shutdown(DEADLINE).await);
    assert!(bots.iter().all(|bot| bot.starts() == 1));

    let second = open("1");
    let client = client(&second, View::Default);
    let hello = client.initialize("2025-11-25").await;
    let instructions = hello["instructions"].as_str().unwrap();
    assert!(instructions.contains("## s7\nHow to tool_7."), "{instructions}");
    assert_eq!(tool_names(&client).await.len(), 20);
    assert_eq!(prompts(&client).await.len(), 20);
    assert_eq!(
        names(&client, "resources/list", "resources", "uri").await.len(),
        40
    );
    assert_eq!(
        names(&client, "resources/templates/list", "resourceTemplates", "name")
            .await
            .len(),
        20
    );
    assert!(bots.iter().all(|bot| bot.starts() == 1), "nothing was started");
    assert_eq!(client.call("tool_3", json!({})).await.ok().text(), "used");
    assert_eq!(
        bots.iter().map(Bot::starts).sum::<usize>(),
        21,
        "only what was called"
    );
    // What runs is asked once whether that is still so.
    eventually("the list", async || (bots[3].lists() == 2).then_some(())).await;
    assert!(second.shutdown(DEADLINE).await);

    let third = open("2");
    assert_eq!(tools(&third).await.len(), 20);
    assert_eq!(
        bots.iter().map(Bot::starts).sum::<usize>(),
        41,
        "other versions are asked"
    );
    assert!(third.shutdown(DEADLINE).await);
    store.close().await;
}

#[tokio::test]
async fn a_list_that_changed_since_it_was_kept_reaches_clients() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("state.db"));
    let bot = full("old");
    let open = || {
        let server = Server {
            origin: gateway::Origin::BuiltIn,
            ..marked(&bot, "bot", "1")
        };
        gateway(vec![server], |parts| parts.memory = Some(Arc::new(store.clone())))
    };
    let first = open();
    assert_eq!(tools(&first).await, ["old"]);
    assert!(first.shutdown(DEADLINE).await);
    bot.set_tools(&[json!({"name": "old"}), json!({"name": "new"})]);
    let second = open();
    let client = client(&second, View::Default);
    client.initialize("2025-11-25").await;
    assert_eq!(tool_names(&client).await, ["old"], "as it was kept");
    assert_eq!(client.call("old", json!({})).await.ok().text(), "used");
    client.notification("notifications/tools/list_changed").await;
    assert_eq!(tool_names(&client).await, ["old", "new"]);
    assert!(second.shutdown(DEADLINE).await);
    store.close().await;
}

#[tokio::test]
async fn names_that_collide_are_told_apart() {
    let (one, two) = (full("read"), full("read"));
    one.set_tools(&[
        json!({"name": "read", "_meta": {"ui": {"resourceUri": "ui://page"}}}),
        json!({"name": "only"}),
    ]);
    let servers = vec![one.server("one"), two.server("two")];
    let gateway = gateway(servers, |_| {});
    let client = client(&gateway, View::Default);
    client.initialize("2025-11-25").await;
    let listed = client.request("tools/list", json!({})).await.unwrap();
    let listed: Vec<_> = listed["tools"].as_array().unwrap().clone();
    let tools: Vec<_> = listed.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(tools, ["one_read", "only", "two_read"]);
    assert_eq!(
        listed[0]["_meta"]["ui"]["resourceUri"],
        "ui://dockmaster.one/page"
    );
    assert_eq!(prompts(&client).await, ["one_greet", "two_greet"]);
    assert_eq!(
        names(&client, "resources/list", "resources", "uri").await,
        [
            "ui://dockmaster.one/page",
            "file://dockmaster.one//read",
            "ui://dockmaster.two/page",
            "file://dockmaster.two//read"
        ]
    );
    assert_eq!(
        names(
            &client,
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate"
        )
        .await,
        ["db://dockmaster.one/{table}", "db://dockmaster.two/{table}"]
    );
    for (uri, own) in [
        ("ui://dockmaster.two/page", "ui://dockmaster.two/page"),
        // One of a template: what comes back has the name that was asked for.
        ("db://dockmaster.two/users", "db://dockmaster.two/users"),
    ] {
        let read = client
            .request("resources/read", json!({"uri": uri}))
            .await
            .unwrap();
        assert_eq!(read["contents"][0]["uri"], own);
    }
    assert!(
        client
            .request("prompts/get", json!({"name": "two_greet"}))
            .await
            .is_ok()
    );
    assert!(
        client
            .request("prompts/get", json!({"name": "greet"}))
            .await
            .is_err()
    );
    assert_eq!(client.call("two_read", json!({})).await.ok().text(), "used");
    assert_eq!((one.calls(), two.calls()), (0, 1));
    drop(client);
    assert!(gateway.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn a_client_sees_its_view() {
    let bots = ["a", "b", "c"].map(full);
    let [a, b, c] = &bots;
    let of = |bot: &Bot, name: &str, profiles: &[&str]| Server {
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        ..bot.server(name)
    };
    let servers = vec![
        of(a, "a", &[]),
        of(b, "b", &["default", "work"]),
        of(c, "c", &["work"]),
    ];
    let gateway = gateway(servers, |_| {});
    for (view, wanted, is_known) in [
        (View::Default, vec!["a", "b"], true),
        (View::Profile("default".into()), vec!["a", "b"], true),
        (View::Profile("work".into()), vec!["a", "b", "c"], true),
        (View::Profile("none".into()), vec!["a"], false),
        (View::Server("c".into()), vec!["c"], true),
        (View::Server("none".into()), vec![], false),
    ] {
        assert_eq!(gateway.knows(&view), is_known, "{view:?}");
        let client = client(&gateway, view.clone());
        client.initialize("2025-11-25").await;
        assert_eq!(tool_names(&client).await, wanted, "{view:?}");
        assert_eq!(prompts(&client).await.len(), wanted.len(), "{view:?}");
        for tool in ["a", "b", "c"] {
            let answer = client.request("tools/call", json!({"name": tool})).await;
            assert_eq!(answer.is_ok(), wanted.contains(&tool), "{view:?} {tool}");
        }
        let page = client
            .request("resources/read", json!({"uri": "ui://dockmaster.b/page"}))
            .await;
        // Where only one server has resources it is asked for any, as it may know some that it does not list.
        assert_eq!(
            page.is_ok(),
            wanted.contains(&"b") || wanted.len() == 1,
            "{view:?}"
        );
        // What it is told of instructions and of changes as well.
        let hello = client_hello(&gateway, view.clone()).await;
        for tool in ["a", "b", "c"] {
            let says = hello["instructions"]
                .as_str()
                .unwrap_or_default()
                .contains(&format!("How to {tool}."));
            assert_eq!(says, wanted.contains(&tool), "{view:?} {tool}");
        }
    }
    assert!(gateway.shutdown(DEADLINE).await);
}

pub(crate) async fn client_hello(gateway: &Gateway, view: View) -> Value {
    client(gateway, view).initialize("2025-11-25").await
}

#[tokio::test]
async fn servers_come_and_go() {
    let (kept, gone, new, changed) = (full("kept"), full("gone"), full("new"), full("changed"));
    let gateway = gateway(
        vec![
            marked(&kept, "kept", "k"),
            marked(&gone, "gone", "g"),
            marked(&changed, "changed", "1"),
        ],
        |_| {},
    );
    let client = client(&gateway, View::Default);
    client.initialize("2025-11-25").await;
    assert_eq!(tool_names(&client).await, ["kept", "gone", "changed"]);
    gone.park(true);
    let slow = client.start("tools/call", json!({"name": "gone"})).await;
    eventually("the call", async || (gone.calls() == 1).then_some(())).await;
    gateway
        .set_servers(vec![
            marked(&new, "new", "n"),
            marked(&kept, "kept", "k"),
            marked(&changed, "changed", "2"),
        ])
        .await;
    client.notification("notifications/tools/list_changed").await;
    assert_eq!(tool_names(&client).await, ["new", "kept", "changed"]);
    let status = gateway.status().servers;
    let changed_one = status.iter().find(|server| server.name == "changed").unwrap();
    assert!(
        changed_one.starts > 0 && !changed_one.history.is_empty(),
        "what happened to it before is not forgotten: {changed_one:?}"
    );
    assert!(
        client
            .request("tools/call", json!({"name": "gone"}))
            .await
            .is_err()
    );
    gone.park(false);
    assert!(slow.answer().await.is_ok(), "what was at work ended well");
    eventually("the end", async || (gone.live() == 0).then_some(())).await;
    eventually("the end", async || (changed.live() == 1).then_some(())).await;
    assert_eq!((kept.starts(), kept.live(), changed.starts()), (1, 1, 2));
    drop(client);
    assert!(gateway.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn lists_of_one_principal_are_not_shown_to_another() {
    let bot = full("use");
    let server = Server {
        sharing: Sharing::Principal,
        origin: gateway::Origin::BuiltIn,
        ..bot.server("bot")
    };
    let gateway = gateway(vec![server], |_| {});
    assert_eq!(gateway.tools(&Principal::new("ann")).await.unwrap().len(), 1);
    bot.set_tools(&[json!({"name": "use"}), json!({"name": "more"})]);
    assert_eq!(gateway.tools(&Principal::new("bob")).await.unwrap().len(), 2);
    assert_eq!(gateway.tools(&Principal::new("ann")).await.unwrap().len(), 1);
    let principals: Vec<_> = bot
        .shares()
        .into_iter()
        .filter_map(|share| share.principal)
        .collect();
    assert_eq!(principals, [Principal::new("ann"), Principal::new("bob")]);
    assert!(gateway.shutdown(DEADLINE).await);
}
