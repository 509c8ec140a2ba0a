//! Servers that are placed on other hosts: which host is meant, and the instances there, opened by the first server that
//! is started on it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use base::names::HostName;
use catalog::place::Fitting;
use catalog::plan::{self, Plan};
use catalog::{Beside, Place, There};
use engine::guard::{Mode, Policy};
use engine::{Endpoint, Engine};
use futures_util::future::join_all;
use hosts::{AGAIN, Host, Hosts, IDLE, Wish};
use instances::{Instances, SignatureCheck, Terms};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bridges::Record;
use crate::engines;
use crate::settings::{LOCAL, Settings};
use crate::shell;

/// How long a host may take to say how much memory it has free.
const ASKED: Duration = Duration::from_secs(5);
/// How long looking for what an earlier gateway left on a host may take.
const REAPING: Duration = Duration::from_secs(20);

/// The folders of a host that its guard lets containers mount.
pub(crate) fn roots(guard: &Policy) -> Vec<plan::Root> {
    let root = |root: &engine::guard::Root| plan::Root {
        path: root.path.clone(),
        write: root.write,
    };
    guard.roots.iter().map(root).collect()
}

/// What plans depend on of the hosts beside `local`.
pub(crate) fn others(settings: &Settings) -> BTreeMap<String, There> {
    let others = settings.config.hosts.all().filter(|(name, _)| *name != LOCAL);
    let there = others.map(|(name, host)| {
        let found = engines::find(settings, name);
        let is_at = |is: fn(&Endpoint) -> bool| found.as_ref().is_ok_and(|found| is(&found.endpoint));
        let there = There {
            roots: roots(&host.guard),
            labels: host.labels.clone(),
            runs_commands: shell::runs_on(settings, name) && is_at(|at| matches!(at, Endpoint::Ssh(_))),
            is_read_only: host.mode == Mode::ReadOnly,
            beside: match Record::read(settings, name) {
                Ok(Some(_)) => Beside::Bridge,
                _ if is_at(|at| matches!(at, Endpoint::Unix(_))) => Beside::Us,
                _ => Beside::Nobody,
            },
        };
        (name.to_owned(), there)
    });
    there.collect()
}

/// A plan, and the host that was chosen for it.
pub(crate) struct Placed {
    pub(crate) plan: Plan,
    chosen: Mutex<Option<HostName>>,
}

impl Deref for Placed {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

impl Placed {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            chosen: Mutex::default(),
        }
    }

    /// Another host may be chosen the next time.
    pub(crate) fn forget(&self) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why it does not run, with the host that it does not run on where that is another. The next start may find one that
    /// fits.
    pub(crate) fn failed(&self, error: instances::Error) -> anyhow::Error {
        let named = match &self.plan.host {
            None => None,
            Some(Place::On(name)) => Some(name.clone()),
            Some(Place::Where(_)) => self.chosen(),
        };
        self.forget();
        match named.filter(|name| name.as_str() != LOCAL) {
            Some(name) => anyhow::anyhow!("on host {name}: {error}"),
            None => error.into(),
        }
    }

    fn chosen(&self) -> Option<HostName> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The other hosts, and the instances there.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    hosts: Hosts,
    signature: Option<SignatureCheck>,
    options: Arc<dyn Fn(Engine) -> instances::Options + Send + Sync>,
    /// Of whichever configuration: all of them are ended in the end.
    opened: Arc<Mutex<Vec<Open>>>,
}

/// The instances on a host. Nothing is left of them when nothing has run there for as long as an engine may be idle.
struct Open {
    endpoint: String,
    instances: Instances,
    last: Instant,
    /// The task that lets them go; it ends with them.
    _watch: JoinSet<()>,
}

impl Elsewhere {
    pub(crate) fn new(
        hosts: Hosts,
        signature: Option<SignatureCheck>,
        options: impl Fn(Engine) -> instances::Options + Send + Sync + 'static,
    ) -> Self {
        Self {
            hosts,
            signature,
            options: Arc::new(options),
            opened: Arc::default(),
        }
    }

    /// The same, with what the configuration says now; it holds from the next start of each server on.
    pub(crate) fn renewed(&self, hosts: Hosts, signature: Option<SignatureCheck>) -> Self {
        Self {
            hosts,
            signature,
            ..self.clone()
        }
    }

    /// The host that a plan's containers run on; `None` is the engine at hand. One that was chosen stays until a start fails.
    pub(crate) async fn host_of(&self, plan: &Placed) -> Result<Option<Arc<Host>>> {
        let host = match &plan.plan.host {
            None => return Ok(None),
            Some(Place::On(name)) => self.hosts.get(name.as_str())?,
            Some(Place::Where(wish)) => &self.fitting(plan, wish).await?,
        };
        Ok((host.name().as_str() != LOCAL).then(|| Arc::clone(host)))
    }

    /// The other hosts that somebody has used.
    pub(crate) fn used(&self) -> Vec<Arc<Host>> {
        let used = self
            .hosts
            .all()
            .filter(|host| host.name().as_str() != LOCAL && host.is_open());
        used.cloned().collect()
    }

    async fn fitting(&self, plan: &Placed, wish: &Fitting) -> Result<Arc<Host>> {
        if let Some(name) = plan.chosen()
            && let Ok(host) = self.hosts.get(name.as_str())
            && wish
                .label
                .as_ref()
                .is_none_or(|label| host.labels().contains(label))
        {
            return Ok(Arc::clone(host));
        }
        let wish = Wish {
            label: wish.label.clone(),
            memory: wish.memory.map_or(0, |memory| memory.0),
        };
        let host = self.hosts.choose(&wish, ASKED).await?;
        tracing::info!(server = %plan.plan.server, host = %host.name(), "is placed");
        *plan.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(host.name().clone());
        Ok(host)
    }

    /// The instances on a host. Whoever opens them removes what earlier gateways that were killed left there.
    pub(crate) async fn instances(&self, host: &Host) -> Result<Instances> {
        let engine = host.engine().map_err(anyhow::Error::msg)?;
        let (instances, is_new) = self.open(engine)?;
        if is_new {
            let reaped = tokio::time::timeout(REAPING, instances.reap()).await;
            if !matches!(reaped, Ok(Ok(_))) {
                tracing::warn!(
                    "what an earlier gateway may have left on {} was not removed",
                    host.name()
                );
            }
        }
        Ok(instances)
    }

    /// The engine of a host, behind its guard, and the instances there.
    pub(crate) async fn on(&self, name: &str) -> Result<(Engine, Instances)> {
        let host = self.hosts.get(name)?;
        let engine = host.engine().map_err(anyhow::Error::msg)?;
        Ok((engine, self.instances(host).await?))
    }

    /// The instances on an engine, and whether they were opened now.
    fn open(&self, engine: Engine) -> Result<(Instances, bool)> {
        let endpoint = engine.endpoint().to_string();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = opened.iter_mut().find(|open| open.endpoint == endpoint) {
            open.last = Instant::now();
            let signature = self.signature.clone();
            return Ok((open.instances.on(Terms { engine, signature }), false));
        }
        let mut options = (self.options)(engine);
        options.signature.clone_from(&self.signature);
        let instances = Instances::open(options).context("can't prepare to run servers")?;
        let mut watch = JoinSet::new();
        watch.spawn(let_go(Arc::downgrade(&self.opened), endpoint.clone(), IDLE));
        opened.push(Open {
            endpoint,
            instances: instances.clone(),
            last: Instant::now(),
            _watch: watch,
        });
        Ok((instances, true))
    }

    /// Ends all that runs there, and waits for it.
    pub(crate) async fn close(&self, within: Duration) -> bool {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        let closed = join_all(opened.iter().map(|open| open.instances.close(within))).await;
        closed.into_iter().all(|complete| complete)
    }
}

async fn let_go(opened: Weak<Mutex<Vec<Open>>>, endpoint: String, idle: Duration) {
    let mut wait = idle;
    loop {
        tokio::time::sleep(wait).await;
        let Some(opened) = opened.upgrade() else { return };
        let Some(left) = let_idle_go(&opened, &endpoint, idle) else {
            return;
        };
        wait = left;
    }
}

/// Lets the instances on an engine go if nothing has run there for so long, and the engine with them; `Some` is when to look
/// again.
fn let_idle_go(opened: &Mutex<Vec<Open>>, endpoint: &str, idle: Duration) -> Option<Duration> {
    let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
    let at = opened.iter().position(|open| open.endpoint == endpoint)?;
    let left = idle.saturating_sub(opened.get(at)?.last.elapsed());
    if !left.is_zero() {
        return Some(left);
    }
    // Nobody gets a handle meanwhile: they are given out under the lock.
    let open = opened.swap_remove(at);
    match open.instances.retire() {
        Ok(()) => None,
        Err(instances) => {
            opened.push(Open { instances, ..open });
            Some(AGAIN)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use engine::ApiVersion;
    use engine::guard::{Guard, Mode, Surroundings};
    use hosts::{Opened, Spec};

    use super::*;

    /// A host that is not there, and how often its engine was opened.
    fn nowhere(opened: &Arc<AtomicUsize>) -> Hosts {
        let opened = Arc::clone(opened);
        let spec = Spec {
            name: HostName::parse("far").unwrap(),
            place: "ssh://far".to_owned(),
            mode: Mode::Guarded,
            labels: Vec::new(),
            open: Box::new(move || {
                opened.fetch_add(1, Ordering::Relaxed);
                let options = engine::Options {
                    endpoint: Endpoint::parse("unix:///nowhere/docker.sock").unwrap(),
                    api_version: ApiVersion::default(),
                    timeout: Duration::from_secs(1),
                    guard: Guard::new(Policy::default(), Surroundings::default()),
                    credentials: engine::credentials::Credentials::default(),
                };
                Ok(Opened {
                    engine: Engine::open(options).map_err(|error| error.to_string())?,
                    look: None,
                    ssh: None,
                })
            }),
        };
        Hosts::new(vec![spec], &Hosts::default(), &|_| false)
    }

    #[tokio::test]
    async fn instances_are_let_go_when_nothing_has_run_there_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_owned();
        let locks = || fs_err::read_dir(state.join("instances")).unwrap().count();
        let options = {
            let state = state.clone();
            move |engine| instances::Options {
                engine,
                state: state.clone(),
                run: state.join("run"),
                memory: state.join("run"),
                grace: instances::Grace::default(),
                reached: None,
                #[cfg(unix)]
                relay: None,
                signature: None,
                labels: BTreeMap::new(),
            }
        };
        let opened = Arc::new(AtomicUsize::new(0));
        let hosts = nowhere(&opened);
        let host = hosts.get("far").unwrap();
        let elsewhere = Elsewhere::new(hosts.clone(), None, options);

        let running = elsewhere.instances(host).await.unwrap();
        drop(elsewhere.instances(host).await.unwrap());
        assert_eq!(locks(), 1);
        let endpoint = host.engine().unwrap().endpoint().to_string();
        let look = |idle| let_idle_go(&elsewhere.opened, &endpoint, idle);
        // As long as somebody has something there, all of it stays, on whichever terms, and with it the engine.
        assert_eq!(look(Duration::ZERO), Some(AGAIN));
        assert_eq!(locks(), 1);
        assert!(host.engine().unwrap().is_shared());
        assert_eq!(opened.load(Ordering::Relaxed), 1);
        drop(running);
        // Use is what starts there, not only what runs.
        drop(elsewhere.instances(host).await.unwrap());
        let left = look(IDLE).unwrap();
        assert!(left > Duration::ZERO && left <= IDLE, "{left:?}");
        assert_eq!(locks(), 1);
        assert_eq!(look(Duration::ZERO), None);
        assert_eq!(locks(), 0);
        assert!(elsewhere.opened.lock().unwrap().is_empty());

        // It is opened anew when it is wanted again, and let go without anybody's doing.
        drop(elsewhere.instances(host).await.unwrap());
        assert_eq!(locks(), 1);
        let watched = let_go(
            Arc::downgrade(&elsewhere.opened),
            endpoint.clone(),
            Duration::from_millis(10),
        );
        tokio::time::timeout(Duration::from_secs(10), watched)
            .await
            .unwrap();
        assert_eq!(locks(), 0);
        // What is there in the end is ended with all others.
        drop(elsewhere.instances(host).await.unwrap());
        assert!(elsewhere.close(Duration::from_secs(1)).await);
        assert_eq!(locks(), 0);
    }
}
