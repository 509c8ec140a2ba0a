//! Every endpoint of API 1.41 to 1.56, in the order of the API's own documentation. Where two patterns fit, the
//! first wins, as it does in the daemon's router.

use super::super::mode::Effect::{self, Change, Create, Destroy, Read};
use super::super::shape::Kind;
use super::super::shapes;
use super::Takes::{self, Json, MaybeJson, Stream};
use super::{Confine, Endpoint, Judge};

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

/// All endpoints.
pub(in super::super) const TABLE: &[Endpoint] = &[
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
