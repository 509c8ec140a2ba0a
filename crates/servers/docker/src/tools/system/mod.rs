//! The engine itself: what it is, what it holds, what happens in it, and clearing away what nothing uses.

mod about;
mod disk;
mod events;
mod prune;
mod sweep;

use crate::tools::Tool;

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<about::GetDockerInfo>(),
    Tool::of::<disk::GetSystemDf>(),
    Tool::of::<about::GetDockerVersion>(),
    Tool::of::<about::PingEngine>(),
    Tool::of::<events::GetEvents>(),
    Tool::of::<prune::PruneImages>(),
    Tool::of::<prune::PruneNetworks>(),
    Tool::of::<prune::PruneVolumes>(),
    Tool::of::<prune::PruneBuilds>(),
    Tool::of::<prune::PruneSystem>(),
];
