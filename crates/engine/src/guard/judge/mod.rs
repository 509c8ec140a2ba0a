//! The way of a request through the guard: form, endpoint, mode, scope, and then the rules of its endpoint.

pub(super) mod bridge;
mod build;
mod container;
mod exec;
mod host_config;
mod image;
mod inside;
mod mounts;
mod network;
mod publish;
mod scope;
mod swarm;
mod volume;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue};
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::endpoints::{self, Endpoint, Judge, Takes};
use super::lookup::{Lookup, LookupError, Object, SEGMENT};
use super::mode::{Effect, Mode};
use super::path::PlainPath;
use super::policy::Policy;
use super::query::Query;
use super::refusal::{Refusal, Rule};
use super::{Body, Call, Surroundings, Verdict, body, shape};

/// Judges a request.
pub(super) async fn request(
    policy: &Policy,
    surroundings: &Surroundings,
    call: &Call<'_>,
    lookup: &dyn Lookup,
) -> Result<Verdict, Refusal> {
    let path = PlainPath::parse(call.path)?;
    if policy.mode == Mode::Open {
        return in_open_mode(policy, surroundings, call, &path, lookup).await;
    }
    let query = Query::parse(call.query)?;
    let Some((endpoint, names)) = endpoints::find(call.method, &path) else {
        let asked = format!("{} {}", call.method, call.path);
        let reason = "the guard does not know this endpoint, so it can't tell what it does";
        return Err(Refusal::new(Rule::UnknownEndpoint, "the endpoint", &asked, reason).allowed_by(open()));
    };
    admit(policy.mode, endpoint)?;
    headers(call.headers, endpoint)?;
    if endpoint.effect != Effect::Read {
        query.only(endpoint.query, endpoint.title)?;
    }
    let mut body = content(call, endpoint)?;
    let case = Case {
        policy,
        surroundings,
        lookup,
        query: &query,
        names: &names,
        doing: endpoint.title,
    };
    case.keep_off_bridges(endpoint, &body).await?;
    let confined = case.confine(endpoint.confine).await?;
    let judged = case.rules(endpoint, &mut body).await?;
    let path = judged
        .or(confined)
        .map(|id| pinned(endpoint.pattern, &names, &id));
    let body = (!body.is_null()).then(|| Bytes::from(body.to_string()));
    Ok(Verdict { path, body })
}

/// Where everything is open, but for the bridges. What can't be read here passes, as everything else does.
async fn in_open_mode(
    policy: &Policy,
    surroundings: &Surroundings,
    call: &Call<'_>,
    path: &PlainPath,
    lookup: &dyn Lookup,
) -> Result<Verdict, Refusal> {
    if let Some((endpoint, names)) = endpoints::find(call.method, path).filter(|_| !policy.bridges) {
        let case = Case {
            policy,
            surroundings,
            lookup,
            query: &Query::parse(call.query).unwrap_or_default(),
            names: &names,
            doing: endpoint.title,
        };
        let body = content(call, endpoint).unwrap_or_default();
        case.keep_off_bridges(endpoint, &body).await?;
    }
    Ok(Verdict::default())
}

/// The line that opens everything.
fn open() -> String {
    format!("mode = \"{}\"", Mode::Open)
}

fn admit(mode: Mode, endpoint: &Endpoint) -> Result<(), Refusal> {
    if mode.admits(endpoint.effect) {
        return Ok(());
    }
    let reason = format!(
        "it {} something, and the mode of this host is {mode}",
        endpoint.effect.verb()
    );
    let line = format!("mode = \"{}\"", Mode::admitting(endpoint.effect));
    Err(Refusal::new(Rule::Mode, endpoint.title, "", reason).allowed_by(line))
}

/// Media types that the daemon reads as they are. Forms are not among them: it would take parameters from them,
/// before those of the query.
const MEDIA_TYPES: [&str; 10] = [
    "application/json",
    "application/x-tar",
    "application/tar",
    "application/octet-stream",
    "application/gzip",
    "application/x-gzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
    "text/plain",
];

fn headers(headers: &HeaderMap, endpoint: &Endpoint) -> Result<(), Refusal> {
    let refuse = |name: &str, value: &HeaderValue, reason: &'static str| {
        let value = String::from_utf8_lossy(value.as_bytes());
        Refusal::new(
            Rule::Header,
            format!("{}: the header {name}", endpoint.title),
            &value,
            reason,
        )
    };
    for (index, value) in headers.get_all(CONTENT_TYPE).iter().enumerate() {
        let text = value.to_str().unwrap_or_default();
        let essence = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if index > 0 {
            return Err(refuse("Content-Type", value, "it stands there twice"));
        }
        if !MEDIA_TYPES.contains(&essence.as_str()) {
            return Err(refuse(
                "Content-Type",
                value,
                "the guard does not know how the daemon reads this media type",
            ));
        }
    }
    let may_upgrade = matches!(
        endpoint.judge,
        Judge::ContainerInside | Judge::ExecStart | Judge::BuildkitSession
    );
    match headers.get(UPGRADE) {
        Some(value) if !may_upgrade => Err(refuse("Upgrade", value, "this endpoint stays with HTTP")),
        _ => Ok(()),
    }
}

/// The body in the API's form; `null` if there is none that is judged.
fn content(call: &Call<'_>, endpoint: &Endpoint) -> Result<Value, Refusal> {
    let refuse =
        |reason: String| Refusal::new(Rule::Body, format!("{}: the body", endpoint.title), "", reason);
    let is_empty = matches!(call.body, Body::Empty | Body::Whole([]));
    let kind = match endpoint.body {
        Takes::Stream => return Ok(Value::Null),
        Takes::Nothing | Takes::MaybeJson(_) if is_empty => return Ok(Value::Null),
        Takes::Nothing => return Err(refuse("this endpoint takes none".to_owned())),
        Takes::Json(kind) | Takes::MaybeJson(kind) => kind,
    };
    let Body::Whole(text) = call.body else {
        return Err(refuse("it has to be whole, so that it can be judged".to_owned()));
    };
    let json = body::parse(text).map_err(|problem| refuse(format!("it can't be read as JSON: {problem}")))?;
    let json = container::in_place(json, endpoint)?;
    let json = shape::read(json, kind, endpoint.title)?;
    if json.is_null() {
        return Err(refuse("it has to be an object".to_owned()));
    }
    Ok(json)
}

/// The path with an id in the place of its first name.
fn pinned(pattern: &str, names: &[String], id: &str) -> String {
    let mut values = std::iter::once(id).chain(names.iter().skip(1).map(String::as_str));
    let mut path = String::new();
    for part in pattern.split('/').skip(1) {
        path.push('/');
        if part.starts_with('{') {
            path.extend(utf8_percent_encode(values.next().unwrap_or_default(), SEGMENT));
        } else {
            path.push_str(part);
        }
    }
    path
}

/// All that the rules need.
#[derive(Clone, Copy)]
struct Case<'a> {
    policy: &'a Policy,
    surroundings: &'a Surroundings,
    lookup: &'a dyn Lookup,
    query: &'a Query<'a>,
    names: &'a [String],
    /// What the request is, for refusals: "container create".
    doing: &'static str,
}

impl Case<'_> {
    /// The rules of the endpoint. Gives back the id of the object in the path, if the rules looked at it, and puts
    /// ids in the place of names in the body, where a name could come to mean another object.
    async fn rules(&self, endpoint: &Endpoint, body: &mut Value) -> Result<Option<String>, Refusal> {
        match endpoint.judge {
            Judge::Plain => {}
            Judge::ContainerCreate => self.container_create(body).await?,
            Judge::ContainerUpdate => self.resources(body, "")?,
            Judge::ContainerStart => return self.container_start().await,
            Judge::ContainerInside => return self.inside(self.name()).await.map(Some),
            Judge::Commit => self.commit(body).await?,
            Judge::ExecCreate => return self.exec_create(body).await.map(Some),
            Judge::ExecStart => self.exec_start().await?,
            Judge::CheckpointCreate => {
                self.checkpoint()?;
                self.checkpoint_dir("CheckpointDir", shape::Shaped::text(body, "CheckpointDir"))?;
            }
            Judge::Checkpoint => {
                self.checkpoint()?;
                self.checkpoint_dir("dir", self.query.get("dir").unwrap_or_default())?;
            }
            Judge::ImageCreate => self.image_create()?,
            Judge::ImageNamed => self.image_named("the image", self.name())?,
            Judge::ImageTag => self.image_tag().await?,
            Judge::ImageLoad => self.image_load()?,
            Judge::ImageSearch => self.image_search()?,
            Judge::PluginPrivileges => {
                let remote = self.query.get("remote").unwrap_or_default();
                self.image_named("remote", remote)?;
            }
            Judge::Auth => self.registry_login(body)?,
            Judge::Build => self.build().await?,
            Judge::NetworkCreate => self.network_create(body).await?,
            Judge::NetworkConnect => self.network_connect(body).await?,
            Judge::NetworkDisconnect => self.network_disconnect(body).await?,
            Judge::VolumeCreate => self.volume_create(body)?,
            Judge::VolumeUpdate => self.volume_update()?,
            Judge::ServiceCreate => self.service(body).await?,
            Judge::ServiceUpdate => self.service_update(body).await?,
            Judge::Secret => self.secret(body)?,
            Judge::Swarm => self.swarm()?,
            Judge::Plugin => self.plugin()?,
            Judge::BuildkitSession => self.buildkit_session()?,
        }
        Ok(None)
    }

    /// The first name in the path.
    fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The place of a value in the request, for refusals.
    fn what(&self, at: &str) -> String {
        format!("{}: {at}", self.doing)
    }

    /// A refusal that one key of the policy lifts.
    fn refuse(&self, rule: Rule, at: &str, value: &str, reason: &'static str, key: &str) -> Refusal {
        Refusal::new(rule, self.what(at), value, reason).allowed_by(format!("{key} = true"))
    }

    /// A refusal that an entry in a list of the policy lifts.
    fn refuse_unlisted(
        &self,
        rule: Rule,
        at: &str,
        value: &str,
        reason: &'static str,
        list: &str,
    ) -> Refusal {
        Refusal::new(rule, self.what(at), value, reason).allowed_by_entry(list, value)
    }

    /// The state of an object; `None` if there is no such object. That it can't be had for another reason is a
    /// refusal.
    async fn look_up(&self, object: Object) -> Result<Option<Value>, Refusal> {
        match self.lookup.look_up(&object).await {
            Ok(state) => Ok(Some(state)),
            Err(LookupError::NotFound) => Ok(None),
            Err(LookupError::Failed(cause)) => {
                let cause = super::refusal::shown(&cause);
                let reason = format!("it could not be looked up, so the request can't be judged ({cause})");
                Err(Refusal::new(
                    Rule::Lookup,
                    self.what(&object.to_string()),
                    "",
                    reason,
                ))
            }
        }
    }

    /// The id in an object's state.
    fn id_of(&self, at: &str, name: &str, state: &Value, field: &str) -> Result<String, Refusal> {
        match state.get(field).and_then(Value::as_str) {
            Some(id) if !id.is_empty() => Ok(id.to_owned()),
            _ => Err(Refusal::new(
                Rule::Lookup,
                self.what(at),
                name,
                "the engine did not tell its id",
            )),
        }
    }

    /// The state of an object that has to be there. Were its absence let through, it could come into being
    /// between this look and the daemon's.
    async fn must_look_up(&self, object: Object) -> Result<Value, Refusal> {
        let what = self.what(&object.to_string());
        let state = self.look_up(object).await?;
        state.ok_or_else(|| Refusal::new(Rule::NotFound, what, "", "there is none"))
    }
}
