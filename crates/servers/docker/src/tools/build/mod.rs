//! Building images.

mod bases;
mod follow;
mod image;

use crate::tools::Tool;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[Tool::of::<image::BuildImage>()];
