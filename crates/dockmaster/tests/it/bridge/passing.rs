//! What is said between a client and a server beside calls and answers: that it passes a bridge in both directions, and is
//! the same as without one.

use serde_json::json;
use testkit::{McpClient, eventually};

use super::Bridged;
use super::talker::{Ear, SCRIPT};
use crate::harness::Dockmaster;
use crate::servers::gone;
use crate::web::Web;

/// The talker under this name on `far`, which is the engine at hand.
pub(super) async fn with_talker(name: &str, further: &str) -> Bridged {
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new().configured(&format!(
        "[hosts.far]\nendpoint = '{}'\n[servers.{name}]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{SCRIPT}''']\n\
         [profiles.default.servers.{name}]\nhost = 'far'\n{further}",
        testkit::endpoint()
    ));
    Bridged::new(dockmaster, name)
}

/// A gateway over HTTP in the same surroundings.
pub(super) async fn web(bridged: &Bridged) -> Web {
    Web::start(bridged.dockmaster.again(), &[]).await
}

async fn everything_is_heard(ear: &Ear, is_http: bool, about: &str) {
    let Ear { client, .. } = ear;
    // Progress comes before the answer, in order, under the client's own token.
    let told = ear.call_with("steps", json!({"progressToken": "mine"})).await;
    assert_eq!(told, "done", "{about}");
    let steps = client.notifications("notifications/progress");
    let step = |step| json!({"progressToken": "mine", "progress": step, "total": 3, "message": format!("step {step}")});
    assert_eq!(steps, [1, 2, 3].map(step), "{about}");

    // Questions reach the client, and its answers the server.
    for (tool, wanted) in [
        ("form", "{~action~:~accept~,~content~:{~said~:~who?~}}"),
        (
            "sample",
            "{~role~:~assistant~,~content~:{~type~:~text~,~text~:~hm~},~model~:~m~}",
        ),
        ("roots", "{~roots~:[{~uri~:~file:///a~}]}"),
    ] {
        let heard = ear.call(tool).await;
        assert!(heard.starts_with(wanted), "{about}: {tool}: {heard}");
    }

    // Log lines of the wanted level.
    let meta = ear.log_errors().await;
    assert_eq!(ear.call_with("log", meta).await, "logged", "{about}");
    let logged = client.notifications("notifications/message");
    assert_eq!(
        logged,
        [json!({"level": "error", "logger": "talker", "data": {"said": "groß"}})],
        "{about}"
    );

    // Changes.
    let _listening = ear.watch(is_http).await;
    ear.call("touch").await;
    let touched = client.notification("notifications/resources/updated").await;
    assert_eq!(touched["uri"], "talk:one", "{about}");
    ear.call("grow").await;
    client.notification("notifications/tools/list_changed").await;
    // The same outside of any call.
    assert_eq!(ear.call("later").await, "soon", "{about}");
    eventually("what is told later", async || {
        (client.notifications("notifications/resources/updated").len() == 2).then_some(())
    })
    .await;
    if ear.is_legacy() {
        let logged = eventually("what is logged later", async || {
            client.notifications("notifications/message").get(1).cloned()
        });
        assert_eq!(
            logged.await,
            json!({"level": "error", "data": "later"}),
            "{about}"
        );
    }
    // Then nobody can be asked, and it hears of that at once.
    ear.until(
        "late",
        "no call of a client is at work that this request could belong to",
    )
    .await;

    // A call that is given up here is cancelled there. Last, as what is logged then might be about it, and reaches nobody.
    let before: u32 = waits(ear).await;
    let pending = ear.start("wait").await;
    let said = |wait: u32| format!("{wait} wait, {before} cancelled");
    ear.until("waits", &said(before + 1)).await;
    ear.give_up(pending).await;
    ear.until("waits", &format!("{0} wait, {0} cancelled", before + 1))
        .await;
}

async fn waits(ear: &Ear) -> u32 {
    let said = ear.call("waits").await;
    let number = said.split(' ').next().and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_calls_passes_both_gateways() {
    let bridged = with_talker("talker", "").await;
    for installed in [false, true] {
        if installed {
            bridged.install();
        }
        let ear = Ear::legacy(bridged.client(&[])).await;
        everything_is_heard(&ear, false, &format!("stdio, bridge: {installed}")).await;
        assert!(ear.client.close().await.success());
        if installed {
            // What another principal has given up may still be asked about, in a server that both share.
            let restarted = bridged.run(&["server", "restart", "talker"]);
            assert_eq!(restarted.code(), 0, "{}", restarted.transcript());
        }
        let web = web(&bridged).await;
        let client = || McpClient::http(&web.authority, "/mcp", Some(&web.token()));
        let ear = Ear::legacy(client()).await;
        everything_is_heard(&ear, true, &format!("HTTP, bridge: {installed}")).await;
        let ear = Ear::modern(client());
        everything_is_heard(&ear, true, &format!("modern HTTP, bridge: {installed}")).await;
        web.stop().await;
        if !installed {
            gone("talker").await;
        }
    }
    bridged.uninstall().await;
    gone("talker").await;
}
