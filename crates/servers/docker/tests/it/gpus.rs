//! GPUs where the guard lets containers have them: what is sent, and what an engine without a driver says to it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use crate::here::{Setup, settings, with};
use serde_json::{Value, json};
use testkit::{Daemon, Relay, Scope};

/// The body of the create that went through the relay, as the engine got it.
fn created(relay: &Relay) -> Value {
    let sent = relay.sent();
    let request = sent
        .split("POST ")
        .find(|request| {
            request
                .split(' ')
                .next()
                .is_some_and(|target| target.contains("/containers/create"))
        })
        .unwrap();
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<Value>();
    values.next().unwrap().unwrap()
}

#[tokio::test]
async fn what_is_sent_and_what_an_engine_without_a_driver_says() {
    let scope = Scope::new("gpus");
    for (index, (given, request)) in [
        (
            json!("all"),
            json!({ "Driver": "", "Count": -1, "Capabilities": [["gpu"]] }),
        ),
        (
            json!(2),
            json!({ "Driver": "", "Count": 2, "Capabilities": [["gpu"]] }),
        ),
        (
            json!("device=0,GPU-3a23"),
            json!({ "Driver": "", "DeviceIDs": ["0", "GPU-3a23"], "Capabilities": [["gpu"]] }),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let relay = Relay::before(&Daemon::here());
        let server = Setup {
            endpoint: relay.endpoint(),
            gpus: true,
            ..Setup::default()
        }
        .start()
        .await;
        let name = format!("gpu{index}");
        let arguments = with(
            settings(&scope, &name, &["sleep", "1000"]).await,
            json!({ "gpus": given, "start": true }),
        );
        let answer = server.client.call("create_container", arguments).await;
        assert_eq!(
            created(&relay)["HostConfig"]["DeviceRequests"],
            json!([request]),
            "{given}"
        );
        // Where there is a driver it simply works.
        if answer.is_error() {
            let error = answer.failure();
            for part in [
                "could not select device driver",
                "\nfix: ",
                "install the vendor's container toolkit on its host and restart the engine, or leave out gpus",
            ] {
                assert!(error.contains(part), "{given}: {part:?} is not in {error}");
            }
        }
        server.end().await;
    }
    scope.finish().await;
}
