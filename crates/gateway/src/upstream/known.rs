//! What a server said of itself and lists, and what of it may be shown.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use wire::edit::Object;
use wire::{Raw, method};

use crate::pins::Held;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum List {
    Tools,
    Resources,
    Templates,
    Prompts,
}

impl List {
    pub(crate) fn of(method: &str) -> Option<Self> {
        match method {
            method::TOOLS_LIST => Some(Self::Tools),
            method::RESOURCES_LIST => Some(Self::Resources),
            method::TEMPLATES_LIST => Some(Self::Templates),
            method::PROMPTS_LIST => Some(Self::Prompts),
            _ => None,
        }
    }

    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST,
            Self::Resources => method::RESOURCES_LIST,
            Self::Templates => method::TEMPLATES_LIST,
            Self::Prompts => method::PROMPTS_LIST,
        }
    }

    /// The member of the result that holds the items.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    pub(super) fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources | Self::Templates => "resources",
            Self::Prompts => "prompts",
        }
    }
}

/// What a server said of itself and lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// As it wrote it.
    pub(crate) said: Said,
    /// The tools that may be listed: screened, and without those held back.
    pub(crate) tools: Vec<Raw>,
    pub(crate) resources: Vec<Raw>,
    pub(crate) templates: Vec<Raw>,
    pub(crate) prompts: Vec<Raw>,
    pub(crate) instructions: Option<String>,
    /// Tools that are held back until somebody approves them, by the server's names.
    pub(crate) held: HashMap<String, Held>,
}

/// What a server said, word for word; this is what is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    pub(crate) capabilities: Option<Raw>,
    #[serde(default)]
    pub(crate) instructions: Option<String>,
    #[serde(default)]
    pub(crate) tools: Vec<Raw>,
    #[serde(default)]
    pub(crate) resources: Vec<Raw>,
    #[serde(default)]
    pub(crate) templates: Vec<Raw>,
    #[serde(default)]
    pub(crate) prompts: Vec<Raw>,
}

impl Known {
    pub(crate) fn offers(&self, capability: &str) -> bool {
        let raw = self.said.capabilities.as_ref();
        let object = raw.and_then(|raw| Object::parse(raw).ok());
        object.is_some_and(|object| object.get(capability).is_some())
    }

    /// Whether it has that extension.
    pub(crate) fn extends(&self, extension: &str) -> bool {
        let raw = self.said.capabilities.as_ref();
        let all = raw.and_then(|raw| Object::parse(raw).ok());
        let extensions = all
            .as_ref()
            .and_then(|all| Object::parse(all.get("extensions")?).ok());
        // Names of extensions come from outside, so the member is looked for, not matched.
        extensions.is_some_and(|all| all.iter().any(|(name, _)| name == extension))
    }

    pub(crate) fn list(&self, list: List) -> &[Raw] {
        match list {
            List::Tools => &self.tools,
            List::Resources => &self.resources,
            List::Templates => &self.templates,
            List::Prompts => &self.prompts,
        }
    }
}
