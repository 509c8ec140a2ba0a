//! The bridge: the container in which Dockmaster itself works on a host. It has that host's engine and the secrets of
//! its servers, so no request of a tool may reach into it, change it, or take hold of what it keeps, in any mode.
//!
//! Its container, volumes, image and network bear [`NAME`] at the beginning of their names, and the container bears
//! [`LABEL`]: a name is judged as it stands, and only what may be an id is looked up. Looking at it (inspect, logs,
//! statistics) is open; nothing secret shows there.

use std::path::Path;

use base::names::ImageRef;
use serde_json::Value;

use super::super::endpoints::{Confine, Endpoint, Judge};
use super::super::lookup::Object;
use super::super::mode::Effect;
use super::super::refusal::{Refusal, Rule};
use super::super::shape::Shaped;
use super::Case;

/// The label of a bridge's container, volumes and network; its value tells bridges apart.
pub const LABEL: &str = "dockmaster.bridge";
/// What the names of a bridge's container, volumes, image and network begin with. No server's container is called so,
/// whatever the server is called: theirs begin with `dockmaster-`.
pub const NAME: &str = "dockmaster.bridge";

const OURS: &str = "it is a bridge, by which Dockmaster itself works on this host, and no tool may touch it; \
                    `dockmaster host upgrade` and `dockmaster host uninstall` change it";
const RESERVED: &str =
    "names and labels like this one are kept for the bridges by which Dockmaster works on hosts";

impl Case<'_> {
    /// Refuses what would reach a bridge, or pose as one.
    pub(super) async fn keep_off_bridges(&self, endpoint: &Endpoint, body: &Value) -> Result<(), Refusal> {
        if self.policy.bridges {
            return Ok(());
        }
        self.path_of_bridge(endpoint).await?;
        self.query_of_bridge(endpoint).await?;
        self.free_labels("Labels", body.at("Labels"))?;
        match endpoint.judge {
            Judge::ContainerCreate => {
                self.free_image("Image", body.text("Image"))?;
                for (network, endpoint) in body.at("NetworkingConfig").pairs("EndpointsConfig") {
                    let at = "NetworkingConfig.EndpointsConfig";
                    self.no_network(at, network).await?;
                    self.no_network(at, endpoint.text("NetworkID")).await?;
                }
                self.host_config_of_bridge(body.at("HostConfig")).await
            }
            Judge::NetworkCreate => self.free("Name", body.text("Name")),
            Judge::VolumeCreate => {
                self.free("Name", body.text("Name"))?;
                self.free_path("DriverOpts.device", body.at("DriverOpts").text("device"))
            }
            Judge::NetworkConnect | Judge::NetworkDisconnect => {
                let named = body.at("EndpointConfig").text("NetworkID");
                self.no_network("EndpointConfig.NetworkID", named).await?;
                self.no_bridge("Container", body.text("Container")).await
            }
            Judge::ServiceCreate | Judge::ServiceUpdate => {
                let spec = body.at("TaskTemplate").at("ContainerSpec");
                self.free_labels("TaskTemplate.ContainerSpec.Labels", spec.at("Labels"))?;
                self.free_image("TaskTemplate.ContainerSpec.Image", spec.text("Image"))?;
                self.mounts_of_bridge("TaskTemplate.ContainerSpec.Mounts", spec)
            }
            _ => Ok(()),
        }
    }

    /// What the path names.
    async fn path_of_bridge(&self, endpoint: &Endpoint) -> Result<(), Refusal> {
        let looks = endpoint.effect == Effect::Read && endpoint.judge == Judge::Plain;
        match endpoint.confine {
            Confine::Container if !looks => self.no_bridge("the container", self.name()).await,
            Confine::Exec if !looks => {
                let exec = self.look_up(Object::Exec(self.name().to_owned())).await?;
                let container = exec.as_ref().map_or("", |exec| exec.text("ContainerID"));
                self.no_bridge("the exec's container", container).await
            }
            Confine::Volume if !looks => self.free("the volume", self.name()),
            Confine::Network if !looks => self.no_network("the network", self.name()).await,
            Confine::Image if !looks => self.free_image("the image", self.name()),
            _ => Ok(()),
        }
    }

    /// What the query names. None of these parameters means anything else on another endpoint.
    async fn query_of_bridge(&self, endpoint: &Endpoint) -> Result<(), Refusal> {
        for key in ["name", "repo", "t"] {
            for value in self.query.all(key) {
                self.free(key, value)?;
                self.free_image(key, value)?;
            }
        }
        match endpoint.judge {
            Judge::Commit => {
                let container = self.query.get("container").unwrap_or_default();
                self.no_bridge("container", container).await
            }
            Judge::Build => {
                let mode = self.query.get("networkmode").unwrap_or_default();
                self.joined("networkmode", mode).await
            }
            _ => Ok(()),
        }
    }

    async fn host_config_of_bridge(&self, host: &Value) -> Result<(), Refusal> {
        for bind in host.texts("Binds") {
            let source = bind.split(':').next().unwrap_or_default();
            self.free("HostConfig.Binds", source)?;
            self.free_path("HostConfig.Binds", source)?;
        }
        self.mounts_of_bridge("HostConfig.Mounts", host)?;
        for from in host.texts("VolumesFrom") {
            let container = from.split(':').next().unwrap_or_default();
            self.no_bridge("HostConfig.VolumesFrom", container).await?;
        }
        for link in host.texts("Links") {
            let container = link.split(':').next().unwrap_or_default();
            self.no_bridge("HostConfig.Links", container).await?;
        }
        for key in [
            "NetworkMode",
            "PidMode",
            "IpcMode",
            "UTSMode",
            "UsernsMode",
            "Cgroup",
        ] {
            self.joined(&format!("HostConfig.{key}"), host.text(key)).await?;
        }
        Ok(())
    }

    fn mounts_of_bridge(&self, at: &str, parent: &Value) -> Result<(), Refusal> {
        for mount in parent.items("Mounts") {
            let source = mount.text("Source");
            self.free(at, source)?;
            self.free_path(at, source)?;
            let options = mount.at("VolumeOptions");
            self.free_labels(at, options.at("Labels"))?;
            let device = options.at("DriverConfig").at("Options").text("device");
            self.free_path(at, device)?;
        }
        Ok(())
    }

    /// A mode that may be another container's namespace, `container:web`, or a network.
    async fn joined(&self, at: &str, mode: &str) -> Result<(), Refusal> {
        match mode.split_once(':') {
            Some(("container", name)) => self.no_bridge(at, name).await,
            _ => self.no_network(at, mode).await,
        }
    }

    /// A network, by name, id, or the beginning of an id.
    async fn no_network(&self, at: &str, name: &str) -> Result<(), Refusal> {
        let mut is_own = is_reserved(name);
        if may_be_id(name) {
            let state = self.look_up(self.network(at, name)?).await?;
            is_own = state.is_some_and(|state| is_reserved(state.text("Name")));
        }
        if is_own {
            return Err(Refusal::new(Rule::Bridge, self.what(at), name, OURS));
        }
        Ok(())
    }

    /// A container, by name, id, or the beginning of an id.
    async fn no_bridge(&self, at: &str, name: &str) -> Result<(), Refusal> {
        let plain = name.trim_start_matches('/');
        if is_reserved(plain) {
            return Err(Refusal::new(Rule::Bridge, self.what(at), name, OURS));
        }
        if !may_be_id(plain) {
            return Ok(());
        }
        // What is not there can't be touched.
        let state = self.look_up(self.container(at, plain)?).await?;
        let labels = state.as_ref().map(|state| state.at("Config").at("Labels"));
        if labels.is_some_and(|labels| labels.get(LABEL).is_some()) {
            return Err(Refusal::new(Rule::Bridge, self.what(at), name, OURS));
        }
        Ok(())
    }

    /// A name that something has or is given.
    fn free(&self, at: &str, name: &str) -> Result<(), Refusal> {
        if is_reserved(name.trim_start_matches('/')) {
            return Err(Refusal::new(Rule::Bridge, self.what(at), name, RESERVED));
        }
        Ok(())
    }

    fn free_image(&self, at: &str, image: &str) -> Result<(), Refusal> {
        let repository =
            ImageRef::parse(image).map_or_else(|_| image.to_owned(), |image| image.repository().to_owned());
        // `docker.io/library/` in whichever of its spellings.
        self.free(at, repository.rsplit('/').next().unwrap_or_default())
    }

    /// A path of the host: volumes of the driver `local` lie in folders of their names. In a bridge, what a container is
    /// given lies in such a one, and is named to the letter by the policy that was made for that container.
    fn free_path(&self, at: &str, path: &str) -> Result<(), Refusal> {
        let policy = self.policy;
        let mut given = policy
            .sockets
            .iter()
            .chain(policy.roots.iter().map(|root| &root.path));
        if self.surroundings.is_shared(Path::new(path)) && given.any(|own| own.as_os_str() == path) {
            return Ok(());
        }
        if path.split('/').skip(1).any(is_reserved) {
            return Err(Refusal::new(Rule::Bridge, self.what(at), path, OURS));
        }
        Ok(())
    }

    fn free_labels(&self, at: &str, labels: &Value) -> Result<(), Refusal> {
        if labels.get(LABEL).is_some() {
            return Err(Refusal::new(Rule::Bridge, self.what(at), LABEL, RESERVED));
        }
        Ok(())
    }
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(NAME)
}

/// Whether it is an id, or the beginning of one, as far as its letters tell.
fn may_be_id(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
