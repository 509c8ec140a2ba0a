//! The servers there are, and which of them a client sees. Immutable; when servers come or go, a new one takes its
//! place.

use std::sync::Arc;

use crate::caller::View;
use crate::upstream::Upstream;

/// Servers, and the profile of those who name none.
pub(crate) struct Set {
    upstreams: Vec<Arc<Upstream>>,
    profile: Arc<str>,
}

impl Set {
    pub(crate) fn new(upstreams: Vec<Arc<Upstream>>, profile: Arc<str>) -> Self {
        Self { upstreams, profile }
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
