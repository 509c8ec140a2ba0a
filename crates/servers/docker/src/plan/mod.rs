//! Plans: what would have to be done so that a project is as wanted, computed first, looked at, and then applied
//! exactly, or not at all.
//!
//! A plan's handle says in its own text how much it creates, replaces and removes, so that whoever confirms the
//! call that applies it can judge it; a made-up handle is unknown and applies nothing. A plan is good once, for a
//! quarter of an hour, and only while everything is as it was when it was made.

mod apply;
mod make;
mod now;
mod wanted;

pub(crate) use apply::apply;
pub(crate) use make::make;
pub(crate) use wanted::{NetworkSpec, Remove, VolumeSpec, Wanted};

use crate::create::Body;
use crate::error::{Code, ToolError};
use now::Now;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wanted::{WantedContainer, WantedNetwork, WantedVolume};

/// The label that says to which project something belongs.
pub(crate) const PROJECT: &str = "dockmaster.project";
/// The label with the digest of what a container was made from.
const SPEC: &str = "dockmaster.spec";
/// How long a plan is good for.
const MAX_AGE: Duration = Duration::from_mins(15);
/// Plans kept at once.
const MOST: usize = 32;

/// One thing to do.
#[derive(Debug)]
enum Step {
    CreateNetwork(WantedNetwork),
    CreateVolume(WantedVolume),
    CreateContainer(Box<WantedContainer>, Body),
    ReplaceContainer {
        id: String,
        new: Box<WantedContainer>,
        body: Body,
        why: String,
    },
    StartContainer {
        id: String,
        name: String,
    },
    RemoveContainer {
        id: String,
        name: String,
    },
    RemoveNetwork {
        id: String,
        name: String,
    },
    RemoveVolume {
        name: String,
    },
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateNetwork(network) => write!(f, "create network {}", network.name),
            Self::CreateVolume(volume) => write!(f, "create volume {}", volume.name),
            Self::CreateContainer(container, _) => write!(f, "create and start container {container}"),
            Self::ReplaceContainer { new, why, .. } => write!(f, "replace container {new}: {why}"),
            Self::StartContainer { name, .. } => write!(f, "start container {name}"),
            Self::RemoveContainer { name, .. } => write!(f, "remove container {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name} with its data"),
        }
    }
}

/// How much a plan does of each; part of its handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) create: usize,
    pub(crate) replace: usize,
    pub(crate) remove: usize,
    pub(crate) volumes: usize,
}

impl Counts {
    fn of(steps: &[Step]) -> Self {
        let mut counts = Self::default();
        for step in steps {
            match step {
                Step::CreateNetwork(_)
                | Step::CreateVolume(_)
                | Step::CreateContainer(..)
                | Step::StartContainer { .. } => {
                    counts.create += 1;
                }
                Step::ReplaceContainer { .. } => counts.replace += 1,
                Step::RemoveContainer { .. } | Step::RemoveNetwork { .. } => counts.remove += 1,
                Step::RemoveVolume { .. } => counts.volumes += 1,
            }
        }
        counts
    }
}

/// A plan that waits for being applied.
#[derive(Debug)]
pub(crate) struct Plan {
    project: String,
    /// The host that it was made for.
    host: String,
    steps: Vec<Step>,
    /// How everything was when the plan was made.
    now: Now,
    /// How long a container with a health check has to become healthy.
    patience: Duration,
    since: Instant,
}

/// The plans of a server.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    open: Mutex<BTreeMap<String, Plan>>,
}

impl Plans {
    fn keep(&self, plan: Plan) -> String {
        let handle = handle(&plan.project, Counts::of(&plan.steps));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, plan| plan.since.elapsed() < MAX_AGE);
        if open.len() >= MOST
            && let Some(oldest) = open
                .iter()
                .min_by_key(|(_, plan)| plan.since)
                .map(|(handle, _)| handle.clone())
        {
            open.remove(&oldest);
        }
        open.insert(handle.clone(), plan);
        handle
    }

    /// Takes a plan, which can be done once, and on the host that it was made for.
    fn take(&self, handle: &str, host: &str) -> Result<Plan, ToolError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = open.get(handle).filter(|plan| plan.host != host) {
            let error = ToolError::arguments(format!("the plan was made for host {}, not {host}", plan.host));
            return Err(error.fix(format!("apply it with host={}", plan.host)));
        }
        let plan = open.remove(handle).filter(|plan| plan.since.elapsed() < MAX_AGE);
        plan.ok_or_else(|| {
            ToolError::new(
                Code::Stale,
                format!("there is no plan {:?}", base::text::cut(handle, 80)),
            )
            .fix("a plan is good once and for 15 minutes: make a new one with plan_containers")
        })
    }
}

/// `plan-c2-r1-d0-v0-shop-1a2b3c4d`: what it does, to which project, and what can't be guessed.
fn handle(project: &str, counts: Counts) -> String {
    let Counts {
        create,
        replace,
        remove,
        volumes,
    } = counts;
    let secret = server_kit::random::number() >> 24;
    format!("plan-c{create}-r{replace}-d{remove}-v{volumes}-{project}-{secret:010x}")
}

/// What a handle says of its plan. `None` if it is no handle.
pub(crate) fn read_handle(handle: &str) -> Option<(String, Counts)> {
    let (rest, _secret) = handle.strip_prefix("plan-")?.rsplit_once('-')?;
    let mut parts = rest.splitn(5, '-');
    let mut count = |letter: char| parts.next()?.strip_prefix(letter)?.parse().ok();
    let counts = Counts {
        create: count('c')?,
        replace: count('r')?,
        remove: count('d')?,
        volumes: count('v')?,
    };
    Some((parts.next()?.to_owned(), counts))
}

/// What a handle's plan does, for a person.
pub(crate) fn about_handle(handle: &str) -> String {
    let Some((project, counts)) = read_handle(handle) else {
        return format!(
            "apply a plan that does not exist ({})",
            base::text::cut(handle, 40)
        );
    };
    let mut text = format!("apply the plan for project {project}:");
    for (count, what) in [
        (counts.create, "created or started"),
        (counts.replace, "replaced"),
        (counts.remove, "removed"),
        (counts.volumes, "volumes removed with their data"),
    ] {
        if count > 0 {
            _ = write!(text, " {count} {what},");
        }
    }
    text.trim_end_matches([',', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_say_what_their_plan_does() {
        let counts = Counts {
            create: 2,
            replace: 1,
            remove: 0,
            volumes: 3,
        };
        let handle = handle("my-shop", counts);
        assert_eq!(read_handle(&handle), Some(("my-shop".to_owned(), counts)));
        assert_eq!(
            about_handle(&handle),
            "apply the plan for project my-shop: 2 created or started, 1 replaced, 3 volumes removed with their data"
        );
        for text in [
            "",
            "plan-",
            "plan-c1-r1-d1-shop-1",
            "plan-cx-r1-d1-v1-shop-1",
            "other",
        ] {
            assert_eq!(read_handle(text), None, "{text}");
        }
    }

    #[test]
    fn a_plan_is_good_once() {
        let plans = Plans::default();
        let plan = Plan {
            project: "shop".into(),
            host: "prod".into(),
            steps: Vec::new(),
            now: Now::default(),
            patience: Duration::ZERO,
            since: Instant::now(),
        };
        let handle = plans.keep(plan);
        assert!(plans.take("plan-c0-r0-d0-v0-shop-0000000000", "prod").is_err());
        assert_eq!(
            plans.take(&handle, "local").unwrap_err().code,
            Code::InvalidArguments
        );
        assert!(plans.take(&handle, "prod").is_ok());
        assert_eq!(plans.take(&handle, "prod").unwrap_err().code, Code::Stale);
    }
}
