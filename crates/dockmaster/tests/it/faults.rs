//! What servers can do wrong, end to end on the executable: it harms the one that does it and nobody else, and nothing
//! is left of any of them. Containers are real, and so are the limits in time, which the configuration makes short.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Daemon, Scope, eventually};

use crate::actors::{Actor, VERSION, client, configuration, labelled, sees, signal};
use crate::harness::Dockmaster;
use crate::web::Web;

/// Short limits, so that faults show soon.
const SHORT: &str = "[gateway]\ncall_timeout = \"8s\"\n[instances]\nstart_timeout = \"6s\"\n";
/// What a call to a server that does nothing wrong takes at most, on a busy machine, with its start.
const PROMPT: Duration = Duration::from_secs(6);

struct Stage {
    dockmaster: Dockmaster,
    bad: Actor,
    good: Actor,
}

impl Stage {
    async fn new(bounds: &str, further: &str) -> Self {
        let dockmaster = Dockmaster::new();
        let (bad, good) = (Actor::new(&dockmaster, "bad"), Actor::new(&dockmaster, "good"));
        let tables = [
            bounds.to_owned(),
            bad.container(further).await,
            good.container("").await,
        ];
        let toml = configuration(&dockmaster, &tables);
        Self {
            dockmaster: dockmaster.configured(&toml),
            bad,
            good,
        }
    }

    async fn left_nothing(&self) {
        self.bad.gone().await;
        self.good.gone().await;
    }
}

/// Lets the bad server fall into a mode, calls it, and the other one meanwhile. `expected` is a part of what the call
/// of the bad one says.
async fn harms_only_itself(mode: &str, expected: Result<&str, &str>) {
    let stage = Stage::new(SHORT, "").await;
    // Both are listed before anything goes wrong, or there would be nothing to call.
    client(&stage.dockmaster, &["bad", "good"]).await.close().await;
    stage.left_nothing().await;
    stage.bad.set(mode);

    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let began = Instant::now();
    let (said, ()) = tokio::join!(stage.bad.call(&client, json!({})), async {
        for _ in 0..10 {
            let began = Instant::now();
            let said = stage.good.call(&client, json!({})).await;
            assert!(
                said.as_ref().is_ok_and(|said| said.starts_with("good at ")),
                "{mode}: {said:?}"
            );
            assert!(began.elapsed() < PROMPT, "{mode}: {:?}", began.elapsed());
        }
    });
    let fits = match (&said, expected) {
        (Ok(said), Ok(part)) | (Err(said), Err(part)) => said.contains(part),
        _ => false,
    };
    let shown = format!("{:?}", said.as_ref().map(|text| &text[..text.len().min(400)]));
    assert!(fits, "{mode}: {shown}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{mode}: {:?}",
        began.elapsed()
    );
    let names = client.tools().await;
    let twins = names.iter().filter(|tool| tool["name"] == "bad").count();
    assert_eq!(twins, 1, "{mode}: its list stays as it was");

    let ended = Instant::now();
    assert!(client.close().await.success(), "{mode}");
    assert!(
        ended.elapsed() < Duration::from_secs(15),
        "{mode}: {:?}",
        ended.elapsed()
    );
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_says_nothing_to_initialize() {
    harms_only_itself("mute", Err("no answer within 6 s")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_exits_at_once() {
    harms_only_itself(
        "exits",
        Err("it ended by itself with exit code 3; its last words: the disk is full"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_floods_its_standard_error() {
    harms_only_itself("floods", Ok("bad at ")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_the_end_of_its_input_and_the_stop_signal() {
    harms_only_itself("stubborn", Ok("bad at ")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_in_a_call() {
    harms_only_itself(
        "dies",
        Err("ended while it worked on tools/call (it ended by itself with exit code 4)"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_answers_a_hundred_megabytes() {
    harms_only_itself("huge", Err("more than `gateway.answer_size`")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_lists_two_tools_of_one_name() {
    harms_only_itself("twins", Ok("bad at ")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_in_the_first_list_are_one() {
    let stage = Stage::new(SHORT, "").await;
    stage.bad.set("twins");
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let tools = client.tools().await;
    assert_eq!(tools.iter().filter(|tool| tool["name"] == "bad").count(), 1);
    stage.bad.call(&client, json!({})).await.unwrap();
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_calls_share_one_start() {
    let stage = Stage::new("", "").await;
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let call = || stage.bad.call(&client, json!({}));
    let said = tokio::join!(call(), call(), call(), call(), call(), call());
    let hosts = [said.0, said.1, said.2, said.3, said.4, said.5].map(Result::unwrap);
    assert!(hosts.iter().all(|host| *host == hosts[0]), "{hosts:?}");
    assert_eq!(stage.bad.containers().await.len(), 1);
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_one_is_stopped_and_comes_back() {
    let stage = Stage::new("[instances]\nidle_stop = \"2s\"\n", "").await;
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let first = stage.bad.call(&client, json!({})).await.unwrap();
    stage.left_nothing().await;
    let second = stage.bad.call(&client, json!({})).await.unwrap();
    assert_ne!(first, second, "another container");
    client.close().await;
    stage.left_nothing().await;
}

/// What is warm is there before anybody calls, is never idle, and comes back; its own times hold for it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_warm_one_waits_for_whoever_needs_it() {
    let stage = Stage::new("[instances]\nidle_stop = \"1s\"\n", "warm = 1\n").await;
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    eventually("it is there", async || {
        (stage.bad.containers().await.len() == 1).then_some(())
    })
    .await;
    let before = stage.bad.containers().await;
    let first = stage.bad.call(&client, json!({})).await.unwrap();
    stage.good.call(&client, json!({})).await.unwrap();
    stage.good.gone().await;
    assert_eq!(
        stage.bad.containers().await,
        before,
        "the other was idle, and so was it"
    );
    // It dies, and nobody calls.
    stage.bad.set("dies");
    stage.bad.call(&client, json!({})).await.unwrap_err();
    stage.bad.set("good");
    eventually("another is there", async || {
        let now = stage.bad.containers().await;
        (now.len() == 1 && now != before).then_some(())
    })
    .await;
    assert_ne!(stage.bad.call(&client, json!({})).await.unwrap(), first);
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_one_is_taken_by_the_call_that_needs_it() {
    let stage = Stage::new("", "warm = 1\nsharing = \"call\"\n").await;
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        // One that is still starting is nobody's yet.
        eventually("a spare one", async || {
            let status = stage.dockmaster.run(&["gateway", "status", "--json"]).stdout();
            let status: Value = serde_json::from_str(&status).unwrap();
            let mut servers = status[0]["servers"].as_array().unwrap().iter();
            let bad = servers.find(|server| server["name"] == *stage.bad.name).unwrap();
            let instances = bad["instances"].as_array().unwrap();
            (instances.len() == 1 && instances[0]["state"] == "idle").then_some(())
        })
        .await;
        let spare = stage.bad.containers().await.remove(0);
        let said = stage.bad.call(&client, json!({})).await.unwrap();
        assert!(!seen.contains(&said), "each call has its own: {seen:?}, {said}");
        eventually("it was the spare one", async || {
            (!stage.bad.containers().await.contains(&spare)).then_some(())
        })
        .await;
        seen.push(said);
    }
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_one_server_hold_for_it_alone() {
    let own = "idle_stop = \"1s\"\nstart_timeout = \"3s\"\ncall_timeout = \"2s\"\n";
    let stage = Stage::new("", own).await;
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let wait = json!({"seconds": 4});
    let late = stage.bad.call(&client, wait.clone()).await.unwrap_err();
    assert!(late.contains("2 s"), "{late}");
    stage.good.call(&client, wait).await.unwrap();
    stage.bad.gone().await;
    assert_eq!(stage.good.containers().await.len(), 1);
    stage.bad.set("mute");
    let mute = stage.bad.call(&client, json!({})).await.unwrap_err();
    assert!(mute.contains("no answer within 3 s"), "{mute}");
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_idle_makes_room_by_number_and_by_memory() {
    for bounds in ["most = 1", "memory = \"100MiB\""] {
        let stage = Stage::new(&format!("[instances]\n{bounds}\n"), "").await;
        let client = client(&stage.dockmaster, &["bad", "good"]).await;
        for one in [&stage.bad, &stage.good, &stage.bad] {
            one.call(&client, json!({})).await.unwrap();
            let (bad, good) = (stage.bad.containers().await, stage.good.containers().await);
            assert_eq!(bad.len() + good.len(), 1, "{bounds}: {bad:?} {good:?}");
            assert_eq!(one.containers().await.len(), 1, "{bounds}");
        }
        // While it works it makes no room for anybody.
        let (busy, refused) = tokio::join!(stage.bad.call(&client, json!({"seconds": 7})), async {
            stage.bad.is_at_work().await;
            stage.good.call(&client, json!({})).await
        });
        assert!(busy.is_ok(), "{bounds}: {busy:?}");
        assert!(
            refused
                .as_ref()
                .is_err_and(|why| why.contains("there is no room")),
            "{bounds}: {refused:?}"
        );
        client.close().await;
        stage.left_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_one_is_started_anew() {
    let stage = Stage::new("", "").await;
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    let first = stage.bad.call(&client, json!({})).await.unwrap();
    for kill in ["kill?signal=SIGKILL", "stop?t=0", "restart?t=0"] {
        let ids = stage.bad.containers().await;
        let path = format!("/containers/{}/{kill}", ids[0]);
        Daemon::here().post(&path, &json!(null)).await.ok();
        eventually("the end of what is left of it", async || {
            (!stage.bad.containers().await.contains(&ids[0])).then_some(())
        })
        .await;
        let again = stage.bad.call(&client, json!({})).await.unwrap();
        assert_ne!(again, first, "{kill}");
    }
    // In the middle of a call the call fails with a reason, and the next one is answered.
    let (said, ()) = tokio::join!(stage.bad.call(&client, json!({"seconds": 20})), async {
        stage.bad.is_at_work().await;
        let ids = stage.bad.containers().await;
        let path = format!("/containers/{}?force=1", ids[0]);
        Daemon::here().delete(&path).await.ok();
    });
    assert!(
        said.as_ref()
            .is_err_and(|why| why.contains("ended while it worked on tools/call")),
        "{said:?}"
    );
    stage.bad.call(&client, json!({})).await.unwrap();
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_list_reaches_clients() {
    let stage = Stage::new("", "").await;
    stage.bad.set("two");
    let client = client(&stage.dockmaster, &["bad", "bad_too", "good"]).await;
    stage.bad.call(&client, json!({})).await.unwrap();
    let told = client.notifications("notifications/tools/list_changed").len();
    stage.bad.set("good");
    stage.bad.call(&client, json!({"changes": true})).await.unwrap();
    eventually("the word that the list has changed", async || {
        (client.notifications("notifications/tools/list_changed").len() > told).then_some(())
    })
    .await;
    eventually("the list without the tool that went", async || {
        let tools = client.tools().await;
        (!tools.iter().any(|tool| tool["name"] == "bad_too")).then_some(())
    })
    .await;
    client.close().await;
    stage.left_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_for_lists_that_are_known() {
    let stage = Stage::new("", "").await;
    client(&stage.dockmaster, &["bad", "good"]).await.close().await;
    stage.left_nothing().await;
    let now = base::clock::unix_ms();
    let since = format!("{}.{:03}", now / 1000, now % 1000);
    let client = client(&stage.dockmaster, &["bad", "good"]).await;
    client.tools().await;
    client.close().await;
    let until = base::clock::unix_ms() / 1000 + 1;
    for actor in [&stage.bad, &stage.good] {
        let filter = json!({"type": ["container"], "label": [format!("dockmaster.server={}", actor.name)]});
        let filter = filter
            .to_string()
            .replace('"', "%22")
            .replace('{', "%7B")
            .replace('}', "%7D");
        let path = format!("/events?since={since}&until={until}&filters={filter}");
        let events = Daemon::here().get(&path).await.ok().text();
        assert_eq!(events, "", "the engine saw no container of {}", actor.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_session_has_its_own_and_takes_it_along() {
    let stage = Stage::new("", "sharing = \"session\"").await;
    let (bad, good) = (stage.bad, stage.good);
    let web = Web::start(stage.dockmaster, &[]).await;
    let (one, two) = (web.client(), web.client());
    for client in [&one, &two] {
        client.initialize(VERSION).await;
        sees(client, &["bad", "good"]).await;
    }
    let of_one = bad.call(&one, json!({})).await.unwrap();
    let of_two = bad.call(&two, json!({})).await.unwrap();
    assert_ne!(of_one, of_two);
    assert_eq!(bad.call(&one, json!({})).await.unwrap(), of_one);
    let session = one.session().unwrap();
    let bearer = format!("Bearer {}", web.token());
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-session-id", session.as_str()),
    ];
    assert!(one.exchange("DELETE", &headers, "").await.status < 300);
    eventually("one container", async || {
        (bad.containers().await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(bad.call(&two, json!({})).await.unwrap(), of_two);
    web.stop().await;
    bad.gone().await;
    good.gone().await;
}

/// What merely looks like a server's container or network: made by hand, or by a gateway of somebody else.
async fn look_alikes(scope: &Scope, server: &str) -> Vec<String> {
    let ours = json!({
        "dockmaster.managed": "instance",
        "dockmaster.server": server,
        "dockmaster.gateway": "0123456789abcdef",
    });
    let mut ids = Vec::new();
    for (what, labels) in [
        ("other-gateway", ours),
        ("no-gateway", json!({"dockmaster.server": server})),
        ("by-name", json!({})),
    ] {
        let id = scope
            .create(what, json!({"Cmd": ["sleep", "600"], "Labels": labels}))
            .await;
        let path = format!("/containers/{id}/start");
        scope.daemon().post(&path, &json!(null)).await.ok();
        ids.push(id);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_next_start_removes_what_was_left_and_nothing_else() {
    let stage = Stage::new("", "hosts = [\"example.com:443\"]").await;
    let scope = Scope::new("lookalike");
    let client_one = client(&stage.dockmaster, &["bad", "good"]).await;
    stage.bad.call(&client_one, json!({})).await.unwrap();
    stage.good.call(&client_one, json!({})).await.unwrap();
    let left = [stage.bad.containers().await, stage.good.containers().await].concat();
    let networks = stage.bad.networks().await;
    assert_eq!(left.len(), 2);
    // A second gateway of the same user lives on, and so do its servers.
    let other = client(&stage.dockmaster, &["bad", "good"]).await;
    stage.good.call(&other, json!({})).await.unwrap();
    let of_other: Vec<String> = stage
        .good
        .containers()
        .await
        .into_iter()
        .filter(|id| !left.contains(id))
        .collect();
    assert_eq!(of_other.len(), 1);
    let alike = look_alikes(&scope, &stage.good.name).await;

    assert!(signal("-9", client_one.pid()));
    client_one.close().await;
    let next = client(&stage.dockmaster, &["bad", "good"]).await;
    eventually("the end of what was left", async || {
        let mut now = [stage.bad.containers().await, stage.good.containers().await].concat();
        now.extend(stage.bad.networks().await);
        let gone = |id: &String| !now.contains(id);
        (left.iter().all(gone) && networks.iter().all(gone)).then_some(())
    })
    .await;
    stage.good.call(&other, json!({})).await.unwrap();
    let mine = labelled("containers/json?", &scope.label()).await;
    assert!(alike.iter().all(|id| mine.contains(id)), "{alike:?} {mine:?}");
    let of_good = stage.good.containers().await;
    assert!(of_good.contains(&of_other[0]), "{of_good:?}");
    next.close().await;
    other.close().await;
    scope.finish().await;
    stage.left_nothing().await;
}
