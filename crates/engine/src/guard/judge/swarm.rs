//! Swarm: services are judged like containers; the swarm itself, its nodes and keys are one switch, and so are
//! plugins, which run with whatever rights they ask for.

use serde_json::Value;

use super::super::lookup::Object;
use super::super::policy::Symlinks;
use super::super::refusal::{Refusal, Rule};
use super::super::shape::Shaped;
use super::Case;

impl Case<'_> {
    pub(super) fn swarm(&self) -> Result<(), Refusal> {
        if self.policy.swarm {
            return Ok(());
        }
        let reason = "it concerns the swarm as a whole: other machines, keys and tokens";
        Err(self.refuse(Rule::Swarm, "the swarm", "", reason, "swarm"))
    }

    pub(super) fn plugin(&self) -> Result<(), Refusal> {
        if self.policy.plugins {
            return Ok(());
        }
        let reason = "a plugin runs on the host with the rights that it asks for";
        Err(self.refuse(Rule::Plugin, "the plugin", self.name(), reason, "plugins"))
    }

    /// A secret or a config.
    pub(super) fn secret(&self, body: &Value) -> Result<(), Refusal> {
        self.must_bear_label("Labels", body.at("Labels"))?;
        let templating = body.at("Templating").text("Name");
        let driver = body.at("Driver");
        let has_driver = !driver.text("Name").is_empty() || driver.pairs("Options").next().is_some();
        if has_driver || !matches!(templating, "" | "golang") {
            self.plugin()?;
        }
        Ok(())
    }

    pub(super) async fn service_update(&self, body: &Value) -> Result<(), Refusal> {
        // Then the daemon does not use the body but what it kept, which someone else may have written.
        if self.query.get("rollback").is_some() {
            let service = self.must_look_up(Object::Service(self.name().to_owned())).await?;
            let previous = service.at("PreviousSpec");
            if !previous.is_null() {
                self.service(previous).await?;
            }
        }
        self.service(body).await
    }

    pub(super) async fn service(&self, spec: &Value) -> Result<(), Refusal> {
        self.must_bear_label("Labels", spec.at("Labels"))?;
        let task = spec.at("TaskTemplate");
        if !matches!(task.text("Runtime"), "" | "container") || !task.at("PluginSpec").is_null() {
            self.plugin()?;
        }
        if !task.at("NetworkAttachmentSpec").is_null() {
            let reason = "only the engine itself makes such tasks";
            return Err(Refusal::new(
                Rule::UnknownField,
                self.what("TaskTemplate.NetworkAttachmentSpec"),
                "",
                reason,
            ));
        }
        self.task_container("TaskTemplate.ContainerSpec", task.at("ContainerSpec"))
            .await?;
        let log = task.at("LogDriver");
        self.log_driver("TaskTemplate.LogDriver", log.text("Name"), log.at("Options"))?;
        for network in task.items("Networks").chain(spec.items("Networks")) {
            self.network_joined("Networks", network.text("Target")).await?;
            self.network_options("Networks.DriverOpts", network.at("DriverOpts"))?;
        }
        if spec.at("EndpointSpec").items("Ports").next().is_some() {
            self.everywhere("EndpointSpec.Ports", "all interfaces")?;
        }
        Ok(())
    }

    async fn task_container(&self, at: &str, container: &Value) -> Result<(), Refusal> {
        let at = |name: &str| format!("{at}.{name}");
        self.image_used(&at("Image"), container.text("Image")).await?;
        self.privileges(&at("Privileges"), container.at("Privileges"))?;
        let added: Vec<&str> = container.texts("CapabilityAdd").collect();
        self.capabilities(&at("CapabilityAdd"), &added)?;
        self.sysctls(&at("Sysctls"), container.at("Sysctls"))?;
        self.oom_score(&at("OomScoreAdj"), container)?;
        for (index, mount) in container.items("Mounts").enumerate() {
            let at = at(&format!("Mounts[{index}]"));
            self.on_any_node(&at, mount)?;
            self.mount(&at, mount).await?;
        }
        self.service_files(&at("Secrets"), container, "Secrets", "SecretID")
            .await?;
        self.service_files(&at("Configs"), container, "Configs", "ConfigID")
            .await
    }

    fn privileges(&self, at: &str, privileges: &Value) -> Result<(), Refusal> {
        // Each as it would be written for a container, which is also how the policy lists it.
        let mut closed: Vec<String> = Vec::new();
        let seccomp = privileges.at("Seccomp");
        if !matches!(seccomp.text("Mode"), "" | "default") || !seccomp.text("Profile").is_empty() {
            closed.push(format!("seccomp={}", seccomp.text("Mode")));
        }
        if !matches!(privileges.at("AppArmor").text("Mode"), "" | "default") {
            closed.push(format!("apparmor={}", privileges.at("AppArmor").text("Mode")));
        }
        let selinux = privileges.at("SELinuxContext");
        if selinux.flag("Disable") {
            closed.push("label=disable".to_owned());
        }
        for part in ["User", "Role", "Type", "Level"] {
            if !selinux.text(part).is_empty() {
                closed.push(format!(
                    "label={}:{}",
                    part.to_ascii_lowercase(),
                    selinux.text(part)
                ));
            }
        }
        let credentials = privileges
            .pairs("CredentialSpec")
            .find(|(_, value)| value.as_str().is_some_and(|v| !v.is_empty()));
        closed.extend(credentials.map(|(name, _)| format!("credentialspec={}", name.to_ascii_lowercase())));
        let closed = closed
            .iter()
            .find(|option| !self.policy.security_opts.contains(option));
        match closed {
            None => Ok(()),
            Some(option) => {
                let reason = "it can switch off what confines the container";
                Err(self.refuse_unlisted(Rule::SecurityOpt, at, option, reason, "security_opts"))
            }
        }
    }

    /// A task may run on any node, and what a path leads to there nobody here can tell.
    fn on_any_node(&self, at: &str, mount: &Value) -> Result<(), Refusal> {
        let options = mount.at("VolumeOptions").at("DriverConfig").at("Options");
        let is_path = mount.text("Type") == "bind" || !options.text("device").is_empty();
        if is_path && self.policy.symlinks != Symlinks::Lexical {
            let reason =
                "a service may run on another machine, where links in the path can't be followed from here";
            return Err(Refusal::new(
                Rule::Bind,
                self.what(&format!("{at}.Source")),
                mount.text("Source"),
                reason,
            )
            .allowed_by("symlinks = \"lexical\""));
        }
        Ok(())
    }

    /// Secrets or configs that a service uses.
    async fn service_files(&self, at: &str, container: &Value, list: &str, id: &str) -> Result<(), Refusal> {
        if self.policy.label.is_none() {
            return Ok(());
        }
        for file in container.items(list) {
            let name = file.text(id);
            if name.is_empty() {
                continue;
            }
            let object = if list == "Secrets" {
                Object::Secret(name.to_owned())
            } else {
                Object::Config(name.to_owned())
            };
            let state = self.must_look_up(object).await?;
            self.in_scope(at, name, state.at("Spec").at("Labels"))?;
        }
        Ok(())
    }
}
