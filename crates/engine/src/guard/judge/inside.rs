//! Reaching into a container: whoever runs a program in it or changes its files has what it was given of the
//! host. So it has to be one that the policy would let be created.

use base::names::ContainerRef;
use serde_json::Value;

use super::super::host_path::Access;
use super::super::lookup::Object;
use super::super::refusal::{Refusal, Rule, shown};
use super::super::shape::Shaped;
use super::Case;
use super::host_config::Origin;

impl Case<'_> {
    /// Judges the container and gives back its id, so that the request reaches the one that was looked at.
    pub(super) async fn inside(&self, name: &str) -> Result<String, Refusal> {
        let container = self.must_look_up(self.container("the container", name)?).await?;
        let id = self.id_of("the container", name, &container, "Id")?;
        if !self.policy.exec_into_unsafe {
            self.is_safe(&container).await.map_err(|inner| {
                // "exec create: HostConfig.Privileged" → "HostConfig.Privileged"
                let place = inner.what.rsplit_once(": ").map_or(inner.what.as_str(), |(_, place)| place);
                let value = if inner.value.is_empty() { String::new() } else { format!(" = {}", inner.value) };
                let reason = format!(
                    "the policy would not create this container (rule {}, {place}{value}: {}), so nobody may act in it",
                    inner.rule, inner.reason
                );
                self.refuse_with(Rule::ExecIntoUnsafe, "the container", name, reason, "exec_into_unsafe")
            })?;
        }
        Ok(id)
    }

    async fn is_safe(&self, container: &Value) -> Result<(), Refusal> {
        let host = container.at("HostConfig");
        if host.is_null() {
            let reason = "the engine did not tell its configuration";
            return Err(Refusal::new(Rule::Lookup, self.what("HostConfig"), "", reason));
        }
        self.powers(host, Origin::Existing)?;
        for network in container
            .at("NetworkSettings")
            .pairs("Networks")
            .map(|(name, _)| name)
        {
            self.network_joined("NetworkSettings.Networks", network).await?;
        }
        self.existing_mounts("Mounts", container, Access::Write).await
    }

    fn refuse_with(&self, rule: Rule, at: &str, value: &str, reason: String, key: &str) -> Refusal {
        Refusal::new(rule, self.what(at), value, reason).allowed_by(format!("{key} = true"))
    }

    /// A container that a request names.
    pub(super) fn container(&self, at: &str, name: &str) -> Result<Object, Refusal> {
        match ContainerRef::parse(name) {
            Ok(name) => Ok(Object::Container(name.to_string())),
            Err(error) => Err(Refusal::new(
                Rule::Lookup,
                self.what(at),
                &shown(name),
                error.reason,
            )),
        }
    }
}
