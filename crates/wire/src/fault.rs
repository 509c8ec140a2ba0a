//! Errors as JSON-RPC carries them.

use serde_json::{Value, json};

use crate::{Raw, to_raw};

/// The `error` member of a response: made here, or relayed as the peer wrote it.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Ours.
    Own {
        /// One of [`crate::code`].
        code: i64,
        /// One sentence: what was wrong and what to do.
        message: String,
        /// More, for programs.
        data: Option<Value>,
    },
    /// A peer's, unchanged.
    Relayed(Raw),
}

impl Fault {
    /// A fault of ours without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self::Own {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The same with data.
    #[must_use]
    pub fn with(self, data: Value) -> Self {
        match self {
            Self::Own { code, message, .. } => Self::Own {
                code,
                message,
                data: Some(data),
            },
            relayed @ Self::Relayed(_) => relayed,
        }
    }

    /// Its code, if it is readable.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Own { code, .. } => Some(*code),
            Self::Relayed(raw) => serde_json::from_str::<Value>(raw.get())
                .ok()?
                .get("code")?
                .as_i64(),
        }
    }

    /// Its message, as far as it can be read.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Own { message, .. } => message.clone(),
            Self::Relayed(raw) => serde_json::from_str::<Value>(raw.get())
                .ok()
                .and_then(|error| Some(error.get("message")?.as_str()?.to_owned()))
                .unwrap_or_else(|| "the server gave an error without a message".to_owned()),
        }
    }

    /// Its data, if there is any and it is readable.
    #[must_use]
    pub fn data(&self) -> Option<Value> {
        match self {
            Self::Own { data, .. } => data.clone(),
            Self::Relayed(raw) => serde_json::from_str::<Value>(raw.get())
                .ok()?
                .get("data")
                .cloned(),
        }
    }

    /// The error object as JSON text.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        match self {
            Self::Own {
                code,
                message,
                data: None,
            } => to_raw(&json!({"code": code, "message": message})),
            Self::Own {
                code,
                message,
                data: Some(data),
            } => to_raw(&json!({"code": code, "message": message, "data": data})),
            Self::Relayed(raw) => raw.clone(),
        }
    }
}
