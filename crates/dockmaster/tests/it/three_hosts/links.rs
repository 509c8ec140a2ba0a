//! Links that are cut while something is under way, and links that take their time.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use testkit::Scope;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Far, recovers, volume, volumes};

/// A command runs over there when the link goes: the call ends by the keep-alive, says that the command may have run, and
/// what it did is there once.
#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_call_that_waits_when_the_link_goes_ends_in_time() {
    let Some(far) = Far::new("ServerAliveInterval 1\nServerAliveCountMax 2", "", "") else {
        return;
    };
    let scope = far.scope("two", "waits");
    let id = scope.run("web", &["sleep", "600"]).await;
    let client = far.gateway().await;
    let exec = |command: &str, timeout: &str| json!({"host": "two", "container": id, "command": command, "timeout": timeout});
    let waiting = client
        .start(
            "tools/call",
            json!({"name": "execute_command_in_container", "arguments": exec("echo once >>/tmp/made; sleep 300", "120s")}),
        )
        .await;
    let daemon = far.daemon("two");
    testkit::eventually("the command to run", async || {
        let top = daemon.get(&format!("/containers/{id}/top")).await.ok().json();
        top.to_string().contains("sleep 300").then_some(())
    })
    .await;
    far.run(&["cut", "two"]);
    let begun = Instant::now();
    let ended = waiting.answer().await.unwrap();
    let took = begun.elapsed();
    let text = ended["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(ended["isError"], true, "{text}");
    assert!(took < Duration::from_secs(10), "{took:?}: {text}");
    for part in ["on host two", "two"] {
        assert!(text.contains(part), "{text}");
    }
    // The others do not notice.
    client.call("list_volumes", json!({"host": "one"})).await.ok();
    far.run(&["heal", "two"]);
    let count = exec("wc -l </tmp/made", "20s");
    let counted = recovers(&client, "execute_command_in_container", &count, &["on host two"]).await;
    assert!(counted.contains("\n1\n"), "{counted}");
    client.close().await;
    scope.finish().await;
}

/// Many containers are asked for at once, and the link goes: each call ends in time and says what became of it, and there
/// are no more containers than that allows.
#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_nothing_is_done_twice() {
    // At any time, until the daemon stands still, which makes some hundreds in a second.
    const MANY: usize = 100;
    let Some(far) = Far::new("ServerAliveInterval 1\nServerAliveCountMax 2", "", "") else {
        return;
    };
    let scope = far.scope("two", "once");
    let image = testkit::image_on(&far.daemon("two")).await;
    let client = far.gateway().await;
    client.call("list_containers", json!({"host": "two"})).await.ok();
    // Without names, so that one that is asked for twice is there twice.
    let create = json!({"name": "create_container", "arguments": {"host": "two", "image": image, "labels": scope.labels()}});
    let mut asked = FuturesUnordered::new();
    for _ in 0..MANY {
        asked.push(client.start("tools/call", create.clone()).await.answer());
    }
    let first = asked.next().await.unwrap().unwrap();
    assert!(first["isError"] != true, "{first}");
    let mut stops = far.begin(&["signal", "two", "dockerd", "STOP"]);
    let (mut made, mut unknown) = (1, 0);
    while stops.try_wait().unwrap().is_none() {
        // It may stand still already.
        let Ok(ended) = tokio::time::timeout(Duration::from_millis(20), asked.next()).await else {
            continue;
        };
        let ended = ended.unwrap().unwrap();
        assert!(ended["isError"] != true, "{ended}");
        made += 1;
        asked.push(client.start("tools/call", create.clone()).await.answer());
    }
    // What is under way by now is not answered any more.
    far.run(&["cut", "two"]);
    let begun = Instant::now();
    while let Some(ended) = asked.next().await {
        let ended = ended.unwrap();
        let text = ended["content"][0]["text"].as_str().unwrap_or_default();
        if ended["isError"] == true {
            assert!(text.contains("on host two"), "{text}");
            unknown +=
                usize::from(text.contains("may have happened all the same: look before you repeat it"));
        } else {
            made += 1;
        }
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(
        unknown > 0,
        "{made} were made before the cut, {unknown} are unknown"
    );
    far.run(&["heal", "two"]);
    far.run(&["signal", "two", "dockerd", "CONT"]);
    recovers(
        &client,
        "list_containers",
        &json!({"host": "two"}),
        &["on host two"],
    )
    .await;
    let there = containers(&scope).await;
    assert!(
        (made..=made + unknown).contains(&there),
        "{there} are there; {made} were told, {unknown} are unknown"
    );
    client.close().await;
    scope.finish().await;
}

/// Containers of this scope, as the engine itself tells.
async fn containers(scope: &Scope) -> usize {
    let list = scope.daemon().get("/containers/json?all=1").await.ok().json();
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ours = |container: &&Value| container["Labels"][Scope::KEY] == scope.value();
    list.iter().filter(is_ours).count()
}

/// Through a jump: the link behind the jump is cut and healed.
#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_link_behind_the_jump_heals() {
    let Some(far) = Far::new(
        "ServerAliveInterval 1\nServerAliveCountMax 2",
        "timeout = '5s'",
        "",
    ) else {
        return;
    };
    let client = far.gateway().await;
    let there = json!({"host": "three"});
    client.call("list_volumes", there.clone()).await.ok();
    far.run(&["cut", "three"]);
    let lost = client.call("list_volumes", there.clone()).await.failure();
    assert!(lost.contains("on host three"), "{lost}");
    client.call("list_volumes", json!({"host": "one"})).await.ok();
    far.run(&["heal", "three"]);
    recovers(&client, "list_volumes", &there, &["on host three"]).await;
    client.close().await;
}

/// From one end of the wire to the other.
const ONE_WAY: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_slow_link_is_only_slow() {
    let Some(far) = Far::new("", "", "") else { return };
    let scope = far.scope("two", "slow");
    let config = fs_err::read_to_string(far.ssh("config")).unwrap();
    let address = address(&config, "two");
    let wire = Wire::to(&format!("{address}:22")).await;
    let slow = format!(
        "Host two\n HostName 127.0.0.1\n Port {}\n HostKeyAlias {address}\n",
        wire.port
    );
    fs_err::write(far.ssh("config"), slow + &config).unwrap();
    let client = far.gateway().await;
    let id = scope.run("web", &["sleep", "600"]).await;
    client
        .call("create_volume", volume(&scope, "two", "data"))
        .await
        .ok();
    let begun = Instant::now();
    let listed = client
        .call("list_volumes", json!({"host": "two"}))
        .await
        .ok()
        .text();
    assert!(begun.elapsed() >= 2 * ONE_WAY, "{:?}", begun.elapsed());
    assert!(listed.contains(&scope.name("data")), "{listed}");
    // Much goes through whole, and several at a time.
    let text = "0123456789abcdef".repeat(8 << 10);
    let put = json!({"host": "two", "container": id, "destination": "/tmp/much", "content": text});
    client.call("copy_files_to_container", put).await.ok();
    let sum = json!({"host": "two", "container": id, "command": ["wc", "-c", "/tmp/much"]});
    let (one, other) = tokio::join!(
        client.call("execute_command_in_container", sum.clone()),
        client.call("execute_command_in_container", sum.clone())
    );
    for answer in [one, other] {
        let said = answer.ok().text();
        assert!(said.contains("131072 /tmp/much"), "{said}");
    }
    assert_eq!(volumes(&scope).await, 1);
    client.close().await;
    scope.finish().await;
}

/// Where a host is, by the configuration of the fixture.
pub(super) fn address(config: &str, host: &str) -> String {
    let (_, of) = config.split_once(&format!("Host {host}\n")).unwrap();
    let (_, name) = of.split_once("HostName ").unwrap();
    name.lines().next().unwrap().to_owned()
}

/// A port whose connections go to an address, each byte late.
struct Wire {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Wire {
    async fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mut tasks, address) = (JoinSet::new(), address.to_owned());
        tasks.spawn(async move {
            let mut directions = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&address).await else {
                    continue;
                };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                directions.spawn(late(from_near, to_far));
                directions.spawn(late(from_far, to_near));
            }
        });
        Self { port, _tasks: tasks }
    }
}

async fn late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut receiver) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(1 << 10);
    let reading = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let part = (tokio::time::Instant::now() + ONE_WAY, bytes[..count].to_vec());
            if sender.send(part).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
