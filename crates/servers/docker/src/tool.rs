//! What a tool is: a struct of parameters that implements [`Call`], and a row in the table of tools.
//!
//! Everything about a tool stands in one place, typed: its name, what it is allowed to be called, what it does to
//! the world, how a person is asked about it, and its work. The table holds only function pointers to that.

use crate::answer::Answer;
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::{params, schema};
use futures_util::future::BoxFuture;
use policy::Effect;
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Which tools are listed to a client. All of them can be called, whatever is listed: what may be done is decided by
/// policy, and a shorter list is a courtesy to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Toolset {
    /// The everyday tools, one for each thing that is done.
    #[default]
    Standard,
    /// Five tools with an `action` each, for clients that pay for every listed tool.
    Compact,
    /// The everyday tools, and everything else that the engine offers.
    Full,
}

impl Toolset {
    /// All toolsets.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Compact, Self::Full];

    /// The name in configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Compact => "compact",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Toolset {
    type Err = UnknownToolset;

    fn from_str(text: &str) -> Result<Self, UnknownToolset> {
        Self::ALL
            .into_iter()
            .find(|set| set.as_str() == text)
            .ok_or_else(|| UnknownToolset(base::text::cut(text, 60).to_owned()))
    }
}

/// The text is not the name of a toolset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a toolset: use standard, compact or full")]
pub struct UnknownToolset(String);

/// The constant part of a tool. Begins with [`Spec::new`], which claims the worst of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) toolset: Toolset,
    pub(crate) aliases: &'static [&'static str],
    /// The worst that it can do, whatever the arguments.
    pub(crate) effect: Effect,
    pub(crate) hints: Hints,
}

/// What is told to a client about a tool. By the specification two of these mean nothing for one that only reads, but
/// their defaults are the worst, and a client may not look twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hints {
    /// May take something away or overwrite it, and not only add.
    pub(crate) destructive: bool,
    /// Calling it twice does no more than calling it once.
    pub(crate) idempotent: bool,
    /// Reaches beyond this engine: a registry.
    pub(crate) open_world: bool,
}

impl Spec {
    /// A tool of this toolset.
    pub(crate) const fn new(toolset: Toolset, name: &'static str, description: &'static str) -> Self {
        let hints = Hints {
            destructive: true,
            idempotent: false,
            open_world: false,
        };
        Self {
            name,
            description,
            toolset,
            aliases: &[],
            effect: Effect::Destroy,
            hints,
        }
    }

    /// Only looks.
    pub(crate) const fn reads(mut self) -> Self {
        self.effect = Effect::Read;
        self.hints.destructive = false;
        self.hints.idempotent = true;
        self
    }

    /// Adds, or changes in a way that can be taken back.
    pub(crate) const fn adds(mut self) -> Self {
        self.effect = Effect::Change;
        self.hints.destructive = false;
        self
    }

    /// Interrupts or overwrites something, but destroys no object.
    pub(crate) const fn disturbs(mut self) -> Self {
        self.effect = Effect::Change;
        self
    }

    /// Doing it twice is doing it once.
    pub(crate) const fn idempotent(mut self) -> Self {
        self.hints.idempotent = true;
        self
    }

    /// Talks to the world beyond the engine.
    pub(crate) const fn open_world(mut self) -> Self {
        self.hints.open_world = true;
        self
    }

    /// Other names that are understood.
    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::new()
            .read_only(self.effect == Effect::Read)
            .destructive(self.hints.destructive)
            .idempotent(self.hints.idempotent)
            .open_world(self.hints.open_world)
    }
}

/// A tool, as a struct of its parameters.
///
/// Derive `Deserialize` and `JsonSchema`, with `#[serde(deny_unknown_fields)]`. Doc comments on fields become
/// descriptions in the schema, and cost tokens: write one only where the name doesn't say it all.
pub(crate) trait Call: DeserializeOwned + JsonSchema + Send + 'static {
    /// Name, description, toolset and hints.
    const SPEC: Spec;

    /// What a call with these parameters does; never worse than [`Spec::effect`].
    fn effect(&self) -> Effect {
        Self::SPEC.effect
    }

    /// One line for the person who is asked: "remove container web (force)".
    fn about(&self) -> String;

    /// A name that the person must type back, because data will be lost that nothing can restore.
    fn data_loss(&self) -> Option<String> {
        None
    }

    /// Does it. The future is dropped when the request is cancelled; what must be undone then belongs into
    /// [`Ctx::undo`].
    fn run(self, ctx: Ctx) -> impl Future<Output = Result<Answer, ToolError>> + Send;
}

/// What `describe` says of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) effect: Effect,
    pub(crate) about: String,
    pub(crate) data_loss: Option<String>,
}

/// One row of the table of tools.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) spec: Spec,
    pub(crate) schema: fn() -> Arc<JsonObject>,
    run: fn(Ctx, JsonObject) -> BoxFuture<'static, Result<Answer, ToolError>>,
    describe: fn(JsonObject) -> Result<Described, ToolError>,
}

impl Tool {
    /// The row for a tool.
    pub(crate) const fn of<C: Call>() -> Self {
        Self {
            spec: C::SPEC,
            schema: schema::<C>,
            run: run::<C>,
            describe: describe::<C>,
        }
    }

    /// Calls it.
    pub(crate) async fn run(&self, ctx: Ctx, arguments: JsonObject) -> Result<Answer, ToolError> {
        (self.run)(ctx, arguments).await
    }

    /// What a call with these arguments would do.
    ///
    /// # Errors
    /// The arguments do not fit.
    pub(crate) fn describe(&self, arguments: JsonObject) -> Result<Described, ToolError> {
        (self.describe)(arguments)
    }

    /// Whether a client that asked for this toolset sees it.
    pub(crate) fn listed_in(&self, toolset: Toolset) -> bool {
        let own = self.spec.toolset;
        own == toolset || own == Toolset::Standard && toolset == Toolset::Full
    }

    /// As it stands in the list.
    pub(crate) fn listed(&self) -> rmcp::model::Tool {
        rmcp::model::Tool::new(
            self.spec.name,
            self.spec.description,
            schema::listed(&(self.schema)()),
        )
        .with_annotations(self.spec.annotations())
    }
}

/// The schema of a tool, made once: it is asked for at every call.
fn schema<C: Call>() -> Arc<JsonObject> {
    static MADE: LazyLock<RwLock<HashMap<&str, Arc<JsonObject>>>> = LazyLock::new(RwLock::default);
    let name = C::SPEC.name;
    if let Some(schema) = MADE.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Arc::clone(schema);
    }
    let schema = Arc::new(schema::of::<C>());
    MADE.write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(name, Arc::clone(&schema));
    schema
}

fn run<C: Call>(ctx: Ctx, arguments: JsonObject) -> BoxFuture<'static, Result<Answer, ToolError>> {
    Box::pin(async move {
        let call: C = params::parse(&schema::<C>(), arguments)?;
        call.run(ctx).await
    })
}

fn describe<C: Call>(arguments: JsonObject) -> Result<Described, ToolError> {
    let call: C = params::parse(&schema::<C>(), arguments)?;
    Ok(Described {
        effect: call.effect(),
        about: call.about(),
        data_loss: call.data_loss(),
    })
}
