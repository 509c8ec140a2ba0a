//! Volumes: list, create, remove, inspect.

use crate::tool::Tool;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[];
