//! The client: which scheme a registry speaks, who logs in with what, and requests for manifests and tags.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fetch::{Kind, Method, Redirects, Request, Response, StatusCode, Url};
use tokio::time::Instant;

use crate::auth::{Held, Ticket, Wanted};
use crate::reference::{authority, is_loopback};
use crate::{
    Credentials, Descriptor, Digest, Error, Fetched, Manifest, Reference, Repository, Target, media,
};

/// What a client may do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it reaches registries. It must itself permit plain HTTP to those that are to be reached so.
    pub http: fetch::Client,
    /// Whom it logs in as.
    pub credentials: Credentials,
    /// Registries (`host` or `host:port`) that may be spoken to without TLS. Those of this machine always may.
    pub insecure: BTreeSet<String>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds on what a registry may give.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of a manifest. The specification says that registries take at least 4 MiB.
    pub manifest: u64,
    /// Most bytes of a blob that is kept in memory.
    pub blob: u64,
    /// Most tags and referrers that are listed.
    pub list: usize,
    /// Redirects of one request: blobs lie elsewhere.
    pub redirects: u8,
}

impl Default for Limits {
    /// 4 MiB, 64 MiB, 10,000, 5.
    fn default() -> Self {
        Self {
            manifest: 4 << 20,
            blob: 64 << 20,
            list: 10_000,
            redirects: 5,
        }
    }
}

/// A client for registries. A handle: clones share connections and logins.
#[derive(Clone)]
pub struct Registries(Arc<Inner>);

struct Inner {
    options: Options,
    /// Registries of which it is known whether they speak TLS.
    schemes: Mutex<HashMap<String, &'static str>>,
    tickets: Mutex<HashMap<(String, String), Held>>,
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registries").field(&self.0.options).finish()
    }
}

/// What may be done with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
    Delete,
}

/// How long a registry of this machine has to show whether it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);
/// Most tickets that are held; the oldest are no loss.
const TICKETS: usize = 1_000;
/// Most bytes of an error that are read.
const ERROR: usize = 16 << 10;
/// Most bytes of a list of tags.
const LIST: u64 = 8 << 20;

impl Registries {
    /// Nothing is opened yet.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            options,
            schemes: Mutex::default(),
            tickets: Mutex::default(),
        }))
    }

    /// Whether a registry (`docker.io`, `127.0.0.1:5000`) answers and takes the credentials that there are for it.
    ///
    /// # Errors
    /// It does not answer, is no registry, or takes no login.
    pub async fn ping(&self, host: &str) -> Result<(), Error> {
        let at = At {
            place: host.to_owned(),
            host: host.to_owned(),
            scopes: Vec::new(),
            attempt: "asking whether it is a registry".to_owned(),
        };
        let base = self.base(&at).await?;
        let url = at.url(&base, &[])?;
        let answer = self
            .call(&at, |_| Ok(Request::to(Method::GET, url.clone())))
            .await?;
        at.success(answer).await.map(drop)
    }

    /// Reads a manifest or an index. Its bytes have been compared with the digest that was asked for, and with the one
    /// that the registry named for a tag.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none; other [`Error`]s.
    pub async fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let at = At::new(
            &reference.repository,
            &[Action::Pull],
            format!("reading {}", reference.target),
        );
        let answer = self.ask_manifest(&at, Method::GET, reference).await?;
        let answer = at.success(answer).await?;
        let media_type = answer.media_type();
        let named = answer.header("docker-content-digest").and_then(Digest::parse);
        let bytes = answer.bytes().await.map_err(|cause| at.exchange(cause))?;
        let digest = Digest::of(&bytes);
        let wanted = match &reference.target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(_) => named,
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
            return Err(at.wrong(wanted, &digest));
        }
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|cause| at.content(format!("it is no manifest: {cause}")))?;
        // What a manifest calls itself counts; a type that differs could make two clients read it in two ways.
        let media_type = match manifest.media_type.as_deref() {
            Some(own) if !media_type.is_empty() && media_type != "application/json" && own != media_type => {
                let own = base::text::cut(&base::text::clean(own), 80).to_owned();
                return Err(at.content(format!(
                    "it calls itself {own}, and the registry calls it {media_type}"
                )));
            }
            Some(own) => own.to_owned(),
            None => media_type,
        };
        Ok(Fetched {
            descriptor: Descriptor {
                media_type,
                digest,
                size: bytes.len() as u64,
                artifact_type: manifest.artifact_type.clone(),
                annotations: manifest.annotations.clone(),
            },
            bytes,
            manifest,
        })
    }

    /// What a tag points to, or whether there is something of a digest; `None` if there is nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn resolve(&self, reference: &Reference) -> Result<Option<Descriptor>, Error> {
        let at = At::new(
            &reference.repository,
            &[Action::Pull],
            format!("looking for {}", reference.target),
        );
        let answer = self.ask_manifest(&at, Method::HEAD, reference).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = at.success(answer).await?;
        let named = answer.header("docker-content-digest").and_then(Digest::parse);
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let (Some(digest), Some(size)) = (named, length) else {
            // Allowed by the specification: then only the whole tells.
            return self
                .manifest(reference)
                .await
                .map(|fetched| Some(fetched.descriptor));
        };
        if let Target::Digest(wanted) = &reference.target
            && *wanted != digest
        {
            return Err(at.wrong(wanted.clone(), &digest));
        }
        Ok(Some(Descriptor {
            media_type: answer.media_type(),
            digest,
            size,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        }))
    }

    /// Writes a manifest under a tag or its digest; all that it names must be there.
    ///
    /// # Errors
    /// [`Error`]; the registry's words say what is missing.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, Error> {
        self.put(reference, media_type, bytes)
            .await
            .map(|(digest, _)| digest)
    }

    /// The same, and whether the registry has taken note of a subject.
    pub(crate) async fn put(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(Digest, bool), Error> {
        let at = At::new(
            &reference.repository,
            &[Action::Pull, Action::Push],
            format!("writing {}", reference.target),
        );
        let digest = Digest::of(&bytes);
        if let Target::Digest(wanted) = &reference.target
            && *wanted != digest
        {
            return Err(at.wrong(wanted.clone(), &digest));
        }
        let base = self.base(&at).await?;
        let url = at.url(&base, &["manifests", &reference.target.to_string()])?;
        let request = |_: &Self| {
            let request = Request::to(Method::PUT, url.clone()).body(media::MANIFEST, bytes.clone());
            request.header("content-type", media_type)
        };
        let answer = at.success(self.call(&at, request).await?).await?;
        if let Some(named) = answer.header("docker-content-digest").and_then(Digest::parse)
            && named != digest
        {
            return Err(at.wrong(digest, &named));
        }
        let took_note = answer.header("oci-subject").is_some();
        Ok((digest, took_note))
    }

    /// Removes a manifest (by digest) or a tag. Many registries let only manifests be removed, or nothing.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if it was not there; other [`Error`]s.
    pub async fn delete(&self, reference: &Reference) -> Result<(), Error> {
        let at = At::new(
            &reference.repository,
            &[Action::Delete],
            format!("deleting {}", reference.target),
        );
        let base = self.base(&at).await?;
        let url = at.url(&base, &["manifests", &reference.target.to_string()])?;
        let answer = self
            .call(&at, |_| Ok(Request::to(Method::DELETE, url.clone())))
            .await?;
        at.success(answer).await.map(drop)
    }

    /// All tags, in the registry's order, at most [`Limits::list`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, Error> {
        #[derive(serde::Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let at = At::new(repository, &[Action::Pull], "listing tags".to_owned());
        let base = self.base(&at).await?;
        let mut url = at.url(&base, &["tags", "list"])?;
        url.query_pairs_mut().append_pair("n", "1000");
        let mut tags = Vec::new();
        loop {
            let answer = self
                .call(
                    &at,
                    |_| Ok(Request::to(Method::GET, url.clone()).body_limit(LIST)),
                )
                .await?;
            let answer = at.success(answer).await?;
            let next = at.next_page(&answer)?;
            let page: Page = answer.json().await.map_err(|cause| at.exchange(cause))?;
            tags.extend(page.tags.unwrap_or_default());
            if tags.len() > self.limits().list {
                return Err(at.content(format!("it has more than {} tags", self.limits().list)));
            }
            match next {
                Some(next) if next != url => url = next,
                _ => return Ok(tags),
            }
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.options.limits
    }

    pub(crate) fn http(&self) -> &fetch::Client {
        &self.0.options.http
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.0.options.credentials
    }

    /// Whether a registry may be spoken to without TLS.
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        is_loopback(authority(host)) || self.0.options.insecure.contains(host)
    }

    async fn ask_manifest(&self, at: &At, method: Method, reference: &Reference) -> Result<Response, Error> {
        let base = self.base(at).await?;
        let url = at.url(&base, &["manifests", &reference.target.to_string()])?;
        self.call(at, |registries| {
            Request::to(method.clone(), url.clone())
                .body_limit(registries.limits().manifest)
                .redirects(Redirects::Follow(registries.limits().redirects))
                .header("accept", media::ACCEPTED)
        })
        .await
    }

    /// `https://host/v2/`, or without TLS where that is permitted and TLS is not spoken.
    pub(crate) async fn base(&self, at: &At) -> Result<String, Error> {
        let host = authority(&at.host);
        let known = self
            .0
            .schemes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(host)
            .copied();
        let scheme = match known {
            Some(scheme) => scheme,
            None if !self.is_insecure(&at.host) => "https",
            None => {
                let scheme = self.probe(at, host).await?;
                let mut schemes = self.0.schemes.lock().unwrap_or_else(PoisonError::into_inner);
                schemes.insert(host.to_owned(), scheme);
                scheme
            }
        };
        Ok(format!("{scheme}://{host}/v2/"))
    }

    async fn probe(&self, at: &At, host: &str) -> Result<&'static str, Error> {
        let request = Request::new(Method::GET, &format!("https://{host}/v2/"));
        let request = request.map_err(|cause| at.exchange(cause))?.head_limit(PROBE);
        match self.http().send(request).await {
            Ok(_) => Ok("https"),
            Err(error)
                if matches!(
                    error.kind,
                    Kind::Tls { .. } | Kind::Broken(_) | Kind::TimedOut { .. }
                ) =>
            {
                Ok("http")
            }
            Err(cause) => Err(at.exchange(cause)),
        }
    }

    /// Sends a request, and once more after a login if the registry asks for one.
    pub(crate) async fn call(
        &self,
        at: &At,
        request: impl Fn(&Self) -> Result<Request, fetch::Error>,
    ) -> Result<Response, Error> {
        let key = (at.host.clone(), at.scopes.join(" "));
        let mut held = self.ticket(&key);
        let mut is_second = false;
        loop {
            let ready = request(self).and_then(|request| match held.as_ref().map(|held| &held.ticket) {
                None => Ok(request),
                Some(Ticket::Basic(user, password)) => request.basic(user, password),
                Some(Ticket::Bearer(token)) => request.bearer(token),
            });
            let answer = self.http().send(ready.map_err(|cause| at.exchange(cause))?).await;
            let answer = answer.map_err(|cause| at.exchange(cause))?;
            if answer.status() != StatusCode::UNAUTHORIZED || is_second {
                return Ok(answer);
            }
            is_second = true;
            let wanted = Wanted {
                host: &at.host,
                authority: authority(&at.host),
                scopes: &at.scopes,
                place: &at.place,
                attempt: &at.attempt,
            };
            let asked = answer.headers().get_all("www-authenticate").iter();
            let asked: Vec<&str> = asked.filter_map(|value| value.to_str().ok()).collect();
            let got = self.log_in(&wanted, &asked).await?;
            self.keep(key.clone(), got.clone());
            held = Some(got);
        }
    }

    fn ticket(&self, key: &(String, String)) -> Option<Held> {
        let tickets = self.0.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let held = tickets.get(key)?;
        held.until
            .is_none_or(|until| until > Instant::now())
            .then(|| held.clone())
    }

    fn keep(&self, key: (String, String), held: Held) {
        let mut tickets = self.0.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() >= TICKETS {
            tickets.clear();
        }
        tickets.insert(key, held);
    }
}

/// Where something is attempted; says so in errors.
pub(crate) struct At {
    pub(crate) place: String,
    pub(crate) host: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) attempt: String,
}

impl At {
    pub(crate) fn new(repository: &Repository, actions: &[Action], attempt: String) -> Self {
        let words: Vec<&str> = actions.iter().map(|action| action.word()).collect();
        Self {
            place: repository.to_string(),
            host: repository.host().to_owned(),
            scopes: vec![format!("repository:{}:{}", repository.path(), words.join(","))],
            attempt,
        }
    }

    /// An address below the repository, or below the registry if this is about none.
    pub(crate) fn url(&self, base: &str, parts: &[&str]) -> Result<Url, Error> {
        let repository = self
            .scopes
            .first()
            .and_then(|scope| scope.split(':').nth(1))
            .unwrap_or_default();
        let parts: Vec<&str> = [repository]
            .iter()
            .chain(parts)
            .copied()
            .filter(|part| !part.is_empty())
            .collect();
        // Repositories, tags and digests have no character that would need escaping, or are escaped by `Url`.
        Url::parse(&format!("{base}{}", parts.join("/"))).map_err(|_| self.content("an address that is none"))
    }

    /// What an answer's `Link` header names as the next page, on the same registry.
    pub(crate) fn next_page(&self, answer: &Response) -> Result<Option<Url>, Error> {
        let Some(link) = answer.header("link").filter(|link| link.contains("next")) else {
            return Ok(None);
        };
        let target = link
            .trim_start()
            .strip_prefix('<')
            .and_then(|link| link.split_once('>'));
        let next = target.and_then(|(target, _)| answer.url().join(target).ok());
        match next {
            Some(next) if next.origin() == answer.url().origin() => Ok(Some(next)),
            _ => Err(self.content("its next page is on another host")),
        }
    }

    pub(crate) fn exchange(&self, cause: fetch::Error) -> Error {
        Error::Exchange {
            place: self.place.clone(),
            attempt: self.attempt.clone(),
            cause: Box::new(cause),
        }
    }

    pub(crate) fn content(&self, reason: impl Into<String>) -> Error {
        Error::Content {
            place: self.place.clone(),
            attempt: self.attempt.clone(),
            reason: reason.into(),
        }
    }

    pub(crate) fn wrong(&self, wanted: Digest, found: &dyn fmt::Display) -> Error {
        Error::Digest {
            place: self.place.clone(),
            attempt: self.attempt.clone(),
            wanted,
            found: found.to_string(),
        }
    }

    /// The answer, if it is no error.
    pub(crate) async fn success(&self, mut answer: Response) -> Result<Response, Error> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = words(&mut answer).await;
        let mend = match status.as_u16() {
            401 | 403 => format!("; run `docker login {}`, or ask for access", self.host),
            404 => "; check the name, and that it was pushed".to_owned(),
            405 => "; this registry does not permit it".to_owned(),
            413 => "; it is too large for this registry".to_owned(),
            429 => "; it limits how often it is asked, so wait or log in".to_owned(),
            500.. => "; try again later".to_owned(),
            _ => String::new(),
        };
        Err(Error::Refused {
            place: self.place.clone(),
            attempt: self.attempt.clone(),
            status,
            said: if said.is_empty() {
                said
            } else {
                format!(": {said}")
            },
            mend,
        })
    }
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// The registry's own words, one line: out of `{"errors":[{"code":…,"message":…}]}`, or the beginning of other text.
async fn words(answer: &mut Response) -> String {
    let mut body = Vec::new();
    while body.len() < ERROR {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let part = |error: &serde_json::Value, name: &str| {
        let part = error.get(name).and_then(serde_json::Value::as_str);
        part.unwrap_or_default().to_owned()
    };
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let errors = parsed.as_ref().and_then(|value| value.get("errors")?.as_array());
    let text = match errors {
        Some(errors) => {
            let words = errors
                .iter()
                .map(|error| match (part(error, "message"), part(error, "code")) {
                    (message, code) if message.is_empty() => code,
                    (message, code) => format!("{message} ({code})"),
                });
            words.collect::<Vec<_>>().join("; ")
        }
        None if answer.media_type() == "text/html" => return String::new(),
        None => String::from_utf8_lossy(&body).into_owned(),
    };
    let text = base::text::clean(&text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    base::text::cut(&base::redact::text(&text), 300).to_owned()
}
