//! All tools, one file for each group of them, in the order in which they are listed.

mod build;
mod compact;
pub(crate) mod containers;
mod images;
mod networks;
mod plans;
mod system;
mod volumes;

#[cfg(test)]
mod tests;

use crate::tool::Tool;

/// The groups, in the order of the list. The order is part of the interface: clients cache prompts by it.
static GROUPS: &[&[Tool]] = &[
    containers::TOOLS,
    images::TOOLS,
    build::TOOLS,
    networks::TOOLS,
    volumes::TOOLS,
    system::TOOLS,
    plans::TOOLS,
    compact::TOOLS,
];

/// Every tool that can be called.
pub(crate) fn all() -> impl Iterator<Item = &'static Tool> {
    GROUPS.iter().copied().flatten()
}

/// The tool of this name or alias.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    all().find(|tool| tool.spec.name == name || tool.spec.aliases.contains(&name))
}
