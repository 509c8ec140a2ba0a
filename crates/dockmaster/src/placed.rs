//! Servers that are placed on other hosts: which host is meant, and the instances there, opened by the first server that
//! is started on it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use base::names::HostName;
use catalog::place::Fitting;
use catalog::plan::{self, Plan};
use catalog::{Place, There};
use engine::guard::Policy;
use engine::{Endpoint, Engine};
use futures_util::future::join_all;
use hosts::{Host, Hosts, Wish};
use instances::{Instances, SignatureCheck, Terms};

use crate::bridges::Record;
use crate::engines;
use crate::settings::{LOCAL, Settings};

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
        let there = There {
            roots: roots(&host.guard),
            labels: host.labels.clone(),
            // A bridge has no way to files of this machine, wherever it is.
            is_away: !found.is_ok_and(|found| matches!(found.endpoint, Endpoint::Unix(_)))
                || matches!(Record::read(settings, name), Ok(Some(_))),
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

struct Open {
    endpoint: String,
    instances: Instances,
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

    fn open(&self, engine: Engine) -> Result<(Instances, bool)> {
        let endpoint = engine.endpoint().to_string();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = opened.iter().find(|open| open.endpoint == endpoint) {
            let signature = self.signature.clone();
            return Ok((open.instances.on(Terms { engine, signature }), false));
        }
        let mut options = (self.options)(engine);
        options.signature.clone_from(&self.signature);
        let instances = Instances::open(options).context("can't prepare to run servers")?;
        opened.push(Open {
            endpoint,
            instances: instances.clone(),
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
