//! The container of a plan: image, command, environment, mounts, user, bounds and network.

use std::collections::BTreeSet;

use base::names::ImageRef;

use super::{Known, Planner, is_variable_name};
use crate::entry::{Declared, Format, Image, Run, Variable};
use crate::lack::{Lack, LackSort};
use crate::mounts::{self, Asker, Made, Refused};
use crate::plan::{Container, HostPort, Limits, Mount, Network, Part, Source, Value};
use crate::setup::{Capability, NetworkChoice, Setup};
use crate::template::Template;
use crate::{packages, schema};

impl Planner<'_> {
    pub(super) fn container(&mut self, image: &Image, run: &Run) -> Option<Container> {
        let mut container = Container {
            limits: self.limits(run.memory),
            catalog: self.around.catalog.clone(),
            private_hosts: self.hosts_of_the_user(&run.network),
            network: self.network(&run.network),
            gpus: self.setup.gpus,
            capabilities: run.capabilities.clone(),
            writable_root: run.writable_root,
            docker_socket: run.docker_socket,
            working_dir: run.working_dir.clone(),
            extra_hosts: run.extra_hosts.clone(),
            ..Container::default()
        };
        match image {
            Image::Reference(reference) => container.image = self.image(reference)?,
            Image::Package(package) => {
                match packages::build(package, &self.around.bases, &self.around.versions) {
                    Ok((tag, build)) => {
                        self.notes
                            .push(format!("its image is made here: {}", packages::describe(&build)));
                        if build.version.is_none() {
                            let again = format!("dockmaster server enable {}", self.name());
                            self.notes.push(format!(
                            "its package has no version yet: the newest is looked up and pinned by: {again}"
                        ));
                        }
                        container.image = tag;
                        container.build = Some(build);
                        if let Some(image) = &self.setup.image {
                            container.image = self.image(image)?;
                            container.build = None;
                        }
                    }
                    Err(why) => {
                        self.lacks.push(Lack::new(
                            LackSort::Entry,
                            format!("{} can't be made here: {why}", self.name()),
                            "",
                        ));
                        return None;
                    }
                }
            }
        }
        self.command(run, &mut container);
        container.env = self.environment(&run.env);
        self.mounts(run, &mut container);
        self.secret_files(run, &mut container);
        self.loosen(&mut container);
        container.user = self.user(run.user.as_ref());
        self.say_what_it_asks(&container);
        Some(container)
    }

    pub(super) fn image(&mut self, reference: &str) -> Option<String> {
        let reference = self.setup.image.as_deref().unwrap_or(reference).trim();
        let Ok(image) = ImageRef::parse(reference) else {
            let (sort, mend) = match &self.setup.image {
                Some(_) => (
                    LackSort::Setup,
                    format!("write under {}: image = \"...\"", self.table()),
                ),
                None => (LackSort::Entry, String::new()),
            };
            self.lacks.push(Lack::new(
                sort,
                format!(
                    "the image {reference:?} of {} is not an image reference",
                    self.name()
                ),
                mend,
            ));
            return None;
        };
        match self.around.digests.get(reference) {
            Some(digest) if image.digest().is_none() && !image.is_id() => {
                let pinned = format!("{reference}@{digest}");
                Some(ImageRef::parse(&pinned).map_or_else(|_| reference.to_owned(), String::from))
            }
            _ => Some(reference.to_owned()),
        }
    }

    fn command(&mut self, run: &Run, container: &mut Container) {
        for argument in &run.command {
            let Some(template) = &argument.value else {
                container.command.extend(argument.flag.clone());
                continue;
            };
            for filled in self.spread(template) {
                if filled.lacks_secret() {
                    let flag = argument.flag.clone().unwrap_or_else(|| "an argument".to_owned());
                    self.notes
                        .push(format!("{flag} is left out, as its secret is not given"));
                    continue;
                }
                if filled.is_empty() && argument.optional {
                    continue;
                }
                let filled = match &argument.flag {
                    // A flag that ends so has its value in the same argument.
                    Some(flag) if flag.ends_with('=') => filled.behind_text(flag),
                    flag => {
                        container.command.extend(flag.clone());
                        filled
                    }
                };
                let place = container.command.len();
                container.command.push(filled.shown());
                if filled.secrets().next().is_some() {
                    container.secret_arguments.insert(place, filled.value());
                }
            }
        }
    }

    /// Secrets first, then what the entry sets, then what the user does; a later one replaces an earlier of its name.
    pub(super) fn environment(&mut self, variables: &[Variable]) -> Vec<(String, Value)> {
        let mut env: Vec<(String, Value)> = Vec::new();
        let mut set = |name: &str, value: Value| {
            env.retain(|(other, _)| other != name);
            env.push((name.to_owned(), value));
        };
        for need in &self.entry.secrets {
            if let Some(Some(name)) = self.secrets.get(need.env.as_str())
                && need.in_environment
            {
                self.used.insert(name.clone());
                set(&need.env, Value::Parts(vec![Part::Secret(name.clone())]));
            }
        }
        let mut missing = Vec::new();
        for variable in variables {
            let filled = self.fill(&variable.value);
            if filled.is_empty() || filled.lacks_secret() {
                missing.extend(
                    self.unknown_keys(&variable.value)
                        .map(|key| format!("{} ({key})", variable.name)),
                );
                continue;
            }
            set(&variable.name, filled.value());
        }
        if !missing.is_empty() {
            self.notes.push(format!(
                "variables left out, as nothing is configured for them: {}",
                missing.join(", ")
            ));
        }
        for (name, value) in &self.setup.env {
            if is_variable_name(name) && !value.contains('\0') {
                set(name, Value::Plain(value.clone()));
            } else {
                self.lacks.push(Lack::new(
                    LackSort::Setup,
                    format!("{name:?} is not a variable that a container can have"),
                    format!("change `env` under {}", self.table()),
                ));
            }
        }
        env
    }

    /// Keys of a template that the schema says nothing of; those it knows are its own business.
    fn unknown_keys<'t>(&self, template: &'t Template) -> impl Iterator<Item = &'t str> {
        let known: BTreeSet<String> = self
            .entry
            .config
            .schema
            .as_ref()
            .map(schema::keys)
            .unwrap_or_default()
            .into_iter()
            .collect();
        let own = format!("{}.", self.name());
        let keys: Vec<&str> = template
            .keys()
            .map(|key| key.strip_prefix(&own).unwrap_or(key))
            .filter(|key| !known.contains(*key))
            .collect();
        keys.into_iter()
    }

    pub(super) fn mounts(&mut self, run: &Run, container: &mut Container) {
        for volume in &run.volumes {
            let keys: Vec<String> = volume.keys().map(str::to_owned).collect();
            let items = self.spread(volume);
            if items.is_empty() {
                self.notes
                    .push("a mount is left out, as nothing is configured for it".to_owned());
            }
            for filled in items {
                let mend = match keys.first() {
                    Some(key) => {
                        let key = key
                            .strip_prefix(self.name())
                            .and_then(|key| key.strip_prefix('.'))
                            .unwrap_or(key);
                        self.config_command(key, "/absolute/path")
                    }
                    None => String::new(),
                };
                let made = mounts::of_entry(&filled, self.around, &mend);
                self.add_mount(made, container);
            }
        }
        for spec in &self.setup.mounts {
            let mend = format!("change `mounts` under {}", self.table());
            let asker = Asker {
                from_user: true,
                mend: &mend,
            };
            let made = mounts::make(&spec.source, &spec.target, spec.read_only, self.around, &asker).map_err(
                |why| match why {
                    Refused::Lack(lack) => lack,
                    Refused::Target(why) => Lack::new(
                        LackSort::Setup,
                        format!("the mount \"{spec}\" can't be made: {why}"),
                        mend.clone(),
                    ),
                },
            );
            self.add_mount(made, container);
        }
        container.volumes.clone_from(&self.setup.volumes);
    }

    /// What the user lets the container do beside what its entry asks for.
    pub(super) fn loosen(&mut self, container: &mut Container) {
        let Setup {
            tmpfs,
            capabilities,
            docker_socket,
            writable_root,
            ..
        } = self.setup;
        for place in tmpfs {
            let made = mounts::target_path(place).map(|target| {
                let source = Source::Tmpfs;
                let mount = Mount {
                    source,
                    target,
                    read_only: false,
                };
                Made::Mount(mount, None)
            });
            let made = made.map_err(|why| {
                Lack::new(
                    LackSort::Setup,
                    format!("{place:?} can't be memory: {why}"),
                    format!("change `tmpfs` under {}", self.table()),
                )
            });
            self.add_mount(made, container);
        }
        for Capability(name) in capabilities {
            if !container.capabilities.contains(name) {
                container.capabilities.push(name.clone());
            }
        }
        container.docker_socket |= docker_socket;
        container.writable_root |= writable_root;
    }

    /// Secrets as files: first those that the entry wants so, then the user's.
    pub(super) fn secret_files(&mut self, run: &Run, container: &mut Container) {
        let own = run.secret_files.iter().map(|file| (file, LackSort::Entry));
        let users = self.setup.secret_files.iter();
        for ((place, name), sort) in own.chain(users.map(|file| (file, LackSort::Setup))) {
            let mend = format!("change `secret_files` under {}", self.table());
            let kept = self.setup.kept_as(name);
            let target = match mounts::target_path(place) {
                Ok(_) if kept.is_empty() => Err("`secrets` says that it does without"),
                target => target,
            };
            let target = match target {
                Ok(target) => target,
                Err(why) => {
                    let what = format!("the secret {name} can't be the file {place:?}: {why}");
                    let mend = if sort == LackSort::Entry { "" } else { &mend };
                    self.lacks.push(Lack::new(sort, what, mend));
                    continue;
                }
            };
            if matches!(&self.around.secrets, Known::These(names) if !names.contains(kept)) {
                self.lack_of_secret(kept, &format!("the file {target}"));
            }
            self.used.insert(kept.to_owned());
            let mount = Mount {
                source: Source::Secret(kept.to_owned()),
                target,
                read_only: true,
            };
            self.add_mount(Ok(Made::Mount(mount, None)), container);
        }
    }

    pub(super) fn add_mount(&mut self, made: Result<Made, Lack>, container: &mut Container) {
        match made {
            Ok(Made::Mount(mount, note)) => {
                self.notes.extend(note);
                // A later mount of the same place replaces an earlier one, as the user's do the entry's.
                container.mounts.retain(|other| other.target != mount.target);
                container.mounts.push(mount);
            }
            Ok(Made::DockerSocket) => container.docker_socket = true,
            Ok(Made::Nothing(note)) => self.notes.push(note),
            Err(lack) => {
                if !self.lacks.contains(&lack) {
                    self.lacks.push(lack);
                }
            }
        }
    }

    fn user(&mut self, template: Option<&Template>) -> Option<String> {
        let user = match &self.setup.user {
            Some(user) => user.clone(),
            None => self.fill(template?).text()?,
        };
        if user.is_empty() {
            return None;
        }
        let part = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if user.split(':').count() <= 2 && user.split(':').all(part) {
            return Some(user);
        }
        self.lacks.push(Lack::new(
            LackSort::Setup,
            format!("{user:?} is not a user that a container can run as"),
            format!("write under {}: user = \"1000:1000\"", self.table()),
        ));
        None
    }

    pub(super) fn limits(&self, memory: Option<u64>) -> Limits {
        let usual = Limits::default();
        Limits {
            memory: self
                .setup
                .memory
                .map_or(memory.unwrap_or(usual.memory), |memory| memory.0),
            cpus: self.setup.cpus.map_or(usual.cpus, |cpus| cpus.0),
            pids: self.setup.pids.filter(|pids| *pids > 0).unwrap_or(usual.pids),
        }
    }

    /// The hosts that the user named for this very set-up, or in a definition of his own; nobody else's.
    pub(super) fn hosts_of_the_user(&self, declared: &Declared) -> Vec<HostPort> {
        let own = match declared {
            Declared::Hosts(hosts) if self.entry.format == Format::Own => hosts.as_slice(),
            _ => &[],
        };
        let named = self.setup.hosts.iter().map(|host| &host.0);
        own.iter().chain(named).cloned().collect()
    }

    pub(super) fn network(&mut self, declared: &Declared) -> Network {
        let own = || self.setup.hosts.iter().map(|host| host.0.clone());
        let mut hosts: Vec<HostPort> = match (declared, self.setup.network) {
            (_, Some(NetworkChoice::None)) => return Network::None,
            (_, Some(NetworkChoice::Open)) => return Network::Open,
            (Declared::Hosts(hosts), _) => hosts.iter().cloned().chain(own()).collect(),
            (Declared::None | Declared::Unstated, _) => own().collect(),
        };
        hosts.sort();
        hosts.dedup();
        if !hosts.is_empty() {
            return Network::Hosts(hosts);
        }
        if *declared == Declared::Unstated {
            self.notes.push(self.how_to_open());
        }
        Network::None
    }
}
