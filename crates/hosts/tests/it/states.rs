//! Hosts on a real engine, one that is not there, and one that accepts and never answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::names::HostName;
use engine::guard::{DaemonPlace, Guard, Mode, Policy, Surroundings};
use engine::{ApiVersion, Endpoint, Engine};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hosts::{Facts, Health, Hosts, Look, Machine, NoHost, Opened, Spec, Wish};
use testkit::{DaemonDouble, Reply, Scope};
use tokio::net::UnixListener;

const LIMIT: Duration = Duration::from_secs(1);

fn spec(name: &str, endpoint: &str, labels: &[&str], look: Option<Arc<dyn Look>>) -> Spec {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    Spec {
        name: HostName::parse(name).unwrap(),
        place: endpoint.to_string(),
        mode: Mode::Guarded,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        open: Box::new(move || {
            let options = engine::Options {
                endpoint: endpoint.clone(),
                api_version: ApiVersion::default(),
                timeout: Duration::from_mins(1),
                guard: Guard::new(
                    Policy::default(),
                    Surroundings {
                        daemon: DaemonPlace::Local,
                        ..Surroundings::default()
                    },
                ),
                credentials: engine::credentials::Credentials::new(engine::credentials::Options::default()),
            };
            Ok(Opened {
                ssh: None,
                engine: Engine::open(options).map_err(|error| error.to_string())?,
                look: look.clone(),
            })
        }),
    }
}

fn hosts(specs: Vec<Spec>) -> Hosts {
    Hosts::new(specs, &Hosts::default(), &|_| false)
}

fn facts(health: &Health) -> &Facts {
    match health {
        Health::Up(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// Of three hosts one is dead, and one accepts and never answers: the list is there within its time limit, and says so.
#[tokio::test]
async fn hosts_are_asked_side_by_side_and_each_within_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let silent = folder.path().join("silent.sock");
    let listener = UnixListener::bind(&silent).unwrap();
    let scope = Scope::new("hosts");
    scope.run("web", &["sleep", "60"]).await;
    let hosts = hosts(vec![
        spec("alive", &testkit::endpoint(), &[], None),
        spec("dead", "unix:///nowhere/docker.sock", &[], None),
        spec("silent", &format!("unix://{}", silent.display()), &[], None),
    ]);
    assert!(
        hosts
            .all()
            .all(|host| host.state_unasked().health == Health::Unused)
    );
    let begun = Instant::now();
    let states = hosts.states(hosts.all().cloned().collect(), LIMIT).await;
    assert!(begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
    let alive = facts(&states[0].health);
    assert!(
        alive.engine.contains('.') && alive.api.starts_with("1."),
        "{alive:?}"
    );
    assert!(alive.cpus > 0 && alive.memory > 0 && alive.running > 0 && alive.containers >= alive.running);
    assert!(
        alive.round_trip_ms > 0.0 && alive.clock_ahead_ms.abs() < 5_000,
        "{alive:?}"
    );
    assert!(
        matches!(&states[1].health, Health::Down { why } if why.contains("/nowhere/docker.sock")),
        "{:?}",
        states[1]
    );
    assert_eq!(
        states[2].health,
        Health::Down {
            why: "no answer within 1s".to_owned()
        }
    );
    drop(listener);
    scope.finish().await;
}

/// Who asks again within seconds, or while somebody else asks, costs the engine nothing.
#[tokio::test]
async fn answers_are_kept_and_shared() {
    let double = DaemonDouble::start(|seen| match seen.path() {
        "/info" => Reply::json(
            200,
            &serde_json::json!({"ServerVersion": "28.0", "MemTotal": 8192, "NCPU": 2}),
        ),
        "/containers/json" => {
            let of = |server: &str| serde_json::json!({"Labels": {"dockmaster.server": server}});
            let strange = of("\u{1b}[31m no name");
            Reply::json(
                200,
                &serde_json::json!([{}, of("render"), of("memory"), of("render"), strange]),
            )
        }
        _ => Reply::ping("1.45"),
    });
    let hosts = hosts(vec![spec("one", &double.endpoint(), &[], None)]);
    let host = hosts.get("one").unwrap();
    let (one, other) = tokio::join!(host.state(LIMIT), host.state(LIMIT));
    assert_eq!(facts(&one.health).engine, "28.0");
    assert_eq!(facts(&one.health).ours, 5);
    assert_eq!(facts(&one.health).servers, ["memory", "render"]);
    assert_eq!(one, other);
    let asked = double.seen().len();
    host.state(LIMIT).await;
    assert_eq!(double.seen().len(), asked);
    assert_eq!(host.state_unasked(), one);
}

struct Free(u64);

impl Look for Free {
    fn look(&self, _folder: String) -> BoxFuture<'_, Option<Machine>> {
        let machine = Machine {
            memory: 8192,
            memory_available: self.0,
            ..Machine::default()
        };
        async { Some(machine) }.boxed()
    }
}

#[tokio::test]
async fn the_host_with_the_most_memory_is_chosen() {
    let double = DaemonDouble::start(|seen| match seen.path() {
        "/info" => Reply::json(
            200,
            &serde_json::json!({"ServerVersion": "28.0", "MemTotal": 8192}),
        ),
        "/containers/json" => Reply::json(200, &serde_json::json!([])),
        _ => Reply::ping("1.45"),
    });
    let one = |name: &str, labels: &[&str], free| {
        let look: Arc<dyn Look> = Arc::new(Free(free));
        spec(name, &double.endpoint(), labels, Some(look))
    };
    let hosts = hosts(vec![
        one("a", &["gpu", "zone=eu"], 1000),
        one("b", &["gpu"], 3000),
        one("c", &["gpu"], 3000),
        one("d", &["big"], 8000),
        spec("e", "unix:///nowhere/docker.sock", &["gpu"], None),
    ]);
    let check = async |label: Option<&str>, memory, expected: Result<&str, &str>| {
        let wish = Wish {
            label: label.map(str::to_owned),
            memory,
        };
        let found = hosts.choose(&wish, LIMIT).await;
        let found = found
            .map(|host| host.name().to_string())
            .map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (found, _) => panic!("{wish:?}: {found:?}"),
        }
    };
    check(Some("gpu"), 0, Ok("b")).await;
    check(Some("zone=eu"), 0, Ok("a")).await;
    check(Some("zone=eu"), 1000, Ok("a")).await;
    check(None, 0, Ok("d")).await;
    check(Some("zone=eu"), 1001, Err("a has 1000 B")).await;
    check(Some("gpu"), 4000, Err("e: ")).await;
    check(
        Some("none"),
        0,
        Err("no host that may be changed has the label \"none\""),
    )
    .await;
    let wish = Wish {
        label: Some("none".to_owned()),
        memory: 0,
    };
    assert!(matches!(
        hosts.choose(&wish, LIMIT).await,
        Err(NoHost::NoLabel { .. })
    ));
}
