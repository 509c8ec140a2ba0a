//! The guards of a bridge's own requests. Each lets through what its purpose needs and nothing else, and none more than the
//! host's mode: a host that may only be read gets no bridge.

use std::path::PathBuf;

use engine::guard::{BRIDGE_LABEL, Guard, Label, Mode, Policy, Symlinks};

/// The label of what a bridge makes for its servers; its value is the bridge's id.
pub const MADE_BY: &str = "dockmaster.made-by-bridge";

/// For its container, volumes and network: nothing without its label.
pub(crate) fn of_bridge(user: &Guard, id: &str, socket: Option<&str>) -> Guard {
    let policy = Policy {
        sockets: socket.map(PathBuf::from).into_iter().collect(),
        // The socket is meant wherever links over there lead to; nothing else is mounted from the host.
        symlinks: Symlinks::Lexical,
        // It is the one that this very guard let be made.
        exec_into_unsafe: true,
        ..labelled(user, BRIDGE_LABEL, id)
    };
    let mut surroundings = user.surroundings().clone();
    // The engine's own socket is kept from everybody else.
    surroundings
        .protected
        .retain(|path| socket.is_none_or(|socket| path.as_os_str() != socket));
    Guard::new(policy, surroundings)
}

/// For what can't be told by label: its image, which is imported, and the network `none`, which it leaves.
pub(crate) fn of_unlabelled(user: &Guard) -> Guard {
    let policy = Policy {
        mode: at_most(user.mode()),
        bridges: true,
        ..Policy::default()
    };
    Guard::new(policy, user.surroundings().clone())
}

/// For what it made, once it is gone.
pub(crate) fn of_remains(user: &Guard, id: &str) -> Guard {
    Guard::new(labelled(user, MADE_BY, id), user.surroundings().clone())
}

fn labelled(user: &Guard, key: &str, value: &str) -> Policy {
    Policy {
        mode: at_most(user.mode()),
        bridges: true,
        label: Label::parse(&format!("{key}={value}")).ok(),
        ..Policy::default()
    }
}

fn at_most(user: Mode) -> Mode {
    match user {
        Mode::ReadOnly => Mode::ReadOnly,
        Mode::NoDestroy | Mode::Guarded | Mode::Open => Mode::Guarded,
    }
}
