//! The compact toolset: five tools with an action each, made of the same operations.

use crate::tool::Tool;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[];
