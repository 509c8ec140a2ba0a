//! What must not be written down is not: bodies, environment values, credentials, queries.

use crate::here::at;
use base::redact::Secret;
use engine::models::{ContainerCreateBody, ExecConfig};
use engine::ops::containers::NewContainer;
use engine::{Request, path};
use http::HeaderName;
use serde_json::json;
use testkit::{DaemonDouble, Logged, Reply};

const SECRET: &str = "hunter2";
const AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// Takes what the `log` crate gives, which bollard uses.
struct OfLog(Logged);

impl log::Log for OfLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        self.0.add(record.args().to_string());
    }
    fn flush(&self) {}
}

#[tokio::test]
async fn logs_hold_no_secrets() {
    let logged = Logged::default();
    log::set_logger(Box::leak(Box::new(OfLog(logged.clone())))).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let _default = tracing::subscriber::set_default(logged.clone());

    let double = DaemonDouble::start(|seen| match seen.path() {
        "/_ping" => Reply::ping("1.41"),
        _ => Reply::json(201, &json!({ "Id": "a1", "Warnings": [] })),
    });
    let engine = at(&double.endpoint());
    let env = Some(vec![format!("PASSWORD={SECRET}")]);
    let body = ContainerCreateBody {
        env: env.clone(),
        ..Default::default()
    };
    let created = engine
        .container_create(NewContainer {
            body,
            ..NewContainer::default()
        })
        .await
        .unwrap();
    engine
        .exec_create(
            &created.id,
            ExecConfig {
                env,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    let auth = Secret::new(json!({ "password": SECRET }).to_string());
    let request = Request::post(path!["images", "create"])
        .query("buildargs", format!("{{\"TOKEN\":\"{SECRET}\"}}"))
        .registry_auth(AUTH, &auth);
    engine.raw(request).await.unwrap();

    let log = logged.lines().join("\n");
    let sent = double.seen();
    assert!(sent.iter().any(|seen| {
        seen.body
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes())
    }));
    assert!(
        log.contains("POST /containers/create"),
        "what is done is logged: {log}"
    );
    let encoded = sent.iter().find_map(|seen| seen.header(AUTH.as_str())).unwrap();
    for secret in [SECRET, encoded] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_request_in_a_message_shows_no_secrets() {
    let auth = Secret::new(format!("{{\"password\":\"{SECRET}\"}}"));
    let request = Request::post(path!["images", "create"])
        .json(&json!({ "Env": [format!("A={SECRET}")] }))
        .registry_auth(AUTH, &auth);
    let shown = format!("{request:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("eyJ"), "{shown}");
}

#[tokio::test]
async fn registry_credentials_use_the_alphabet_that_the_daemon_reads() {
    let double = DaemonDouble::start(|seen| match seen.path() {
        "/_ping" => Reply::ping("1.41"),
        _ => Reply::json(200, &json!({})),
    });
    // In the standard alphabet these bytes are full of + and /.
    let auth = Secret::new("{\"password\":\"\u{fb}\u{ff}\u{bf}>>>???\"}");
    at(&double.endpoint())
        .raw(Request::get(path!["info"]).registry_auth(AUTH, &auth))
        .await
        .unwrap();
    let seen = double.seen();
    let header = seen.iter().find_map(|seen| seen.header(AUTH.as_str())).unwrap();
    assert!(
        header.contains(['-', '_']) && !header.contains(['+', '/']),
        "{header}"
    );
}
