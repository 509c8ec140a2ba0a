//! Watching resources: a client that subscribed is told that something is new, at most once a second, and reads it
//! when it cares to.

use super::{Resource, What};
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::pick;
use base::names::ContainerRef;
use engine::ops::containers::{LogQuery, Tail};
use engine::ops::system::EventQuery;
use engine::{Engine, Error};
use futures_util::{Stream, StreamExt, stream};
use server_kit::rmcp::RoleServer;
use server_kit::rmcp::model::ResourceUpdatedNotificationParam;
use server_kit::rmcp::service::{Peer, SubscriptionSink};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// No client is told more often.
const BETWEEN_UPDATES: Duration = Duration::from_secs(1);
/// How often figures, which always change, are said to have changed.
const BETWEEN_STATS: Duration = Duration::from_secs(5);
/// How often a container that does not run is looked at, and the first pause before an engine that did not answer is asked
/// again.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Resources that one client may watch.
const MOST: usize = 32;

/// The subscriptions of a client of the legacy era.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    open: Mutex<BTreeMap<String, DropGuard>>,
}

/// Who is told.
#[derive(Debug, Clone)]
pub(crate) enum Audience {
    /// A client that said `resources/subscribe`.
    Peer(Peer<RoleServer>),
    /// A client whose `subscriptions/listen` is open.
    Sink(SubscriptionSink),
}

impl Audience {
    /// Tells it; `false` when it is gone.
    async fn told(&self, resource: &Resource) -> bool {
        let uri = resource.to_string();
        match self {
            Self::Peer(peer) => peer
                .notify_resource_updated(ResourceUpdatedNotificationParam::new(uri))
                .await
                .is_ok(),
            Self::Sink(sink) => sink.notify_resource_updated(uri).await.is_ok(),
        }
    }
}

impl Watches {
    /// Begins to watch, once for each resource.
    pub(crate) async fn add(
        &self,
        ctx: &Ctx,
        resource: Resource,
        audience: Audience,
    ) -> Result<(), ToolError> {
        exists(ctx.engine(), &resource.what).await?;
        let stop = ctx.state().core.closing.child_token();
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.len() >= MOST && !open.contains_key(&resource.to_string()) {
                return Err(
                    ToolError::new(Code::Conflict, format!("{MOST} resources are watched already"))
                        .fix("unsubscribe from one"),
                );
            }
            // The guard of an earlier subscription to the same ends it.
            open.insert(resource.to_string(), stop.clone().drop_guard());
        }
        spawn(ctx, resource, audience, stop);
        Ok(())
    }

    /// Ends a watch; one that there is not is no error.
    pub(crate) fn remove(&self, uri: &str) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uri);
    }
}

/// Watches until `stop`, or until the audience or the container is gone. An engine that can't be reached is asked again.
pub(crate) fn spawn(ctx: &Ctx, resource: Resource, audience: Audience, stop: CancellationToken) {
    let engine = ctx.engine().clone();
    ctx.state().core.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch(&engine, &resource, &audience) => {}
        }
    });
}

async fn exists(engine: &Engine, what: &What) -> Result<(), ToolError> {
    match what {
        What::Logs(container) | What::Stats(container) => {
            engine.container_inspect(container).await?;
            Ok(())
        }
        What::Events => Ok(()),
    }
}

async fn watch(engine: &Engine, resource: &Resource, audience: &Audience) {
    let mut pause = BETWEEN_LOOKS;
    let mut is_first = true;
    loop {
        match look(engine, resource, audience, !is_first).await {
            Looked::Done => return,
            // What ends in good order is begun anew at the usual pace, such as the log of a container that is restarted.
            Looked::Again => pause = BETWEEN_LOOKS,
            Looked::Failed => {}
        }
        is_first = false;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How a look went that is over.
enum Looked {
    /// There is nobody to tell, or nothing to look at.
    Done,
    Again,
    Failed,
}

/// `missed`: nobody looked for a while, in which there may have been news.
async fn look(engine: &Engine, resource: &Resource, audience: &Audience, missed: bool) -> Looked {
    match &resource.what {
        What::Events => {
            let Ok(events) = engine.system_events(&EventQuery::default()).await else {
                return Looked::Failed;
            };
            told(resource, audience, events.map(drop), missed).await
        }
        What::Stats(container) => loop {
            match is_running(engine, container).await {
                Ok(true) => {}
                // The figures of one that does not run stay as they are.
                Ok(false) => return Looked::Again,
                Err(looked) => return looked,
            }
            if !audience.told(resource).await {
                return Looked::Done;
            }
            tokio::time::sleep(BETWEEN_STATS).await;
        },
        What::Logs(container) => match is_running(engine, container).await {
            Ok(true) => match follow(engine, container).await {
                Ok(log) => told(resource, audience, log, missed).await,
                Err(_) => Looked::Failed,
            },
            Ok(false) => Looked::Again,
            Err(looked) => looked,
        },
    }
}

async fn told(
    resource: &Resource,
    audience: &Audience,
    changes: impl Stream<Item = ()>,
    missed: bool,
) -> Looked {
    if tell(resource, audience, changes, missed).await {
        Looked::Again
    } else {
        Looked::Done
    }
}

async fn is_running(engine: &Engine, container: &ContainerRef) -> Result<bool, Looked> {
    match engine.container_inspect(container).await {
        Ok(details) => Ok(pick::yes(&details, "/State/Running")),
        Err(Error::NotFound { .. }) => Err(Looked::Done),
        Err(_) => Err(Looked::Failed),
    }
}

async fn follow(engine: &Engine, container: &ContainerRef) -> Result<impl Stream<Item = ()> + use<>, Error> {
    let tty = engine.container_tty(container).await?;
    let query = LogQuery {
        tail: Tail::Lines(0),
        follow: true,
        ..LogQuery::default()
    };
    let outputs = engine.container_logs(container, &query, tty).await?;
    // Only that there is something new counts, so what is waiting already counts as one.
    Ok(outputs.ready_chunks(64).map(drop))
}

/// Tells the audience of changes, the first at once, then at most once a second, and of the end. `false` when the
/// audience is gone. `news`: there is something to tell before the first change.
async fn tell(
    resource: &Resource,
    audience: &Audience,
    changes: impl Stream<Item = ()>,
    mut news: bool,
) -> bool {
    let mut changes = pin!(changes.chain(stream::once(std::future::ready(()))));
    let mut next = Instant::now();
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(()) => news = true,
                // The last change was the end itself.
                None => return !news || audience.told(resource).await,
            },
            () = tokio::time::sleep_until(next), if news => {
                if !audience.told(resource).await {
                    return false;
                }
                news = false;
                next = Instant::now() + BETWEEN_UPDATES;
            }
        }
    }
}
