//! The catalogs that are at hand: our own, those that were imported, and the user's own servers.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base::names::ServerName;
use catalog::plan::Plan;
use catalog::read::{self, Catalog, Fault};
use catalog::{Around, Entry, Lack, Setup, ours};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::settings::Settings;
use crate::toolfile;

/// The name of the catalog that comes along.
pub(crate) const OURS: &str = "dockmaster";
/// The name under which the user's own servers are shown.
pub(crate) const OWN: &str = "own";
/// The kind of document that an imported catalog is.
const KIND: &str = "catalog";
/// Most bytes of one file of a catalog.
const LARGEST: u64 = 32 << 20;

/// An imported catalog, as it is kept: the texts as they came, so that a later version reads more of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Imported {
    /// Where it came from: an absolute path or a URL.
    pub(crate) source: String,
    pub(crate) form: Form,
    texts: Vec<Piece>,
}

/// What the texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// One catalog in YAML or JSON.
    Catalog,
    /// A `server.yaml` for each server.
    Folders,
    /// Pages of the official registry's API.
    Registry,
    /// The `server.json` of one server.
    Server,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Piece {
    /// The folder's name; empty where there is none.
    name: String,
    text: String,
    /// Its `tools.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tools: Option<String>,
}

/// A catalog that was read.
pub(crate) struct Shelved {
    pub(crate) name: String,
    /// Where it came from; empty for ours and the user's own.
    pub(crate) source: String,
    /// When it was read there.
    pub(crate) read_at: Option<jiff::Timestamp>,
    pub(crate) catalog: Cow<'static, Catalog>,
}

/// All catalogs: the user's own servers first, then those that were imported, then ours.
pub(crate) struct Shelf {
    pub(crate) catalogs: Vec<Shelved>,
}

/// An entry, and the catalog that it is in.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) catalog: &'a str,
    pub(crate) entry: &'a Entry,
}

impl Found<'_> {
    /// It is one of our own, and no profile switches it.
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self.entry.kind, catalog::entry::Kind::BuiltIn)
    }

    /// What would run for it, or what is missing for that.
    pub(crate) fn plan(&self, setup: &Setup, around: &Around) -> Result<Plan, Vec<Lack>> {
        let around = Around {
            catalog: Some(self.catalog.to_owned()),
            ..around.clone()
        };
        catalog::plan(self.entry, setup, &around)
    }

    /// Writes down which catalog's entry is meant, if another one may come that has the name too.
    pub(crate) fn pin(&self, setup: &mut Setup) -> Result<()> {
        if setup.catalog.is_none() && ![OWN, OURS].contains(&self.catalog) {
            setup.catalog = Some(ServerName::parse(self.catalog)?);
        }
        Ok(())
    }
}

impl Shelf {
    /// Reads all of them.
    pub(crate) fn open(settings: &Settings, store: &Store) -> Result<Self> {
        let mut own = Catalog::default();
        for (name, server) in &settings.config.servers {
            let entry = match toolfile::read(settings, server) {
                Ok(tools) => read::own(name, server, tools.as_ref()),
                Err(what) => Err(Fault {
                    name: name.to_string(),
                    line: 0,
                    what,
                }),
            };
            match entry {
                Ok(entry) => own.entries.push(entry),
                Err(fault) => own.faults.push(fault),
            }
        }
        let mut catalogs = vec![Shelved {
            name: OWN.to_owned(),
            source: String::new(),
            read_at: None,
            catalog: Cow::Owned(own),
        }];
        for document in store.documents().list(KIND)? {
            let imported: Imported = serde_json::from_str(&document.text).with_context(|| {
                format!(
                    "the kept catalog {} is damaged; remove and import it again",
                    document.name
                )
            })?;
            let catalog = imported
                .read()
                .with_context(|| format!("the catalog {} can't be read", document.name))?;
            catalogs.push(Shelved {
                name: document.name,
                source: imported.source,
                read_at: Some(document.changed),
                catalog: Cow::Owned(catalog),
            });
        }
        catalogs.push(Shelved {
            name: OURS.to_owned(),
            source: String::new(),
            read_at: None,
            catalog: Cow::Borrowed(ours::catalog()),
        });
        Ok(Self { catalogs })
    }

    /// The entry of this name, or of `CATALOG/NAME`. A plain name means the user's own server before ours before an
    /// imported one, so that nobody's catalog takes the place of a name that was known before.
    pub(crate) fn find(&self, name: &str) -> Result<Found<'_>> {
        let (wanted, name) = match name.split_once('/') {
            Some((catalog, name)) => (Some(catalog), name),
            None => (None, name),
        };
        let mut order: Vec<_> = self.catalogs.iter().collect();
        order.sort_by_key(|shelved| match shelved.name.as_str() {
            OWN => 0,
            OURS => 1,
            _ => 2,
        });
        let found: Vec<_> = order
            .iter()
            .filter(|shelved| wanted.is_none_or(|wanted| wanted == shelved.name))
            .filter_map(|shelved| {
                let entry = shelved.catalog.get(name)?;
                Some(Found {
                    catalog: &shelved.name,
                    entry,
                })
            })
            .collect();
        let imported = found
            .iter()
            .filter(|found| ![OWN, OURS].contains(&found.catalog))
            .count();
        if imported == found.len() && imported > 1 {
            let names: Vec<_> = found
                .iter()
                .map(|found| format!("{}/{name}", found.catalog))
                .collect();
            bail!("{name} is in several catalogs; write {}", names.join(" or "));
        }
        if let Some(found) = found.into_iter().next() {
            return Ok(found);
        }
        let faults = self.catalogs.iter().flat_map(|shelved| &shelved.catalog.faults);
        if let Some(fault) = faults.into_iter().find(|fault| fault.name == name) {
            bail!("the entry of {name} can't be read: {fault}");
        }
        let shown = base::text::clean(base::text::cut(name, 80)).replace('\n', " ");
        if let Some(wanted) = wanted {
            let wanted = base::text::clean(base::text::cut(wanted, 80)).replace('\n', " ");
            bail!(
                "the catalog {wanted:?} has no server {shown:?}, or is not here; `dockmaster catalog list` lists them"
            );
        }
        bail!("no catalog has a server {shown:?}; `dockmaster catalog search WORD` finds one")
    }

    /// The entry that a set-up means by this name: that of its catalog, if it names one.
    pub(crate) fn meant(&self, name: &ServerName, setup: &Setup) -> Result<Found<'_>> {
        match &setup.catalog {
            Some(catalog) => self.find(&format!("{catalog}/{name}")),
            None => self.find(name.as_str()),
        }
    }

    /// The catalogs that have this name, one that can't be read included.
    pub(crate) fn having(&self, name: &str) -> impl Iterator<Item = &Shelved> {
        self.catalogs.iter().filter(move |shelved| {
            let catalog = &shelved.catalog;
            catalog.get(name).is_some() || catalog.faults.iter().any(|fault| fault.name == name)
        })
    }

    /// Puts a catalog among them that is not kept yet.
    pub(crate) fn add(&mut self, name: &str, imported: &Imported, catalog: &Catalog) {
        self.catalogs.push(Shelved {
            name: name.to_owned(),
            source: imported.source.clone(),
            read_at: None,
            catalog: Cow::Owned(catalog.clone()),
        });
    }

    /// Every entry, with its catalog.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Found<'_>> {
        self.catalogs.iter().flat_map(|shelved| {
            shelved.catalog.entries.iter().map(|entry| Found {
                catalog: &shelved.name,
                entry,
            })
        })
    }
}

impl Imported {
    /// Reads what stands in a file or folder: a catalog, the folder of a server, or a folder of such.
    pub(crate) fn from_path(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let source = path.display().to_string();
        if fs::metadata(&path)?.is_dir() {
            let texts = folders(&path)?;
            if !texts.is_empty() {
                return Ok(Self {
                    source,
                    form: Form::Folders,
                    texts,
                });
            }
            let single = path.join("server.json");
            if single.is_file() {
                return Ok(Self::from_text(source, bounded(&single)?));
            }
            bail!("{source} has no server.yaml or server.json in it, and no folder with a server.yaml");
        }
        if path.file_name().is_some_and(|name| name == "server.yaml")
            && let Some(piece) = path.parent().and_then(|folder| piece(folder).transpose())
        {
            return Ok(Self {
                source,
                form: Form::Folders,
                texts: vec![piece?],
            });
        }
        Ok(Self::from_text(source, bounded(&path)?))
    }

    /// One text: a catalog, an answer of the official registry, or one server's `server.json` or `server.yaml`.
    pub(crate) fn from_text(source: String, text: String) -> Self {
        let folder = source.rsplit(['/', '\\']).nth(1).unwrap_or_default();
        // The first two have a list `servers`; whose items can be read tells them apart.
        let form = match (read::registry(&text), read::catalog(&text)) {
            (Ok(page), _) if !page.catalog.entries.is_empty() => Form::Registry,
            (_, Ok(catalog)) if !catalog.entries.is_empty() => Form::Catalog,
            (Ok(_), _) => Form::Registry,
            (Err(_), _) if read::server_json(&text).is_ok() => Form::Server,
            (Err(_), _) if read::folder(folder, &text, None, None).is_ok() => Form::Folders,
            (Err(_), _) => Form::Catalog,
        };
        let name = match form {
            Form::Folders => folder.to_owned(),
            Form::Catalog | Form::Registry | Form::Server => String::new(),
        };
        Self {
            source,
            form,
            texts: vec![Piece {
                name,
                text,
                tools: None,
            }],
        }
    }

    /// Adds a further page of the same form.
    pub(crate) fn push(&mut self, text: String) {
        self.texts.push(Piece {
            name: String::new(),
            text,
            tools: None,
        });
    }

    /// What it says.
    pub(crate) fn read(&self) -> Result<Catalog> {
        let mut catalog = Catalog::default();
        for Piece { name, text, tools } in &self.texts {
            let bad = |bad: catalog::node::Bad| anyhow::anyhow!("{}: {bad}", self.source);
            match self.form {
                Form::Catalog => catalog = read::catalog(text).map_err(bad)?,
                Form::Folders => match read::folder(name, text, tools.as_deref(), None) {
                    Ok(entry) => catalog.entries.push(entry),
                    Err(fault) => catalog.faults.push(fault),
                },
                Form::Server => match read::server_json(text) {
                    Ok(entry) => catalog.entries.push(entry),
                    Err(fault) => catalog.faults.push(fault),
                },
                Form::Registry => {
                    let page = read::registry(text).map_err(bad)?;
                    catalog.entries.extend(page.catalog.entries);
                    catalog.faults.extend(page.catalog.faults);
                }
            }
        }
        Ok(catalog)
    }

    /// Keeps it under a name.
    pub(crate) fn keep(&self, store: &Store, name: &str) -> Result<()> {
        Ok(store.documents().put(KIND, name, &serde_json::to_string(self)?)?)
    }

    /// The one that is kept under a name.
    pub(crate) fn kept(store: &Store, name: &str) -> Result<Option<Self>> {
        let document = store.documents().get(KIND, name)?;
        document
            .map(|document| serde_json::from_str(&document.text).context("the kept catalog is damaged"))
            .transpose()
    }

    /// Forgets one; whether there was one.
    pub(crate) fn forget(store: &Store, name: &str) -> Result<bool> {
        Ok(store.documents().remove(KIND, name)?)
    }
}

/// The folders of servers: this one itself, or those in it.
fn folders(path: &Path) -> Result<Vec<Piece>> {
    if let Some(single) = piece(path)? {
        return Ok(vec![single]);
    }
    let mut inner: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    inner.sort_by_key(fs::DirEntry::file_name);
    let pieces = inner.iter().map(|folder| piece(&folder.path()));
    pieces.filter_map(Result::transpose).collect()
}

/// The folder of a server; `None`: it has no `server.yaml`.
fn piece(folder: &Path) -> Result<Option<Piece>> {
    let file = folder.join("server.yaml");
    if !file.is_file() {
        return Ok(None);
    }
    let name = folder.file_name().unwrap_or_default();
    let tools = folder.join("tools.json");
    Ok(Some(Piece {
        name: name.to_string_lossy().into_owned(),
        text: bounded(&file)?,
        tools: tools.is_file().then(|| bounded(&tools)).transpose()?,
    }))
}

fn bounded(path: &Path) -> Result<String> {
    let bytes = fs::metadata(path)?.len();
    if bytes > LARGEST {
        bail!(
            "{} has {bytes} bytes, which no catalog has; at most {LARGEST} are read",
            path.display()
        );
    }
    Ok(fs::read_to_string(path)?)
}

/// A name for a catalog, made of a proposal: as servers are named.
pub(crate) fn catalog_name(proposal: &str) -> Result<String> {
    let name = ServerName::parse(proposal)
        .map_err(|error| anyhow::anyhow!("a catalog can't be called so: {error}"))?;
    if [OURS, OWN].contains(&name.as_str()) {
        bail!("{name} is the name of a catalog that is always there; choose another with --name");
    }
    Ok(name.as_str().to_owned())
}
