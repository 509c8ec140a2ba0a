//! Images: list, inspect, pull, push, remove, tag and the rest of their life.

use crate::tool::Tool;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[];
