//! Servers whose tools are a container for each call: there is no MCP server in them, so
//! `custom-server` speaks for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use catalog::plan::PerCall;
use custom_server::Toolbox;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::{Link, Wire};
use instances::{Bounds, Called, Printed, Start};
use serde_json::{Map, Value, json};
use wire::Raw;

use crate::fleet::Somewhere;

/// Bytes on their way, in each direction.
const PIPE: usize = 64 << 10;
/// How long one call may take; the gateway's own limit may be shorter.
const TIME: Duration = Duration::from_mins(15);
/// Bytes of each output that are answered.
const OUTPUT: usize = 1 << 20;

/// What there is to speak for.
pub(crate) struct Calls {
    pub(crate) place: Somewhere,
    pub(crate) tools: Vec<PerCall>,
    pub(crate) secrets: BTreeMap<String, Secret>,
}

/// A connection to it.
pub(crate) fn link(tools: impl Toolbox) -> Link {
    let (near, far) = tokio::io::duplex(PIPE);
    let serving = async move {
        if let Err(error) = custom_server::serve(Arc::new(tools), far).await {
            tracing::debug!("a server of single calls ended: {error}");
        }
    };
    Link {
        wire: Wire::Pipe(Box::new(near)),
        driver: Some(serving.map(|()| None).boxed()),
    }
}

impl Toolbox for Calls {
    fn name(&self) -> &str {
        self.place.server().as_str()
    }

    fn definitions(&self) -> Vec<Value> {
        self.tools.iter().map(definition).collect()
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a Map<String, Value>) -> Option<BoxFuture<'a, Raw>> {
        let tool = self.tools.iter().find(|known| known.name == tool)?;
        Some(call(self, tool, arguments).boxed())
    }
}

fn definition(tool: &PerCall) -> Value {
    let mut definition = json!({
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
    });
    if let (Some(annotations), Some(object)) = (&tool.annotations, definition.as_object_mut()) {
        object.insert("annotations".to_owned(), annotations.clone());
    }
    definition
}

async fn call(tools: &Calls, tool: &PerCall, arguments: &Map<String, Value>) -> Raw {
    let container = match catalog::call::fill(tool, arguments) {
        Ok(container) => container,
        Err(lacks) => return custom_server::text(&crate::fleet::list(&lacks), true),
    };
    let secret = |name: &str| tools.secrets.get(name).cloned();
    let start = Start {
        server: tools.place.server(),
        container: &container,
        share: "call",
        secrets: &secret,
        stderr: None,
        progress: None,
    };
    let bounds = Bounds {
        time: TIME,
        output: OUTPUT,
    };
    let called = match tools.place.instances().await {
        Ok(instances) => {
            let called = instances.call(start, bounds).await;
            called.map_err(|error| tools.place.failed(&error))
        }
        Err(why) => Err(why),
    };
    match called {
        Ok(called) => result(&called),
        Err(why) => custom_server::text(&format!("{} was not run: {why}", tool.name), true),
    }
}

/// Standard output as it came; standard error beside it when there is any, since it says why a tool failed.
fn result(called: &Called) -> Raw {
    let failed = called.timed_out || called.exited.code != Some(0);
    let mut text = printed(&called.stdout);
    let stderr = printed(&called.stderr);
    if !stderr.trim().is_empty() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str("[standard error]\n");
        text.push_str(&stderr);
    }
    if called.timed_out {
        text.push_str("\n[its time was up, and it was ended]");
    } else if failed {
        _ = write!(text, "\n[{}]", called.exited);
    }
    custom_server::text(&text, failed)
}

fn printed(printed: &Printed) -> String {
    let mut text = String::from_utf8_lossy(&printed.bytes).into_owned();
    if printed.more > 0 {
        _ = write!(text, "\n[{} further bytes were left out]", printed.more);
    }
    text
}
