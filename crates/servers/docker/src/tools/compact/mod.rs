//! The compact toolset: five tools with an action each, for clients that pay for every tool in the list.
//!
//! None of them does anything itself. Each translates its parameters into calls of the canonical tools, so that
//! there is one implementation, one judgement of what a call does, and one way of saying it.

mod containers;
mod images;
mod networks;
mod relay;

use crate::tools::Tool;
use relay::Relayed;

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<Relayed<images::CompactBuild>>(),
    Tool::of::<Relayed<containers::CompactRun>>(),
    Tool::of::<Relayed<containers::CompactManage>>(),
    Tool::of::<Relayed<images::CompactImages>>(),
    Tool::of::<Relayed<networks::CompactNetworks>>(),
];
