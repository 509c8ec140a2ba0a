//! Hosts and their engines, which are opened by the first use and let go after a long time without any.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base::names::HostName;
use engine::Engine;
use engine::guard::Mode;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::machine::Look;
use crate::state::{Known, State};

/// How many hosts are asked side by side.
const AT_ONCE: usize = 32;
/// After how long without use an engine is let go, and with it what is connected.
pub const IDLE: Duration = Duration::from_mins(15);
/// How soon one is looked at again that nobody asked for so long, and that somebody is still at work with.
pub const AGAIN: Duration = Duration::from_mins(1);

/// An engine, and a way to look at the machine that it runs on.
#[derive(Clone)]
pub struct Opened {
    /// Behind the host's guard.
    pub engine: Engine,
    /// `None` where only the engine's own API is there.
    pub look: Option<Arc<dyn Look>>,
    /// What reaches the machine, where that is SSH: its files, and commands there.
    pub ssh: Option<ssh::Client>,
}

/// Prepares to use an engine; connects to nothing. The error is for a person, and may be another one next time.
pub type Open = Box<dyn Fn() -> Result<Opened, String> + Send + Sync>;

/// What is known of a host before it is used.
pub struct Spec {
    /// What it is called.
    pub name: HostName,
    /// Where it is, for people.
    pub place: String,
    /// How much of it is open.
    pub mode: Mode,
    /// What it is for.
    pub labels: Vec<String>,
    /// Opens its engine.
    pub open: Open,
}

/// One host.
pub struct Host {
    own: Weak<Self>,
    spec: Spec,
    engine: Mutex<Option<Used>>,
    pub(crate) known: tokio::sync::Mutex<Option<Known>>,
}

struct Used {
    opened: Opened,
    last: Instant,
    _watch: Option<Watch>,
}

/// The task that lets an engine go when nobody has used it for long; it ends with what it watches.
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All hosts. A handle: clones share them.
#[derive(Clone, Default)]
pub struct Hosts {
    hosts: Arc<BTreeMap<HostName, Arc<Host>>>,
}

/// There is no such host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no host {name:?}; there are: {}", known.join(", "))]
pub struct Unknown {
    /// The name, made printable.
    pub name: String,
    /// Those that there are.
    pub known: Vec<String>,
}

impl Hosts {
    /// These hosts. Where `before` has one of the same name and `is_same` says that nothing of it has changed, that one goes
    /// on, with its connections.
    pub fn new(specs: Vec<Spec>, before: &Self, is_same: &dyn Fn(&HostName) -> bool) -> Self {
        let hosts = specs.into_iter().map(|spec| {
            let name = spec.name.clone();
            let kept = before.hosts.get(&name).filter(|_| is_same(&name));
            let host = kept.map_or_else(|| Host::new(spec), Arc::clone);
            (name, host)
        });
        Self {
            hosts: Arc::new(hosts.collect()),
        }
    }

    /// The host of this name.
    ///
    /// # Errors
    /// There is none; the error names those that there are.
    pub fn get(&self, name: &str) -> Result<&Arc<Host>, Unknown> {
        let found = self.hosts.iter().find(|(own, _)| own.as_str() == name);
        found.map(|(_, host)| host).ok_or_else(|| Unknown {
            name: base::text::clean(base::text::cut(name, 80)).replace('\n', " "),
            known: self.names().map(ToString::to_string).collect(),
        })
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.hosts.values()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys()
    }

    /// How these hosts do, in their order. They are asked side by side, each for at most `limit`.
    pub async fn states(&self, hosts: Vec<Arc<Host>>, limit: Duration) -> Vec<State> {
        let asked = hosts
            .into_iter()
            .map(|host| async move { host.state(limit).await });
        stream::iter(asked).buffered(AT_ONCE).collect().await
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.hosts.keys()).finish()
    }
}

impl Host {
    fn new(spec: Spec) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            spec,
            engine: Mutex::default(),
            known: tokio::sync::Mutex::default(),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &HostName {
        &self.spec.name
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.spec.place
    }

    /// How much of it is open.
    pub fn mode(&self) -> Mode {
        self.spec.mode
    }

    /// What it is for.
    pub fn labels(&self) -> &[String] {
        &self.spec.labels
    }

    /// Its engine, opened now if it was not before. Nothing is connected by that.
    ///
    /// # Errors
    /// It can't be opened; the next use tries again.
    pub fn engine(&self) -> Result<Engine, String> {
        Ok(self.open()?.engine)
    }

    /// The SSH client that reaches its machine, over the connection that its engine is reached by. `None` where that is not
    /// SSH.
    ///
    /// # Errors
    /// It can't be opened; the next use tries again.
    pub fn ssh(&self) -> Result<Option<ssh::Client>, String> {
        Ok(self.open()?.ssh)
    }

    /// Whether anybody has used it.
    pub fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    pub(crate) fn open(&self) -> Result<Opened, String> {
        let mut engine = self.lock();
        if let Some(used) = &mut *engine {
            used.last = Instant::now();
            return Ok(used.opened.clone());
        }
        let opened = (self.spec.open)()?;
        *engine = Some(Used {
            opened: opened.clone(),
            last: Instant::now(),
            // Without a runtime nothing connects, either.
            _watch: Handle::try_current().ok().map(|runtime| {
                let watching = runtime.spawn(let_go(Weak::clone(&self.own)));
                Watch(watching.abort_handle())
            }),
        });
        Ok(opened)
    }

    /// Lets the engine go if nobody has used it for long; `Some` is when to look again. As long as somebody is at work with it,
    /// such as a server that runs there, it stays: whoever comes next uses the same connections and makes no second ones.
    fn let_idle_go(&self) -> Option<Duration> {
        let mut engine = self.lock();
        let used = engine.as_ref()?;
        let left = IDLE.saturating_sub(used.last.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        if used.opened.engine.is_shared() {
            return Some(AGAIN);
        }
        *engine = None;
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<Used>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn let_go(host: Weak<Host>) {
    let mut wait = IDLE;
    loop {
        tokio::time::sleep(wait).await;
        let left = host.upgrade().and_then(|host| host.let_idle_go());
        let Some(left) = left else { return };
        wait = left;
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.spec.name)
            .field("place", &self.spec.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use engine::guard::{Guard, Policy, Surroundings};
    use engine::{ApiVersion, Endpoint};

    use super::*;

    fn engine() -> Engine {
        let options = engine::Options {
            endpoint: Endpoint::parse("unix:///nowhere").unwrap(),
            api_version: ApiVersion::default(),
            timeout: Duration::from_secs(1),
            guard: Guard::new(Policy::default(), Surroundings::default()),
            credentials: engine::credentials::Credentials::new(engine::credentials::Options::default()),
        };
        Engine::open(options).unwrap()
    }

    fn spec(name: &str, opened: &Arc<AtomicUsize>) -> Spec {
        let opened = Arc::clone(opened);
        Spec {
            name: HostName::parse(name).unwrap(),
            place: format!("ssh://{name}"),
            mode: Mode::Guarded,
            labels: Vec::new(),
            open: Box::new(move || {
                // The first attempt fails.
                if opened.fetch_add(1, Ordering::Relaxed) == 0 {
                    return Err("the context is not there".to_owned());
                }
                Ok(Opened {
                    ssh: None,
                    engine: engine(),
                    look: None,
                })
            }),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn engines_are_opened_by_use_kept_and_let_go() {
        let opened = Arc::new(AtomicUsize::new(0));
        let hosts = Hosts::new(vec![spec("a", &opened)], &Hosts::default(), &|_| false);
        let host = hosts.get("a").unwrap();
        assert!(!host.is_open());
        assert_eq!(host.engine().unwrap_err(), "the context is not there");
        host.engine().unwrap();
        host.engine().unwrap();
        assert_eq!(opened.load(Ordering::Relaxed), 2);
        // A host that has not changed goes on as it is; another one begins anew.
        let same = Hosts::new(vec![spec("a", &opened)], &hosts, &|_| true);
        assert!(same.get("a").unwrap().is_open());
        let changed = Hosts::new(vec![spec("a", &opened)], &hosts, &|_| false);
        assert!(!changed.get("a").unwrap().is_open());
        // Use keeps it; without any it goes, although nobody looks.
        tokio::time::sleep(IDLE / 2).await;
        host.engine().unwrap();
        tokio::time::sleep(IDLE * 3 / 4).await;
        assert!(host.is_open());
        tokio::time::sleep(IDLE / 2).await;
        assert!(!host.is_open());
        // Whoever is at work with it keeps it, in whichever form.
        let at_work = host.engine().unwrap().speaking("1.41".parse().unwrap());
        assert_eq!(opened.load(Ordering::Relaxed), 3);
        tokio::time::sleep(IDLE * 3).await;
        assert!(host.is_open());
        drop(at_work);
        tokio::time::sleep(AGAIN * 2).await;
        assert!(!host.is_open());
        let error = hosts.get("b\u{1b}[31m").unwrap_err();
        assert_eq!(error.to_string(), "there is no host \"b\"; there are: a");
    }
}
