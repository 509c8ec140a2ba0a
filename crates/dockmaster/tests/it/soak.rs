//! A soak: servers of all kinds behind the executable, called without a pause, while containers, processes,
//! connections, the server at the other end of HTTP and the gateway itself are killed at random. Each call is answered,
//! or fails with a reason within its time; and at the end nothing is left of anything.
//!
//! It lasts half a minute, or as many seconds as `DOCKMASTER_TEST_SOAK` says; `DOCKMASTER_TEST_SEED` repeats a run's
//! kills (not their moments).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::tarball::{Limits, Source, pack};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use testkit::{Daemon, McpClient, Scope, eventually};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;

use crate::actors::{Actor, VERSION, configuration, signal};
use crate::harness::Dockmaster;
use crate::web::Web;

/// Clients at work at a time.
const CLIENTS: u64 = 4;
/// The longest that a call may take: its own limit, and a start before it, and a busy machine.
const LONGEST: Duration = Duration::from_secs(30);
/// Short enough that instances come and go.
const BOUNDS: &str = "[gateway]\ncall_timeout = \"8s\"\n[instances]\nstart_timeout = \"8s\"\nidle_stop = \"3s\"\nmost = 8\ncommands = true\n";
/// File handles beyond those of the start that an idle gateway may hold: pooled connections to the engine and to the
/// server at the other end, which end by themselves.
const POOLED: usize = 16;

/// `SplitMix64`: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.below(count)).ok()?)
    }
}

fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test has no executable above it")]
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

/// A way to an address whose connections can be cut.
struct Wire {
    address: SocketAddr,
    cut: watch::Sender<()>,
    _serving: JoinSet<()>,
}

impl Wire {
    async fn to(far: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, seen) = watch::channel(());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let (far, mut seen) = (far.clone(), seen.clone());
                seen.mark_unchanged();
                connections.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(&far).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.changed() => {}
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            cut,
            _serving: serving,
        }
    }
}

/// What came of the calls.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    /// Reasons, with numbers taken out.
    reasons: Mutex<BTreeSet<String>>,
    longest: Mutex<Duration>,
}

impl Tally {
    fn add(&self, tool: &str, said: &Result<String, String>, lasted: Duration) {
        {
            let mut longest = self.longest.lock().unwrap();
            *longest = (*longest).max(lasted);
        }
        assert!(lasted < LONGEST, "{tool} took {lasted:?}: {said:?}");
        match said {
            Ok(text) => {
                assert!(text.starts_with(&format!("{tool} at ")), "{tool}: {text}");
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(why) => {
                assert!(why.len() > 10, "{tool}: no reason is given, but {why:?}");
                self.failed.fetch_add(1, Ordering::Relaxed);
                let without: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
                self.reasons
                    .lock()
                    .unwrap()
                    .insert(without.chars().take(160).collect());
            }
        }
    }
}

/// The gateway under test, and all that is killed around it.
struct House {
    gateway: RwLock<Option<Web>>,
    /// The server at the other end of HTTP: a gateway of its own.
    far: RwLock<Option<Web>>,
    wire: Wire,
    near_actors: Vec<Actor>,
    far_actor: Actor,
    /// Ids of all gateways there were.
    claims: Mutex<BTreeSet<String>>,
    /// The anonymous volumes that containers were seen with.
    volumes: Mutex<BTreeSet<String>>,
    /// Sessions that clients went away from without ending them, since the gateway was started.
    abandoned: AtomicU64,
    scope: Scope,
    over: AtomicBool,
}

const PORT: &str = "--port";

impl House {
    async fn open() -> Self {
        let far = Dockmaster::new();
        let far_actor = Actor::new(&far, "far");
        let toml = configuration(&far, &[BOUNDS.to_owned(), far_actor.process("")]);
        let far = Web::start(far.configured(&toml), &[]).await;
        let wire = Wire::to(far.authority.clone()).await;

        let near = Dockmaster::new();
        let [boxed, walled, mine, proc] =
            ["boxed", "walled", "mine", "proc"].map(|tool| Actor::new(&near, tool));
        let scope = Scope::new("soak");
        let with_volume = image_with_volume(&scope).await;
        let remote = format!(
            "[servers.remote]\nurl = \"http://{}/mcp/server/{}\"\nheaders = {{ Authorization = \"Bearer {}\" }}\n\
             [profiles.default.servers.remote]\n",
            wire.address,
            far_actor.name,
            far.token()
        );
        let tables = [
            BOUNDS.to_owned(),
            "[docker]\nenabled = false\n".to_owned(),
            boxed.container("").await.replace(testkit::IMAGE, &with_volume),
            walled.container("hosts = [\"example.com:443\"]").await,
            mine.container("sharing = \"session\"").await,
            proc.process(""),
            remote,
        ];
        let toml = configuration(&near, &tables);
        let near = Web::start(near.configured(&toml), &[]).await;
        let house = Self {
            gateway: RwLock::new(Some(near)),
            far: RwLock::new(Some(far)),
            wire,
            near_actors: vec![boxed, walled, mine, proc],
            far_actor,
            claims: Mutex::default(),
            volumes: Mutex::default(),
            abandoned: AtomicU64::new(0),
            scope,
            over: AtomicBool::new(false),
        };
        house.note_claims().await;
        house
    }

    async fn note_claims(&self) {
        let gateway = self.gateway.read().await;
        let folder = gateway.as_ref().unwrap().dockmaster.file("instances");
        self.claims.lock().unwrap().extend(claims(&folder));
    }

    async fn client(&self) -> Result<McpClient, String> {
        let client = self.gateway.read().await.as_ref().unwrap().client();
        let params = json!({
            "protocolVersion": VERSION,
            "capabilities": {},
            "clientInfo": { "name": "soak", "version": "1" },
        });
        client
            .request("initialize", params)
            .await
            .map_err(|error| error.to_string())?;
        client.notify("notifications/initialized", json!({})).await;
        Ok(client)
    }

    /// Calls one after the other, as one client after the other, until it is over.
    async fn work(&self, mut chance: Chance, tally: &Tally) {
        let tools = self.near_actors.iter().chain([&self.far_actor]);
        let tools: Vec<&str> = tools.map(|actor| actor.tool.as_str()).collect();
        while !self.over.load(Ordering::Relaxed) {
            let Ok(client) = self.client().await else {
                // The gateway is being replaced.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            for _ in 0..=chance.below(30) {
                let tool = *chance.one_of(&tools).unwrap();
                let arguments = match chance.below(4) {
                    0 => json!({"seconds": 1}),
                    _ => json!({}),
                };
                let began = Instant::now();
                let said = match client.try_call(tool, arguments).await {
                    Ok(answer) if answer.is_error() => Err(answer.text()),
                    Ok(answer) => Ok(answer.text()),
                    Err(error) => Err(error.to_string()),
                };
                tally.add(tool, &said, began.elapsed());
                if self.over.load(Ordering::Relaxed) || said.is_err_and(|why| why.contains("(0)")) {
                    break;
                }
            }
            // Half of them end their session, the others just go away.
            if chance.below(2) == 0 {
                self.end_session(&client).await;
            } else {
                self.abandoned.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn note_volumes(&self) {
        for actor in &self.near_actors {
            for id in actor.containers().await {
                let inspect = self.scope.daemon().get(&format!("/containers/{id}/json")).await;
                // It may have ended meanwhile.
                let Ok(inspect) = serde_json::from_str::<Value>(&inspect.text()) else {
                    continue;
                };
                let mounts = inspect["Mounts"].as_array().into_iter().flatten();
                let volumes = mounts
                    .filter(|mount| mount["Type"] == "volume")
                    .filter_map(|mount| mount["Name"].as_str());
                self.volumes.lock().unwrap().extend(volumes.map(str::to_owned));
            }
        }
    }

    async fn end_session(&self, client: &McpClient) {
        // Held, so that the gateway is not replaced meanwhile.
        let gateway = self.gateway.read().await;
        let (Some(web), Some(session)) = (gateway.as_ref(), client.session()) else {
            return;
        };
        let bearer = format!("Bearer {}", web.token());
        let headers = [
            ("authorization", bearer.as_str()),
            ("mcp-session-id", session.as_str()),
        ];
        client.exchange("DELETE", &headers, "").await;
    }

    async fn kill_something(&self, chance: &mut Chance) -> &'static str {
        match chance.below(20) {
            0..=7 => {
                let mut ids = Vec::new();
                for actor in &self.near_actors {
                    ids.extend(actor.containers().await);
                }
                let Some(id) = chance.one_of(&ids) else {
                    return "no container";
                };
                let daemon = Daemon::here();
                // It may have ended by itself meanwhile.
                if chance.below(2) == 0 {
                    daemon.post(&format!("/containers/{id}/kill"), &Value::Null).await;
                } else {
                    daemon.delete(&format!("/containers/{id}?force=1&v=1")).await;
                }
                "container"
            }
            8..=12 => {
                let actors: Vec<&Actor> = self.near_actors.iter().chain([&self.far_actor]).collect();
                let pids: Vec<u32> = actors.iter().flat_map(|actor| processes(actor.mode())).collect();
                let Some(pid) = chance.one_of(&pids) else {
                    return "no process";
                };
                signal("-9", *pid);
                "process"
            }
            13..=16 => {
                self.wire.cut.send_replace(());
                "connection"
            }
            17 => {
                replace(&self.far).await;
                "far gateway"
            }
            _ => {
                // Before the new one has any: who leaves one of the old is counted too much, never too little.
                self.abandoned.store(0, Ordering::Relaxed);
                replace(&self.gateway).await;
                self.note_claims().await;
                "gateway"
            }
        }
    }
}

/// An image whose containers have an anonymous volume.
async fn image_with_volume(scope: &Scope) -> String {
    let image = scope.image("volume");
    let dockerfile = format!(
        "FROM {}\nVOLUME /scratch\nLABEL {}\n",
        testkit::image().await,
        scope.label()
    );
    let file = Source::Memory {
        path: "Dockerfile".to_owned(),
        content: dockerfile.into(),
        mode: 0o644,
    };
    let context: Vec<Bytes> = pack(vec![file], Limits::default()).try_collect().await.unwrap();
    let path = format!("/build?t={image}");
    let daemon = scope.daemon();
    daemon
        .post_bytes(&path, "application/x-tar", context.concat().into())
        .await
        .ok();
    image
}

/// Kills a gateway and starts it again at its place.
async fn replace(place: &RwLock<Option<Web>>) {
    let mut place = place.write().await;
    let Some(web) = place.take() else { return };
    let port = web.authority.rsplit_once(':').unwrap().1.to_owned();
    let dockmaster = web.kill().await;
    *place = Some(Web::start(dockmaster, &[PORT, &port]).await);
}

/// The ids of gateways that have not said that nothing is left of them.
fn claims(folder: &Path) -> BTreeSet<String> {
    let entries = fs_err::read_dir(folder).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| name.strip_suffix(".lock").map(str::to_owned))
        .collect()
}

/// Processes of this machine with this word among their arguments, which those in containers have not.
fn processes(word: &str) -> Vec<u32> {
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let arguments = fs_err::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument == word.as_bytes())
    })
    .collect()
}

fn handles(pid: u32) -> usize {
    fs_err::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_nothing_is_left_and_every_call_is_answered_or_fails_in_time() {
    let seconds = number("DOCKMASTER_TEST_SOAK").unwrap_or(30);
    let seed = number("DOCKMASTER_TEST_SEED").unwrap_or_else(|| base::clock::unix_ms().unsigned_abs());
    say(&format!("a soak of {seconds} s, DOCKMASTER_TEST_SEED={seed}"));
    let house = Arc::new(House::open().await);
    let tally = Arc::new(Tally::default());
    // All are listed before anything is killed.
    let client = house.client().await.unwrap();
    crate::actors::sees(&client, &["boxed", "walled", "mine", "proc", "far"]).await;
    house.end_session(&client).await;

    let mut workers = JoinSet::new();
    for number in 1..=CLIENTS {
        let (house, tally) = (Arc::clone(&house), Arc::clone(&tally));
        workers.spawn(async move { house.work(Chance(seed ^ number << 32), &tally).await });
    }
    let (mut chance, mut kills) = (Chance(seed), std::collections::BTreeMap::<_, u32>::new());
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(200 + chance.below(1000))).await;
        house.note_volumes().await;
        *kills.entry(house.kill_something(&mut chance).await).or_default() += 1;
        if let Some(ended) = workers.try_join_next() {
            ended.unwrap();
        }
    }
    house.over.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    let (answered, failed) = (
        tally.answered.load(Ordering::Relaxed),
        tally.failed.load(Ordering::Relaxed),
    );
    say(&format!(
        "{answered} calls answered, {failed} failed, the longest took {:?}; killed: {kills:?}",
        tally.longest.lock().unwrap()
    ));
    for reason in tally.reasons.lock().unwrap().iter() {
        say(&format!("  {reason}"));
    }
    assert!(answered > seconds, "{answered} calls were answered");
    leaves_nothing(Arc::into_inner(house).expect("the workers have ended")).await;
}

/// Waits for the idle stop, compares with the start, and ends everything.
async fn leaves_nothing(house: House) {
    let web = house.gateway.into_inner().unwrap();
    let far = house.far.into_inner().unwrap();
    // Nobody calls any more: all that is left of instances goes by itself, or has been removed by a start since.
    for actor in &house.near_actors {
        actor.gone().await;
        eventually("the end of its processes", async || {
            processes(actor.mode()).is_empty().then_some(())
        })
        .await;
    }
    let pid = web.pid();
    let fresh = Web::start(Dockmaster::new(), &[]).await;
    let of_the_start = handles(fresh.pid());
    fresh.stop().await;
    eventually("the end of connections", async || {
        (handles(pid) <= of_the_start + POOLED).then_some(())
    })
    .await;

    let status = web.dockmaster.run(&["gateway", "status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout()).unwrap();
    let (sessions, abandoned) = (
        status[0]["sessions"].as_u64().unwrap(),
        house.abandoned.into_inner(),
    );
    assert!(
        sessions <= abandoned,
        "{sessions} sessions are held, and only {abandoned} were left open"
    );
    let folder = web.dockmaster.file("instances");
    let dockmaster = web.stop().await;
    far.stop().await;
    for actor in house.near_actors.iter().chain([&house.far_actor]) {
        actor.gone().await;
        assert_eq!(processes(actor.mode()), [0_u32; 0], "{}", actor.name);
    }
    assert_eq!(claims(&folder), BTreeSet::new(), "all gateways are buried");
    let run = Path::new("/dev/shm").join(format!("dockmaster-{}", rustix::process::getuid().as_raw()));
    for id in house.claims.into_inner().unwrap() {
        assert!(!run.join(&id).exists(), "files of the gateway {id} are left");
    }
    let volumes = house.volumes.into_inner().unwrap();
    assert!(!volumes.is_empty(), "no container was seen with its volume");
    for volume in &volumes {
        let left = house.scope.daemon().get(&format!("/volumes/{volume}")).await;
        assert_eq!(left.status, 404, "the volume {volume} is left");
    }
    say(&format!(
        "{sessions} of {abandoned} abandoned sessions were held, {} volumes are gone",
        volumes.len()
    ));
    house.scope.finish().await;
    assert!(
        dockmaster.run(&["audit", "verify"]).code() == 0,
        "the audit is whole"
    );
}

#[expect(clippy::print_stderr, reason = "whoever repeats a run needs its seed")]
fn say(text: &str) {
    eprintln!("{text}");
}
