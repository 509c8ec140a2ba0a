//! The guards of this room's own engine: the user's policy says what any container here may have at most, the plan
//! says what this one has, and a guard made of both judges every request for it.
//!
//! Each guard is confined to the label that everything made here bears: whatever goes wrong, nothing of anybody else
//! is changed or removed.

use std::path::PathBuf;

use catalog::plan::Container;
use engine::guard::{Capability, Guard, Label, Mode, Policy, Root, Surroundings};

use crate::labels;

/// What a container is given of the host that only this room knows of.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    /// Files that are mounted for reading: secrets, the relay and its libraries.
    pub(crate) files: Vec<PathBuf>,
    /// The sockets of this instance: the filtered Docker socket, and that of its proxy.
    pub(crate) sockets: Vec<PathBuf>,
}

/// For what needs no more than the label: listing, looking, stopping and removing.
pub(crate) fn keeper(user: &Guard) -> Guard {
    Guard::new(confined(user), user.surroundings().clone())
}

/// For images, which bear no label of ours unless they were built here: looking and pulling, nothing else.
pub(crate) fn images(user: &Guard) -> Guard {
    let policy = Policy {
        mode: at_most(user.mode(), Mode::NoDestroy),
        registries: user.policy().registries.clone(),
        ..Policy::default()
    };
    Guard::new(policy, user.surroundings().clone())
}

/// For one container: exactly what its plan asks for, as far as the user's policy knows of such things.
pub(crate) fn of_plan(user: &Guard, container: &Container, ours: &Ours) -> Guard {
    let own = user.policy();
    let mut policy = confined(user);
    policy.capabilities = container
        .capabilities
        .iter()
        .filter_map(|name| Capability::parse(name))
        .collect();
    policy.gpus = container.gpus.is_some();
    policy.roots.clone_from(&own.roots);
    policy.symlinks = own.symlinks;
    policy.allow_sensitive.clone_from(&own.allow_sensitive);
    policy.volume_drivers.clone_from(&own.volume_drivers);
    policy.volume_types.clone_from(&own.volume_types);
    policy.volumes.clone_from(&container.volumes);
    for path in &ours.files {
        policy.allow_sensitive.push(path.clone());
        policy.roots.push(Root {
            path: path.clone(),
            write: false,
        });
    }
    policy.sockets.extend(ours.sockets.iter().cloned());
    // The container that is attached to is the one that this very guard let be made. Looked at again it may show
    // what the engine added by itself, such as the anonymous volumes of its image, which bear no label.
    policy.exec_into_unsafe = true;
    let surroundings = Surroundings {
        given: ours.files.iter().chain(&ours.sockets).cloned().collect(),
        ..user.surroundings().clone()
    };
    Guard::new(policy, surroundings)
}

/// For what a server does through its filtered Docker socket: only what bears its label, and nothing of the host.
#[cfg(unix)]
pub(crate) fn of_socket(user: &Guard, label: Label) -> Guard {
    let policy = Policy {
        label: Some(label),
        ..confined(user)
    };
    Guard::new(policy, user.surroundings().clone())
}

fn confined(user: &Guard) -> Policy {
    let own = user.policy();
    Policy {
        mode: at_most(user.mode(), Mode::Guarded),
        registries: own.registries.clone(),
        build: own.build,
        label: Label::parse(labels::MANAGED).ok(),
        ..Policy::default()
    }
}

/// A host that may only be read starts no servers. One where agents may not destroy still has to let go of what was
/// started here, and one that is open to agents gets no more than it needs.
fn at_most(user: Mode, ours: Mode) -> Mode {
    match user {
        Mode::ReadOnly => Mode::ReadOnly,
        Mode::NoDestroy | Mode::Guarded | Mode::Open => ours,
    }
}
