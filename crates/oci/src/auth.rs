//! Logging in to registries: by name and password (RFC 7617), or by a token of a server that the registry names.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use fetch::{Method, Request};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::Instant;

use crate::Error;
use crate::challenge::{self, Challenge};
use crate::client::Registries;
use crate::reference::is_loopback;

/// What a user has for a registry.
#[derive(Debug, Clone)]
pub enum Login {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password, or an access token in its place.
        password: Secret,
    },
    /// A refresh token that is changed into tokens for single tasks.
    IdentityToken(Secret),
    /// A token that is sent as it is.
    RegistryToken(Secret),
}

type Lookup = dyn Fn(String) -> BoxFuture<'static, Result<Option<Login>, String>> + Send + Sync;

/// Looks up what the user has for a registry, by the name that references give it (`docker.io`). The error says why
/// it could not be looked up, and what to do.
#[derive(Clone)]
pub struct Credentials(Arc<Lookup>);

impl Credentials {
    /// Asks this function at each login, so that one of a minute ago counts.
    pub fn new(
        lookup: impl Fn(String) -> BoxFuture<'static, Result<Option<Login>, String>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }

    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| Box::pin(async { Ok(None) }))
    }

    /// The same for every registry; for tests and for single-registry use.
    #[must_use]
    pub fn fixed(host: &str, login: Login) -> Self {
        let host = host.to_owned();
        Self::new(move |asked| {
            let login = (asked == host).then(|| login.clone());
            Box::pin(async move { Ok(login) })
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Login {
    /// Reads Docker's form, as it is in `X-Registry-Auth` and in configuration files: `username` and `password`,
    /// `identitytoken` or `registrytoken`. `None` if there is nothing of these.
    #[must_use]
    pub fn from_docker(json: &Secret) -> Option<Self> {
        #[derive(Deserialize)]
        struct Docker {
            username: Option<String>,
            password: Option<Secret>,
            identitytoken: Option<Secret>,
            registrytoken: Option<Secret>,
        }
        let given = |secret: Option<Secret>| secret.filter(|secret| !secret.expose().is_empty());
        let docker: Docker = serde_json::from_str(json.expose()).ok()?;
        let token = given(docker.registrytoken).map(Self::RegistryToken);
        let password = |password| Self::Password {
            user: docker.username.clone().unwrap_or_default(),
            password,
        };
        token
            .or_else(|| given(docker.identitytoken).map(Self::IdentityToken))
            .or_else(|| given(docker.password).map(password))
    }
}

/// What is sent with a request.
#[derive(Debug, Clone)]
pub(crate) enum Ticket {
    Basic(String, Secret),
    Bearer(Secret),
}

/// A ticket and how long it is good.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) until: Option<Instant>,
}

/// Most bytes of a token server's answer.
const ANSWER: u64 = 256 << 10;
/// How long a token is good when its server does not say (Docker's token specification).
const TOKEN_TIME: u64 = 60;
/// A token that ends so soon is not used any more: the request takes time, too.
const TOKEN_REST: u64 = 5;

/// Whom to ask for what.
pub(crate) struct Wanted<'a> {
    /// The registry, as references name it.
    pub(crate) host: &'a str,
    /// What answers there.
    pub(crate) authority: &'a str,
    /// `repository:NAME:pull,push`; none to see whether a login is good.
    pub(crate) scopes: &'a [String],
    /// Repository or registry, for errors.
    pub(crate) place: &'a str,
    pub(crate) attempt: &'a str,
}

impl Wanted<'_> {
    fn fault(&self, reason: impl Into<String>, mend: impl Into<String>) -> Error {
        Error::Login {
            place: self.place.to_owned(),
            attempt: self.attempt.to_owned(),
            reason: reason.into(),
            mend: mend.into(),
        }
    }

    fn exchange(&self, cause: fetch::Error) -> Error {
        Error::Exchange {
            place: self.place.to_owned(),
            attempt: format!("{} (getting a token for it)", self.attempt),
            cause: Box::new(cause),
        }
    }

    fn no_login(&self) -> Error {
        self.fault(
            format!(
                "{} asks for a login, and there are no credentials for it",
                self.host
            ),
            format!("run `docker login {}`", self.host),
        )
    }
}

impl Registries {
    /// Answers the registry's challenge.
    pub(crate) async fn log_in(&self, wanted: &Wanted<'_>, headers: &[&str]) -> Result<Held, Error> {
        let challenges: Vec<Challenge> = headers
            .iter()
            .flat_map(|header| challenge::parse(header))
            .collect();
        let by = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let login = (self.credentials().0)(wanted.host.to_owned()).await;
        let login = login.map_err(|reason| {
            wanted.fault(
                format!("the credentials for {} can't be looked up: {reason}", wanted.host),
                "mend the docker configuration",
            )
        })?;
        let forever = |ticket| Held { ticket, until: None };
        match (by("bearer"), by("basic"), login) {
            (Some(_), _, Some(Login::RegistryToken(token))) => Ok(forever(Ticket::Bearer(token))),
            (Some(bearer), _, login) => self.token(wanted, bearer, login.as_ref()).await,
            (None, Some(_), Some(Login::Password { user, password })) => {
                Ok(forever(Ticket::Basic(user, password)))
            }
            (None, Some(_), Some(_)) => Err(wanted.fault(
                format!(
                    "{} takes a user name and a password, and the credentials are a token",
                    wanted.host
                ),
                format!("run `docker login {}`", wanted.host),
            )),
            (None, Some(_), None) => Err(wanted.no_login()),
            (None, None, _) => Err(wanted.fault(
                format!(
                    "{} asks for a login, but in no way that is known here",
                    wanted.host
                ),
                "it should offer Basic or Bearer",
            )),
        }
    }

    async fn token(
        &self,
        wanted: &Wanted<'_>,
        bearer: &Challenge,
        login: Option<&Login>,
    ) -> Result<Held, Error> {
        let realm = bearer
            .get("realm")
            .and_then(|realm| fetch::Url::parse(realm).ok());
        let Some(mut url) = realm else {
            return Err(wanted.fault("the registry names no usable token server", "tell its operator"));
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        // The password goes there. Without TLS it may stay on this machine, or go to the host that gets all else so.
        let same_host = wanted
            .authority
            .rsplit_once(':')
            .map_or(wanted.authority, |(host, _)| host)
            == host;
        let may_be_plain = is_loopback(&host) || same_host && self.is_insecure(wanted.host);
        if url.scheme() != "https" && !may_be_plain {
            let shown = base::text::cut(&base::text::clean(&host), 100).to_owned();
            let reason = format!("the registry sends clients to the token server {shown} without TLS");
            return Err(wanted.fault(reason, "tell its operator; no credentials were sent"));
        }
        let service = bearer.get("service").unwrap_or_default().to_owned();
        let request = if let Some(Login::IdentityToken(refresh)) = login {
            let mut form = fetch::Url::parse("https://form.invalid/").map_err(|_| wanted.no_login())?;
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", &service)
                .append_pair("client_id", "dockmaster")
                .append_pair("scope", &wanted.scopes.join(" "))
                .append_pair("refresh_token", refresh.expose());
            let form = form.query().unwrap_or_default().to_owned();
            Request::to(Method::POST, url).body("application/x-www-form-urlencoded", form)
        } else {
            if !service.is_empty() {
                url.query_pairs_mut().append_pair("service", &service);
            }
            for scope in wanted.scopes {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            let request = Request::to(Method::GET, url);
            match login {
                Some(Login::Password { user, password }) => request
                    .basic(user, password)
                    .map_err(|cause| wanted.exchange(cause))?,
                _ => request,
            }
        };
        let answer = self.http().send(request.body_limit(ANSWER)).await;
        let answer = answer.map_err(|cause| wanted.exchange(cause))?;
        if matches!(answer.status().as_u16(), 400 | 401 | 403) {
            return Err(match login {
                Some(_) => wanted.fault(
                    format!("the credentials for {} are not accepted", wanted.host),
                    format!("run `docker login {}`", wanted.host),
                ),
                None => wanted.no_login(),
            });
        }
        let answer = answer.success().await.map_err(|cause| wanted.exchange(cause))?;
        let answer: Granted = answer.json().await.map_err(|cause| wanted.exchange(cause))?;
        let token = [answer.token, answer.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.expose().is_empty());
        let Some(token) = token else {
            return Err(wanted.fault(
                "the token server gave no token",
                "try again, then tell its operator",
            ));
        };
        let seconds = answer
            .expires_in
            .unwrap_or(TOKEN_TIME)
            .clamp(TOKEN_TIME, 24 * 3_600);
        Ok(Held {
            ticket: Ticket::Bearer(token),
            until: Some(Instant::now() + Duration::from_secs(seconds - TOKEN_REST)),
        })
    }
}

#[derive(Deserialize)]
struct Granted {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_as_docker_writes_them() {
        for (json, wanted) in [
            (r#"{"username":"u","password":"p"}"#, "password of u"),
            (
                r#"{"username":"","password":"","identitytoken":"i"}"#,
                "identity token",
            ),
            (r#"{"registrytoken":"r","password":"p"}"#, "registry token"),
            (r#"{"username":"u"}"#, "nothing"),
            ("{}", "nothing"),
            ("x", "nothing"),
        ] {
            let found = match Login::from_docker(&Secret::new(json)) {
                Some(Login::Password { user, .. }) => format!("password of {user}"),
                Some(Login::IdentityToken(_)) => "identity token".to_owned(),
                Some(Login::RegistryToken(_)) => "registry token".to_owned(),
                None => "nothing".to_owned(),
            };
            assert_eq!(found, wanted, "{json}");
        }
    }
}
