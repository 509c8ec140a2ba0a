//! Tools that the user declared: what the configuration permits, where secrets are kept, and the containers.

use super::judge::host_of_url;
use super::{Planner, Processes};
use crate::entry::{Declared, Image, Run, Variable};
use crate::lack::{Lack, LackSort};
use crate::mounts;
use crate::plan::Container;
use crate::template::Template;
use crate::tools::{Command, Does, Http, InContainer, Text, Tool, file};

impl Planner<'_> {
    /// `None`: what is missing stands among the lacks.
    pub(super) fn tool(&mut self, tool: &Tool<file::Container>) -> Option<Tool> {
        let does = match &tool.does {
            Does::Command(command) => Does::Command(self.tool_command(&tool.name, command)?),
            Does::Http(http) => Does::Http(self.tool_http(&tool.name, http)),
            Does::Container(contained) => Does::Container(self.tool_container(contained)?),
        };
        Some(Tool {
            name: tool.name.clone(),
            definition: tool.definition.clone(),
            time: tool.time,
            output: tool.output,
            does,
        })
    }

    fn tool_command(&mut self, name: &str, command: &Command) -> Option<Command> {
        // What a host permits is judged with what else it has.
        if self.machine.is_none()
            && let Processes::Refused { line } = &self.around.processes
        {
            let what = format!(
                "{name} of {} is a program on this machine, outside any container, which is not permitted",
                self.name()
            );
            self.lack(Lack::new(LackSort::Permission, what, format!("write {line}")));
        }
        let program = command.argv.first().map(Text::as_written).unwrap_or_default();
        self.ask(match self.machine {
            None => format!("{name} runs {program} on this machine with your rights, outside any container"),
            Some(host) => format!(
                "{name} runs {program} on {host} with the rights of who logs in there, outside any container"
            ),
        });
        let mut planned = command.clone();
        planned.env = self.hidden(&command.env);
        if let Some(folder) = &command.working_dir {
            // The home folder of whoever logs in on a host is not known here.
            let home = self.around.home.as_deref().filter(|_| self.machine.is_none());
            match mounts::host_path(&folder.to_string_lossy(), home) {
                Ok(path) => planned.working_dir = Some(path),
                Err(why) => {
                    self.lack(Lack::new(
                        LackSort::Setup,
                        format!("the working_dir of {name} can't be used: {why}"),
                        match self.machine {
                            None => "",
                            Some(_) => "write the whole path; without any it is the home folder over there",
                        },
                    ));
                    return None;
                }
            }
        }
        Some(planned)
    }

    fn tool_http(&mut self, name: &str, http: &Http) -> Http {
        let url = http.url.as_written();
        let place = host_of_url(url).map_or_else(|| url.to_owned(), |host| host.to_string());
        let private = if http.private {
            ", which may be in a private network"
        } else {
            ""
        };
        self.ask(format!(
            "{name} sends what the agent gives it to {place}{private}"
        ));
        Http {
            headers: self.hidden(&http.headers),
            ..http.clone()
        }
    }

    fn tool_container(&mut self, given: &InContainer<file::Container>) -> Option<InContainer<Container>> {
        let own = &given.container;
        let run = Run {
            env: own
                .env
                .iter()
                .map(|(name, value)| Variable {
                    name: name.clone(),
                    value: Template::parse(value),
                })
                .collect(),
            volumes: own
                .volumes
                .iter()
                .map(|volume| Template::parse(&volume.to_string()))
                .collect(),
            user: own.user.as_deref().map(Template::literal),
            network: if own.hosts.is_empty() {
                Declared::None
            } else {
                Declared::Hosts(own.hosts.iter().map(|host| host.0.clone()).collect())
            },
            working_dir: own.working_dir.clone(),
            writable_root: own.writable_root,
            memory: own.memory.map(|memory| memory.0),
            ..Run::default()
        };
        let mut container = self.container(&Image::Reference(own.image.clone()), &run)?;
        // What the user says of the server as a whole goes before.
        if let Some(cpus) = own.cpus.filter(|_| self.setup.cpus.is_none()) {
            container.limits.cpus = cpus.0;
        }
        if let Some(pids) = own.pids.filter(|pids| *pids > 0 && self.setup.pids.is_none()) {
            container.limits.pids = pids;
        }
        Some(InContainer {
            container,
            argv: given.argv.clone(),
            env: given.env.clone(),
            stdin: given.stdin.clone(),
        })
    }

    /// Headers or variables with the names under which the user keeps their secrets; without those that he has not given.
    fn hidden(&mut self, pairs: &[(String, Text)]) -> Vec<(String, Text)> {
        let mut kept = Vec::new();
        for (name, text) in pairs {
            let known = |variable: &str| self.secrets.get(variable).cloned().flatten();
            match text.with_secrets(known) {
                Some(text) => {
                    self.used.extend(text.secrets().map(str::to_owned));
                    kept.push((name.clone(), text));
                }
                None => self
                    .notes
                    .push(format!("{name} is left out, as its secret is not given")),
            }
        }
        kept
    }

    fn ask(&mut self, ask: String) {
        if !self.asks_for.contains(&ask) {
            self.asks_for.push(ask);
        }
    }

    fn lack(&mut self, lack: Lack) {
        if !self.lacks.contains(&lack) {
            self.lacks.push(lack);
        }
    }
}
