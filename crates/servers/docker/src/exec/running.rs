//! One command in a container, and its end. The Engine API can start a command but not end it, so each bears a mark
//! in its environment; a second command, as root, finds by that mark the process and all its descendants, and
//! ends them.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::values::Pairs;
use base::names::{ContainerRef, ExecId};
use engine::models::ExecConfig;
use engine::ops::containers::Attached;
use engine::{Engine, Tty};
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The name of the mark.
const MARK: &str = "DOCKMASTER_EXEC";
/// Ends whatever bears the mark `$1`: first asks, a second later kills.
const ENDER: &str = r#"
for signal in TERM KILL; do
  found=0
  for process in /proc/[0-9]*; do
    if grep -q "DOCKMASTER_EXEC=$1" "$process/environ" 2>/dev/null; then
      kill -$signal "${process#/proc/}" 2>/dev/null
      found=1
    fi
  done
  [ $found = 0 ] && exit 0
  [ $signal = TERM ] && sleep 1
done
"#;
/// How long the ending may take.
const ENDING: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) command: Vec<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) env: Pairs,
    pub(crate) user: Option<String>,
    pub(crate) tty: Tty,
    pub(crate) stdin: bool,
    pub(crate) privileged: bool,
}

/// A command that was started.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    engine: Engine,
    container: ContainerRef,
    exec: ExecId,
    mark: String,
}

/// How an attempt to end a command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It had ended by itself.
    ByItself,
    /// It was ended.
    Killed,
    /// It goes on. Its number on the engine's host, and why it could not be ended.
    Not { pid: u64, why: String },
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByItself => f.write_str("it had ended by itself"),
            Self::Killed => f.write_str("it was killed"),
            Self::Not { pid, why } => {
                write!(
                    f,
                    "it could not be killed ({why}) and still runs as process {pid} of the engine's host; "
                )?;
                f.write_str("restart the container to end it")
            }
        }
    }
}

/// Starts a command and joins it.
pub(crate) async fn begin(
    ctx: &Ctx,
    container: &ContainerRef,
    config: Config,
) -> Result<(Running, Attached), ToolError> {
    let mark = format!("{:016x}", server_kit::random::number());
    let mut env = config.env.to_list();
    env.push(format!("{MARK}={mark}"));
    let tty = config.tty;
    let body = ExecConfig {
        attach_stdin: Some(config.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(tty == Tty::Yes),
        env: Some(env),
        cmd: Some(config.command),
        privileged: Some(config.privileged),
        user: config.user,
        working_dir: config.workdir,
        ..ExecConfig::default()
    };
    let engine = ctx.engine().clone();
    let exec = engine.exec_create(container, body).await?;
    let running = Running {
        engine,
        container: container.clone(),
        exec,
        mark,
    };
    let attached = running.engine.exec_start(&running.exec, tty).await?;
    Ok((running, attached))
}

impl Running {
    /// The exit code, once the output has ended. `None` if it goes on without output.
    pub(crate) async fn exit_code(&self) -> Result<Option<i64>, ToolError> {
        Ok(self.engine.exec_exit_code(&self.exec).await?)
    }

    /// Ends it with all its descendants, as far as that can be done from inside, and says how it went.
    pub(crate) async fn end(&self) -> Ended {
        let give_up = Instant::now() + ENDING;
        let mut why = match self.state().await {
            Ok(None) => return Ended::ByItself,
            Ok(Some(_)) => self.send_ender().await.err(),
            Err(error) => Some(error),
        };
        let mut pid = 0;
        while Instant::now() < give_up {
            match self.state().await {
                Ok(None) => return Ended::Killed,
                Ok(Some(running)) => pid = running,
                Err(error) => why = Some(error),
            }
            if why.is_some() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let why = why.unwrap_or_else(|| "the image has no grep or kill, or the process withstood".to_owned());
        Ended::Not { pid, why }
    }

    /// The process's number while it runs.
    async fn state(&self) -> Result<Option<u64>, String> {
        match self.engine.exec_state(&self.exec).await {
            Ok(state) => Ok(state.running.then_some(state.pid)),
            // The container is gone, and the process with it.
            Err(engine::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn send_ender(&self) -> Result<(), String> {
        let body = ExecConfig {
            // The owner of the process might not be able to read its own environment, root is.
            user: Some("0".to_owned()),
            cmd: Some(["sh", "-c", ENDER, "sh", &self.mark].map(str::to_owned).to_vec()),
            ..ExecConfig::default()
        };
        let sent = async {
            let exec = self.engine.exec_create(&self.container, body).await?;
            self.engine.exec_start_detached(&exec).await
        };
        sent.await.map_err(|error| match error {
            engine::Error::Conflict { .. } => "the container is paused or not running".to_owned(),
            error if error.to_string().contains("executable file not found") => {
                "the image has no shell to do it with".to_owned()
            }
            error => error.to_string(),
        })
    }
}
