//! Builds. What a Dockerfile does stays in its containers; what the request asks of the daemon is judged here.

use serde_json::Value;

use super::super::refusal::{Refusal, Rule};
use super::Case;

impl Case<'_> {
    pub(super) async fn build(&self) -> Result<(), Refusal> {
        let query = self.query;
        if self.policy.registries.is_some() && !self.policy.build {
            let reason =
                "images may only come from listed registries, and a build takes its base from anywhere";
            return Err(self.refuse(Rule::Build, "the build", "", reason, "build"));
        }
        if let Some(remote) = query.get("remote").filter(|remote| *remote != "client-session")
            && !self.policy.remote_build
        {
            let reason = "the engine would fetch the context itself, from wherever the host can reach";
            return Err(self.refuse(Rule::Build, "remote", remote, reason, "remote_build"));
        }
        if query.get("session").is_some() || query.get("remote") == Some("client-session") {
            self.buildkit_session()?;
        }
        self.network_joined("networkmode", query.get("networkmode").unwrap_or_default())
            .await?;
        if let Some(parent) = query.get("cgroupparent")
            && !self.policy.cgroup_parents.iter().any(|own| own == parent)
        {
            let reason = "another cgroup has other limits, and may be the host's own";
            return Err(self.refuse_unlisted(
                Rule::CgroupParent,
                "cgroupparent",
                parent,
                reason,
                "cgroup_parents",
            ));
        }
        for option in query.all("securityopt") {
            if !self.policy.security_opts.iter().any(|own| own == option) {
                let reason = "it can switch off what confines the build";
                return Err(self.refuse_unlisted(
                    Rule::SecurityOpt,
                    "securityopt",
                    option,
                    reason,
                    "security_opts",
                ));
            }
        }
        self.dockerfile()?;
        self.outputs()?;
        if let Some(Value::Array(images)) = query.json("cachefrom", self.doing)? {
            for image in images.iter().filter_map(Value::as_str) {
                self.image_named("cachefrom", image)?;
            }
        }
        let labels = query.json("labels", self.doing)?.unwrap_or_default();
        self.must_bear_label("labels", &labels)
    }

    /// Docker keeps the name within the context; Podman reads any file of the host, fetches addresses, and takes a list
    /// too, which may begin with blanks.
    fn dockerfile(&self) -> Result<(), Refusal> {
        let file = self.query.get("dockerfile").unwrap_or_default();
        let climbs = file.split(['/', '\\']).any(|part| part == "..");
        let is_list = file.trim_start().starts_with(['[', '"']);
        let is_elsewhere =
            file.contains("://") || file.starts_with('/') || file.chars().any(char::is_control);
        if climbs || is_list || is_elsewhere {
            let reason = "it has to be one path within the context";
            return Err(Refusal::new(Rule::Build, self.what("dockerfile"), file, reason));
        }
        Ok(())
    }

    fn outputs(&self) -> Result<(), Refusal> {
        let outputs = self.query.json("outputs", self.doing)?.unwrap_or_default();
        let is_store = outputs.is_null() || outputs.as_array().is_some_and(Vec::is_empty);
        if is_store || self.policy.build_outputs {
            return Ok(());
        }
        let reason =
            "the result would go elsewhere than into the engine's image store, perhaps to a registry";
        Err(self.refuse(
            Rule::Build,
            "outputs",
            &outputs.to_string(),
            reason,
            "build_outputs",
        ))
    }

    pub(super) fn buildkit_session(&self) -> Result<(), Refusal> {
        if self.policy.buildkit_session {
            return Ok(());
        }
        let reason = "in a session requests pass that the guard can't see";
        Err(self.refuse(
            Rule::BuildkitSession,
            "the session",
            "",
            reason,
            "buildkit_session",
        ))
    }
}
