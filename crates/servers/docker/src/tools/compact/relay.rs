//! Calls of canonical tools in place of a compact one.

use crate::ctx::Ctx;
use crate::describe;
use crate::error::{Code, ToolError};
use crate::tools::TABLE;
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server_kit::Answer;
use server_kit::rmcp::model::JsonObject;
use server_kit::{Call, Spec};

/// One call of a canonical tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    tool: &'static str,
    arguments: JsonObject,
}

impl Step {
    /// A call of `tool` without arguments.
    pub(super) fn new(tool: &'static str) -> Self {
        Self {
            tool,
            arguments: JsonObject::new(),
        }
    }

    /// With an argument, unless it is `null`.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.arguments.insert(name.to_owned(), value);
        }
        self
    }

    /// With an argument, if there is one.
    pub(super) fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn arguments(&self) -> Value {
        Value::Object(self.arguments.clone())
    }

    fn effect(&self) -> Effect {
        describe::effect(self.tool, &self.arguments())
    }

    fn about(&self) -> String {
        describe::about(self.tool, &self.arguments())
    }

    fn data_loss(&self) -> Option<String> {
        describe::data_loss(self.tool, &self.arguments())
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        match TABLE.find(self.tool) {
            Some(tool) => tool.run(ctx, self.arguments).await,
            None => Err(ToolError::new(
                Code::Internal,
                format!("there is no tool {}", self.tool),
            )),
        }
    }
}

/// What is done in place of a compact call, one step after the other.
pub(super) type Steps = Result<Vec<Step>, ToolError>;

/// A tool that consists of calls of others.
pub(super) trait Relay: DeserializeOwned + JsonSchema + Send + 'static {
    /// As [`Call::SPEC`].
    const SPEC: Spec;

    /// The calls that these parameters stand for.
    ///
    /// # Errors
    /// Parameters that do not fit together.
    fn steps(&self) -> Steps;
}

/// A [`Relay`] as a tool.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Relayed<R>(R);

impl<R: Relay> Call<Ctx> for Relayed<R> {
    const SPEC: Spec = R::SPEC;

    /// The worst that the steps do. Parameters that don't fit do nothing, and are taken for the worst all the same.
    fn effect(&self) -> Effect {
        let Ok(steps) = self.0.steps() else {
            return Effect::Destroy;
        };
        steps.iter().map(Step::effect).fold(Effect::Read, worse)
    }

    fn about(&self) -> String {
        match self.0.steps() {
            Ok(steps) => steps.iter().map(Step::about).collect::<Vec<_>>().join(", "),
            Err(error) => format!("nothing: {}", error.cause),
        }
    }

    fn data_loss(&self) -> Option<String> {
        self.0.steps().ok()?.iter().find_map(Step::data_loss)
    }

    /// Takes the steps; after the first that fails no other is tried, and the error says which are done.
    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut done: Vec<String> = Vec::new();
        let mut last = Answer::text("");
        for step in self.0.steps()? {
            let about = step.about();
            match step.run(ctx.clone()).await {
                Ok(answer) => last = answer,
                Err(error) if done.is_empty() => return Err(error),
                Err(error) => {
                    let done = format!("done before: {}", done.join(", "));
                    return Err(error.during(&about).also(done));
                }
            }
            done.push(about);
        }
        done.pop();
        Ok(done
            .into_iter()
            .rev()
            .fold(last, |answer, done| answer.note(format!("before: {done}"))))
    }
}

fn worse(one: Effect, other: Effect) -> Effect {
    match (one, other) {
        (Effect::Destroy, _) | (_, Effect::Destroy) => Effect::Destroy,
        (Effect::Change, _) | (_, Effect::Change) => Effect::Change,
        (Effect::Read, Effect::Read) => Effect::Read,
    }
}

/// An argument that an action needs.
pub(super) fn needed<T>(value: Option<T>, name: &str, action: &str) -> Result<T, ToolError> {
    value.ok_or_else(|| {
        ToolError::arguments(format!("parameter {name} is missing: action {action} needs it"))
            .fix(format!("give {name}"))
    })
}

/// An argument that an action has no use for: whoever gave it meant something else.
pub(super) fn unused<T>(value: Option<&T>, name: &str, action: &str) -> Result<(), ToolError> {
    match value {
        None => Ok(()),
        Some(_) => Err(
            ToolError::arguments(format!("parameter {name} means nothing for action {action}"))
                .fix(format!("leave {name} out")),
        ),
    }
}
