//! The row that each call leaves in the audit.

use std::sync::Arc;
use std::time::Duration;

use base::Spotter;
use futures_util::future::BoxFuture;
use serde_json::Value;
use store::Entry;

use crate::call::Kind;
use crate::caller::Caller;
use crate::screen::Screen;

/// Where rows are written.
pub trait Journal: Send + Sync {
    /// Writes a row; returns when it stands.
    fn append(&self, entry: Entry) -> BoxFuture<'_, Result<(), store::Error>>;
}

impl Journal for store::Store {
    fn append(&self, entry: Entry) -> BoxFuture<'_, Result<(), store::Error>> {
        Box::pin(async move { self.audit().append(entry).await })
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// The tool says that it failed.
    ToolError,
    /// The rules or a person said no.
    Refused(String),
    /// No answer, or an error of the protocol.
    Failed(String),
    /// A person is to be asked by the client, which then calls again.
    Asked,
    Cancelled,
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Self::Ok => "ok".to_owned(),
            Self::ToolError => "tool error".to_owned(),
            Self::Refused(why) => format!("refused: {why}"),
            Self::Failed(why) => format!("failed: {why}"),
            Self::Asked => "asked".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
        }
    }
}

/// A row in the making: what is known of the call so far.
pub(crate) struct Row {
    /// Texts that a client chose, its name and that of what it calls, may hold secrets too.
    known: Arc<Spotter>,
    principal: String,
    client: String,
    server: String,
    tool: String,
    arguments: Value,
    decision: &'static str,
    sent: bool,
}

impl Row {
    pub(crate) fn new(screen: &Screen, caller: &Caller) -> Self {
        let known = screen.spotter();
        Self {
            principal: caller.principal.as_str().to_owned(),
            client: known
                .replace(&caller.client)
                .unwrap_or_else(|| caller.client.clone()),
            known,
            server: String::new(),
            tool: String::new(),
            arguments: Value::Null,
            decision: "none",
            sent: false,
        }
    }

    /// What was asked; the arguments are redacted already.
    pub(crate) fn asked(&mut self, subject: &str, arguments: Value) {
        let redacted = self.known.replace(subject);
        base::text::cut(redacted.as_deref().unwrap_or(subject), 200).clone_into(&mut self.tool);
        self.arguments = arguments;
    }

    pub(crate) fn resolved(&mut self, server: &str, tool: &str, kind: Kind, subject: &str) {
        server.clone_into(&mut self.server);
        tool.clone_into(&mut self.tool);
        if kind == Kind::Prompt {
            let redacted = self.known.replace(subject);
            let subject = redacted.as_deref().unwrap_or(subject);
            self.arguments = serde_json::json!({"name": subject, "arguments": self.arguments.take()});
        }
    }

    /// Which server it went to, where the tool is known already.
    pub(crate) fn at(&mut self, server: &str) {
        server.clone_into(&mut self.server);
    }

    pub(crate) fn decided(&mut self, decision: &'static str) {
        self.decision = decision;
    }

    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    pub(crate) fn reached_server(&self) -> bool {
        self.sent
    }

    pub(crate) fn close(self, outcome: &Outcome, bytes: usize, took: Duration) -> Entry {
        let outcome = outcome.text();
        let redacted = self.known.replace(&outcome).unwrap_or(outcome);
        Entry {
            time: base::clock::now(),
            principal: self.principal,
            client: self.client,
            server: self.server,
            tool: self.tool,
            arguments: self.arguments,
            decision: self.decision.to_owned(),
            outcome: base::text::cut(&base::redact::text(&redacted), 500).to_owned(),
            result_bytes: bytes as u64,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
