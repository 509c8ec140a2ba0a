//! bollard on this crate's own way to the daemon, for operations whose request body is a typed model.
//!
//! bollard writes the request and reads the answer; what is between them is [`Engine::send`], with guard, version
//! prefix, pool and time limit. What bollard gets wrong on the wire is put right here: it sends no version
//! prefix, and registry credentials in the wrong base64 alphabet. It also hands whole request bodies, environment
//! included, to the `log` crate at debug level; the workspace compiles that level out (feature `max_level_info`).

use crate::error::causes;
use crate::request::Body;
use crate::{Engine, Error, Path, Request};
use bollard::errors::Error as BollardError;
use bollard::{BollardRequest, ClientVersion, Docker};
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use std::io;
use std::time::Duration;

/// Nothing above debug may reach bollard's log calls, whatever logger the executable installs.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Info as usize);

/// bollard's own time limit in seconds. It must never be the first to fire: ours knows what may have happened.
const NEVER: u64 = 30 * 24 * 3600;

impl Engine {
    /// Runs one operation of bollard; `what` names it in errors.
    pub(crate) async fn typed<T, F>(
        &self,
        what: &str,
        operation: impl FnOnce(Docker) -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BollardError>> + Send,
    {
        self.typed_within(what, self.options().timeout, operation).await
    }

    /// The same with another time limit for the head of the answer.
    pub(crate) async fn typed_within<T, F>(
        &self,
        what: &str,
        limit: Duration,
        operation: impl FnOnce(Docker) -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BollardError>> + Send,
    {
        let engine = self.clone();
        let send = move |request: BollardRequest| {
            let engine = engine.clone();
            async move {
                carry(&engine, request, limit)
                    .await
                    .map_err(|error| io::Error::other(error).into())
            }
        };
        // The version is a formality: `carry` puts the negotiated one before each path.
        let version = ClientVersion {
            major_version: 1,
            minor_version: 41,
        };
        let docker = Docker::connect_with_custom_transport(send, Some("http://engine"), NEVER, &version)
            .map_err(|error| translate(what, error))?;
        match tokio::time::timeout(limit * 2, operation(docker)).await {
            Ok(result) => result.map_err(|error| translate(what, error)),
            // The head came in time, so it was sent; its body did not end.
            Err(_) => Err(Error::Timeout {
                what: what.to_owned(),
                after: limit * 2,
                fate: crate::Fate::Unknown,
            }),
        }
    }
}

async fn carry(
    engine: &Engine,
    request: BollardRequest,
    limit: Duration,
) -> Result<http::Response<Incoming>, Error> {
    let (parts, body) = request.into_parts();
    let path = without_version(parts.uri.path());
    let what = || format!("{} {path}", parts.method);
    let written = Path::written(path).ok_or_else(|| Error::Request {
        what: what(),
        fault: "the path is not in plain form".to_owned(),
    })?;
    let mut ours = Request::new(parts.method.clone(), written).deadline(limit);
    ours.query = parts.uri.query().unwrap_or_default().to_owned();
    for (name, value) in &parts.headers {
        if *name == HOST || *name == CONTENT_LENGTH {
            continue;
        }
        let value = if name.as_str().starts_with("x-registry-") {
            url_alphabet(value)
        } else {
            value.clone()
        };
        ours.headers.append(name, value);
    }
    ours.body = match body {
        Either::Left(whole) => match whole.collect().await {
            Ok(bytes) => match bytes.to_bytes() {
                bytes if bytes.is_empty() => Body::Empty,
                bytes => Body::Whole(bytes),
            },
            Err(never) => match never {},
        },
        Either::Right(stream) => Body::Stream(stream.into_data_stream().boxed()),
    };
    engine.send(ours).await
}

/// `/v1.41/info` → `/info`. Releases of bollard differ in whether they send the prefix.
fn without_version(path: &str) -> &str {
    let rest = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    match rest {
        Some((version, _)) if version.parse::<crate::Version>().is_ok() => &path[version.len() + 2..],
        _ => path,
    }
}

fn url_alphabet(value: &HeaderValue) -> HeaderValue {
    let bytes: Vec<u8> = value
        .as_bytes()
        .iter()
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let mut value = HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| value.clone());
    value.set_sensitive(true);
    value
}

fn translate(what: &str, error: BollardError) -> Error {
    match error {
        BollardError::IOError { err } => match err.downcast::<Error>() {
            Ok(ours) => ours,
            Err(err) => Error::protocol(what, err),
        },
        other => Error::protocol(what, causes(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_taken_off_and_nothing_else() {
        for (path, expected) in [
            ("/containers/create", "/containers/create"),
            ("/v1.41/containers/create", "/containers/create"),
            ("/v1.53/info", "/info"),
            ("/volumes/v1.41", "/volumes/v1.41"),
            ("/v1/info", "/v1/info"),
            ("/v1.x/info", "/v1.x/info"),
            ("/v1.41", "/v1.41"),
            ("/", "/"),
        ] {
            assert_eq!(without_version(path), expected, "{path}");
        }
    }

    #[test]
    fn credentials_get_the_alphabet_that_the_daemon_reads() {
        let value = url_alphabet(&HeaderValue::from_static("ab+/cd=="));
        assert_eq!(value, "ab-_cd==");
        assert!(value.is_sensitive());
    }
}
