//! Secrets from the environment, as the floor above hands them in.

use base::Secret;

use crate::SecretName;

/// Variables `DOCKMASTER_SECRET_…`, each a secret; see [`SecretName::variable`].
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<(String, Secret)>);

impl Environment {
    /// Takes those variables whose names begin as secrets' do; an empty value counts as not set.
    pub fn new(variables: impl IntoIterator<Item = (String, Secret)>) -> Self {
        let is_secret = |(name, value): &(String, Secret)| {
            name.starts_with(SecretName::VARIABLES) && !value.expose().is_empty()
        };
        Self(variables.into_iter().filter(is_secret).collect())
    }

    pub(crate) fn get(&self, name: &SecretName) -> Option<Secret> {
        let wanted = name.variable();
        let (_, value) = self.0.iter().find(|(variable, _)| *variable == wanted)?;
        Some(value.clone())
    }

    /// The variables: what name each was meant for can't be told from it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(variable, _)| variable.as_str())
    }
}
