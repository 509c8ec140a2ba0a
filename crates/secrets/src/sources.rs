//! The chain of sources.

use base::Secret;

use crate::{DockerPass, EnvFile, Environment, Error, Folder, Helper, LONGEST, SecretName, Vault};

/// One place where secrets are.
#[derive(Debug, Clone)]
pub enum Source {
    /// Variables `DOCKMASTER_SECRET_…`; only read.
    Environment(Environment),
    /// A folder with a file for each; only read.
    Folder(Folder),
    /// A file of `name=value` lines; only read.
    EnvFile(EnvFile),
    /// The encrypted file.
    Vault(Vault),
    /// A keyring behind a credential helper.
    Helper(Helper),
    /// `docker pass`.
    DockerPass(DockerPass),
}

/// A chain of sources: the first that has a secret gives it. What is stored goes to the first that can be written.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

/// What the sources have, by name; never a value.
#[derive(Debug, Default)]
pub struct Listing {
    /// Ordered by name, then by the sources' order.
    pub entries: Vec<Listed>,
    /// The sources that could not be asked.
    pub faults: Vec<Error>,
}

/// A secret that a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name; for the environment, the variable's.
    pub name: String,
    /// The source, by name.
    pub place: String,
    /// An earlier source has it too and is the one that counts.
    pub is_hidden: bool,
}

/// What removing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Where it was removed from; `None` if it was not there.
    pub from: Option<String>,
    /// Sources that are only read and have it still: where to remove it by hand.
    pub still_in: Vec<String>,
}

impl Sources {
    /// In the order in which they are asked.
    pub fn new(chain: impl IntoIterator<Item = Source>) -> Self {
        Self(chain.into_iter().collect())
    }

    /// The value; `None` if no source has it.
    ///
    /// # Errors
    /// A source before the one that has it failed.
    pub async fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        for source in &self.0 {
            if let Some(value) = source.get(name).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The first source that has a value, by name: the one that counts.
    ///
    /// # Errors
    /// As for [`Sources::get`].
    pub async fn counts(&self, name: &SecretName) -> Result<Option<String>, Error> {
        for source in &self.0 {
            if source.get(name).await?.is_some() {
                return Ok(Some(source.place()));
            }
        }
        Ok(None)
    }

    /// The value.
    ///
    /// # Errors
    /// As for [`Sources::get`]; [`Error::Missing`] says which command sets it.
    pub async fn require(&self, name: &SecretName) -> Result<Secret, Error> {
        self.get(name)
            .await?
            .ok_or_else(|| Error::Missing { name: name.clone() })
    }

    /// Stores a value in the first source that can be written; returns its name.
    ///
    /// # Errors
    /// The value is empty, longer than [`LONGEST`] bytes or has a NUL character, there is no such source, or it failed.
    pub async fn set(&self, name: &SecretName, value: &Secret) -> Result<String, Error> {
        let reason = match value.expose() {
            "" => Some("it is empty; `dockmaster secret remove` removes a secret"),
            text if text.len() > LONGEST => Some("it is longer than 64 KiB; mount a file instead"),
            text if text.contains('\0') => {
                Some("it has a NUL character, which no environment variable can hold")
            }
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(Error::Value {
                name: name.clone(),
                reason,
            });
        }
        let source = self.writable()?;
        match source {
            Source::Vault(vault) => vault.set(name, value.clone()).await?,
            Source::Helper(helper) => helper.set(name, value).await?,
            Source::DockerPass(pass) => pass.set(name, value).await?,
            Source::Environment(_) | Source::Folder(_) | Source::EnvFile(_) => {}
        }
        Ok(source.place())
    }

    /// Removes a secret from the source that [`Sources::set`] writes to.
    ///
    /// # Errors
    /// There is no such source, or one failed.
    pub async fn remove(&self, name: &SecretName) -> Result<Removed, Error> {
        let writable = self.writable()?;
        let was_there = match writable {
            Source::Vault(vault) => vault.remove(name).await?,
            Source::Helper(helper) => helper.remove(name).await?,
            Source::DockerPass(pass) => pass.remove(name).await?,
            Source::Environment(_) | Source::Folder(_) | Source::EnvFile(_) => false,
        };
        let mut still_in = Vec::new();
        for source in &self.0 {
            if !std::ptr::eq(source, writable) && source.get(name).await?.is_some() {
                still_in.push(source.place());
            }
        }
        Ok(Removed {
            from: was_there.then(|| writable.place()),
            still_in,
        })
    }

    /// What there is. A source that fails takes nothing away from the others.
    pub async fn list(&self) -> Listing {
        let mut listing = Listing::default();
        for source in &self.0 {
            match source.names().await {
                Ok(names) => listing.entries.extend(names.into_iter().map(|name| Listed {
                    name,
                    place: source.place(),
                    is_hidden: false,
                })),
                Err(fault) => listing.faults.push(fault),
            }
        }
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut before: Option<String> = None;
        for entry in &mut listing.entries {
            entry.is_hidden = before.as_deref() == Some(&entry.name);
            before = Some(entry.name.clone());
        }
        listing
    }

    /// The sources, by name, in their order.
    pub fn places(&self) -> Vec<String> {
        self.0.iter().map(Source::place).collect()
    }

    fn writable(&self) -> Result<&Source, Error> {
        let can_be_written = |source: &&Source| {
            matches!(
                source,
                Source::Vault(_) | Source::Helper(_) | Source::DockerPass(_)
            )
        };
        self.0.iter().find(can_be_written).ok_or_else(|| Error::ReadOnly {
            places: match self.places() {
                places if places.is_empty() => "what there is".to_owned(),
                places => places.join(", "),
            },
        })
    }
}

impl Source {
    fn place(&self) -> String {
        match self {
            Self::Environment(_) => "the environment".to_owned(),
            Self::Folder(folder) => folder.place(),
            Self::EnvFile(file) => file.place(),
            Self::Vault(vault) => vault.place(),
            Self::Helper(helper) => helper.place(),
            Self::DockerPass(_) => DockerPass::place(),
        }
    }

    async fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        match self {
            Self::Environment(environment) => Ok(environment.get(name)),
            // Small local files: a read takes microseconds, less than handing it to another thread.
            Self::Folder(folder) => folder.get(name),
            Self::EnvFile(file) => file.get(name),
            Self::Vault(vault) => vault.get(name).await,
            Self::Helper(helper) => helper.get(name).await,
            Self::DockerPass(pass) => pass.get(name).await,
        }
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        let names = match self {
            Self::Environment(environment) => {
                return Ok(environment.variables().map(str::to_owned).collect());
            }
            Self::Folder(folder) => folder.names()?,
            Self::EnvFile(file) => file.names()?,
            Self::Vault(vault) => vault.names().await?,
            Self::Helper(helper) => helper.names().await?,
            Self::DockerPass(pass) => pass.names().await?,
        };
        Ok(names.into_iter().map(|name| name.to_string()).collect())
    }
}
