//! The compact toolset: five tools with an action each, for clients that pay for every tool in the list.
//!
//! None of them does anything itself. Each translates its parameters into calls of the canonical tools, so that
//! there is one implementation, one judgement of what a call does, and one way of saying it.

mod containers;
mod images;
mod networks;
mod relay;

use crate::tool::Tool;

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<images::CompactBuild>(),
    Tool::of::<containers::CompactRun>(),
    Tool::of::<containers::CompactManage>(),
    Tool::of::<images::CompactImages>(),
    Tool::of::<networks::CompactNetworks>(),
];
