//! Which host something is to run on, of those with a label: the one with the most memory free.

use std::sync::Arc;
use std::time::Duration;

use engine::guard::Mode;

use crate::host::{Host, Hosts};
use crate::state::{Health, State};

/// What a host has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// One of its labels; without one any host will do.
    pub label: Option<String>,
    /// Bytes of memory that have to be free.
    pub memory: u64,
}

/// No host has what is wished for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoHost {
    /// None has the label.
    #[error(
        "no host that may be changed has the label {label:?}; `dockmaster host edit NAME --label {label}` gives it to one"
    )]
    NoLabel {
        /// The label.
        label: String,
    },
    /// Those that have it are busy, or away.
    #[error("no host {} has {} of memory free: {}", about(.wish), base::text::bytes(.wish.memory), tried.join("; "))]
    NoneFit {
        /// What was wished for.
        wish: Wish,
        /// Each host, and what it has.
        tried: Vec<String>,
    },
}

fn about(wish: &Wish) -> String {
    wish.label.as_ref().map_or_else(
        || "there is".to_owned(),
        |label| format!("with the label {label:?}"),
    )
}

impl Hosts {
    /// The host with what is wished for that has the most memory free. Hosts are asked side by side, each for at most
    /// `limit`; a single one that has the label is taken as it is when no memory is wished for.
    ///
    /// # Errors
    /// None has it; the error names each and what it lacks.
    pub async fn choose(&self, wish: &Wish, limit: Duration) -> Result<Arc<Host>, NoHost> {
        // Nothing runs where nothing may be changed.
        let fits = |host: &&Arc<Host>| {
            let label = wish.label.as_ref();
            label.is_none_or(|label| host.labels().contains(label)) && host.mode() != Mode::ReadOnly
        };
        let fitting: Vec<_> = self.all().filter(fits).cloned().collect();
        match fitting.as_slice() {
            [] => {
                let label = wish.label.clone().unwrap_or_default();
                return Err(NoHost::NoLabel { label });
            }
            [only] if wish.memory == 0 => return Ok(Arc::clone(only)),
            _ => {}
        }
        let states = self.states(fitting.clone(), limit).await;
        let best = states
            .iter()
            .zip(&fitting)
            .filter_map(|(state, host)| Some((free(state)?, host)))
            .filter(|(free, _)| *free >= wish.memory)
            // The first by name among equals.
            .rev()
            .max_by_key(|(free, _)| *free);
        match best {
            Some((_, host)) => Ok(Arc::clone(host)),
            None => Err(NoHost::NoneFit {
                wish: wish.clone(),
                tried: states.iter().map(tried).collect(),
            }),
        }
    }
}

fn free(state: &State) -> Option<u64> {
    match &state.health {
        Health::Up(facts) => Some(facts.memory_free()),
        Health::Down { .. } | Health::Unused => None,
    }
}

fn tried(state: &State) -> String {
    match &state.health {
        Health::Up(facts) => format!("{} has {}", state.name, base::text::bytes(facts.memory_free())),
        Health::Down { why } => format!("{}: {why}", state.name),
        Health::Unused => format!("{} was not asked", state.name),
    }
}
