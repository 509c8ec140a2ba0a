//! The instances of one engine: what they share, and their common end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::Engine;
#[cfg(unix)]
use engine::guard::DaemonPlace;
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claim::Claim;
use crate::egress::Reached;
#[cfg(unix)]
use crate::egress::Relay;
use crate::images::SignatureCheck;
use crate::{Error, guards};

/// What instances are made with.
#[derive(Clone)]
pub struct Options {
    /// The engine, behind the user's own guard: its policy says what containers may be given of the host (roots,
    /// registries, sensitive paths). Instances use the engine behind stricter guards of their own.
    pub engine: Engine,
    /// The state folder; locks are held in it.
    pub state: PathBuf,
    /// A folder of this user's for what containers are given of this machine: sockets, and what leads to them. Not below
    /// what the guard protects.
    pub run: PathBuf,
    /// The same for files of secrets, which are written only if it is in memory (a tmpfs). May be the same folder.
    pub memory: PathBuf,
    /// How long each step of an end may take.
    pub grace: Grace,
    /// Hears what servers reach and are refused. Servers wait while it has no room; nothing is dropped.
    pub reached: Option<mpsc::Sender<Reached>>,
    /// What leads from a container without a network to its proxy. Without one, or with an engine on another machine,
    /// servers with declared hosts get a network in which this host is.
    #[cfg(unix)]
    pub relay: Option<Relay>,
    /// Checks images before they run.
    pub signature: Option<SignatureCheck>,
    /// Labels that everything made here bears as well.
    pub labels: BTreeMap<String, String>,
}

/// How long a server may take to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// After the end of its input.
    pub input: Duration,
    /// After the stop signal, in whole seconds; then it is killed.
    pub signal: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            input: Duration::from_secs(2),
            signal: Duration::from_secs(3),
        }
    }
}

/// The running copies of servers on one engine. A handle: clones share everything.
#[derive(Clone)]
pub struct Instances {
    pub(crate) inner: Arc<Inner>,
}

/// What the user may change while instances run; it holds from the next start on.
#[derive(Clone)]
pub struct Terms {
    /// As [`Options::engine`]. One at another endpoint is another engine, and not taken.
    pub engine: Engine,
    /// As [`Options::signature`].
    pub signature: Option<SignatureCheck>,
}

/// What one start needs. Those of a time with other terms share all that is not of the terms.
#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    /// Behind the user's guard; only to be put behind others.
    pub(crate) user: Engine,
    /// Confined to what was made here.
    pub(crate) engine: Engine,
    /// For images only.
    pub(crate) images: Engine,
    pub(crate) locks: PathBuf,
    pub(crate) claim: Arc<Claim>,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
    host: Arc<OnceCell<Host>>,
    #[cfg(unix)]
    relay: Arc<OnceCell<Relay>>,
    /// Something could not be removed; whoever comes next has to.
    incomplete: Arc<AtomicBool>,
}

impl Instances {
    /// Prepares to start instances. The engine is not asked anything yet, and need not even run.
    ///
    /// # Errors
    /// That the lock can't be had in the state folder.
    pub fn open(options: Options) -> Result<Self, Error> {
        let user = options.engine.clone();
        let guard = &user.options().guard;
        let locks = options.state.join("instances");
        let claim = Claim::take(
            &locks,
            &user.endpoint().to_string(),
            &[&options.run, &options.memory],
        )?;
        let inner = Inner {
            engine: user.behind(guards::keeper(guard)),
            images: user.behind(guards::images(guard)),
            user,
            locks,
            claim: Arc::new(claim),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            host: Arc::default(),
            #[cfg(unix)]
            relay: Arc::default(),
            incomplete: Arc::default(),
            options,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The same instances, of which further ones are started on these terms. Those that run stay as they were made.
    #[must_use]
    pub fn on(&self, terms: Terms) -> Self {
        let mut inner = Inner::clone(&self.inner);
        if terms.engine.endpoint() == inner.user.endpoint() {
            let guard = &terms.engine.options().guard;
            inner.engine = terms.engine.behind(guards::keeper(guard));
            inner.images = terms.engine.behind(guards::images(guard));
            inner.user = terms.engine.clone();
            inner.options.engine = terms.engine;
        }
        inner.options.signature = terms.signature;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// This gateway's id, as its containers' labels name it.
    pub fn gateway(&self) -> &str {
        self.inner.claim.id()
    }

    /// Ends what nobody uses: the lock is given back, and the engine let go.
    ///
    /// # Errors
    /// Something runs, or is being made, or somebody else has a handle: then all of it goes on.
    pub fn retire(self) -> Result<(), Self> {
        // Handles on other terms, and the task of each container, share the claim.
        let is_alone = Arc::strong_count(&self.inner) == 1 && Arc::strong_count(&self.inner.claim) == 1;
        if !is_alone || !self.inner.tasks.is_empty() {
            return Err(self);
        }
        if !self.inner.incomplete.load(Ordering::Relaxed) {
            self.inner.claim.forget();
        }
        Ok(())
    }

    /// Ends all instances and waits until nothing is left of them, at most this long. Says whether that is so; what
    /// is left is removed at the next start.
    pub async fn close(&self, within: Duration) -> bool {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        let all_gone = timeout(within, self.inner.tasks.wait()).await.is_ok();
        let complete = all_gone && !self.inner.incomplete.load(Ordering::Relaxed);
        if complete {
            self.inner.claim.forget();
        }
        complete
    }
}

impl Inner {
    pub(crate) fn endpoint(&self) -> String {
        self.user.endpoint().to_string()
    }

    /// Notes whether the remains of an instance are gone.
    pub(crate) fn removed(&self, all: bool) {
        if !all {
            self.incomplete.store(true, Ordering::Relaxed);
        }
    }

    /// What containers run on, asked once.
    pub(crate) async fn host(&self, server: &str) -> Result<Host, Error> {
        let ask = async {
            let failed = |error| Error::engine("ask the engine what it is", server, error);
            let info = self.images.system_info().await.map_err(failed)?;
            let version = self.images.system_version().await.map_err(failed)?;
            Ok(Host::read(&info, &version))
        };
        Box::pin(self.host.get_or_try_init(|| ask)).await.copied()
    }

    /// Whether containers can be given what lies in one of the folders for that.
    pub(crate) fn gives(&self, folder: &Path) -> bool {
        let guard = &self.user.options().guard;
        guard.surroundings().shares(folder)
    }

    /// The relay, as the engine finds it; `None` where there is none.
    #[cfg(unix)]
    pub(crate) async fn relay(&self) -> Result<Option<&Relay>, Error> {
        let Some(own) = self
            .options
            .relay
            .as_ref()
            .filter(|_| self.gives(&self.options.run))
        else {
            return Ok(None);
        };
        if self.user.options().guard.surroundings().daemon == DaemonPlace::Local {
            return Ok(Some(own));
        }
        let copied = self.relay.get_or_try_init(|| async {
            let (own, folder) = (own.clone(), self.options.run.join("relay"));
            let failed = |cause| Error::files("put the relay of servers into", &folder, cause);
            let to = folder.clone();
            let copied = tokio::task::spawn_blocking(move || own.copied_to(&to)).await;
            copied.map_err(|error| failed(error.into()))?.map_err(failed)
        });
        copied.await.map(Some)
    }
}

/// What containers run on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Host {
    /// The processors that it has, if it says so: a limit above is refused.
    pub(crate) cpus: Option<f64>,
    pub(crate) kind: EngineKind,
}

/// Who wrote the engine: they differ in what they understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Docker,
    Podman,
}

impl Host {
    fn read(info: &Value, version: &Value) -> Self {
        let parts = version["Components"].as_array().into_iter().flatten();
        let is_podman = parts.into_iter().any(|part| part["Name"] == "Podman Engine");
        Self {
            cpus: info["NCPU"].as_f64().filter(|cpus| *cpus > 0.0),
            kind: if is_podman {
                EngineKind::Podman
            } else {
                EngineKind::Docker
            },
        }
    }
}
