//! What a tool is: a struct of parameters that implements [`Call`], and a row in the table of tools.
//!
//! Everything about a tool stands in one place, typed: its name, what it is allowed to be called, what it does to
//! the world, how a person is asked about it, and its work. The table holds only function pointers to that.

use crate::answer::Answer;
use crate::error::ToolError;
use crate::params::{self, Synonym};
use crate::schema;
use futures_util::future::BoxFuture;
use policy::Effect;
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::any::TypeId;
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
    /// The everyday tools, and everything else that the server offers.
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
#[must_use]
pub struct Spec {
    /// Its own name.
    pub name: &'static str,
    /// One or two sentences for a model, which pays for them in every conversation.
    pub description: &'static str,
    /// Who sees it in the list.
    pub toolset: Toolset,
    /// Other names that are understood.
    pub aliases: &'static [&'static str],
    /// The worst that it can do, whatever the arguments.
    pub effect: Effect,
    /// What is told to a client.
    pub hints: Hints,
}

/// What is told to a client about a tool. By the specification two of these mean nothing for one that only reads, but
/// their defaults are the worst, and a client may not look twice.
#[derive(Debug, Clone, Copy)]
pub struct Hints {
    /// May take something away or overwrite it, and not only add.
    pub destructive: bool,
    /// Calling it twice does no more than calling it once.
    pub idempotent: bool,
    /// Reaches beyond what the server is for: a registry, say.
    pub open_world: bool,
}

impl Spec {
    /// A tool of this toolset.
    pub const fn new(toolset: Toolset, name: &'static str, description: &'static str) -> Self {
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
    pub const fn reads(mut self) -> Self {
        self.effect = Effect::Read;
        self.hints.destructive = false;
        self.hints.idempotent = true;
        self
    }

    /// Adds, or changes in a way that can be taken back.
    pub const fn adds(mut self) -> Self {
        self.effect = Effect::Change;
        self.hints.destructive = false;
        self
    }

    /// Interrupts or overwrites something, but destroys no object.
    pub const fn disturbs(mut self) -> Self {
        self.effect = Effect::Change;
        self
    }

    /// Doing it twice is doing it once.
    pub const fn idempotent(mut self) -> Self {
        self.hints.idempotent = true;
        self
    }

    /// Talks to the world beyond what the server is for.
    pub const fn open_world(mut self) -> Self {
        self.hints.open_world = true;
        self
    }

    /// Other names that are understood.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
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

/// What a server hands to its tools with each call.
pub trait Context: Clone + Send + Sync + 'static {
    /// Why a tool of this server fails: [`ToolError`], or what a server knows beyond it.
    type Error: From<ToolError> + Into<ToolError> + fmt::Debug + Send;

    /// What this server's parameters are called elsewhere.
    const SYNONYMS: &'static [Synonym] = &[];

    /// The same failure with what a second look can add. Never fails: at worst the error stays as it was.
    fn improve(&self, error: Self::Error) -> impl Future<Output = Self::Error> + Send {
        std::future::ready(error)
    }
}

/// A tool, as a struct of its parameters.
///
/// Derive `Deserialize` and `JsonSchema`, with `#[serde(deny_unknown_fields)]`. Doc comments on fields become
/// descriptions in the schema, and cost tokens: write one only where the name doesn't say it all.
pub trait Call<X: Context>: DeserializeOwned + JsonSchema + Send + 'static {
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
    /// [`Core::undo`](crate::Core::undo).
    fn run(self, ctx: X) -> impl Future<Output = Result<Answer, X::Error>> + Send;
}

/// What is known of one call before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What it does at worst.
    pub effect: Effect,
    /// One line for the person who is asked.
    pub about: String,
    /// The name of what is lost for good.
    pub data_loss: Option<String>,
}

/// A call that runs.
type Running<X> = BoxFuture<'static, Result<Answer, <X as Context>::Error>>;

/// One row of the table of tools of a server whose calls get an `X`.
#[derive(Debug)]
pub struct Tool<X: Context> {
    /// Its constant part.
    pub spec: Spec,
    schema: fn() -> Arc<JsonObject>,
    run: fn(X, JsonObject) -> Running<X>,
    describe: fn(JsonObject) -> Result<Described, ToolError>,
}

impl<X: Context> Tool<X> {
    /// The row for a tool.
    pub const fn of<C: Call<X>>() -> Self {
        Self {
            spec: C::SPEC,
            schema: schema::<C>,
            run: run::<X, C>,
            describe: describe::<X, C>,
        }
    }

    /// The schema of its parameters, with those that are not listed.
    pub fn schema(&self) -> Arc<JsonObject> {
        (self.schema)()
    }

    /// Calls it.
    ///
    /// # Errors
    /// The arguments do not fit, or the tool's own.
    pub async fn run(&self, ctx: X, arguments: JsonObject) -> Result<Answer, X::Error> {
        (self.run)(ctx, arguments).await
    }

    /// What a call with these arguments would do.
    ///
    /// # Errors
    /// The arguments do not fit.
    pub fn describe(&self, arguments: JsonObject) -> Result<Described, ToolError> {
        (self.describe)(arguments)
    }

    /// Whether a client that asked for this toolset sees it.
    pub fn listed_in(&self, toolset: Toolset) -> bool {
        let own = self.spec.toolset;
        own == toolset || own == Toolset::Standard && toolset == Toolset::Full
    }

    /// As it stands in the list.
    pub fn listed(&self) -> rmcp::model::Tool {
        rmcp::model::Tool::new(
            self.spec.name,
            self.spec.description,
            schema::listed(&self.schema()),
        )
        .with_annotations(self.spec.annotations())
    }
}

/// The schema of some parameters, made once: it is asked for at every call.
fn schema<P: JsonSchema + 'static>() -> Arc<JsonObject> {
    made_once(TypeId::of::<P>(), P::json_schema)
}

fn made_once(parameters: TypeId, say: schema::Say) -> Arc<JsonObject> {
    static MADE: LazyLock<RwLock<HashMap<TypeId, Arc<JsonObject>>>> = LazyLock::new(RwLock::default);
    if let Some(schema) = MADE
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&parameters)
    {
        return Arc::clone(schema);
    }
    let schema = Arc::new(schema::of(say));
    MADE.write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(parameters, Arc::clone(&schema));
    schema
}

fn run<X: Context, C: Call<X>>(ctx: X, arguments: JsonObject) -> Running<X> {
    Box::pin(async move {
        let call: C = params::parse(&schema::<C>(), X::SYNONYMS, arguments)?;
        call.run(ctx).await
    })
}

fn describe<X: Context, C: Call<X>>(arguments: JsonObject) -> Result<Described, ToolError> {
    let call: C = params::parse(&schema::<C>(), X::SYNONYMS, arguments)?;
    Ok(Described {
        effect: call.effect(),
        about: call.about(),
        data_loss: call.data_loss(),
    })
}
