//! Images: looking at them, getting and giving them, naming and removing them, keeping them in files.

mod archive;
mod digest;
mod look;
mod names;
mod registry;
mod transfer;
pub(super) mod trouble;

use crate::tools::Tool;

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<transfer::PullImage>(),
    Tool::of::<transfer::PushImage>(),
    Tool::of::<look::ListImages>(),
    Tool::of::<names::RemoveImage>(),
    Tool::of::<look::InspectImage>(),
    Tool::of::<names::TagImage>(),
    Tool::of::<look::ImageHistory>(),
    Tool::of::<registry::SearchImages>(),
    Tool::of::<registry::InspectRegistryImage>(),
    Tool::of::<registry::CheckRegistryLogin>(),
    Tool::of::<archive::SaveImages>(),
    Tool::of::<archive::LoadImages>(),
    Tool::of::<archive::ImportImage>(),
];
