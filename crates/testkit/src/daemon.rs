//! The real Docker Engine, reached with nothing but HTTP, to prepare what a test needs and to check what the
//! product did from a second point of view.

use crate::http1::{self, Address};
use crate::{PATIENCE, variable};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::path::PathBuf;

const DEFAULT: &str = "unix:///var/run/docker.sock";

/// The endpoint under test as `DOCKER_HOST` writes it, for example `unix:///var/run/docker.sock`.
pub fn endpoint() -> String {
    variable("DOCKER_HOST").unwrap_or_else(|| DEFAULT.to_owned())
}

/// The engine under test and every further one that the runner started, for tests that must hold on all.
pub fn all_engines() -> Vec<Daemon> {
    let further = variable("DOCKMASTER_TEST_ENGINES").unwrap_or_default();
    let further = further
        .split(':')
        .filter(|path| !path.is_empty())
        .map(|path| Daemon::at(path.into()));
    std::iter::once(Daemon::here()).chain(further).collect()
}

/// An engine.
#[derive(Debug, Clone)]
pub struct Daemon {
    address: Address,
}

/// What the engine answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; panics when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// This answer, unless its status is 400 or above: then a panic with what the daemon said.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "mostly called for the check alone"
    )]
    pub fn ok(self) -> Self {
        assert!(
            self.status < 400,
            "the daemon refused ({}): {}",
            self.status,
            self.text()
        );
        self
    }
}

impl Daemon {
    /// The engine that [`endpoint`] names.
    pub fn here() -> Self {
        let endpoint = endpoint();
        if let Some(path) = endpoint.strip_prefix("unix://") {
            return Self::at(path.into());
        }
        let authority = endpoint
            .strip_prefix("tcp://")
            .unwrap_or_else(|| panic!("the fixtures reach unix:// and tcp:// engines, not {endpoint}"));
        Self {
            address: Address::Tcp(authority.to_owned()),
        }
    }

    /// The engine behind a socket.
    pub fn at(socket: PathBuf) -> Self {
        Self {
            address: Address::Unix(socket),
        }
    }

    /// A fresh connection to it.
    pub(crate) async fn connect(&self) -> Box<dyn http1::Stream> {
        let connected = self.address.connect().await;
        connected.unwrap_or_else(|error| panic!("cannot connect to {:?}: {error}", self.address))
    }

    /// This engine as `DOCKER_HOST` would name it.
    pub fn endpoint(&self) -> String {
        match &self.address {
            Address::Unix(path) => format!("unix://{}", path.display()),
            Address::Tcp(authority) => format!("tcp://{authority}"),
        }
    }

    /// `GET path`; the path begins with a slash and may carry an API version and a query.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// `POST path` with a JSON body, or with none for [`Value::Null`].
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = (!body.is_null()).then(|| ("application/json", Bytes::from(body.to_string())));
        self.send("POST", path, body).await
    }

    /// `POST path` with any body.
    pub async fn post_bytes(&self, path: &str, content_type: &str, body: Bytes) -> Answer {
        self.send("POST", path, Some((content_type, body))).await
    }

    /// `PUT path` with any body.
    pub async fn put_bytes(&self, path: &str, content_type: &str, body: Bytes) -> Answer {
        self.send("PUT", path, Some((content_type, body))).await
    }

    /// `POST path` as a push to a registry, with this `X-Registry-Auth` (base64url of JSON).
    pub async fn push(&self, path: &str, auth: &str) -> Answer {
        self.exchange("POST", path, None, &[("x-registry-auth", auth)])
            .await
    }

    /// The newest API version that the engine serves, for example `(1, 41)`.
    pub async fn api_version(&self) -> (u32, u32) {
        let answer = self.get("/version").await.ok().json();
        let version = answer["ApiVersion"]
            .as_str()
            .expect("every engine names its API version")
            .to_owned();
        let (major, minor) = version.split_once('.').expect("an API version has two numbers");
        (major.parse().expect("a number"), minor.parse().expect("a number"))
    }

    async fn send(&self, method: &str, path: &str, body: Option<(&str, Bytes)>) -> Answer {
        self.exchange(method, path, body, &[]).await
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, Bytes)>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.host())
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((content_type, _)) = &body {
            request = request.header("content-type", *content_type);
        }
        let request = request
            .body(Full::new(body.map(|(_, body)| body).unwrap_or_default()))
            .unwrap_or_else(|error| panic!("{method} {path} is no request: {error}"));
        let exchange = http1::exchange(&self.address, request, async |response| {
            let status = response.status().as_u16();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|error| format!("broken body: {error}"))?;
            Ok(Answer {
                status,
                body: body.to_bytes(),
            })
        });
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| panic!("{method} {path}: no answer within {PATIENCE:?}"))
            .unwrap_or_else(|error| {
                panic!("{method} {path}: {error}; is an engine running? scripts/test starts one")
            })
    }
}
