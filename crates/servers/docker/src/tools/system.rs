//! The engine itself: info, disk usage, events.

use crate::tool::Tool;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[];
