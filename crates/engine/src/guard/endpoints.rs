//! Every endpoint of the Engine API, 1.41 to 1.56: what it does, what it takes, and who judges it.
//!
//! A request that is not in this table is refused, also a reading one: the guard can't tell what it would show.
//! Rows stand in the order of the API's own documentation; where two patterns fit, the first wins, as it does in
//! the daemon's router.

use http::Method;

use super::mode::Effect;
use super::path::PlainPath;
use super::shape::Kind;
use super::shapes;

/// One row of the table.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    /// Segments; `{name}` stands for one, `{name..}` for one or more.
    pub(super) pattern: &'static str,
    /// What it is called in refusals.
    pub(super) title: &'static str,
    pub(super) effect: Effect,
    pub(super) judge: Judge,
    pub(super) confine: Confine,
    pub(super) body: Takes,
    /// The parameters. Not enforced on reads, where an unknown one can do no harm.
    pub(super) query: &'static [&'static str],
}

/// Which rules look at a request, beside mode, form and scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judge {
    /// None: what it does is told by its effect alone.
    Plain,
    ContainerCreate,
    ContainerUpdate,
    /// Starts a container that exists: its mounts are made anew.
    ContainerStart,
    /// Reaches into a container: attach, files.
    ContainerInside,
    Commit,
    ExecCreate,
    ExecStart,
    CheckpointCreate,
    /// Lists or deletes checkpoints, perhaps in a directory of the host.
    Checkpoint,
    ImageCreate,
    /// Asks a registry for the image in the path, or sends it there.
    ImageNamed,
    ImageTag,
    ImageLoad,
    ImageSearch,
    Auth,
    Build,
    NetworkCreate,
    NetworkConnect,
    NetworkDisconnect,
    VolumeCreate,
    VolumeUpdate,
    ServiceCreate,
    ServiceUpdate,
    Secret,
    /// Changes the swarm or tells its keys.
    Swarm,
    Plugin,
    PluginPrivileges,
    BuildkitSession,
}

/// How a host that is confined to a label treats the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confine {
    /// It shows and touches no labelled object.
    Free,
    /// The object in the path must bear the label.
    Container,
    Exec,
    Image,
    Network,
    Volume,
    Service,
    Task,
    Secret,
    Config,
    /// The query's `filters` must ask for the label.
    Filtered,
    /// The images named in the query must bear it.
    NamedImages,
    /// What is made must bear it; the rules of the endpoint check that.
    Made,
    /// Not possible on such a host.
    Shut,
}

/// What a request may carry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    /// JSON of this kind.
    Json(Kind),
    /// JSON of this kind, or nothing.
    MaybeJson(Kind),
    /// An archive or another stream that is not judged.
    Stream,
}

/// Endpoint of a request and the names in its path, in order.
pub(super) fn find<'p>(method: &Method, path: &'p PlainPath) -> Option<(&'static Endpoint, Vec<String>)> {
    let segments: Vec<&'p str> = path.segments().collect();
    TABLE.iter().find_map(|endpoint| {
        let names = (endpoint.method == method.as_str()).then(|| fit(endpoint.pattern, &segments))??;
        Some((endpoint, names))
    })
}

/// The names in a path that fits a pattern.
fn fit(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let parts: Vec<&str> = pattern.split('/').skip(1).collect();
    let mut names = Vec::new();
    let mut rest = segments;
    for (index, part) in parts.iter().enumerate() {
        let (first, tail) = rest.split_first()?;
        if part.ends_with("..}") {
            // At most one such part stands in a pattern, so what follows it has a fixed length.
            let length = rest.len().checked_sub(parts.len() - index - 1)?;
            let (name, tail) = rest
                .split_at_checked(length)
                .filter(|(name, _)| !name.is_empty())?;
            names.push(name.join("/"));
            rest = tail;
        } else if part.starts_with('{') {
            names.push((*first).to_owned());
            rest = tail;
        } else if part == first {
            rest = tail;
        } else {
            return None;
        }
    }
    rest.is_empty().then_some(names)
}

const fn get(pattern: &'static str, title: &'static str, confine: Confine) -> Endpoint {
    row("GET", pattern, title, Effect::Read, confine)
}

const fn row(
    method: &'static str,
    pattern: &'static str,
    title: &'static str,
    effect: Effect,
    confine: Confine,
) -> Endpoint {
    Endpoint {
        method,
        pattern,
        title,
        effect,
        confine,
        judge: Judge::Plain,
        body: Takes::Nothing,
        query: &[],
    }
}

impl Endpoint {
    const fn judged(mut self, judge: Judge) -> Self {
        self.judge = judge;
        self
    }

    const fn takes(mut self, body: Takes) -> Self {
        self.body = body;
        self
    }

    const fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }
}

use Effect::{Change, Create, Destroy, Read};
use Takes::{Json, MaybeJson, Stream};

/// The table.
pub(super) const TABLE: &[Endpoint] = &[
    // Containers.
    get("/containers/json", "container list", Confine::Filtered),
    row(
        "POST",
        "/containers/create",
        "container create",
        Create,
        Confine::Made,
    )
    .judged(Judge::ContainerCreate)
    .takes(Json(Kind::Struct(shapes::CONTAINER_CREATE)))
    .query(&["name", "platform"]),
    row(
        "POST",
        "/containers/prune",
        "container prune",
        Destroy,
        Confine::Filtered,
    )
    .query(&["filters", "stream"]),
    get(
        "/containers/{container}/json",
        "container inspect",
        Confine::Container,
    ),
    get("/containers/{container}/top", "container top", Confine::Container),
    get(
        "/containers/{container}/logs",
        "container logs",
        Confine::Container,
    ),
    get(
        "/containers/{container}/changes",
        "container changes",
        Confine::Container,
    ),
    get(
        "/containers/{container}/export",
        "container export",
        Confine::Container,
    )
    .judged(Judge::ContainerInside),
    get(
        "/containers/{container}/stats",
        "container stats",
        Confine::Container,
    ),
    row(
        "POST",
        "/containers/{container}/resize",
        "container resize",
        Change,
        Confine::Container,
    )
    .query(&["h", "w"]),
    row(
        "POST",
        "/containers/{container}/start",
        "container start",
        Change,
        Confine::Container,
    )
    .judged(Judge::ContainerStart)
    .query(&["detachKeys", "checkpoint", "checkpoint-dir"]),
    row(
        "POST",
        "/containers/{container}/stop",
        "container stop",
        Change,
        Confine::Container,
    )
    .query(&["t", "signal"]),
    row(
        "POST",
        "/containers/{container}/restart",
        "container restart",
        Change,
        Confine::Container,
    )
    .judged(Judge::ContainerStart)
    .query(&["t", "signal"]),
    row(
        "POST",
        "/containers/{container}/kill",
        "container kill",
        Change,
        Confine::Container,
    )
    .query(&["signal"]),
    row(
        "POST",
        "/containers/{container}/update",
        "container update",
        Change,
        Confine::Container,
    )
    .judged(Judge::ContainerUpdate)
    .takes(Json(Kind::Struct(shapes::CONTAINER_UPDATE))),
    row(
        "POST",
        "/containers/{container}/rename",
        "container rename",
        Change,
        Confine::Container,
    )
    .query(&["name"]),
    row(
        "POST",
        "/containers/{container}/pause",
        "container pause",
        Change,
        Confine::Container,
    ),
    row(
        "POST",
        "/containers/{container}/unpause",
        "container unpause",
        Change,
        Confine::Container,
    ),
    row(
        "POST",
        "/containers/{container}/attach",
        "container attach",
        Change,
        Confine::Container,
    )
    .judged(Judge::ContainerInside)
    .takes(Stream)
    .query(ATTACH),
    row(
        "GET",
        "/containers/{container}/attach/ws",
        "container attach",
        Change,
        Confine::Container,
    )
    .judged(Judge::ContainerInside)
    .query(ATTACH),
    // It changes nothing; it only waits.
    row(
        "POST",
        "/containers/{container}/wait",
        "container wait",
        Read,
        Confine::Container,
    ),
    row(
        "DELETE",
        "/containers/{container}",
        "container remove",
        Destroy,
        Confine::Container,
    )
    .query(&["v", "force", "link"]),
    row(
        "HEAD",
        "/containers/{container}/archive",
        "container file status",
        Read,
        Confine::Container,
    )
    .judged(Judge::ContainerInside),
    get(
        "/containers/{container}/archive",
        "container file read",
        Confine::Container,
    )
    .judged(Judge::ContainerInside),
    row(
        "PUT",
        "/containers/{container}/archive",
        "container file write",
        Change,
        Confine::Container,
    )
    .judged(Judge::ContainerInside)
    .takes(Stream)
    .query(&["path", "noOverwriteDirNonDir", "copyUIDGID"]),
    get(
        "/containers/{container}/checkpoints",
        "checkpoint list",
        Confine::Container,
    )
    .judged(Judge::Checkpoint),
    row(
        "POST",
        "/containers/{container}/checkpoints",
        "checkpoint create",
        Change,
        Confine::Container,
    )
    .judged(Judge::CheckpointCreate)
    .takes(Json(Kind::Struct(shapes::CHECKPOINT_CREATE))),
    row(
        "DELETE",
        "/containers/{container}/checkpoints/{checkpoint}",
        "checkpoint remove",
        Destroy,
        Confine::Container,
    )
    .judged(Judge::Checkpoint)
    .query(&["dir"]),
    row("POST", "/commit", "commit", Create, Confine::Made)
        .judged(Judge::Commit)
        .takes(MaybeJson(Kind::Struct(shapes::CONFIG)))
        .query(&[
            "container",
            "repo",
            "tag",
            "comment",
            "author",
            "pause",
            "changes",
        ]),
    // Exec.
    row(
        "POST",
        "/containers/{container}/exec",
        "exec create",
        Change,
        Confine::Container,
    )
    .judged(Judge::ExecCreate)
    .takes(Json(Kind::Struct(shapes::EXEC_CREATE))),
    row("POST", "/exec/{exec}/start", "exec start", Change, Confine::Exec)
        .judged(Judge::ExecStart)
        .takes(MaybeJson(Kind::Struct(shapes::EXEC_START))),
    row(
        "POST",
        "/exec/{exec}/resize",
        "exec resize",
        Change,
        Confine::Exec,
    )
    .query(&["h", "w"]),
    get("/exec/{exec}/json", "exec inspect", Confine::Exec),
    // Images.
    get("/images/json", "image list", Confine::Filtered),
    get("/images/search", "image search", Confine::Free).judged(Judge::ImageSearch),
    get("/images/get", "image save", Confine::NamedImages),
    row("POST", "/images/create", "image create", Create, Confine::Made)
        .judged(Judge::ImageCreate)
        .takes(Stream)
        .query(&[
            "fromImage",
            "fromSrc",
            "repo",
            "tag",
            "message",
            "changes",
            "platform",
        ]),
    row("POST", "/images/load", "image load", Create, Confine::Shut)
        .judged(Judge::ImageLoad)
        .takes(Stream)
        .query(&["quiet", "platform"]),
    row("POST", "/images/prune", "image prune", Destroy, Confine::Filtered).query(&["filters", "stream"]),
    get("/images/{image..}/json", "image inspect", Confine::Image),
    get("/images/{image..}/history", "image history", Confine::Image),
    get(
        "/images/{image..}/attestations",
        "image attestations",
        Confine::Image,
    ),
    get("/images/{image..}/get", "image save", Confine::Image),
    row(
        "POST",
        "/images/{image..}/push",
        "image push",
        Change,
        Confine::Image,
    )
    .judged(Judge::ImageNamed)
    .query(&["tag", "platform"]),
    row(
        "POST",
        "/images/{image..}/tag",
        "image tag",
        Change,
        Confine::Image,
    )
    .judged(Judge::ImageTag)
    .query(&["repo", "tag", "force"]),
    row(
        "DELETE",
        "/images/{image..}",
        "image remove",
        Destroy,
        Confine::Image,
    )
    .query(&["force", "noprune", "platforms"]),
    row("POST", "/build", "build", Create, Confine::Made)
        .judged(Judge::Build)
        .takes(Stream)
        .query(BUILD),
    row(
        "POST",
        "/build/prune",
        "build cache prune",
        Destroy,
        Confine::Shut,
    )
    .query(&[
        "keep-storage",
        "reserved-space",
        "max-used-space",
        "min-free-space",
        "all",
        "filters",
        "stream",
    ]),
    row("POST", "/build/cancel", "build cancel", Change, Confine::Shut).query(&["id"]),
    get("/distribution/{image..}/json", "registry inspect", Confine::Free).judged(Judge::ImageNamed),
    // Networks.
    get("/networks", "network list", Confine::Filtered),
    row(
        "POST",
        "/networks/create",
        "network create",
        Create,
        Confine::Made,
    )
    .judged(Judge::NetworkCreate)
    .takes(Json(Kind::Struct(shapes::NETWORK_CREATE))),
    row(
        "POST",
        "/networks/prune",
        "network prune",
        Destroy,
        Confine::Filtered,
    )
    .query(&["filters", "stream"]),
    get("/networks/{network}", "network inspect", Confine::Network),
    row(
        "POST",
        "/networks/{network}/connect",
        "network connect",
        Change,
        Confine::Network,
    )
    .judged(Judge::NetworkConnect)
    .takes(Json(Kind::Struct(shapes::NETWORK_CONNECT))),
    row(
        "POST",
        "/networks/{network}/disconnect",
        "network disconnect",
        Change,
        Confine::Network,
    )
    .judged(Judge::NetworkDisconnect)
    .takes(Json(Kind::Struct(shapes::NETWORK_DISCONNECT))),
    row(
        "DELETE",
        "/networks/{network}",
        "network remove",
        Destroy,
        Confine::Network,
    ),
    // Volumes.
    get("/volumes", "volume list", Confine::Filtered),
    row("POST", "/volumes/create", "volume create", Create, Confine::Made)
        .judged(Judge::VolumeCreate)
        .takes(Json(Kind::Struct(shapes::VOLUME_CREATE))),
    row(
        "POST",
        "/volumes/prune",
        "volume prune",
        Destroy,
        Confine::Filtered,
    )
    .query(&["filters", "stream"]),
    get("/volumes/{volume}", "volume inspect", Confine::Volume),
    row(
        "PUT",
        "/volumes/{volume}",
        "volume update",
        Change,
        Confine::Volume,
    )
    .judged(Judge::VolumeUpdate)
    .takes(Json(Kind::Struct(shapes::VOLUME_UPDATE)))
    .query(&["version"]),
    row(
        "DELETE",
        "/volumes/{volume}",
        "volume remove",
        Destroy,
        Confine::Volume,
    )
    .query(&["force"]),
    // System.
    get("/_ping", "ping", Confine::Free),
    row("HEAD", "/_ping", "ping", Read, Confine::Free),
    get("/version", "version", Confine::Free),
    get("/info", "info", Confine::Free),
    get("/events", "events", Confine::Filtered),
    get("/system/df", "disk usage", Confine::Shut),
    // It only asks the registry whether it would let these credentials in.
    row("POST", "/auth", "registry login", Read, Confine::Free)
        .judged(Judge::Auth)
        .takes(Json(Kind::Struct(shapes::AUTH))),
    row("POST", "/session", "BuildKit session", Change, Confine::Shut)
        .judged(Judge::BuildkitSession)
        .takes(Stream),
    row("POST", "/grpc", "BuildKit session", Change, Confine::Shut)
        .judged(Judge::BuildkitSession)
        .takes(Stream),
    // Swarm.
    get("/swarm", "swarm inspect", Confine::Shut).judged(Judge::Swarm),
    get("/swarm/unlockkey", "swarm unlock key", Confine::Shut).judged(Judge::Swarm),
    row("POST", "/swarm/init", "swarm init", Change, Confine::Shut)
        .judged(Judge::Swarm)
        .takes(Json(Kind::Any)),
    row("POST", "/swarm/join", "swarm join", Change, Confine::Shut)
        .judged(Judge::Swarm)
        .takes(Json(Kind::Any)),
    row("POST", "/swarm/leave", "swarm leave", Destroy, Confine::Shut)
        .judged(Judge::Swarm)
        .query(&["force"]),
    row("POST", "/swarm/update", "swarm update", Change, Confine::Shut)
        .judged(Judge::Swarm)
        .takes(Json(Kind::Any))
        .query(&[
            "version",
            "rotateWorkerToken",
            "rotateManagerToken",
            "rotateManagerUnlockKey",
        ]),
    row("POST", "/swarm/unlock", "swarm unlock", Change, Confine::Shut)
        .judged(Judge::Swarm)
        .takes(Json(Kind::Any)),
    get("/nodes", "node list", Confine::Shut),
    get("/nodes/{node}", "node inspect", Confine::Shut),
    row(
        "POST",
        "/nodes/{node}/update",
        "node update",
        Change,
        Confine::Shut,
    )
    .judged(Judge::Swarm)
    .takes(Json(Kind::Any))
    .query(&["version"]),
    row("DELETE", "/nodes/{node}", "node remove", Destroy, Confine::Shut)
        .judged(Judge::Swarm)
        .query(&["force"]),
    get("/services", "service list", Confine::Filtered),
    row(
        "POST",
        "/services/create",
        "service create",
        Create,
        Confine::Made,
    )
    .judged(Judge::ServiceCreate)
    .takes(Json(Kind::Struct(shapes::SERVICE))),
    get("/services/{service}", "service inspect", Confine::Service),
    get("/services/{service}/logs", "service logs", Confine::Service),
    row(
        "POST",
        "/services/{service}/update",
        "service update",
        Change,
        Confine::Service,
    )
    .judged(Judge::ServiceUpdate)
    .takes(Json(Kind::Struct(shapes::SERVICE)))
    .query(&["version", "registryAuthFrom", "rollback"]),
    row(
        "DELETE",
        "/services/{service}",
        "service remove",
        Destroy,
        Confine::Service,
    ),
    get("/tasks", "task list", Confine::Shut),
    get("/tasks/{task}", "task inspect", Confine::Task),
    get("/tasks/{task}/logs", "task logs", Confine::Task),
    get("/secrets", "secret list", Confine::Filtered),
    row("POST", "/secrets/create", "secret create", Create, Confine::Made)
        .judged(Judge::Secret)
        .takes(Json(Kind::Struct(shapes::SECRET))),
    get("/secrets/{secret}", "secret inspect", Confine::Secret),
    row(
        "POST",
        "/secrets/{secret}/update",
        "secret update",
        Change,
        Confine::Secret,
    )
    .judged(Judge::Secret)
    .takes(Json(Kind::Struct(shapes::SECRET)))
    .query(&["version"]),
    row(
        "DELETE",
        "/secrets/{secret}",
        "secret remove",
        Destroy,
        Confine::Secret,
    ),
    get("/configs", "config list", Confine::Filtered),
    row("POST", "/configs/create", "config create", Create, Confine::Made)
        .judged(Judge::Secret)
        .takes(Json(Kind::Struct(shapes::SECRET))),
    get("/configs/{config}", "config inspect", Confine::Config),
    row(
        "POST",
        "/configs/{config}/update",
        "config update",
        Change,
        Confine::Config,
    )
    .judged(Judge::Secret)
    .takes(Json(Kind::Struct(shapes::SECRET)))
    .query(&["version"]),
    row(
        "DELETE",
        "/configs/{config}",
        "config remove",
        Destroy,
        Confine::Config,
    ),
    // Plugins.
    get("/plugins", "plugin list", Confine::Shut),
    get("/plugins/privileges", "plugin privileges", Confine::Shut).judged(Judge::PluginPrivileges),
    row("POST", "/plugins/pull", "plugin install", Create, Confine::Shut)
        .judged(Judge::Plugin)
        .takes(MaybeJson(Kind::Any))
        .query(&["remote", "name"]),
    row("POST", "/plugins/create", "plugin create", Create, Confine::Shut)
        .judged(Judge::Plugin)
        .takes(Stream)
        .query(&["name"]),
    get("/plugins/{plugin..}/json", "plugin inspect", Confine::Shut),
    row(
        "POST",
        "/plugins/{plugin..}/enable",
        "plugin enable",
        Change,
        Confine::Shut,
    )
    .judged(Judge::Plugin)
    .query(&["timeout"]),
    row(
        "POST",
        "/plugins/{plugin..}/disable",
        "plugin disable",
        Change,
        Confine::Shut,
    )
    .judged(Judge::Plugin)
    .query(&["force"]),
    row(
        "POST",
        "/plugins/{plugin..}/upgrade",
        "plugin upgrade",
        Change,
        Confine::Shut,
    )
    .judged(Judge::Plugin)
    .takes(MaybeJson(Kind::Any))
    .query(&["remote"]),
    row(
        "POST",
        "/plugins/{plugin..}/push",
        "plugin push",
        Change,
        Confine::Shut,
    )
    .judged(Judge::Plugin),
    row(
        "POST",
        "/plugins/{plugin..}/set",
        "plugin set",
        Change,
        Confine::Shut,
    )
    .judged(Judge::Plugin)
    .takes(Json(Kind::Any)),
    row(
        "DELETE",
        "/plugins/{plugin..}",
        "plugin remove",
        Destroy,
        Confine::Shut,
    )
    .judged(Judge::Plugin)
    .query(&["force"]),
];

const ATTACH: &[&str] = &["detachKeys", "logs", "stream", "stdin", "stdout", "stderr"];

const BUILD: &[&str] = &[
    "dockerfile",
    "t",
    "extrahosts",
    "remote",
    "q",
    "nocache",
    "cachefrom",
    "pull",
    "rm",
    "forcerm",
    "memory",
    "memswap",
    "cpushares",
    "cpusetcpus",
    "cpusetmems",
    "cpuperiod",
    "cpuquota",
    "buildargs",
    "shmsize",
    "squash",
    "labels",
    "networkmode",
    "platform",
    "target",
    "outputs",
    "version",
    "session",
    "buildid",
    "isolation",
    "ulimits",
    "securityopt",
    "cgroupparent",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, wanted: Option<(&str, &[&str])>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let plain = PlainPath::parse(path).unwrap();
        let found = find(&method, &plain);
        let found = found.as_ref().map(|(endpoint, names)| {
            (
                endpoint.title,
                names.iter().map(String::as_str).collect::<Vec<_>>(),
            )
        });
        assert_eq!(
            found,
            wanted.map(|(title, names)| (title, names.to_vec())),
            "{method} {path}"
        );
    }

    #[test]
    fn finding() {
        check("GET", "/containers/json", Some(("container list", &[])));
        check(
            "GET",
            "/containers/json/json",
            Some(("container inspect", &["json"])),
        );
        check("POST", "/containers/create", Some(("container create", &[])));
        check(
            "POST",
            "/containers/create/start",
            Some(("container start", &["create"])),
        );
        check("POST", "/containers/prune", Some(("container prune", &[])));
        check("DELETE", "/containers/web", Some(("container remove", &["web"])));
        check(
            "DELETE",
            "/containers/web/checkpoints/one",
            Some(("checkpoint remove", &["web", "one"])),
        );
        check(
            "GET",
            "/containers/web/attach/ws",
            Some(("container attach", &["web"])),
        );
        check("GET", "/images/json", Some(("image list", &[])));
        check("GET", "/images/get", Some(("image save", &[])));
        check(
            "GET",
            "/images/ghcr.io/acme/app:1/json",
            Some(("image inspect", &["ghcr.io/acme/app:1"])),
        );
        check("POST", "/images/a/push/tag", Some(("image tag", &["a/push"])));
        check("DELETE", "/images/a/b", Some(("image remove", &["a/b"])));
        check(
            "POST",
            "/plugins/acme/p:1/enable",
            Some(("plugin enable", &["acme/p:1"])),
        );
        check("GET", "/plugins/privileges", Some(("plugin privileges", &[])));
        check(
            "GET",
            "/distribution/a/b/json",
            Some(("registry inspect", &["a/b"])),
        );

        check("GET", "/images", None);
        check("GET", "/containers/a/b/json", None);
        check("DELETE", "/containers/a/b", None);
        check("POST", "/containers/json", None);
        check("PATCH", "/containers/web", None);
        check("OPTIONS", "/containers/json", None);
        check("get", "/containers/json", None);
        check("GET", "/v1.41/containers/json", None);
        check("GET", "/libpod/containers/json", None);
        check("GET", "/debug/pprof", None);
        check("GET", "/metrics", None);
        check("POST", "/containers/web/logs/clear", None);
    }

    #[test]
    fn the_table_is_sound() {
        for (index, endpoint) in TABLE.iter().enumerate() {
            let twin = TABLE[..index]
                .iter()
                .any(|other| (other.method, other.pattern) == (endpoint.method, endpoint.pattern));
            assert!(
                !twin,
                "{} {} stands there twice",
                endpoint.method, endpoint.pattern
            );
            if matches!(endpoint.method, "GET" | "HEAD") {
                let changes = endpoint.pattern.ends_with("/attach/ws");
                assert_eq!(endpoint.effect == Read, !changes, "{}", endpoint.pattern);
            }
            if endpoint.method == "DELETE" || endpoint.pattern.ends_with("/prune") {
                assert_eq!(
                    endpoint.effect, Destroy,
                    "{} {}",
                    endpoint.method, endpoint.pattern
                );
            }
        }
    }
}
