//! The toolbox of tools that the user declared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{KnownSecrets, Secret};
use catalog::plan::Container;
use catalog::tools::{self, Call, Does, Text, Tool};
use fetch::{Addresses, Client, Plain};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use programs::task::Task;
use serde_json::{Map, Value};
use wire::Raw;

use crate::answer::{self, Printed};
use crate::command::{self, Program};
use crate::request;
use crate::serve::Toolbox;

/// How long looking for a program on another machine may take.
const FINDING: Duration = Duration::from_secs(30);
/// Most bytes of where it is.
const MOST_NAME: usize = 4 << 10;

/// Whoever can run a container to its end.
pub trait Containers: Send + Sync + 'static {
    /// Runs one, with this standard input, for so long and with so much of each output kept. Giving up the future ends and
    /// removes it. The error says why it could not be run.
    fn run<'a>(
        &'a self,
        container: &'a Container,
        stdin: Option<&'a [u8]>,
        tool: &'a Tool,
    ) -> BoxFuture<'a, Result<Outcome, String>>;

    /// Makes sure of its image, which may be fetched; says which it is, or why it can't be had.
    fn image<'a>(&'a self, container: &'a Container) -> BoxFuture<'a, Result<String, String>>;
}

/// Whoever can run commands on another machine.
pub trait Commands: Send + Sync + 'static {
    /// The host that it is.
    fn place(&self) -> &str;

    /// Runs one to its end, with the environment of its login beside its own. Giving up the future ends it with all that it
    /// has started. The error says why it could not be run.
    fn run(&self, task: Task) -> BoxFuture<'_, Result<Outcome, String>>;
}

/// How a container, or a command on another machine, went.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// Bytes of it behind that.
    pub more: u64,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Bytes of it that were not kept.
    pub before: u64,
    /// Its time was up.
    pub timed_out: bool,
    /// How it ended, if that was not well.
    pub failed: Option<String>,
}

/// Tools that the user declared.
pub struct Declared {
    /// What the server is called.
    pub name: String,
    /// What there is.
    pub tools: Vec<Tool>,
    /// The values of secrets, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// What must not come out of any tool.
    pub known: KnownSecrets,
    /// Runs commands, where that is not this machine.
    pub commands: Option<Arc<dyn Commands>>,
    /// Variables that every command gets.
    pub environment: Vec<(String, Secret)>,
    /// Reaches the public Internet, by https.
    pub client: Client,
    /// Runs containers.
    pub containers: Arc<dyn Containers>,
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declared")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Toolbox for Declared {
    fn name(&self) -> &str {
        &self.name
    }

    fn definitions(&self) -> Vec<Value> {
        self.tools.iter().map(|tool| tool.definition.clone()).collect()
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a Map<String, Value>) -> Option<BoxFuture<'a, Raw>> {
        let tool = self.tools.iter().find(|known| known.name == tool)?;
        Some(self.run(tool, arguments).boxed())
    }
}

impl Declared {
    /// Whether a tool could be called, without calling it: its program is there, its host answers, its image can be had.
    /// Nothing is sent but a HEAD of the host's first page, without headers or secrets.
    ///
    /// # Errors
    /// Why it could not, and what to do.
    pub async fn check(&self, tool: &Tool) -> Result<String, String> {
        match &tool.does {
            Does::Command(command) => {
                let program = command.argv.first().map(Text::as_written).unwrap_or_default();
                if let Some(commands) = &self.commands {
                    return find(&**commands, program, command.working_dir.clone()).await;
                }
                let path = self.environment.iter().find(|(name, _)| name == "PATH");
                let path = path.map(|(_, path)| path.expose()).unwrap_or_default();
                let folder = command.working_dir.as_deref();
                if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                    return Err(format!("its working directory {} is not there", folder.display()));
                }
                programs::task::find(program, path, folder)
                    .map(|file| file.display().to_string())
                    .ok_or_else(|| format!("there is no program {program} on the PATH {path}"))
            }
            Does::Http(http) => request::reach(http, &self.client_for(http.private)).await,
            Does::Container(contained) => self.containers.image(&contained.container).await,
        }
    }

    /// Who wrote `private` means that host, wherever it is.
    fn client_for(&self, private: bool) -> Client {
        if private {
            self.client.with_rules(Addresses::Private, Plain::Permitted)
        } else {
            self.client.clone()
        }
    }

    async fn run(&self, tool: &Tool, arguments: &Map<String, Value>) -> Raw {
        let secret = |name: &str| self.secrets.get(name).cloned();
        let call = match tools::fill(tool, arguments, &secret) {
            Ok(call) => call,
            Err(faults) => {
                let faults = faults.join("; ");
                return answer::text(&format!("{} was not called: {faults}", tool.name), true);
            }
        };
        match call {
            Call::Command {
                argv,
                env,
                working_dir,
                stdin,
            } => {
                let mut all = self.environment.clone();
                all.retain(|(name, _)| !env.iter().any(|(other, _)| other == name));
                all.extend(env);
                let program = Program {
                    argv,
                    env: all,
                    working_dir,
                    stdin,
                };
                match &self.commands {
                    None => command::run(tool, program).await,
                    Some(commands) => went(tool, commands.run(program.task(tool)).await),
                }
            }
            Call::Http(call) => {
                let client = self.client_for(call.private);
                request::send(tool, call, &client, &self.known).await
            }
            Call::Container { container, stdin } => {
                let outcome = self.containers.run(&container, stdin.as_deref(), tool).await;
                went(tool, outcome)
            }
        }
    }
}

/// What is answered of a container, or of a command on another machine.
fn went(tool: &Tool, outcome: Result<Outcome, String>) -> Raw {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(why) => return answer::text(&format!("{} was not run: {why}", tool.name), true),
    };
    let failed = if outcome.timed_out {
        Some(command::late(tool))
    } else {
        outcome.failed
    };
    answer::printed(
        tool,
        &Printed {
            stdout: &outcome.stdout,
            more: outcome.more,
            stderr: &outcome.stderr,
            before: outcome.before,
            failed,
        },
    )
}

/// The file of a program on another machine.
async fn find(commands: &dyn Commands, program: &str, folder: Option<PathBuf>) -> Result<String, String> {
    let argv = ["sh", "-c", "command -v -- \"$1\" || :", "--", program];
    let task = Task {
        argv: argv.map(str::to_owned).to_vec(),
        env: Vec::new(),
        working_dir: folder,
        stdin: Vec::new(),
        time: FINDING,
        output: MOST_NAME,
        complaint: MOST_NAME,
    };
    let found = commands.run(task).await?;
    let place = commands.place();
    if found.timed_out {
        let seconds = FINDING.as_secs();
        return Err(format!(
            "whether {place} has the program {program} was not found out in {seconds} s"
        ));
    }
    if let Some(failed) = found.failed {
        return Err(format!(
            "whether {place} has the program {program} was not found out ({failed})"
        ));
    }
    let file = String::from_utf8_lossy(&found.stdout);
    if file.trim().is_empty() {
        return Err(format!("there is no program {program} on {place}"));
    }
    Ok(format!("{} on {place}", base::text::clean(file.trim())))
}
