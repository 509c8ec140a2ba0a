//! Tools whose calls are containers, as servers of single calls see them: run where their server is placed, within bounds.
//! Nothing is held of that host between two calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Secret;
use base::names::ServerName;
use catalog::plan::Container;
use catalog::tools::Tool;
use custom_server::{Containers, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use instances::{Bounds, Instances, Start};

use super::Current;
use crate::placed::Placed;

/// Where the calls of one server run: found anew for each, as the configuration says then.
pub(crate) struct Somewhere {
    pub(super) given: Current,
    pub(super) plan: Arc<Placed>,
}

impl Somewhere {
    pub(crate) async fn instances(&self) -> Result<Instances, String> {
        let found = self.given.get().instances(&self.plan).await;
        found.map_err(|error| format!("{error:#}"))
    }

    /// Why a call did not run there. The next one may find another host that fits.
    pub(crate) fn failed(&self, error: &instances::Error) -> String {
        self.plan.forget();
        error.to_string()
    }

    pub(crate) fn server(&self) -> &ServerName {
        &self.plan.server
    }
}

/// Runs the containers of one server's tools.
pub(super) struct Contained {
    pub(super) place: Somewhere,
    pub(super) secrets: BTreeMap<String, Secret>,
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
                server: self.place.server(),
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
            let instances = self.place.instances().await?;
            let called = instances.call_with(start, bounds, stdin).await;
            let called = called.map_err(|error| self.place.failed(&error))?;
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
            let instances = self.place.instances().await?;
            let had = instances.image(self.place.server(), container, None).await;
            had.map(|_| container.image.clone())
                .map_err(|error| self.place.failed(&error))
        }
        .boxed()
    }
}
