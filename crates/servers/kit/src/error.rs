//! What a tool answers when it did not work: a code, the cause, the object, and what to do about it.
//!
//! Such an answer goes back in-band (`isError`), because the model that called can act on it. Only a request that
//! reaches no tool at all becomes a JSON-RPC error.

use base::names::NameError;
use std::fmt;

/// What kind of failure it was; the first word of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The arguments do not fit the tool.
    InvalidArguments,
    /// The container, image, network, volume or file does not exist.
    NotFound,
    /// The object is in a state that does not permit this.
    Conflict,
    /// Another container has the name.
    NameInUse,
    /// The host port is taken.
    PortInUse,
    /// The host's guard or the daemon forbids it.
    Refused,
    /// The engine does not answer.
    Unreachable,
    /// The answer took too long.
    Timeout,
    /// The client cancelled the request.
    Cancelled,
    /// A handle or cursor is unknown, used or too old.
    Stale,
    /// It ran, and failed by itself: a build step, a command, a health check.
    Failed,
    /// The daemon or the server made a mistake.
    Internal,
}

impl Code {
    /// The code as it is written in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArguments => "invalid_arguments",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::NameInUse => "name_in_use",
            Self::PortInUse => "port_in_use",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Internal => "internal",
        }
    }
}

/// Why a tool did not do what it was asked, and what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ToolError {
    /// What kind of failure.
    pub code: Code,
    /// What happened, in one or a few lines.
    pub cause: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// Boxed: results carry this type about, and few errors have one.
    context: Option<Box<Context>>,
}

/// What stands before and after the cause, and stays when a better cause is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Context {
    /// What was being done: "starting web".
    during: Option<String>,
    /// What else is to be known, such as what was left behind.
    also: Vec<String>,
}

impl ToolError {
    /// A failure of this kind.
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            fix: None,
            context: None,
        }
    }

    /// Arguments that do not fit.
    pub fn arguments(cause: impl Into<String>) -> Self {
        Self::new(Code::InvalidArguments, cause)
    }

    /// Says what to do.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Says what was being done: "starting web".
    pub fn during(mut self, what: impl fmt::Display) -> Self {
        let context = self.context.get_or_insert_default();
        context.during = Some(match context.during.take() {
            Some(inner) => format!("{what}: {inner}"),
            None => what.to_string(),
        });
        self
    }

    /// Adds what else is to be known, such as what was left behind.
    pub fn also(mut self, more: impl fmt::Display) -> Self {
        self.context.get_or_insert_default().also.push(more.to_string());
        self
    }

    /// The same failure with a better explanation.
    pub fn explained(mut self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        self.cause = cause.into();
        self.fix = Some(fix.into());
        self
    }

    /// All but code and fix, in one sentence or several.
    pub fn whole_cause(&self) -> String {
        let Some(context) = &self.context else {
            return self.cause.clone();
        };
        let mut text = String::new();
        if let Some(during) = &context.during {
            text.push_str(during);
            text.push_str(": ");
        }
        text.push_str(&self.cause);
        for more in &context.also {
            text.push_str("; ");
            text.push_str(more);
        }
        text
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.whole_cause())?;
        if let Some(fix) = &self.fix {
            write!(f, "\nfix: {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ToolError {}

impl From<NameError> for ToolError {
    fn from(error: NameError) -> Self {
        Self::arguments(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_words() {
        let error = ToolError::new(Code::PortInUse, "port 80 is taken")
            .during("starting web")
            .during("step 3")
            .also("web was removed again")
            .fix("choose another port");
        assert_eq!(
            error.to_string(),
            "port_in_use: step 3: starting web: port 80 is taken; web was removed again\nfix: choose another port"
        );
    }
}
