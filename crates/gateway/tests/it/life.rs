//! The life of instances: who shares them, when they start and stop, and that a bad server harms only itself. Time is
//! paused, so that minutes pass at once.

#![expect(
    clippy::disallowed_methods,
    reason = "the end of the runtime is the owner of what a test spawns"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::{Life, Principal, Server, ServerState, Sharing, What};
use serde_json::json;
use testkit::{McpClient, eventually};
use tokio::time::{Instant, sleep};

use crate::bots::{Bot, Mode, call, gateway, status, tools};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(1);

fn life() -> Life {
    Life {
        start: Some(3 * SECOND),
        list: Some(3 * SECOND),
        call: Some(3 * SECOND),
        ..Life::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_server_harms_only_itself() {
    for (mode, lists, says) in [
        (
            Mode::Hangs,
            false,
            "server bad can't be started: no answer within 3 s, its `start_timeout`",
        ),
        (Mode::Exits, false, "ended while it worked on initialize"),
        (Mode::Floods, false, "no answer within 3 s, its `start_timeout`"),
        (
            Mode::Mute,
            true,
            "server bad did not answer tools/call within 3 s",
        ),
        (Mode::Dies, true, "server bad ended while it worked on tools/call"),
        (
            Mode::Huge,
            true,
            "server bad ended while it worked on tools/call (it sent a message of ",
        ),
        (Mode::Twins, true, "used"),
        (Mode::Restless, true, "used"),
    ] {
        let (good, bad) = (Bot::with(Mode::Good, &["help"], json!({})), Bot::new(mode));
        let servers = vec![bad.living("bad", life()), good.server("good")];
        let gateway = gateway(servers, |parts| parts.limits.answer_bytes = 64 << 10);
        let wanted: &[&str] = if lists { &["use", "help"] } else { &["help"] };
        assert_eq!(tools(&gateway).await, wanted, "{mode:?}");
        let (of_bad, of_good) = tokio::join!(call(&gateway, "ann", "use"), async {
            let start = Instant::now();
            let answer = call(&gateway, "ann", "help").await;
            (answer, start.elapsed())
        });
        assert_eq!(of_good.0.as_deref(), Ok("used"), "{mode:?}");
        assert!(of_good.1 < SECOND, "{mode:?}: {:?}", of_good.1);
        // What never came up has no tools that could be called.
        if lists {
            let said = of_bad.unwrap_or_else(|error| error);
            assert!(said.contains(says), "{mode:?}: {said}");
        } else {
            assert!(of_bad.unwrap_err().contains("there is no tool"), "{mode:?}");
            let status = status(&gateway, "bad");
            assert_eq!(status.state, ServerState::Failed, "{mode:?}");
            assert!(
                status
                    .last_error
                    .unwrap()
                    .contains(says.split(": ").last().unwrap()),
                "{mode:?}"
            );
        }
        assert_eq!((good.starts(), good.live()), (1, 1), "{mode:?}");
        assert!(bad.lists() < 5, "{mode:?}");
        assert!(gateway.shutdown(5 * SECOND).await, "{mode:?}");
        assert_eq!((good.live(), bad.live()), (0, 0), "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_may_take_longer_than_a_start() {
    let bot = Bot::new(Mode::Good);
    let prepared = Arc::new(AtomicUsize::default());
    let counted = Arc::clone(&prepared);
    let server = Server {
        prepare: Some(Box::new(move || {
            let counted = Arc::clone(&counted);
            Box::pin(async move {
                sleep(LONG).await;
                // The first time there is no image to be had.
                match counted.fetch_add(1, Ordering::SeqCst) {
                    0 => Err(std::io::Error::other("no such image")),
                    _ => Ok(()),
                }
            })
        })),
        ..bot.living("bot", life())
    };
    let gateway = gateway(vec![server], |_| {});
    let error = call(&gateway, "ann", "use").await.unwrap_err();
    assert_eq!(error, "server bot can't be started: no such image");
    assert_eq!((prepared.load(Ordering::SeqCst), bot.starts()), (1, 0));
    // Whoever calls what may be there waits for the image, and so does a list of the command line.
    let start = Instant::now();
    assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
    assert!(start.elapsed() >= LONG);
    assert_eq!(tools(&gateway).await, ["use"]);
    assert_eq!((prepared.load(Ordering::SeqCst), bot.starts()), (2, 1));
    assert!(gateway.shutdown(5 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_share_a_start_and_its_error() {
    let bot = Bot::new(Mode::Good);
    let gateway = gateway(vec![bot.living("bot", life())], |_| {});
    tools(&gateway).await;
    gateway.restart("bot");
    eventually("the end", async || (bot.live() == 0).then_some(())).await;
    bot.set_mode(Mode::Hangs);
    let calls = (0..10).map(|_| call(&gateway, "ann", "use"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(
            answer.unwrap_err(),
            "server bot can't be started: no answer within 3 s, its `start_timeout`"
        );
    }
    assert_eq!(bot.starts(), 2);
    bot.set_mode(Mode::Good);
    let calls = (0..10).map(|_| call(&gateway, "ann", "use"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.as_deref(), Ok("used"));
    }
    assert_eq!((bot.starts(), bot.calls()), (3, 10));
    assert!(gateway.shutdown(5 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_again_and_again_is_left_alone_for_a_while() {
    let bot = Bot::new(Mode::Good);
    let gateway = gateway(vec![bot.living("bot", life())], |_| {});
    tools(&gateway).await;
    gateway.restart("bot");
    eventually("the end", async || (bot.live() == 0).then_some(())).await;
    bot.set_mode(Mode::Exits);
    for _ in 0..5 {
        call(&gateway, "ann", "use").await.unwrap_err();
    }
    assert_eq!(bot.starts(), 6);
    let start = Instant::now();
    for _ in 0..20 {
        let error = call(&gateway, "ann", "use").await.unwrap_err();
        assert!(
            error.contains("it failed 5 times in a row, last: ") && error.contains("It is tried again in "),
            "{error}"
        );
    }
    assert_eq!(
        (bot.starts(), start.elapsed()),
        (6, Duration::ZERO),
        "nobody waited, nothing was tried"
    );
    let now = status(&gateway, "bot");
    assert!(
        now.next_try_seconds
            .is_some_and(|seconds| (10..=30).contains(&seconds)),
        "{now:?}"
    );
    assert_eq!(
        now.history
            .iter()
            .filter(|entry| entry.what == What::Failed)
            .count(),
        5
    );

    sleep(LONG).await;
    call(&gateway, "ann", "use").await.unwrap_err();
    assert_eq!(bot.starts(), 7, "one try");
    let error = call(&gateway, "ann", "use").await.unwrap_err();
    assert!(error.contains("6 times"), "{error}");
    bot.set_mode(Mode::Good);
    sleep(2 * LONG).await;
    assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
    let now = status(&gateway, "bot");
    assert_eq!(
        (now.state, now.last_error, now.next_try_seconds),
        (ServerState::Idle, None, None)
    );
    assert!(gateway.shutdown(5 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn idle_instances_are_pinged_and_stopped() {
    let bot = Bot::new(Mode::Good);
    let idle_stop = Some(10 * LONG);
    let server = bot.living("bot", Life { idle_stop, ..life() });
    let gateway = gateway(vec![server], |_| {});
    assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
    assert_eq!(status(&gateway, "bot").state, ServerState::Idle);
    sleep(5 * LONG + SECOND).await;
    assert!((3..=5).contains(&bot.pings()), "{}", bot.pings());
    assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
    sleep(9 * LONG + 59 * SECOND).await;
    assert_eq!(bot.live(), 1);
    sleep(2 * SECOND).await;
    assert_eq!(bot.live(), 0);
    let now = status(&gateway, "bot");
    assert_eq!(now.state, ServerState::Stopped);
    let last = now.history.last().unwrap();
    assert_eq!((last.what, last.why.as_str()), (What::Stopped, "it was idle"));
    assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
    assert_eq!(bot.starts(), 2);
    assert!(gateway.shutdown(5 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_any_more_is_replaced() {
    for warm in [0, 1] {
        let bot = Bot::new(Mode::Good);
        let server = bot.living("bot", Life { warm, ..life() });
        let gateway = gateway(vec![server], |_| {});
        assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
        bot.set_mode(Mode::Stops);
        // No answer to the ping within its time.
        sleep(LONG + 15 * SECOND).await;
        let died = status(&gateway, "bot")
            .history
            .into_iter()
            .find(|entry| entry.what == What::Died)
            .unwrap();
        assert_eq!(died.why, "it does not answer any more");
        bot.set_mode(Mode::Good);
        if warm == 0 {
            assert_eq!((bot.starts(), bot.live()), (1, 0), "the next call starts it");
        }
        assert_eq!(call(&gateway, "ann", "use").await.as_deref(), Ok("used"));
        assert!(gateway.shutdown(5 * SECOND).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_answer_is_looked_into() {
    let bot = Bot::new(Mode::Good);
    let gateway = gateway(vec![bot.living("bot", life())], |_| {});
    tools(&gateway).await;
    bot.set_mode(Mode::Mute);
    assert!(
        call(&gateway, "ann", "use")
            .await
            .unwrap_err()
            .contains("did not answer")
    );
    sleep(SECOND).await;
    assert_eq!((bot.live(), bot.pings()), (1, 1), "it answers pings, so it stays");
    bot.set_mode(Mode::Hangs);
    assert!(
        call(&gateway, "ann", "use")
            .await
            .unwrap_err()
            .contains("did not answer")
    );
    sleep(15 * SECOND).await;
    assert_eq!(bot.live(), 0);
    assert!(gateway.shutdown(5 * SECOND).await);
}

fn shared(bot: &Bot, sharing: Sharing, warm: usize) -> Vec<Server> {
    let life = Life { warm, ..life() };
    vec![Server {
        sharing,
        ..bot.living("bot", life)
    }]
}

#[tokio::test(start_paused = true)]
async fn who_shares_an_instance() {
    for (sharing, wanted) in [
        (Sharing::Everyone, 1),
        // One for each principal; a call of the command line belongs to no session.
        (Sharing::Principal, 2),
        (Sharing::Session, 2),
        (Sharing::Call, 4),
    ] {
        let bot = Bot::new(Mode::Good);
        let gateway = gateway(shared(&bot, sharing, 0), |_| {});
        let mut lists = 0;
        for principal in ["ann", "bob", "ann", "bob"] {
            assert_eq!(
                call(&gateway, principal, "use").await.as_deref(),
                Ok("used"),
                "{sharing:?}"
            );
            lists = bot.shares().iter().filter(|share| share.key == "lists").count();
        }
        assert_eq!(bot.starts() - lists, wanted, "{sharing:?}");
        assert!(lists <= 1, "{sharing:?}");
        for share in bot.shares() {
            let has_principal = share.principal.is_some();
            assert_eq!(
                has_principal,
                !matches!(share.key.as_str(), "all" | "lists"),
                "{sharing:?}: {share:?}"
            );
            assert!(
                share.key.len() <= 40
                    && share
                        .key
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            );
        }
        if sharing == Sharing::Call {
            sleep(2 * SECOND).await;
            assert_eq!(bot.live(), 0, "a call's instance ends with it");
        }
        assert!(gateway.shutdown(5 * SECOND).await);
    }
}

/// A client on a pipe of its own, which is a session.
fn session(
    gateway: &gateway::Gateway,
    principal: &str,
) -> (McpClient, tokio::task::JoinHandle<std::io::Result<()>>) {
    let (ours, theirs) = tokio::io::duplex(16 << 10);
    let (reader, writer) = tokio::io::split(theirs);
    let (gateway, principal) = (gateway.clone(), Principal::new(principal));
    let serving = tokio::spawn(async move {
        gateway
            .serve_stdio(principal, reader, writer, gateway::CancellationToken::new())
            .await
    });
    let (reader, writer) = tokio::io::split(ours);
    (McpClient::over(reader, writer), serving)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_takes_its_instance_along() {
    let bot = Bot::new(Mode::Good);
    let gateway = gateway(shared(&bot, Sharing::Session, 0), |_| {});
    let (one, serving) = session(&gateway, "ann");
    one.initialize("2025-11-25").await;
    let (two, _kept) = session(&gateway, "ann");
    two.initialize("2025-11-25").await;
    for client in [&one, &two, &one] {
        assert_eq!(client.call("use", json!({})).await.ok().text(), "used");
    }
    sleep(5 * SECOND).await;
    assert_eq!((bot.starts(), bot.live()), (3, 2), "one was for the lists");
    drop(one);
    serving.await.unwrap().unwrap();
    eventually("the end", async || (bot.live() == 1).then_some(())).await;
    assert_eq!(
        status(&gateway, "bot").history.last().unwrap().why,
        "its session has ended"
    );
    assert_eq!(two.call("use", json!({})).await.ok().text(), "used");
    drop(two);
    assert!(gateway.shutdown(5 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn spare_instances_wait_for_those_who_come() {
    for sharing in [Sharing::Session, Sharing::Call] {
        let bot = Bot::new(Mode::Good);
        let gateway = gateway(shared(&bot, sharing, 2), |_| {});
        let (client, _serving) = session(&gateway, "ann");
        client.initialize("2025-11-25").await;
        client.tools().await;
        sleep(5 * SECOND).await;
        assert_eq!(
            (bot.starts(), bot.live()),
            (3, 2),
            "{sharing:?}: the lists' is gone, two wait"
        );
        bot.set_mode(Mode::Hangs);
        // A start would hang now, so this is one that waited.
        let waiting = bot.starts();
        bot.set_mode(Mode::Good);
        assert_eq!(client.call("use", json!({})).await.ok().text(), "used");
        sleep(5 * SECOND).await;
        assert_eq!(bot.starts(), waiting + 1, "{sharing:?}: another takes its place");
        sleep(30 * LONG).await;
        assert_eq!(bot.live(), 2, "{sharing:?}: spares are not stopped when idle");
        assert!(gateway.shutdown(5 * SECOND).await);
    }
}

/// What should be warm and can't be started is tried again, less and less often, until it can.
#[tokio::test(start_paused = true)]
async fn what_should_be_warm_is_tried_again() {
    for sharing in [Sharing::Everyone, Sharing::Call] {
        let bot = Bot::new(Mode::Exits);
        let gateway = gateway(shared(&bot, sharing, 1), |_| {});
        let (_client, _serving) = session(&gateway, "ann");
        sleep(20 * LONG).await;
        let starts = bot.starts();
        assert!((8..=20).contains(&starts), "{sharing:?}: {starts}");
        assert_eq!(bot.live(), 0);
        bot.set_mode(Mode::Good);
        sleep(6 * LONG).await;
        assert_eq!((bot.starts(), bot.live()), (starts + 1, 1), "{sharing:?}");
        assert!(gateway.shutdown(5 * SECOND).await);
    }
}

/// An instance that belongs to a principal can't wait for whoever comes; but so many of those that were started stay.
#[tokio::test(start_paused = true)]
async fn of_what_belongs_to_principals_so_many_stay() {
    for warm in [0, 1] {
        let bot = Bot::new(Mode::Good);
        let gateway = gateway(shared(&bot, Sharing::Principal, warm), |_| {});
        assert_eq!(bot.live(), 0, "nobody is known before somebody comes");
        for principal in ["ann", "bob"] {
            assert_eq!(call(&gateway, principal, "use").await.as_deref(), Ok("used"));
        }
        assert_eq!(bot.live(), 2);
        sleep(30 * LONG).await;
        assert_eq!(bot.live(), warm);
        // Who came last finds it as it was left; the other gets an instance of its own.
        let starts = bot.starts();
        for principal in ["bob", "ann"] {
            assert_eq!(call(&gateway, principal, "use").await.as_deref(), Ok("used"));
        }
        assert_eq!(bot.starts(), starts + 2 - warm);
        assert!(gateway.shutdown(5 * SECOND).await);
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_makes_room() {
    for by_memory in [false, true] {
        let bots: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| (name, Bot::with(Mode::Good, &[&format!("use_{name}")], json!({}))))
            .collect();
        let life = Life {
            bytes: 1 << 30,
            ..life()
        };
        let mut servers: Vec<_> = bots.iter().map(|(name, bot)| bot.living(name, life)).collect();
        let light = Bot::with(Mode::Good, &["use_light"], json!({}));
        if by_memory {
            servers.push(light.living("light", Life { bytes: 0, ..life }));
        }
        let gateway = gateway(servers, |parts| {
            if by_memory {
                parts.limits.instance_bytes = 5 << 29;
            } else {
                parts.limits.instances = 2;
            }
        });
        // The three are started for their lists, two at a time at most.
        assert_eq!(tools(&gateway).await.len(), 3 + usize::from(by_memory));
        let [one, two, three] = [0, 1, 2].map(|at| &bots[at].1);
        assert_eq!(one.live() + two.live() + three.live(), 2);
        for tool in ["use_one", "use_two"] {
            sleep(SECOND).await;
            assert_eq!(call(&gateway, "ann", tool).await.as_deref(), Ok("used"));
            sleep(SECOND).await;
        }
        assert_eq!((one.live(), two.live(), three.live()), (1, 1, 0));
        two.park(true);
        let slow = tokio::spawn({
            let gateway = gateway.clone();
            async move { call(&gateway, "ann", "use_two").await }
        });
        eventually("the call", async || (two.calls() == 2).then_some(())).await;
        assert_eq!(call(&gateway, "ann", "use_three").await.as_deref(), Ok("used"));
        assert_eq!((one.live(), two.live(), three.live()), (0, 1, 1));
        let ended = status(&gateway, "one").history.pop().unwrap();
        assert_eq!(ended.why, "it made room for another");

        three.park(true);
        let other = tokio::spawn({
            let gateway = gateway.clone();
            async move { call(&gateway, "ann", "use_three").await }
        });
        eventually("the call", async || (three.calls() == 2).then_some(())).await;
        let error = call(&gateway, "ann", "use_one").await.unwrap_err();
        assert!(
            error.contains(&format!(
                "there is no room: {} instances of servers with 2 GiB",
                2 + usize::from(by_memory)
            )),
            "{error}"
        );
        two.park(false);
        three.park(false);
        assert_eq!(
            (slow.await.unwrap().as_deref(), other.await.unwrap().as_deref()),
            (Ok("used"), Ok("used"))
        );
        assert_eq!(
            call(&gateway, "ann", "use_one").await.as_deref(),
            Ok("used"),
            "no fault of the server"
        );
        // Its going would have made no room.
        assert_eq!(
            (light.starts(), light.live()),
            if by_memory { (1, 1) } else { (0, 0) }
        );
        assert!(gateway.shutdown(5 * SECOND).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_may_use_more_than_there_is_is_not_started() {
    let bot = Bot::new(Mode::Good);
    let server = bot.living(
        "bot",
        Life {
            bytes: 2 << 30,
            ..life()
        },
    );
    let gateway = gateway(vec![server], |parts| parts.limits.instance_bytes = 1 << 30);
    let error = gateway.tools(&Principal::new("ann")).await.unwrap_err();
    assert!(
        error
            .message
            .contains("2 GiB of memory, and all servers together at most 1 GiB"),
        "{error}"
    );
    assert_eq!(bot.starts(), 0);
    assert!(gateway.shutdown(5 * SECOND).await);
}
