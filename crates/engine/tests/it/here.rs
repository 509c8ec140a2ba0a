//! The engine under test, as the product opens it. Its guard is open: what it refuses is tested by itself, and that
//! nothing goes round it in `gate`.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use base::names::ImageRef;
use engine::credentials::Credentials;
use engine::guard::{Guard, Mode, Policy, Surroundings};
use engine::{ApiVersion, Endpoint, Engine, Options};
use serde_json::json;
use std::time::Duration;
use testkit::{Daemon, Scope, all_engines};

/// The engine that `DOCKER_HOST` names.
pub(crate) fn engine() -> Engine {
    on(&Daemon::here())
}

/// Any engine.
pub(crate) fn on(daemon: &Daemon) -> Engine {
    at(&daemon.endpoint())
}

/// Whatever answers at this address.
pub(crate) fn at(endpoint: &str) -> Engine {
    Engine::open(options(endpoint)).unwrap()
}

/// How all of these are opened.
pub(crate) fn options(endpoint: &str) -> Options {
    Options {
        endpoint: Endpoint::parse(endpoint).unwrap(),
        api_version: ApiVersion::Auto,
        timeout: Duration::from_mins(1),
        guard: guard(Mode::Open),
        credentials: Credentials::default(),
    }
}

/// A guard that looks at nothing but the mode.
pub(crate) fn guard(mode: Mode) -> Guard {
    Guard::new(
        Policy {
            mode,
            ..Policy::default()
        },
        Surroundings::default(),
    )
}

/// An image that nothing else shares a name or an id with; bears the scope's label.
pub(crate) async fn image(scope: &Scope, what: &str) -> ImageRef {
    let id = scope.create(what, json!({ "Cmd": ["true"] })).await;
    let reference = scope.image(what);
    let repository = reference.trim_end_matches(":1");
    let body = json!({ "Labels": scope.labels(), "Env": [format!("WHAT={what}")] });
    let commit = format!("/commit?container={id}&repo={repository}&tag=1");
    scope.daemon().post(&commit, &body).await.ok();
    scope.daemon().delete(&format!("/containers/{id}")).await.ok();
    ImageRef::parse(&reference).unwrap()
}

/// Every engine but Podman, of which this says why.
pub(crate) async fn all_but_podman(why: &str) -> Vec<Daemon> {
    let mut engines = Vec::new();
    for daemon in all_engines() {
        if is_podman(&on(&daemon)).await {
            eprintln!("not on {}: Podman {why}", daemon.endpoint());
        } else {
            engines.push(daemon);
        }
    }
    engines
}

/// Whether this is Podman, which serves the API with words and limits of its own. No test passes on it for nothing:
/// what differs is said where it differs.
pub(crate) async fn is_podman(engine: &Engine) -> bool {
    engine
        .system_version()
        .await
        .unwrap()
        .to_string()
        .contains("Podman Engine")
}
