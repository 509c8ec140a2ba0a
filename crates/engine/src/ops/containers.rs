//! Containers: looking at them, making them, and their life from start to removal.
//!
//! What runs on as a stream (logs, statistics, attach, export) is in `output`. Answers that are only read stay
//! the daemon's own JSON. Deliberately absent: anything that takes several requests to be useful, such as replacing
//! a container by a changed one; that is built on these.

mod output;

pub use output::{Attach, Attached, Input, LogQuery, Outputs, Tail};

use crate::models::{ContainerConfig, ContainerCreateBody, ContainerUpdateBody};
use crate::negotiate::Version;
use crate::{Engine, Error, Filters, Request, path};
use base::names::{ContainerRef, ImageRef};
use bollard::query_parameters::{CommitContainerOptions, CreateContainerOptions};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// For what copies whole file systems inside the daemon, which answers only when it is done.
const SLOW: Duration = Duration::from_mins(10);
/// How long the daemon waits before it kills, where neither the caller nor the container says.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What was found by an operation that may have nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has been done.
    Done,
    /// It was so already.
    AlreadySo,
}

impl Change {
    fn of(status: StatusCode) -> Self {
        if status == StatusCode::NOT_MODIFIED {
            Self::AlreadySo
        } else {
            Self::Done
        }
    }
}

/// Which containers to list.
#[derive(Debug, Clone, Default)]
pub struct ContainerQuery {
    /// Stopped ones as well.
    pub all: bool,
    /// The sizes of their writable layers, which costs the daemon a walk over all files.
    pub size: bool,
    /// At most so many, the newest first, running or not.
    pub limit: Option<u32>,
    /// `ancestor`, `before`, `exited`, `expose`, `health`, `id`, `label`, `name`, `network`, `publish`, `since`,
    /// `status`, `volume`.
    pub filters: Filters,
}

/// A container to be made.
#[derive(Debug, Clone, Default)]
pub struct NewContainer {
    /// Its name; the daemon makes one up if there is none.
    pub name: Option<ContainerRef>,
    /// `os/architecture[/variant]` of the image, if it is to be another than the daemon's own.
    pub platform: Option<String>,
    /// All the rest.
    pub body: ContainerCreateBody,
}

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id, 64 hexadecimal digits.
    pub id: ContainerRef,
    /// What the daemon found worth saying.
    pub warnings: Vec<String>,
}

/// How to stop or restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stop<'a> {
    /// Seconds until it is killed; the container's own setting (10 unless it says otherwise) where it is `None`.
    pub timeout: Option<u32>,
    /// Another signal than the image's or container's, which needs API 1.42.
    pub signal: Option<&'a str>,
}

/// How to remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveContainer {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes as well.
    pub volumes: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitFor {
    /// That it does not run; at once if it does not.
    #[default]
    NotRunning,
    /// Its next exit, also of one that was not started yet.
    NextExit,
    /// Its removal.
    Removed,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit code of its first process; 128 + n after signal n.
    pub code: i64,
    /// Why waiting failed, in the daemon's words.
    pub error: Option<String>,
}

/// A wait that the daemon has begun; see [`Engine::container_wait_begin`].
#[derive(Debug)]
pub struct Waiting(crate::stream::Chunks);

/// What to write into a new image.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Its reference; none makes an image that has an id only.
    pub target: Option<ImageRef>,
    /// A remark for the image's history.
    pub comment: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Let the container run meanwhile, at the price of files caught half written.
    pub without_pause: bool,
    /// Instructions in Dockerfile form (`CMD`, `ENV`, `LABEL` …), one a line.
    pub changes: Vec<String>,
    /// Settings that replace the container's.
    pub config: ContainerConfig,
}

impl Engine {
    /// Containers in one request, as the daemon lists them.
    pub async fn container_list(&self, query: &ContainerQuery) -> Result<Vec<Value>, Error> {
        self.container_list_as(query).await
    }

    /// The same, as much of each as `T` reads of it.
    pub async fn container_list_as<T: DeserializeOwned>(
        &self,
        query: &ContainerQuery,
    ) -> Result<Vec<T>, Error> {
        let request = Request::get(path!["containers", "json"])
            .query_some("all", query.all.then_some("1"))
            .query_some("size", query.size.then_some("1"))
            .query_some("limit", query.limit)
            .filters(&query.filters);
        self.json(request).await
    }

    /// The containers that a prune would take: those of `query` that do not run, whatever their state is called.
    /// Podman knows no state `dead` and refuses the whole question.
    pub async fn container_list_stopped(&self, query: &ContainerQuery) -> Result<Vec<Value>, Error> {
        let mut query = ContainerQuery {
            all: true,
            ..query.clone()
        };
        query.filters.add("status", "created");
        query.filters.add("status", "exited");
        let mut with_dead = query.clone();
        with_dead.filters.add("status", "dead");
        match self.container_list(&with_dead).await {
            Err(Error::Daemon { message, .. }) if message.contains("unknown container state") => {
                self.container_list(&query).await
            }
            answer => answer,
        }
    }

    /// Everything about one container.
    pub async fn container_inspect(&self, container: &ContainerRef) -> Result<Value, Error> {
        self.container_inspect_as(container).await
    }

    /// As much about one container as `T` reads of it.
    pub async fn container_inspect_as<T: DeserializeOwned>(
        &self,
        container: &ContainerRef,
    ) -> Result<T, Error> {
        self.json(Request::get(path!["containers", container, "json"]))
            .await
    }

    /// Makes a container; it does not run yet.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the image is missing, [`Error::Conflict`] when the name is taken.
    pub async fn container_create(&self, new: NewContainer) -> Result<Created, Error> {
        let NewContainer { name, platform, body } = new;
        let options = CreateContainerOptions {
            name: name.map(String::from),
            platform: platform.unwrap_or_default(),
        };
        let what = "POST /containers/create";
        let created = self
            .typed(what, |docker| async move {
                docker.create_container(Some(options), body).await
            })
            .await?;
        let id = ContainerRef::parse(&created.id).map_err(|error| Error::protocol(what, error))?;
        Ok(Created {
            id,
            warnings: created.warnings,
        })
    }

    /// Starts a container.
    pub async fn container_start(&self, container: &ContainerRef) -> Result<Change, Error> {
        self.change(Request::post(path!["containers", container, "start"]))
            .await
    }

    /// Stops a container: the stop signal, then, after the time-out, the kill.
    pub async fn container_stop(&self, container: &ContainerRef, how: Stop<'_>) -> Result<Change, Error> {
        let request = Request::post(path!["containers", container, "stop"]);
        self.change(self.stopping(request, container, how).await?).await
    }

    /// Stops a container if it runs, and starts it.
    pub async fn container_restart(&self, container: &ContainerRef, how: Stop<'_>) -> Result<(), Error> {
        let request = Request::post(path!["containers", container, "restart"]);
        self.change(self.stopping(request, container, how).await?)
            .await
            .map(drop)
    }

    /// Sends a signal (`KILL` where none is given) to the first process.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it does not run.
    pub async fn container_kill(&self, container: &ContainerRef, signal: Option<&str>) -> Result<(), Error> {
        let request = Request::post(path!["containers", container, "kill"]).query_some("signal", signal);
        self.raw(request).await.map(drop)
    }

    /// Freezes all its processes.
    pub async fn container_pause(&self, container: &ContainerRef) -> Result<(), Error> {
        self.raw(Request::post(path!["containers", container, "pause"]))
            .await
            .map(drop)
    }

    /// Lets frozen processes go on.
    pub async fn container_unpause(&self, container: &ContainerRef) -> Result<(), Error> {
        self.raw(Request::post(path!["containers", container, "unpause"]))
            .await
            .map(drop)
    }

    /// Gives it another name.
    pub async fn container_rename(&self, container: &ContainerRef, name: &ContainerRef) -> Result<(), Error> {
        let request = Request::post(path!["containers", container, "rename"]).query("name", name);
        self.raw(request).await.map(drop)
    }

    /// Removes it.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it runs and `force` is off.
    pub async fn container_remove(
        &self,
        container: &ContainerRef,
        how: RemoveContainer,
    ) -> Result<(), Error> {
        let request = Request::delete(path!["containers", container])
            .query_some("force", how.force.then_some("1"))
            .query_some("v", how.volumes.then_some("1"));
        self.raw(request).await.map(drop)
    }

    /// Waits, as long as it takes. A non-zero exit code is an answer and not an error.
    pub async fn container_wait(&self, container: &ContainerRef, what: WaitFor) -> Result<Exit, Error> {
        self.container_wait_begin(container, what).await?.exit().await
    }

    /// Begins to wait, and returns once the daemon watches: whoever starts the container after that can't miss its
    /// end.
    pub async fn container_wait_begin(
        &self,
        container: &ContainerRef,
        what: WaitFor,
    ) -> Result<Waiting, Error> {
        let condition = match what {
            WaitFor::NotRunning => "not-running",
            WaitFor::NextExit => "next-exit",
            WaitFor::Removed => "removed",
        };
        let request = Request::post(path!["containers", container, "wait"]).query("condition", condition);
        self.chunks(request.watches()).await.map(Waiting)
    }

    /// The processes in it, as `ps` with these options (default `-ef`) shows them on the host: `Titles` and
    /// `Processes`.
    pub async fn container_top(&self, container: &ContainerRef, ps: Option<&str>) -> Result<Value, Error> {
        self.json(Request::get(path!["containers", container, "top"]).query_some("ps_args", ps))
            .await
    }

    /// What differs from its image: `Path` and `Kind` (0 changed, 1 added, 2 deleted) each.
    pub async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<Value>, Error> {
        let changes: Option<Vec<Value>> = self
            .json(Request::get(path!["containers", container, "changes"]))
            .await?;
        Ok(changes.unwrap_or_default())
    }

    /// Changes limits and the restart policy of a container, running or not. Gives the daemon's warnings.
    pub async fn container_update(
        &self,
        container: &ContainerRef,
        body: &ContainerUpdateBody,
    ) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Updated {
            #[serde(rename = "Warnings")]
            warnings: Option<Vec<String>>,
        }
        // bollard's own method drops the warnings, and they are where the daemon says that it ignored something.
        let request = Request::post(path!["containers", container, "update"]).json(body);
        let updated: Updated = self.json(request).await?;
        Ok(updated.warnings.unwrap_or_default())
    }

    /// Makes an image of its file system and gives the image's id (`sha256:…`). May take minutes; the time limit
    /// is 10 of them, or the engine's own if that is longer.
    pub async fn container_commit(
        &self,
        container: &ContainerRef,
        commit: Commit,
    ) -> Result<ImageRef, Error> {
        let what = "POST /commit";
        let (repo, tag) = match &commit.target {
            Some(target) => (
                target.repository().to_owned(),
                target.tag().unwrap_or("latest").to_owned(),
            ),
            None => (String::new(), String::new()),
        };
        let options = CommitContainerOptions {
            container: Some(container.to_string()),
            repo: Some(repo),
            tag: Some(tag),
            comment: commit.comment,
            author: commit.author,
            pause: !commit.without_pause,
            changes: (!commit.changes.is_empty()).then(|| commit.changes.join("\n")),
        };
        let config = commit.config;
        let limit = SLOW.max(self.options().timeout);
        let operation =
            |docker: bollard::Docker| async move { docker.commit_container(options, config).await };
        let made = self.typed_within(what, limit, operation).await?;
        ImageRef::parse(&made.id).map_err(|error| Error::protocol(what, error))
    }

    async fn change(&self, request: Request) -> Result<Change, Error> {
        let answer = self.send(request).await?;
        Ok(Change::of(answer.status()))
    }

    /// The answer comes when the container has stopped, so its own time is added to the limit.
    async fn stopping(
        &self,
        request: Request,
        container: &ContainerRef,
        how: Stop<'_>,
    ) -> Result<Request, Error> {
        if how.signal.is_some() && self.api_version().await? < SIGNAL_ON_STOP {
            let fault = format!(
                "a signal of one's own for stopping needs API {SIGNAL_ON_STOP} and the daemon would ignore it; \
                 send the signal with kill instead"
            );
            return Err(Error::Request {
                what: request.what(),
                fault,
            });
        }
        let patience = match how.timeout {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => stop_timeout(&self.container_inspect(container).await?),
        };
        Ok(request
            .query_some("t", how.timeout)
            .query_some("signal", how.signal)
            .deadline(self.options().timeout + patience))
    }
}

const SIGNAL_ON_STOP: Version = Version { major: 1, minor: 42 };

/// How long the daemon gives this container before it kills it. A negative time, for ever, ends at [`SLOW`] for us.
fn stop_timeout(inspect: &Value) -> Duration {
    match inspect["Config"]["StopTimeout"].as_i64() {
        None => STOP_TIMEOUT,
        Some(seconds) => u64::try_from(seconds).map_or(SLOW, Duration::from_secs),
    }
}

impl Waiting {
    /// Waits to the end.
    pub async fn exit(self) -> Result<Exit, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "StatusCode")]
            code: i64,
            #[serde(rename = "Error")]
            error: Option<Trouble>,
        }
        #[derive(Deserialize)]
        struct Trouble {
            #[serde(rename = "Message", default)]
            message: String,
        }
        let what = self.0.what().to_owned();
        let body = self.0.whole().await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| Error::protocol(what, error))?;
        // Podman sends an error with an empty message for none.
        let error = answer
            .error
            .map(|trouble| trouble.message)
            .filter(|message| !message.is_empty());
        Ok(Exit {
            code: answer.code,
            error,
        })
    }
}
