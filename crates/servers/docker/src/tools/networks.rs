//! Networks: list, create, remove, connect, disconnect.

use crate::tool::Tool;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[];
