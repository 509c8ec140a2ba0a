//! The servers there are, and which of them a client sees. Immutable; when servers come or go, a new one takes its
//! place.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::caller::{Peer, Principal, View};
use crate::index::IndexCell;
use crate::upstream::Upstream;

/// Servers, and the profile of those who name none.
#[derive(Default)]
pub(crate) struct Set {
    upstreams: Vec<Arc<Upstream>>,
    profile: Arc<str>,
    /// Some server may list other things for each principal.
    differs: bool,
    /// What each view shows; for each principal where that may differ.
    indexes: RwLock<HashMap<Seer, Arc<IndexCell>>>,
}

/// A view, and for whom where that makes a difference.
type Seer = (View, Option<Principal>);

impl Set {
    pub(crate) fn new(upstreams: Vec<Arc<Upstream>>, profile: Arc<str>) -> Self {
        Self {
            differs: upstreams.iter().any(|upstream| upstream.lists_by_principal()),
            upstreams,
            profile,
            indexes: RwLock::default(),
        }
    }

    /// Where the index of what `peer` sees is kept.
    pub(crate) fn index_cell(&self, peer: &Peer) -> Arc<IndexCell> {
        let key = (peer.view.clone(), self.differs.then(|| peer.principal.clone()));
        let indexes = self.indexes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = indexes.get(&key) {
            return Arc::clone(cell);
        }
        drop(indexes);
        if !self.knows(&peer.view) {
            // Not kept: names that somebody makes up would fill the memory.
            return Arc::default();
        }
        let mut indexes = self.indexes.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(indexes.entry(key).or_default())
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Those that `view` shows, in their order. For a profile that there is not, none but what is in all profiles.
    pub(crate) fn seen(&self, view: &View) -> Vec<Arc<Upstream>> {
        let of_profile = |profile: &str| -> Vec<_> {
            let them = self.upstreams.iter().filter(|upstream| upstream.is_in(profile));
            them.cloned().collect()
        };
        match view {
            View::Default => of_profile(&self.profile),
            View::Profile(profile) => of_profile(profile),
            View::Server(name) => {
                let named = |upstream: &&Arc<Upstream>| upstream.name == **name;
                let default = self
                    .upstreams
                    .iter()
                    .filter(named)
                    .find(|upstream| upstream.is_in(&self.profile));
                let found = default.or_else(|| self.upstreams.iter().find(named));
                found.cloned().into_iter().collect()
            }
        }
    }

    /// Whether there is such a profile or server.
    pub(crate) fn knows(&self, view: &View) -> bool {
        match view {
            View::Default => true,
            View::Profile(profile) => {
                *profile == self.profile
                    || self
                        .upstreams
                        .iter()
                        .any(|upstream| upstream.names_profile(profile))
            }
            View::Server(name) => self.upstreams.iter().any(|upstream| upstream.name == **name),
        }
    }
}
