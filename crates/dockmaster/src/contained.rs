//! Tools whose calls are containers, as servers of single calls see them: run on an engine, within bounds.

use std::collections::BTreeMap;

use base::Secret;
use base::names::ServerName;
use catalog::plan::Container;
use catalog::tools::Tool;
use custom_server::{Containers, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use instances::{Bounds, Instances, Start};

/// Runs the containers of one server's tools.
pub(crate) struct Contained {
    pub(crate) server: ServerName,
    pub(crate) instances: Instances,
    pub(crate) secrets: BTreeMap<String, Secret>,
}

impl Containers for Contained {
    fn run<'a>(
        &'a self,
        container: &'a Container,
        stdin: Option<&'a [u8]>,
        tool: &'a Tool,
    ) -> BoxFuture<'a, Result<Outcome, String>> {
        async move {
            let secret = |name: &str| self.secrets.get(name).cloned();
            let start = Start {
                server: &self.server,
                container,
                share: "call",
                secrets: &secret,
                stderr: None,
                progress: None,
            };
            let bounds = Bounds {
                time: tool.time,
                output: tool.output,
            };
            let called = self
                .instances
                .call_with(start, bounds, stdin)
                .await
                .map_err(|error| error.to_string())?;
            Ok(Outcome {
                failed: (called.exited.code != Some(0)).then(|| called.exited.to_string()),
                stdout: called.stdout.bytes,
                more: called.stdout.more,
                stderr: called.stderr.bytes,
                before: called.stderr.more,
                timed_out: called.timed_out,
            })
        }
        .boxed()
    }

    fn image<'a>(&'a self, container: &'a Container) -> BoxFuture<'a, Result<String, String>> {
        async move {
            let had = self.instances.image(&self.server, container, None).await;
            had.map(|_| container.image.clone())
                .map_err(|error| error.to_string())
        }
        .boxed()
    }
}
