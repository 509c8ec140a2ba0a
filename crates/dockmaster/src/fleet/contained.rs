//! Tools whose calls are containers, as servers of single calls see them: run where their server is placed, within bounds.
//! Nothing is held of that host between two calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Secret;
use catalog::plan::Container;
use catalog::tools::Tool;
use custom_server::{Containers, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use instances::{Bounds, Instances, Start};

use super::Given;
use crate::placed::Placed;

/// Runs the containers of one server's tools.
pub(super) struct Contained {
    pub(super) given: Arc<Given>,
    pub(super) plan: Arc<Placed>,
    pub(super) secrets: BTreeMap<String, Secret>,
}

impl Contained {
    async fn instances(&self) -> Result<Instances, String> {
        let found = self.given.instances(&self.plan).await;
        found.map_err(|error| format!("{error:#}"))
    }

    /// Why it did not run. The next call may find another host that fits.
    fn failed(&self, error: &instances::Error) -> String {
        self.plan.forget();
        error.to_string()
    }
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
                server: &self.plan.server,
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
            let instances = self.instances().await?;
            let called = instances.call_with(start, bounds, stdin).await;
            let called = called.map_err(|error| self.failed(&error))?;
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
            let instances = self.instances().await?;
            let had = instances.image(&self.plan.server, container, None).await;
            had.map(|_| container.image.clone())
                .map_err(|error| self.failed(&error))
        }
        .boxed()
    }
}
