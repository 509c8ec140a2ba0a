//! Programs started in containers.

use serde_json::Value;

use super::super::lookup::Object;
use super::super::refusal::{Refusal, Rule};
use super::super::shape::Shaped;
use super::Case;

const PRIVILEGED: &str = "a privileged process has all capabilities, whatever its container has";

impl Case<'_> {
    pub(super) async fn exec_create(&self, body: &Value) -> Result<String, Refusal> {
        if body.flag("Privileged") && !self.policy.exec_privileged {
            return Err(self.refuse(
                Rule::ExecPrivileged,
                "Privileged",
                "true",
                PRIVILEGED,
                "exec_privileged",
            ));
        }
        self.inside(self.name()).await
    }

    /// Someone else may have made the exec, so its container and its privileges are judged when it starts.
    pub(super) async fn exec_start(&self) -> Result<(), Refusal> {
        let exec = self.must_look_up(Object::Exec(self.name().to_owned())).await?;
        if exec.at("ProcessConfig").flag("privileged") && !self.policy.exec_privileged {
            return Err(self.refuse(
                Rule::ExecPrivileged,
                "the exec",
                "privileged",
                PRIVILEGED,
                "exec_privileged",
            ));
        }
        self.inside(exec.text("ContainerID")).await.map(drop)
    }
}
