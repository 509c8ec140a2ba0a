//! All tools of a server, and what is known of a call before it is made: nothing here reaches what the server works on.
//!
//! Every name that can be called is known here. A name that is not known destroys everything, for whoever asks:
//! what can't be judged must not pass as harmless.

use crate::near;
use crate::tool::{Context, Described, Tool};
use policy::Effect;
use rmcp::model::{ErrorData, JsonObject};
use serde_json::Value;

/// The tools in groups, in the order in which they are listed. The order is part of the interface: clients cache
/// prompts by it.
#[derive(Debug)]
pub struct Table<X: Context>(pub &'static [&'static [Tool<X>]]);

impl<X: Context> Table<X> {
    /// Every tool that can be called.
    pub fn all(&self) -> impl Iterator<Item = &'static Tool<X>> + use<X> {
        self.0.iter().copied().flatten()
    }

    /// The tool of this name or alias.
    pub fn find(&self, name: &str) -> Option<&'static Tool<X>> {
        self.all()
            .find(|tool| tool.spec.name == name || tool.spec.aliases.contains(&name))
    }

    /// The tool of this name or alias.
    ///
    /// # Errors
    /// There is none; the error names those with a similar name.
    pub fn called(&self, name: &str) -> Result<&'static Tool<X>, ErrorData> {
        self.find(name).ok_or_else(|| {
            let near = near::nearest(name, self.all().map(|tool| tool.spec.name), 3);
            let shown = base::text::cut(name, 128);
            let message = if near.is_empty() {
                format!("unknown tool {shown:?}; tools/list names the tools")
            } else {
                format!("unknown tool {shown:?}; did you mean {}?", near.join(" or "))
            };
            ErrorData::invalid_params(message, None)
        })
    }

    /// The tool's own name, for a name that may be an alias. `None` when there is no such tool.
    pub fn canonical(&self, tool: &str) -> Option<String> {
        self.find(tool).map(|tool| tool.spec.name.to_owned())
    }

    /// What a call with these arguments does at worst.
    ///
    /// Arguments that do not fit the tool get the worst that the tool can do; the call itself will fail.
    pub fn effect(&self, tool: &str, arguments: &Value) -> Effect {
        let Some(found) = self.find(tool) else {
            return Effect::Destroy;
        };
        match found.spec.effect {
            // No arguments make more of it.
            Effect::Read => Effect::Read,
            worst => described(found, arguments).map_or(worst, |described| described.effect),
        }
    }

    /// One line for the person who is asked to confirm: "remove container web (force)".
    pub fn about(&self, tool: &str, arguments: &Value) -> String {
        let described = self.find(tool).and_then(|found| described(found, arguments));
        let about = match described {
            Some(described) => described.about,
            None => format!("call {tool} with arguments that do not fit it"),
        };
        let about = base::text::clean(&about).replace(['\n', '\t'], " ");
        let about = base::redact::text(&about).into_owned();
        base::text::cut(&about, 300).to_owned()
    }

    /// The name of what is lost for good, which the person is to type back. `None` when nothing is.
    pub fn data_loss(&self, tool: &str, arguments: &Value) -> Option<String> {
        described(self.find(tool)?, arguments)?.data_loss
    }

    /// Why these arguments do not fit the tool; `None` also for a tool that there is not.
    pub fn unfit(&self, tool: &str, arguments: &Value) -> Option<String> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments.clone(),
            _ => JsonObject::new(),
        };
        let fault = self.find(tool)?.describe(arguments).err()?;
        Some(fault.to_string())
    }
}

fn described<X: Context>(tool: &Tool<X>, arguments: &Value) -> Option<Described> {
    let arguments = match arguments {
        Value::Object(arguments) => arguments.clone(),
        Value::Null => JsonObject::new(),
        _ => return None,
    };
    tool.describe(arguments).ok()
}
