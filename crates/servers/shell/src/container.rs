//! Commands in containers: one container for each command, made for it, locked down as every container of a server is,
//! and removed with it.
//!
//! One for each and not one for a session: nothing of a command reaches the next but through the folders that are mounted
//! for writing, the end of a container is the end of every process in it, and limits hold for each command by itself. It
//! costs what starting a container costs, some 0.4 s.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::names::ServerName;
use bytes::Bytes;
use catalog::plan::{self, Limits, Mount, Network, Root, Source, Value};
use engine::Output;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use instances::{End, Exited, Instances, OutOfMemory, Outputs, Signalled, Start};

use crate::rules::Program;
use crate::runner::{Command, Exit, Fault, How, Process, Reach, Runner, Started, Which};
use crate::signal::Signal;

/// How long a command may take to end after SIGTERM, in whole seconds, since the engine counts so.
const GRACE: Duration = Duration::from_secs(2);

/// Containers on one engine.
#[derive(Clone)]
pub struct Containers {
    /// What makes them. Its engine's guard has to permit [`Self::roots`].
    pub instances: Instances,
    /// The name that they bear.
    pub server: ServerName,
    /// Who has them; only a hash of it is written down.
    pub share: String,
    /// What they are made of.
    pub image: String,
    /// Folders of the engine's host, each mounted at the path that it has there.
    pub roots: Vec<Root>,
    /// What they reach.
    pub network: Network,
    /// Bounds on each.
    pub limits: Limits,
    /// `user[:group]`; `None`: the owner of the first root for writing, else nobody in particular.
    pub user: Option<String>,
    /// What every command has in its environment.
    pub env: Vec<(String, String)>,
}

impl Runner for Containers {
    fn place(&self) -> String {
        format!("in a container of {}", self.image)
    }

    fn program(&self, command: &Command) -> Program {
        Program::unseen(command.argv.first().map(String::as_str).unwrap_or_default())
    }

    fn start<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Started, Fault>> {
        Box::pin(self.begin(command))
    }
}

impl Containers {
    async fn begin(&self, command: &Command) -> Result<Started, Fault> {
        let container = self.container(command);
        let start = Start {
            server: &self.server,
            container: &container,
            share: &self.share,
            secrets: &|_| None,
            stderr: None,
            progress: None,
        };
        let begun = Box::pin(self.instances.command(start, GRACE)).await;
        let (command, input, outputs) = begun.map_err(|error| fault(&error))?;
        Ok(Started {
            input: Box::new(input),
            outputs: stream::unfold(outputs, next).boxed(),
            process: Arc::new(Contained(command)),
        })
    }

    fn container(&self, command: &Command) -> plan::Container {
        let mount = |root: &Root| Mount {
            source: Source::Path(root.path.clone()),
            target: root.path.to_string_lossy().into_owned(),
            read_only: !root.write,
        };
        let env = self.env.iter().chain(&command.env);
        let home = self.roots.first().map(|root| root.path.clone());
        let dir = command.dir.as_ref().map(PathBuf::from).or(home);
        plan::Container {
            image: self.image.clone(),
            command: command.argv.clone(),
            env: env
                .map(|(name, value)| (name.clone(), Value::Plain(value.clone())))
                .collect(),
            mounts: self.roots.iter().map(mount).collect(),
            user: self.user.clone(),
            network: self.network.clone(),
            limits: self.limits,
            working_dir: Some(
                dir.map_or_else(|| "/tmp".to_owned(), |dir| dir.to_string_lossy().into_owned()),
            ),
            ..plan::Container::default()
        }
    }
}

fn fault(error: &instances::Error) -> Fault {
    let fault = Fault::new(error.to_string());
    match error {
        instances::Error::Pull { .. } => {
            fault.fix("have the image pulled, or another one set as `image` of [shell]")
        }
        instances::Error::Engine { cause, .. } if matches!(**cause, engine::Error::Refused(_)) => {
            fault.fix("what the guard refuses stays refused until a person changes the configuration")
        }
        _ => fault,
    }
}

/// The next piece. A broken connection is an end; whoever asks how the command ended hears of it.
async fn next(mut outputs: Outputs) -> Option<((Which, Bytes), Outputs)> {
    let piece = match outputs.next().await.ok()?? {
        Output::Stderr(bytes) => (Which::Stderr, bytes),
        Output::Stdout(bytes) | Output::Console(bytes) => (Which::Stdout, bytes),
    };
    Some((piece, outputs))
}

struct Contained(instances::Command);

impl Process for Contained {
    fn ended(&self) -> BoxFuture<'_, Exit> {
        async move { exit(&self.0.exited().await) }.boxed()
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<Reach, Fault>> {
        async move {
            match self.0.signal(signal.name()).await {
                Ok(Signalled::All) => Ok(Reach::Tree),
                Ok(Signalled::First) => Ok(Reach::First),
                Err(error) => Err(Fault::new(format!("{signal} was not sent: {error}"))),
            }
        }
        .boxed()
    }

    fn end(&self, _grace: Duration) -> BoxFuture<'_, ()> {
        async move { drop(self.0.end().await) }.boxed()
    }
}

fn exit(exited: &Exited) -> Exit {
    let remark = match (exited.out_of_memory, exited.end) {
        (OutOfMemory::Yes, _) => Some("it used more memory than it may (`memory` of [shell])"),
        (OutOfMemory::Perhaps, _) => {
            Some("if nobody killed it, it used more memory than it may (`memory` of [shell])")
        }
        (OutOfMemory::No, End::Lost) => Some("its container is gone, or the engine does not answer"),
        (OutOfMemory::No, _) => None,
    };
    Exit {
        how: exited.code.map_or(How::Unknown, How::of_code),
        remark: remark.map(str::to_owned),
    }
}
