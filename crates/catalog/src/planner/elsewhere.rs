//! What is no lasting container: remotes, processes on this machine, and tools that are a container for each call.

use std::collections::BTreeMap;

use super::judge::{check_url, host_of_url, is_header_name};
use super::{Planner, Processes};
use crate::entry::{CallTool, Declared, Format, Run, Variable};
use crate::lack::{Lack, LackSort};
use crate::mounts;
use crate::plan::{CallTemplates, Container, PerCall, Process, Remote, RemoteTransport};
use crate::template::Template;

impl Planner<'_> {
    pub(super) fn remote(
        &mut self,
        url: &Template,
        transport: RemoteTransport,
        headers: &[Variable],
    ) -> Option<Remote> {
        let filled = self.fill(url);
        let shown = filled.shown();
        let secret_url = filled.secrets().next().is_some().then(|| filled.clone().value());
        if let Err(why) = check_url(&shown.replace(['<', '>', ' '], "x")) {
            let config = filled.has_data() || shown.contains('{');
            let sort = if config { LackSort::Config } else { LackSort::Entry };
            let mend = url.keys().next().map(|key| {
                self.config_command(
                    key.strip_prefix(&format!("{}.", self.name())).unwrap_or(key),
                    "VALUE",
                )
            });
            self.lacks.push(Lack::new(
                sort,
                format!("the address {shown:?} of {} can't be used: {why}", self.name()),
                mend.unwrap_or_default(),
            ));
            return None;
        }
        let mut all = BTreeMap::new();
        for header in headers {
            let filled = self.fill(&header.value);
            if filled.lacks_secret() {
                self.notes.push(format!(
                    "the header {} is left out, as its secret is not given",
                    header.name
                ));
            } else if !is_header_name(&header.name) || filled.shown().chars().any(char::is_control) {
                self.lacks.push(Lack::new(
                    LackSort::Entry,
                    format!(
                        "the header {:?} of {} is none that HTTP has",
                        header.name,
                        self.name()
                    ),
                    "",
                ));
            } else if !filled.is_empty() {
                all.insert(header.name.clone(), filled.value());
            }
        }
        let place = host_of_url(&shown).map_or_else(|| shown.clone(), |host| host.to_string());
        self.asks_for.push(format!(
            "is not run here: what the agent gives its tools is sent to {place}"
        ));
        Some(Remote {
            url: shown,
            secret_url,
            transport,
            headers: all,
            of_the_user: self.entry.format == Format::Own,
        })
    }

    pub(super) fn process(
        &mut self,
        command: &[Template],
        env: &[Variable],
        working_dir: Option<&str>,
    ) -> Option<Process> {
        if let Processes::Refused { line } = &self.around.processes {
            let what = format!(
                "{} is a program on this machine, outside any container, which is not permitted",
                self.name()
            );
            self.lacks
                .push(Lack::new(LackSort::Permission, what, format!("write {line}")));
        }
        let mut words = Vec::new();
        for template in command {
            for filled in self.spread(template) {
                if filled.secrets().next().is_some() {
                    let what = format!(
                        "the command of {} holds a secret, which every user of this machine could see",
                        self.name()
                    );
                    self.lacks.push(Lack::new(
                        LackSort::Setup,
                        what,
                        "give it in `env` instead".to_owned(),
                    ));
                }
                words.push(filled.shown());
            }
        }
        let working_dir = match working_dir.map(|path| mounts::host_path(path, self.around.home.as_deref())) {
            None => None,
            Some(Ok(path)) => Some(path),
            Some(Err(why)) => {
                self.lacks.push(Lack::new(
                    LackSort::Setup,
                    format!("its working directory can't be used: {why}"),
                    String::new(),
                ));
                None
            }
        };
        if words.first().is_none_or(String::is_empty) {
            self.lacks.push(Lack::new(
                LackSort::Entry,
                format!("{} has an empty command", self.name()),
                "",
            ));
            return None;
        }
        self.asks_for
            .push("runs on this machine with your rights, outside any container".to_owned());
        Some(Process {
            command: words,
            env: self.environment(env),
            working_dir,
        })
    }

    pub(super) fn per_call(&mut self, tool: &CallTool) -> PerCall {
        let mut container = Container {
            limits: self.limits(None),
            catalog: self.around.catalog.clone(),
            private_hosts: self.hosts_of_the_user(&Declared::Unstated),
            network: self.network(&Declared::Unstated),
            gpus: self.setup.gpus,
            image: self.image(&tool.image).unwrap_or_default(),
            env: self.environment(&[]),
            ..Container::default()
        };
        let mut templates = CallTemplates {
            command: tool.command.clone(),
            user: self.setup.user.clone().or_else(|| tool.user.clone()),
            ..CallTemplates::default()
        };
        for volume in &tool.volumes {
            let template = Template::parse(volume);
            if template.is_plain() {
                let made = mounts::of_entry(&self.fill(&template), self.around, "");
                self.add_mount(made, &mut container);
            } else {
                templates.roots.clone_from(&self.around.roots);
                templates.host.clone_from(&self.around.host);
                templates.volumes.push(volume.clone());
            }
        }
        let own = Run::default();
        self.mounts(&own, &mut container);
        self.secret_files(&own, &mut container);
        self.loosen(&mut container);
        if !templates.volumes.is_empty() {
            let roots: Vec<String> = templates
                .roots
                .iter()
                .map(|root| root.path.display().to_string())
                .collect();
            if roots.is_empty() {
                self.notes.push(format!(
                    "{} mounts what a call names, which is refused: there are no roots under [hosts.{}.guard]",
                    tool.name, self.around.host
                ));
            } else {
                self.asks_for.push(format!(
                    "{} mounts what a call names, under {}",
                    tool.name,
                    roots.join(", ")
                ));
            }
        }
        self.say_what_it_asks(&container);
        self.asks_for.dedup();
        PerCall {
            name: tool.name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
            annotations: tool.annotations.clone(),
            container,
            templates,
        }
    }
}
