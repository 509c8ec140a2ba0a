//! Networks: making and removing them, who is in them, joining and leaving.

mod life;
mod look;
mod members;

use crate::tools::Tool;

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<life::CreateNetwork>(),
    Tool::of::<life::RemoveNetwork>(),
    Tool::of::<look::ListNetworks>(),
    Tool::of::<members::ConnectContainer>(),
    Tool::of::<members::DisconnectContainer>(),
    Tool::of::<look::InspectNetwork>(),
];
