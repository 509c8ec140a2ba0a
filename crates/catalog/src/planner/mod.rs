//! Makes the plan: what exactly would run for an entry as the user set it up, or what is missing for that.
//!
//! A pure function. Everything beyond the lockdown is written down for a person to read before it is enabled; nothing
//! is granted because an entry forgot to say that it does not need it. Deliberately absent: asking an engine, a
//! registry or a store of secrets for anything; what is known of them comes in [`Around`].

mod container;
mod elsewhere;
mod judge;
mod placed;
mod tools;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::entry::{Entry, Kind};
use crate::lack::{Lack, LackSort, word};
use crate::packages::Bases;
use crate::plan::{Life, Plan, Root, Sharing, Target};
use crate::schema;
use crate::setup::Setup;
use crate::template::{Behind, Filled, Scope, Template};

use judge::{example, is_usable_default, keeps_state, nested};

pub(crate) use judge::{check_url, is_header_name, is_variable_name};

/// What a plan depends on beside the entry and its setup.
#[derive(Debug, Clone)]
pub struct Around {
    /// The catalog that the entry is in, if that matters to anybody.
    pub catalog: Option<String>,
    /// The profile in which it is switched on, for commands and lines that are named.
    pub profile: String,
    /// The host whose guard judges mounts.
    pub host: String,
    /// Folders of the host that may be mounted.
    pub roots: Vec<Root>,
    /// Whether the guard refuses a folder for what it is, although a root holds it.
    pub is_sensitive: fn(&Path) -> bool,
    /// What that host is for.
    pub labels: Vec<String>,
    /// Nothing on it may be changed.
    pub is_read_only: bool,
    /// The other hosts, by name.
    pub others: BTreeMap<String, There>,
    /// The user's home folder, for `~/`.
    pub home: Option<PathBuf>,
    /// Which secrets have a value.
    pub secrets: Known,
    /// Whether processes on this machine are permitted, and else the line that permits them.
    pub processes: Processes,
    /// Digests of images that were pinned: `sha256:...` by reference.
    pub digests: BTreeMap<String, String>,
    /// Versions that packages which name none were pinned to, by [`Build::pin`](crate::plan::Build::pin).
    pub versions: BTreeMap<String, String>,
    /// The images that packages are installed into.
    pub bases: Bases,
}

pub use placed::{Beside, There};

/// Which secrets have a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Known {
    /// Nobody looked; all that are required are taken to have one.
    #[default]
    Unasked,
    /// The same, and of those that are not required exactly these.
    OfOptional(BTreeSet<String>),
    /// Exactly these.
    These(BTreeSet<String>),
}

/// Whether processes on this machine are permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processes {
    /// They are.
    Permitted,
    /// They are not; this line of the configuration would permit them.
    Refused {
        /// The line.
        line: String,
    },
}

impl Default for Around {
    fn default() -> Self {
        Self {
            catalog: None,
            profile: "default".to_owned(),
            host: "local".to_owned(),
            roots: Vec::new(),
            is_sensitive: |_| false,
            labels: Vec::new(),
            is_read_only: false,
            others: BTreeMap::new(),
            home: None,
            secrets: Known::Unasked,
            processes: Processes::Refused {
                line: "[gateway] commands = true".to_owned(),
            },
            digests: BTreeMap::new(),
            versions: BTreeMap::new(),
            bases: Bases::default(),
        }
    }
}

/// What would run for `entry` as `setup` has it; or all that is missing for that, at once.
pub fn plan(entry: &Entry, setup: &Setup, around: &Around) -> Result<Plan, Vec<Lack>> {
    let placed = match placed::around(setup, around) {
        Ok(placed) => placed,
        Err(lack) => return Err(vec![lack]),
    };
    let mut planner = Planner {
        entry,
        setup,
        around: &placed.around,
        machine: placed.machine(),
        config: Map::new(),
        secrets: BTreeMap::new(),
        used: BTreeSet::new(),
        asks_for: Vec::new(),
        notes: Vec::new(),
        lacks: Vec::new(),
    };
    planner.configure();
    planner.find_secrets();
    let target = planner.target();
    if let Some(target) = target.as_ref().filter(|_| setup.host.is_some()) {
        planner.lacks.extend(placed.lacks(planner.name(), target));
        planner.notes.extend(placed.note(target));
    }
    planner.finish(target)
}

struct Planner<'a> {
    entry: &'a Entry,
    setup: &'a Setup,
    around: &'a Around,
    /// The host whose machine commands run on, if that is not this one.
    machine: Option<&'a str>,
    /// With defaults.
    config: Map<String, Json>,
    /// By variable: the name under which the user keeps it, or none if it does without.
    secrets: BTreeMap<&'a str, Option<String>>,
    /// Names of secrets that the plan uses.
    used: BTreeSet<String>,
    asks_for: Vec<String>,
    notes: Vec<String>,
    lacks: Vec<Lack>,
}

impl<'a> Planner<'a> {
    fn name(&self) -> &'a str {
        self.entry.name.as_str()
    }

    /// The table of the configuration that this server has.
    fn table(&self) -> String {
        let name = self.name();
        let key = if name.contains('.') {
            format!("{name:?}")
        } else {
            name.to_owned()
        };
        format!("[profiles.{}.servers.{key}]", self.around.profile)
    }

    fn config_command(&self, key: &str, value: &str) -> String {
        format!(
            "dockmaster server config {} {}",
            self.name(),
            word(&format!("{key}={value}"))
        )
    }

    fn configure(&mut self) {
        let Some(schema) = &self.entry.config.schema else {
            self.config = self.setup.config.clone();
            return;
        };
        // Flat dotted keys are what command lines and older files have; the schema sees them nested.
        let given = nested(schema, self.name(), &self.setup.config);
        let usable = |key: &str, default: &Json| is_usable_default(self.entry.mounts_key(key), default);
        self.config = schema::fill(schema, &given, &usable);
        for violation in schema::check(schema, &Json::Object(self.config.clone())) {
            let value = example(schema, &violation.path).unwrap_or_else(|| "VALUE".to_owned());
            let what = format!("the configuration of {}: {violation}", self.name());
            let mend = if violation.path.is_empty() {
                format!("see dockmaster server inspect {}", self.name())
            } else {
                self.config_command(&violation.path, &value)
            };
            self.lacks.push(Lack::new(LackSort::Config, what, mend));
        }
        let known = schema::keys(schema);
        for key in self.config.keys() {
            let is_known = known.iter().any(|path| {
                path == key
                    || path
                        .strip_prefix(key.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
            });
            if !is_known && !self.entry.uses_key(key) {
                let there = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                self.notes.push(format!(
                    "its configuration has {key:?}, which {} does not know; there are: {there}",
                    self.name()
                ));
            }
        }
        let unchecked = schema::unchecked(schema);
        if !unchecked.is_empty() {
            self.notes.push(format!(
                "its schema has what is not checked here: {}",
                unchecked.join(", ")
            ));
        }
    }

    fn find_secrets(&mut self) {
        for need in &self.entry.secrets {
            if self.setup.is_in_file(&need.name) {
                self.secrets.insert(&need.env, None);
                continue;
            }
            let chosen = self.setup.secrets.get(&need.name);
            let kept = chosen.unwrap_or(&need.name);
            let has_value = match &self.around.secrets {
                Known::Unasked => need.required || chosen.is_some(),
                Known::OfOptional(names) => need.required || chosen.is_some() || names.contains(kept),
                Known::These(names) => names.contains(kept),
            };
            let does_without = kept.is_empty() || !has_value && !need.required && chosen.is_none();
            if does_without {
                self.secrets.insert(&need.env, None);
                if !kept.is_empty() {
                    self.notes.push(format!(
                        "it does without {}, which it can use: dockmaster secret set {}",
                        need.env,
                        word(kept)
                    ));
                }
                continue;
            }
            if !has_value {
                let about = need
                    .description
                    .as_deref()
                    .and_then(|text| text.lines().next())
                    .unwrap_or_default();
                let about = base::text::clean(base::text::cut(about, 160)).trim().to_owned();
                let about = if about.is_empty() {
                    String::new()
                } else {
                    format!(" ({about})")
                };
                self.lack_of_secret(kept, &format!("{}{about}", need.env));
            }
            self.secrets.insert(&need.env, Some(kept.clone()));
        }
        for name in self.setup.secrets.keys() {
            if !self.entry.secrets.iter().any(|need| &need.name == name) {
                let there: Vec<&str> = self.entry.secrets.iter().map(|need| need.name.as_str()).collect();
                let there = if there.is_empty() {
                    "none".to_owned()
                } else {
                    there.join(", ")
                };
                self.notes.push(format!(
                    "`secrets` names {name:?}, which its entry does not have; there are: {there}"
                ));
            }
        }
    }

    fn lack_of_secret(&mut self, kept: &str, what_for: &str) {
        self.lacks.push(Lack::new(
            LackSort::Secret,
            format!("{} needs the secret {kept}, for {what_for}", self.name()),
            format!("dockmaster secret set {}", word(kept)),
        ));
    }

    fn target(&mut self) -> Option<Target> {
        let is_container = matches!(self.entry.kind, Kind::Container { .. } | Kind::PerCall(_));
        let may_loosen = is_container || matches!(self.entry.kind, Kind::Tools(_));
        let Setup {
            secret_files,
            tmpfs,
            capabilities,
            docker_socket,
            ..
        } = self.setup;
        for (is_lost, key, what) in [
            (
                !is_container && !secret_files.is_empty(),
                "secret_files",
                "no secret as a file",
            ),
            (!may_loosen && !tmpfs.is_empty(), "tmpfs", "no memory"),
            (
                !may_loosen && !capabilities.is_empty(),
                "capabilities",
                "no capability",
            ),
            (!may_loosen && *docker_socket, "docker_socket", "no Docker socket"),
        ] {
            if is_lost {
                self.lacks.push(Lack::new(
                    LackSort::Setup,
                    format!("{} is no container, so it can be given {what}", self.name()),
                    format!("take `{key}` out of {}", self.table()),
                ));
            }
        }
        let runs_only_for_calls = matches!(self.entry.kind, Kind::PerCall(_) | Kind::Tools(_));
        if runs_only_for_calls && self.setup.warm > 0 {
            self.lacks.push(Lack::new(
                LackSort::Setup,
                format!(
                    "{} runs something for each call alone, so nothing of it can be kept warm",
                    self.name()
                ),
                format!("take `warm` out of {}", self.table()),
            ));
        }
        match &self.entry.kind {
            Kind::Container { image, run } => self.container(image, run).map(Target::Container),
            Kind::Remote {
                url,
                transport,
                headers,
            } => self.remote(url, *transport, headers).map(Target::Remote),
            Kind::PerCall(tools) => Some(Target::PerCall(
                tools.iter().map(|tool| self.per_call(tool)).collect(),
            )),
            Kind::Tools(tools) => {
                let planned = tools.iter().map(|tool| self.tool(tool)).collect::<Vec<_>>();
                planned.into_iter().collect::<Option<_>>().map(Target::Tools)
            }
            Kind::Process {
                command,
                env,
                working_dir,
            } => self
                .process(command, env, working_dir.as_deref())
                .map(Target::Process),
            Kind::BuiltIn => Some(Target::BuiltIn),
            Kind::Unusable(why) => {
                self.lacks.push(Lack::new(
                    LackSort::Entry,
                    format!("{} can't be run here: {why}", self.name()),
                    "",
                ));
                None
            }
        }
    }

    fn finish(mut self, target: Option<Target>) -> Result<Plan, Vec<Lack>> {
        let prefix = self.setup.prefix.as_ref().or(self.entry.prefix.as_ref());
        let prefix = prefix.map(|prefix| prefix.as_str().to_owned());
        let Some(target) = target.filter(|_| self.lacks.is_empty()) else {
            return Err(self.lacks);
        };
        if !self.entry.oauth.is_empty() {
            let providers: BTreeSet<&str> = self
                .entry
                .oauth
                .iter()
                .map(|oauth| oauth.provider.as_str())
                .collect();
            let providers = providers.into_iter().collect::<Vec<_>>().join(", ");
            self.notes
                .push(format!("it can sign in by OAuth with {providers}"));
        }
        // Each tool of a per-call server may have said the same.
        let mut said = BTreeSet::new();
        self.notes.retain(|note| said.insert(note.clone()));
        Ok(Plan {
            server: self.entry.name.clone(),
            host: self.setup.host.clone(),
            sharing: self.sharing(),
            life: Life {
                warm: NonZeroU8::new(self.setup.warm),
                idle_stop: self.setup.idle_stop,
                start_timeout: self.setup.start_timeout,
                list_timeout: self.setup.list_timeout,
                call_timeout: self.setup.call_timeout,
            },
            tools: self.setup.tools.clone(),
            prefix,
            secrets: self.used.into_iter().collect(),
            asks_for: self.asks_for,
            notes: self.notes,
            target,
        })
    }

    fn sharing(&self) -> Sharing {
        let own = self.setup.sharing.or(self.entry.sharing);
        own.unwrap_or_else(|| {
            if keeps_state(self.entry) {
                Sharing::Session
            } else {
                Sharing::Everyone
            }
        })
    }

    fn fill(&mut self, template: &Template) -> Filled {
        let filled = template.fill(&self.scope());
        self.used.extend(filled.secrets().map(str::to_owned));
        filled
    }

    fn spread(&mut self, template: &Template) -> Vec<Filled> {
        let items = template.spread(&self.scope());
        self.used
            .extend(items.iter().flat_map(Filled::secrets).map(str::to_owned));
        items
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            server: self.name(),
            config: &self.config,
            secret: self,
        }
    }
}

impl crate::template::Secrets for Planner<'_> {
    fn behind(&self, variable: &str) -> Behind {
        match self.secrets.get(variable) {
            None => Behind::Nothing,
            Some(None) => Behind::Absent,
            Some(Some(name)) => Behind::Secret(name.clone()),
        }
    }
}
