//! Images: where they may come from and go to, if the policy names registries.
//!
//! Without `registries` only fetching from a URL is closed, because there the daemon asks whatever the caller
//! wants, from the host's own network.

use base::names::ImageRef;
use serde_json::Value;

use super::super::lookup::Object;
use super::super::policy::ImagePattern;
use super::super::refusal::{Refusal, Rule, shown};
use super::super::shape::Shaped;
use super::Case;

const UNLISTED: &str = "the registries of the policy do not include it";

impl Case<'_> {
    /// Pull, or import from a stream or a URL. The daemon pulls if it is told both.
    pub(super) fn image_create(&self) -> Result<(), Refusal> {
        if let Some(image) = self.query.get("fromImage") {
            let repository = image.strip_suffix(':').unwrap_or(image);
            self.image_named("fromImage", repository)?;
        }
        let Some(source) = self.query.get("fromSrc") else {
            return Ok(());
        };
        if source != "-" && !self.policy.remote_build {
            let reason = "the engine would fetch it itself, from wherever the host can reach";
            return Err(self.refuse(Rule::Import, "fromSrc", source, reason, "remote_build"));
        }
        self.image_load()
    }

    /// Images from an archive.
    pub(super) fn image_load(&self) -> Result<(), Refusal> {
        if self.policy.registries.is_some() && !self.policy.load {
            let reason = "images may only come from listed registries, and an archive holds any image";
            return Err(self.refuse(Rule::Import, "the archive", "", reason, "load"));
        }
        if self.policy.label.is_some() {
            let reason =
                "images from archives can't be told to bear the label to which this host is confined";
            return Err(self.out_of_scope("the archive", "", reason));
        }
        Ok(())
    }

    /// A tag gives an image a name that may be open; so the image itself has to be.
    pub(super) async fn image_tag(&self) -> Result<(), Refusal> {
        self.image_used("the image", self.name()).await
    }

    /// The search asks the registry before the first slash of the term.
    pub(super) fn image_search(&self) -> Result<(), Refusal> {
        let term = self.query.get("term").unwrap_or_default();
        let host = match term.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => "docker.io",
        };
        self.registry("term", host)
    }

    pub(super) fn registry_login(&self, body: &Value) -> Result<(), Refusal> {
        let address = body.text("serveraddress");
        let host = address
            .strip_prefix("https://")
            .or_else(|| address.strip_prefix("http://"))
            .unwrap_or(address);
        let host = host.split('/').next().unwrap_or_default();
        self.registry("serveraddress", if host.is_empty() { "docker.io" } else { host })
    }

    /// A registry as a whole.
    fn registry(&self, at: &str, host: &str) -> Result<(), Refusal> {
        let Some(open) = self.listed() else {
            return Ok(());
        };
        let name = registry_name(host);
        if open.iter().any(|pattern| pattern.names_registry(&name)) {
            return Ok(());
        }
        Err(Refusal::new(Rule::Registry, self.what(at), host, UNLISTED)
            .allowed_by_entry("registries", &format!("{name}/*")))
    }

    /// An image in a registry.
    pub(super) fn image_named(&self, at: &str, image: &str) -> Result<(), Refusal> {
        let Some(open) = self.listed() else {
            return Ok(());
        };
        let reference = self.image(at, image)?;
        match full_repository(&reference) {
            Some(repository) if is_open(open, &repository) => Ok(()),
            repository => Err(self.unlisted(at, image, repository.as_deref())),
        }
    }

    /// An image of the engine's own store, by name or id, that is to be run or mounted.
    pub(super) async fn image_used(&self, at: &str, image: &str) -> Result<(), Refusal> {
        let Some(open) = self.listed() else {
            return Ok(());
        };
        if image.is_empty() {
            return Ok(());
        }
        let reference = self.image(at, image)?;
        let repository = full_repository(&reference);
        // What is all hexadecimal may be a name or the beginning of an id; the engine knows which.
        let may_be_id = reference.is_id() || image.bytes().all(|b| b.is_ascii_hexdigit());
        if !may_be_id {
            return match repository {
                Some(repository) if is_open(open, &repository) => Ok(()),
                repository => Err(self.unlisted(at, image, repository.as_deref())),
            };
        }
        let Some(state) = self.look_up(Object::Image(image.to_owned())).await? else {
            // Nothing to run. If it is pulled meanwhile, then by a request that was judged.
            return Ok(());
        };
        let names = state.texts("RepoTags").chain(state.texts("RepoDigests"));
        let mut repositories = names
            .filter_map(|name| ImageRef::parse(name).ok())
            .filter_map(|name| full_repository(&name));
        if repositories.any(|repository| is_open(open, &repository)) {
            return Ok(());
        }
        Err(self.unlisted(at, image, None))
    }

    /// The patterns, if they leave anything out.
    fn listed(&self) -> Option<&[ImagePattern]> {
        let open = self.policy.registries.as_deref()?;
        (!open.iter().any(ImagePattern::is_everything)).then_some(open)
    }

    fn unlisted(&self, at: &str, image: &str, repository: Option<&str>) -> Refusal {
        let refusal = Refusal::new(Rule::Registry, self.what(at), image, UNLISTED);
        match repository {
            Some(repository) => refusal.allowed_by_entry("registries", repository),
            None => refusal.allowed_by("registries = [\"*\"]"),
        }
    }

    fn image(&self, at: &str, image: &str) -> Result<ImageRef, Refusal> {
        ImageRef::parse(image)
            .map_err(|error| Refusal::new(Rule::Registry, self.what(at), &shown(image), error.reason))
    }
}

fn is_open(open: &[ImagePattern], repository: &str) -> bool {
    open.iter().any(|pattern| pattern.matches(repository))
}

/// The repository with its registry, as `docker.io/library/nginx`. `None` for an id.
fn full_repository(image: &ImageRef) -> Option<String> {
    let host = image.registry()?;
    let repository = image.repository();
    let path = repository
        .strip_prefix(host)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(repository);
    let name = registry_name(host);
    let library = if name == "docker.io" && !path.contains('/') {
        "library/"
    } else {
        ""
    };
    Some(format!("{name}/{library}{path}"))
}

/// The registry by the name that patterns use.
fn registry_name(host: &str) -> String {
    match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}
