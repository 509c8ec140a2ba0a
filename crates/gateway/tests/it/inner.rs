//! A server in this process that answers calls of its tools without its stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::{Calls, Link, Server, Wire};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use testkit::eventually;

use crate::rig::{Fake, MODERN, Over, Rig};

/// What came to the server without its stream.
#[derive(Clone, Default)]
struct Seen {
    begun: Arc<AtomicUsize>,
    given_up: Arc<AtomicUsize>,
}

struct GivenUp(Option<Arc<AtomicUsize>>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Seen {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    async fn until_given_up(&self) {
        eventually("a call to be given up", async || {
            (self.given_up.load(Ordering::SeqCst) == 1).then_some(())
        })
        .await;
    }

    /// `fail` fails, `slow` never ends, everything else says which tool it is.
    fn calls(&self) -> Calls {
        let seen = self.clone();
        Arc::new(move |params| {
            let seen = seen.clone();
            Box::pin(async move {
                seen.begun.fetch_add(1, Ordering::SeqCst);
                let params: Value = serde_json::from_str(params.get()).unwrap();
                let mut end = GivenUp(Some(Arc::clone(&seen.given_up)));
                let name = params["name"].as_str().unwrap();
                if name == "slow" {
                    std::future::pending::<()>().await;
                }
                end.0 = None;
                let raw = |value: Value| to_raw_value(&value).unwrap();
                match name {
                    "fail" => Err(raw(
                        json!({"code": -32001, "message": "no", "data": {"odd": [1, 2]}}),
                    )),
                    name => Ok(raw(json!({
                        "content": [{"type": "text", "text": format!("{name} without the stream")}],
                        "of_its_own": 12_345_678_901_234_567_890_u64,
                    }))),
                }
            })
        })
    }

    fn server(&self, fake: &Fake) -> Server {
        let server = fake.server("fake");
        let (connect, calls) = (server.connect, self.calls());
        Server {
            connect: Box::new(move |instance| {
                let (link, calls) = (connect(instance), Arc::clone(&calls));
                Box::pin(async move {
                    let Link { wire, driver } = link.await?;
                    let Wire::Pipe(stream) = wire else {
                        panic!("the fake has a pipe")
                    };
                    let wire = Wire::Within { stream, calls };
                    Ok(Link { wire, driver })
                })
            }),
            ..server
        }
    }

    fn rig(&self, change: impl FnOnce(&mut gateway::Parts)) -> Rig {
        let fake = Fake::new();
        let server = self.server(&fake);
        Rig::before(fake, |parts| {
            parts.servers = vec![server];
            change(parts);
        })
    }
}

#[tokio::test]
async fn calls_go_without_the_stream_and_all_else_by_it() {
    for version in ["2025-06-18", MODERN] {
        let seen = Seen::default();
        let rig = seen.rig(|_| {});
        let client = rig.client(Over::Stdio, version, json!({})).await;
        let result = client
            .request("tools/call", json!({"name": "echo", "arguments": {}}))
            .await
            .unwrap();
        assert_eq!(result["content"][0]["text"], "echo without the stream");
        assert_eq!(result["of_its_own"], 12_345_678_901_234_567_890_u64);
        let error = client
            .request("tools/call", json!({"name": "fail", "arguments": {}}))
            .await
            .unwrap_err();
        assert_eq!(error.code, -32001);
        assert_eq!(seen.begun(), 2);
        assert!(rig.fake.lines_of("tools/call").is_empty());
        assert!(!rig.fake.all().is_empty(), "the handshake goes by the stream");
        assert_eq!(rig.rows.seen().len(), 2, "each is in the audit");
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_call_with_progress_goes_by_the_stream() {
    let seen = Seen::default();
    let rig = seen.rig(|_| {});
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let params = json!({"name": "echo", "arguments": {}, "_meta": {"progressToken": "mine"}});
    client.request("tools/call", params).await.unwrap();
    assert_eq!(seen.begun(), 0);
    assert_eq!(rig.fake.lines_of("tools/call").len(), 1);
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_cancelled_call_is_given_up() {
    let seen = Seen::default();
    let rig = seen.rig(|_| {});
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let call = client
        .start("tools/call", json!({"name": "slow", "arguments": {}}))
        .await;
    eventually("the call", async || (seen.begun() == 1).then_some(())).await;
    client
        .notify("notifications/cancelled", json!({"requestId": call.id}))
        .await;
    seen.until_given_up().await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_call_has_its_time_and_ends_with_the_gateway() {
    let seen = Seen::default();
    let rig = seen.rig(|parts| parts.limits.call = Duration::from_millis(50));
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let error = client.try_call("slow", json!({})).await.unwrap_err();
    assert!(
        error.message.contains("did not answer tools/call within"),
        "{error}"
    );
    seen.until_given_up().await;
    assert!(rig.end().await);
}
