//! What is known of servers without running anything: the catalogs, the profile, and what would run.

use anyhow::Result;
use base::names::ServerName;
use catalog::Setup;
use catalog::plan::Plan;
use store::Store;

use crate::cli::InProfile;
use crate::commands::profile::profile_name;
use crate::fleet::{self, known_secrets};
use crate::keep;
use crate::settings::Settings;
use crate::shelf::{Found, Shelf};

/// What is known without running anything.
pub(super) struct Desk<'a> {
    pub(super) settings: &'a Settings,
    pub(super) store: Store,
    pub(super) shelf: Shelf,
    pub(super) profile: String,
}

impl<'a> Desk<'a> {
    pub(super) fn open(settings: &'a Settings, profile: &InProfile) -> Result<Self> {
        let store = Store::open(settings.database());
        let shelf = Shelf::open(settings, &store)?;
        let profile = match &profile.profile {
            Some(name) => profile_name(name)?,
            None => settings.config.gateway.profile.clone(),
        };
        Ok(Self {
            settings,
            store,
            shelf,
            profile,
        })
    }

    pub(super) fn setup(&self, name: &str) -> Option<&Setup> {
        let profile = self.settings.config.profiles.get(&self.profile)?;
        profile
            .servers
            .iter()
            .find(|(server, _)| server.as_str() == name)
            .map(|(_, setup)| setup)
    }

    /// The entry of this name, or of `CATALOG/NAME`: that of the catalog that its set-up names, if it is switched on.
    pub(super) fn find(&self, server: &str) -> Result<Found<'_>> {
        match (ServerName::parse(server), self.setup(server)) {
            (Ok(name), Some(setup)) => self.shelf.meant(&name, setup),
            _ => self.shelf.find(server),
        }
    }

    /// The servers that are switched on.
    pub(super) fn names(&self) -> Vec<&'a ServerName> {
        let profile = self.settings.config.profiles.get(&self.profile);
        profile
            .map(|profile| profile.servers.keys().collect())
            .unwrap_or_default()
    }

    /// What would run, or what is missing.
    pub(super) async fn plan(
        &self,
        found: &Found<'_>,
        setup: &Setup,
    ) -> Result<Result<Plan, Vec<catalog::Lack>>> {
        let mut around = fleet::around(self.settings, &self.store, &self.profile)?;
        around.secrets = known_secrets(&keep::sources(self.settings)?, found.entry, setup).await;
        Ok(found.plan(setup, &around))
    }
}
