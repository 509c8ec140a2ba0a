//! From the engine's errors to errors that a model can act on: what they are, what they are about, and, by a second
//! look at the engine, who holds the port and what exists under a similar name.

use crate::error::{Code, Kind, Object, ToolError};
use crate::{pick, status};
use base::names::{ContainerRef, ImageRef};
use engine::ops::containers::ContainerQuery;
use engine::ops::images::ImageQuery;
use engine::{Engine, Error, Filters};
use regex::Regex;
use serde_json::Value;
use server_kit::near::nearest;
use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

/// A second look must not make a failure slow.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// Names offered.
const OFFERED: usize = 4;

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        match error {
            // The refusal says itself which line of configuration would allow it.
            Error::Refused(refusal) => Self::new(Code::Refused, refusal.to_string()),
            Error::Name(error) => error.into(),
            Error::NotFound { what, message } => not_found(&what, &message),
            Error::Conflict { what, message } => conflict(&what, &message),
            Error::Daemon {
                what,
                status,
                message,
            } => daemon(&what, status, &message),
            error @ (Error::Unreachable { .. } | Error::Endpoint(_) | Error::TooOld { .. }) => {
                Self::new(Code::Unreachable, error.to_string())
            }
            error @ Error::Timeout { .. } => Self::new(Code::Timeout, error.to_string()),
            error @ Error::Broken { .. } => Self::new(Code::Unreachable, error.to_string()),
            error => Self::new(Code::Internal, error.to_string()),
        }
    }
}

/// Ids as people write them: the daemon writes all 64 digits where a name was given. Digests (`sha256:…`) stay.
fn short_ids(message: &str) -> Cow<'_, str> {
    static ID: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(^|[^:0-9a-zA-Z])([0-9a-f]{12})[0-9a-f]{52}\b").ok());
    match &*ID {
        Some(id) => id.replace_all(message, "${1}${2}"),
        None => message.into(),
    }
}

fn not_found(what: &str, message: &str) -> ToolError {
    let message = &*short_ids(message);
    let error = ToolError::new(Code::NotFound, message);
    // A create that fails with 404 misses its image, and a message about a file is about no container.
    if let Some(name) = captured(message, r"[Nn]o such image: (\S+)") {
        return error.about(Kind::Image, name.trim_end_matches(['.', ',']));
    }
    // Starting a container can miss its network or volume.
    if let Some(name) = captured(message, r"network (\S+) not found") {
        return error.about(Kind::Network, name);
    }
    if let Some(name) = captured(message, r"get ([\w.-]+): no such volume") {
        return error.about(Kind::Volume, name);
    }
    if message.contains("Could not find the file") || message.contains("no such file or directory") {
        return error.fix("check the path; execute_command_in_container with ls shows what is there");
    }
    match object_of_path(what) {
        Some(object) => error.about(object.kind, object.name),
        None => error,
    }
}

fn conflict(what: &str, message: &str) -> ToolError {
    let message = &*short_ids(message);
    if let Some(name) = captured(message, r#"name "/?([^"]+)" is already in use"#) {
        return ToolError::new(
            Code::NameInUse,
            format!("the name {name} is taken by another container"),
        )
        .about(Kind::Container, name);
    }
    if let Some(name) = captured(message, r"network with name (\S+) already exists") {
        return ToolError::new(Code::NameInUse, format!("a network {name} exists already"))
            .fix("use it, or choose another name");
    }
    let error = ToolError::new(Code::Conflict, message);
    let error = match object_of_path(what) {
        Some(object) => error.about(object.kind, object.name),
        None => error,
    };
    match advice(message) {
        Some(fix) => error.fix(fix),
        None => error,
    }
}

fn daemon(what: &str, status: u16, message: &str) -> ToolError {
    let message = &*short_ids(message);
    if let Some((address, port)) = port_in(message) {
        return ToolError::new(Code::PortInUse, format!("port {port} of the host is taken"))
            .about(Kind::Port, format!("{address}:{port}"));
    }
    let code = match status {
        400 => Code::InvalidArguments,
        401 | 403 => Code::Refused,
        _ => Code::Failed,
    };
    let error = ToolError::new(code, message);
    let error = match object_of_path(what) {
        Some(object) => error.about(object.kind, object.name),
        None => error,
    };
    match advice(message).or_else(|| known_filters(what, message)) {
        Some(fix) => error.fix(fix),
        None => error,
    }
}

/// The filters that there are, for a list that was given another. The engine's words: "Invalid filter 'x'", from 26
/// on "invalid filter 'x'".
fn known_filters(what: &str, message: &str) -> Option<&'static str> {
    if !message.contains("nvalid filter") {
        return None;
    }
    let path = what.split_once(' ')?.1;
    Some(match path {
        "/containers/json" => {
            "filters are ancestor, before, exited, expose, health, id, label, name, network, publish, since, status \
             and volume; status is created, running, paused, restarting, removing, exited or dead"
        }
        "/images/json" => "filters are before, dangling, label, reference and since",
        "/networks" => "filters are dangling, driver, id, label, name, scope and type",
        "/volumes" => "filters are dangling, driver, label and name",
        _ => return None,
    })
}

/// What to do about messages of the daemon that say only what is wrong. Their words have been stable from 20.10 on.
fn advice(message: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 12] = [
        (
            "You cannot remove a running container",
            "stop it first, or pass force=true",
        ),
        ("cannot remove container", "stop it first, or pass force=true"),
        ("is paused", "unpause it first"),
        ("is already paused", "nothing to do"),
        ("is not running", "start it first"),
        ("is not paused", "nothing to do"),
        (
            "removal of container",
            "it is being removed; look again in a moment",
        ),
        (
            "bind source path does not exist",
            "make the directory on the host, or use a volume name as the source",
        ),
        (
            "executable file not found",
            "the image has no such program: check command and entrypoint",
        ),
        (
            "could not select device driver",
            "this engine has no GPU driver: install the vendor's container toolkit on its host and restart the engine, or leave \
             out gpus",
        ),
        (
            "No such network",
            "create_network makes it; list_networks shows what there is",
        ),
        (
            "has active endpoints",
            "disconnect its containers first, or call remove_network with force=true",
        ),
    ];
    KNOWN
        .into_iter()
        .find(|(part, _)| message.contains(part))
        .map(|(_, fix)| fix)
}

/// Address and port out of the daemon's several ways of saying that a port is taken.
fn port_in(message: &str) -> Option<(String, u16)> {
    static TAKEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?:Bind for|bind host port for|listen (?:tcp|udp|sctp)[46]?|exposing port (?:TCP|UDP|SCTP)) (\[[^\]]*\]|[0-9.]*):(\d+)\b.*(?:already allocated|already in use|bind:)",
        )
        .ok()
    });
    let found = TAKEN.as_ref()?.captures(message)?;
    Some((
        found.get(1)?.as_str().to_owned(),
        found.get(2)?.as_str().parse().ok()?,
    ))
}

fn captured<'a>(message: &'a str, pattern: &str) -> Option<&'a str> {
    Regex::new(pattern)
        .ok()?
        .captures(message)?
        .get(1)
        .map(|found| found.as_str())
}

/// `POST /containers/web/start` is about container web.
fn object_of_path(what: &str) -> Option<Object> {
    let path = what.split(' ').nth(1)?;
    let (kind, rest) = [
        ("/containers/", Kind::Container),
        ("/images/", Kind::Image),
        ("/networks/", Kind::Network),
        ("/volumes/", Kind::Volume),
        ("/exec/", Kind::Exec),
    ]
    .into_iter()
    .find_map(|(prefix, kind)| path.strip_prefix(prefix).map(|rest| (kind, rest)))?;
    let name = match kind {
        // References have slashes; what follows them is the operation.
        Kind::Image => ["/json", "/history", "/push", "/tag", "/get"]
            .into_iter()
            .find_map(|operation| rest.strip_suffix(operation))
            .unwrap_or(rest),
        _ => rest.split('/').next()?,
    };
    let name = name.replace("%2F", "/");
    if name.is_empty() || matches!(name.as_str(), "create" | "json" | "prune" | "search") {
        return None;
    }
    Some(Object { kind, name })
}

/// The same error with what a second look can add. Never fails: at worst the error stays as it was.
pub(crate) async fn improve(engine: &Engine, error: ToolError) -> ToolError {
    let Some(object) = error.object.clone() else {
        return error;
    };
    let look = async {
        match (error.code, object.kind) {
            (Code::PortInUse, Kind::Port) => port_holder(engine, &object.name).await,
            (Code::NameInUse, Kind::Container) => name_holder(engine, &object.name).await,
            (Code::NotFound, Kind::Container) => near_containers(engine, &object.name).await,
            (Code::NotFound, Kind::Image) => near_images(engine, &object.name).await,
            (Code::NotFound, Kind::Network) => near_networks(engine, &object.name).await,
            (Code::NotFound, Kind::Volume) => near_volumes(engine, &object.name).await,
            _ => None,
        }
    };
    match tokio::time::timeout(SECOND_LOOK, look).await {
        Ok(Some(Better { cause, fix })) => error.explained(cause, fix),
        _ => error,
    }
}

/// What a second look found out.
struct Better {
    cause: String,
    fix: String,
}

async fn port_holder(engine: &Engine, address: &str) -> Option<Better> {
    let port: i64 = address.rsplit_once(':')?.1.parse().ok()?;
    let containers = list(engine).await?;
    let holder = containers.iter().find(|container| {
        pick::list(container, "/Ports")
            .iter()
            .any(|p| pick::number(p, "/PublicPort") == port)
    });
    Some(match holder {
        Some(holder) => {
            let name = pick::container_name(holder);
            Better {
                cause: format!("port {port} of the host is held by container {name}"),
                fix: format!("choose another host port, or stop {name}"),
            }
        }
        None => Better {
            cause: format!(
                "port {port} of the host is held by none of this engine's published ports, but by a program of the host \
                 or a container on its network"
            ),
            fix: "choose another host port".to_owned(),
        },
    })
}

async fn name_holder(engine: &Engine, name: &str) -> Option<Better> {
    let holder = ContainerRef::parse(name).ok()?;
    let details = engine.container_inspect(&holder).await.ok()?;
    let state = pick::text(&details, "/State/Status");
    let image = base::text::cut(pick::text(&details, "/Config/Image"), 100);
    Some(Better {
        cause: format!("the name {name} is taken by a container that is {state}, of image {image}"),
        fix: match state {
            "running" => format!("choose another name, use {name} as it is, or remove it with force"),
            _ => format!("choose another name, start {name}, or remove it"),
        },
    })
}

async fn near_containers(engine: &Engine, name: &str) -> Option<Better> {
    let containers = list(engine).await?;
    let names: Vec<&str> = containers.iter().map(pick::container_name).collect();
    let near = nearest(name, names.iter().copied(), OFFERED);
    let offered = |name: &&str| {
        let container = containers
            .iter()
            .find(|container| pick::container_name(container) == *name);
        let status = container.map(|container| status::short(pick::text(container, "/Status")));
        format!("{name} ({})", status.unwrap_or_default())
    };
    let is_image = || async {
        let image = ImageRef::parse(name).ok()?;
        engine.image_inspect(&image).await.ok()
    };
    let fix = if near.is_empty() && is_image().await.is_some() {
        format!("there is an image {name}: inspect_image shows it, create_container makes a container of it")
    } else if near.is_empty() {
        match names.len() {
            0 => "there are no containers".to_owned(),
            count => format!("list_containers with all=true shows the {count} there are"),
        }
    } else {
        format!(
            "did you mean {}?",
            near.iter().map(offered).collect::<Vec<_>>().join(" or ")
        )
    };
    Some(Better {
        cause: format!("no container is called {name}"),
        fix,
    })
}

async fn near_images(engine: &Engine, name: &str) -> Option<Better> {
    let images = engine.image_list(&ImageQuery::default()).await.ok()?;
    let tags: Vec<&str> = images
        .iter()
        .flat_map(|image| pick::texts(image, "/RepoTags"))
        .collect();
    let near = nearest(name, tags.iter().copied(), OFFERED);
    let fix = if near.is_empty() {
        format!("pull_image gets {name} from its registry; list_images shows what is here")
    } else {
        format!(
            "pull_image gets {name} from its registry; or did you mean {}?",
            near.join(" or ")
        )
    };
    Some(Better {
        cause: format!("image {name} is not on this engine"),
        fix,
    })
}

async fn near_networks(engine: &Engine, name: &str) -> Option<Better> {
    let networks = engine.network_list(&Filters::new()).await.ok()?;
    Some(offer(
        "network",
        name,
        networks.iter().map(|network| pick::text(network, "/Name")),
    ))
}

async fn near_volumes(engine: &Engine, name: &str) -> Option<Better> {
    let volumes = engine.volume_list(&Filters::new()).await.ok()?;
    Some(offer(
        "volume",
        name,
        volumes.iter().map(|volume| pick::text(volume, "/Name")),
    ))
}

fn offer<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Better {
    let near = nearest(name, known, OFFERED);
    let fix = if near.is_empty() {
        format!("list_{kind}s shows what there is")
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    Better {
        cause: format!("no {kind} is called {name}"),
        fix,
    }
}

async fn list(engine: &Engine) -> Option<Vec<Value>> {
    engine
        .container_list(&ContainerQuery {
            all: true,
            ..ContainerQuery::default()
        })
        .await
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon_error(what: &str, status: u16, message: &str) -> ToolError {
        let (what, message) = (what.to_owned(), message.to_owned());
        match status {
            404 => Error::NotFound { what, message }.into(),
            409 => Error::Conflict { what, message }.into(),
            status => Error::Daemon {
                what,
                status,
                message,
            }
            .into(),
        }
    }

    #[test]
    fn the_daemons_words_are_understood() {
        let about = |kind, name: &str| {
            Some(Object {
                kind,
                name: name.to_owned(),
            })
        };
        for (what, status, message, code, object) in [
            (
                "POST /containers/web/start",
                404,
                "No such container: web",
                Code::NotFound,
                about(Kind::Container, "web"),
            ),
            (
                "POST /containers/create",
                404,
                "No such image: nope:1",
                Code::NotFound,
                about(Kind::Image, "nope:1"),
            ),
            (
                "GET /images/acme/web:1/json",
                404,
                "no such image: acme/web:1: No such image: acme/web:1",
                Code::NotFound,
                about(Kind::Image, "acme/web:1:"),
            ),
            (
                "POST /containers/web/start",
                404,
                "network x not found",
                Code::NotFound,
                about(Kind::Network, "x"),
            ),
            (
                "GET /volumes/x",
                404,
                "get x: no such volume",
                Code::NotFound,
                about(Kind::Volume, "x"),
            ),
            (
                "GET /containers/web/archive",
                404,
                "Could not find the file /x in container web",
                Code::NotFound,
                None,
            ),
            (
                "POST /containers/create",
                409,
                "Conflict. The container name \"/web\" is already in use by container \"0123\". You have to remove",
                Code::NameInUse,
                about(Kind::Container, "web"),
            ),
            (
                "POST /containers/web/start",
                500,
                "driver failed programming external connectivity on endpoint web (0a): Bind for 127.0.0.1:8080 \
                 failed: port is already allocated",
                Code::PortInUse,
                about(Kind::Port, "127.0.0.1:8080"),
            ),
            (
                "POST /containers/web/start",
                500,
                "driver failed programming external connectivity on endpoint web (0a): Error starting userland \
                 proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                Code::PortInUse,
                about(Kind::Port, "0.0.0.0:80"),
            ),
            (
                "POST /containers/web/start",
                500,
                "failed to set up container networking: driver failed programming external connectivity on endpoint \
                 web (0a): failed to bind host port for 127.0.0.1:8080:172.17.0.2:80/tcp: address already in use",
                Code::PortInUse,
                about(Kind::Port, "127.0.0.1:8080"),
            ),
            (
                "POST /containers/web/pause",
                409,
                "Container web is not running",
                Code::Conflict,
                about(Kind::Container, "web"),
            ),
        ] {
            let error = daemon_error(what, status, message);
            assert_eq!((error.code, error.object), (code, object), "{message}");
        }
    }

    #[test]
    fn ids_are_short_and_digests_whole() {
        let id = "0123456789abcdef".repeat(4);
        for (message, expected) in [
            (
                format!("Container {id} is not paused"),
                "Container 0123456789ab is not paused".to_owned(),
            ),
            (format!("{id}: {id}."), "0123456789ab: 0123456789ab.".to_owned()),
            (format!("no sha256:{id}"), format!("no sha256:{id}")),
            (format!("x{id} {id}0"), format!("x{id} {id}0")),
        ] {
            assert_eq!(short_ids(&message), expected);
        }
    }

    #[test]
    fn known_messages_have_a_fix() {
        let error = daemon_error(
            "DELETE /containers/web",
            409,
            "You cannot remove a running container 01. Stop the",
        );
        assert_eq!(error.fix.as_deref(), Some("stop it first, or pass force=true"));
        let error = daemon_error("GET /volumes", 400, "invalid filter 'size'");
        assert_eq!(
            error.to_string(),
            "invalid_arguments: invalid filter 'size'\nfix: filters are dangling, driver, label and name"
        );
    }
}
