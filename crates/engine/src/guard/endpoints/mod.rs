//! The endpoints of the Engine API: what each does, what it takes, and who judges it.
//!
//! A request that is not in the [`TABLE`] is refused, also a reading one: the guard can't tell what it would show.

use http::Method;

use super::mode::Effect;
use super::path::PlainPath;
use super::shape::Kind;

mod table;

pub(super) use table::TABLE;

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

#[cfg(test)]
mod tests {
    use super::Effect::{Destroy, Read};
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
