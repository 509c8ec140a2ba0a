//! A Docker socket that shows a server only what that server made.
//!
//! It is a real one: the API of the engine, with streams and hijacked connections, so the docker CLI and every
//! library work on it. What comes in is given the server's label ([`scope`]) and goes through an engine whose guard
//! is confined to that label, so what is not labelled does not exist for it: not other containers, not the host's
//! folders, not the engine's own settings. What it makes outlives it, as with a real socket, and is its own again
//! when it comes back.
//!
//! Deliberately absent: sessions of `BuildKit`, in which requests pass that no guard can see.

mod scope;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use engine::{Body, Engine, Error as EngineError, Request as EngineRequest, Version};
use futures_util::TryStreamExt;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use scope::Scope;

use crate::door::{self, Door};

/// Connections side by side; further ones wait.
const CONNECTIONS: usize = 64;
/// Most bytes of a body that is judged, which is the guard's own bound.
const BODY: usize = 4 << 20;
/// The socket's name in the instance's folder.
const NAME: &str = "docker.sock";

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// One instance's socket.
#[derive(Debug)]
pub(crate) struct DockerSocket {
    path: PathBuf,
    ended: CancellationToken,
}

impl DockerSocket {
    /// Listens in `folder`, which only this user may enter.
    pub(crate) fn open(
        folder: &Path,
        engine: Engine,
        scope: Scope,
        tasks: &TaskTracker,
    ) -> Result<Self, io::Error> {
        let path = folder.join(NAME);
        let listener = door::socket(&path)?;
        let ended = CancellationToken::new();
        let door = Door::new(ended.clone(), CONNECTIONS);
        let server = Server(Arc::new(Shared {
            engine,
            scope,
            door: door.clone(),
        }));
        tasks.spawn(async move {
            let connection = |stream| server.clone().connection(stream);
            door.serve(listener, connection).await;
        });
        Ok(Self { path, ended })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DockerSocket {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

#[derive(Debug, Clone)]
struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: Engine,
    scope: Scope,
    door: Door,
}

impl Server {
    async fn connection(self, stream: UnixStream) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move {
                let answer = server.answer(request).await;
                Ok::<_, Infallible>(answer.unwrap_or_else(|refused| refused))
            }
        });
        let ended = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = ended {
            tracing::debug!("a connection to a filtered Docker socket ended: {error}");
        }
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Answer, Answer> {
        let wants_upgrade = request.headers().contains_key(UPGRADE);
        let upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let (version, path) = split_version(parts.uri.path());
        let engine = match version {
            Some(version) => self.0.engine.speaking(version),
            None => self.0.engine.clone(),
        };
        let scope = &self.0.scope;
        let bad = |fault: String| message(StatusCode::BAD_REQUEST, &fault);
        let query = parts.uri.query().unwrap_or_default();
        let query = scope.query(&parts.method, path, query).map_err(bad)?;
        let body = if scope::is_stream(&parts.method, path) {
            Body::Stream(Box::pin(body.into_data_stream().map_err(io::Error::other)))
        } else {
            self.whole(&parts.method, path, body).await?
        };
        let relayed = EngineRequest::relayed(parts.method, path, &query, &parts.headers, body);
        let answer = match relayed {
            Ok(request) => engine.send(request).await,
            Err(error) => Err(error),
        };
        let mut answer = answer.map_err(|error| refused(&error))?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                return Err(message(
                    StatusCode::BAD_GATEWAY,
                    "the engine changed the protocol unasked",
                ));
            };
            let Some(room) = self.0.door.tunnel() else {
                let fault = "too many attached streams at once; end some of them";
                return Err(message(StatusCode::SERVICE_UNAVAILABLE, fault));
            };
            let headers = upgraded_headers(answer.headers());
            let outside = hyper::upgrade::on(&mut answer);
            self.0.door.spawn(async move {
                if let (Ok(inside), Ok(outside)) = tokio::join!(upgrade, outside) {
                    let (mut inside, mut outside) = (TokioIo::new(inside), TokioIo::new(outside));
                    // Either side may end first, and a closed input is passed on as such.
                    drop(tokio::io::copy_bidirectional(&mut inside, &mut outside).await);
                }
                drop(room);
            });
            let mut switched = Response::new(text(String::new()));
            *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            *switched.headers_mut() = headers;
            return Ok(switched);
        }
        for name in [CONNECTION, TRANSFER_ENCODING] {
            answer.headers_mut().remove(name);
        }
        if path == "/_ping" {
            // A client must not choose a version that is not spoken here.
            let spoken = engine.api_version().await.map_err(|error| refused(&error))?;
            if let Ok(value) = HeaderValue::from_str(&spoken.to_string()) {
                answer.headers_mut().insert("api-version", value);
            }
        }
        Ok(answer.map(BodyExt::boxed))
    }

    /// A body that is judged.
    async fn whole(&self, method: &http::Method, path: &str, body: Incoming) -> Result<Body, Answer> {
        let collected = Limited::new(body, BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                message(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 4 MiB")
            } else {
                message(StatusCode::BAD_REQUEST, "the body broke off")
            }
        })?;
        let bytes = collected.to_bytes();
        let scoped = self.0.scope.body(method, path, &bytes);
        let scoped = scoped.map_err(|fault| message(StatusCode::BAD_REQUEST, &fault))?;
        let bytes = scoped.map_or(bytes, Bytes::from);
        Ok(if bytes.is_empty() {
            Body::Empty
        } else {
            Body::Whole(bytes)
        })
    }
}

/// `/v1.41/info` → the version and `/info`.
fn split_version(path: &str) -> (Option<Version>, &str) {
    let split = path.strip_prefix("/v").and_then(|rest| {
        let (version, _) = rest.split_once('/')?;
        let version_of = version.parse().ok()?;
        Some((Some(version_of), path.get(version.len() + 2..)?))
    });
    split.unwrap_or((None, path))
}

fn upgraded_headers(answer: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(kind) = answer.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    headers
}

fn refused(error: &EngineError) -> Answer {
    let (status, text) = match error {
        EngineError::NotFound { message, .. } => (StatusCode::NOT_FOUND, message.clone()),
        EngineError::Conflict { message, .. } => (StatusCode::CONFLICT, message.clone()),
        EngineError::Daemon { status, message, .. } => (
            StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message.clone(),
        ),
        EngineError::Refused(refusal) => {
            let mut refusal = refusal.clone();
            refusal.allow = refusal.allow.filter(|line| holds_here(line));
            (StatusCode::FORBIDDEN, refusal.to_string())
        }
        EngineError::Request { .. } | EngineError::Name(_) => (StatusCode::BAD_REQUEST, error.to_string()),
        other => (StatusCode::BAD_GATEWAY, other.to_string()),
    };
    message(status, &text)
}

/// Whether a line of the user's policy, `[hosts.local.guard] key = value`, is among those that the guard of a socket
/// takes over ([`guards::of_socket`](crate::guards::of_socket)). No other would help.
fn holds_here(line: &str) -> bool {
    let pair = line.split_once("] ").map_or(line, |(_, pair)| pair);
    let key = pair.split_once(" =").map_or(pair, |(key, _)| key);
    matches!(key, "mode" | "registries" | "build")
}

/// An error as the Engine API says it.
fn message(status: StatusCode, message: &str) -> Answer {
    let mut answer = Response::new(text(json!({ "message": message }).to_string()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn text(text: String) -> BoxBody<Bytes, hyper::Error> {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_help_are_named() {
        for (line, helps) in [
            ("[hosts.local.guard] privileged = true", false),
            ("[hosts.local.guard] registries = [\"a/*\"]", true),
            ("registries = [\"a/*\"]", true),
            ("[hosts.\"a.b\"] mode = \"guarded\"", true),
            ("[hosts.local.guard] build = true", true),
            ("[hosts.local.guard] build_outputs = true", false),
            ("label = \"dockmaster.made-by=x\"", false),
        ] {
            assert_eq!(holds_here(line), helps, "{line}");
        }
    }

    #[test]
    fn versions_are_split_off() {
        for (path, version, rest) in [
            ("/v1.41/containers/json", Some("1.41"), "/containers/json"),
            ("/_ping", None, "/_ping"),
            ("/volumes/v1.41", None, "/volumes/v1.41"),
            ("/vx/info", None, "/vx/info"),
        ] {
            let (found, left) = split_version(path);
            assert_eq!(
                (found.map(|v| v.to_string()).as_deref(), left),
                (version, rest),
                "{path}"
            );
        }
    }
}
