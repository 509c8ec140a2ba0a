//! Commands run in a running container.
//!
//! An exec instance is made, started once (joined to it or not), and can be inspected until its container is gone.
//! The API has no call that ends one: whoever wants that closes its input, or signals its process from inside.

use super::containers::Attached;
use crate::models::ExecConfig;
use crate::{Engine, Error, Request, Tty, path};
use base::names::{ContainerRef, ExecId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The output of a command ends a moment before the daemon has noted its exit code.
const EXIT_CODE_LIMIT: Duration = Duration::from_secs(5);

/// How an exec instance is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecState {
    /// Its command runs.
    pub running: bool,
    /// The code with which it ended; 126 and 127 when it could not be started.
    pub exit_code: Option<i64>,
    /// Its process's number on the engine's host; 0 before it starts.
    #[serde(default)]
    pub pid: u64,
    /// The container in which it runs.
    #[serde(rename = "ContainerID", default)]
    pub container: String,
}

impl Engine {
    /// Prepares a command. [`Engine::exec_start`] runs it.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the container does not run or is paused.
    pub async fn exec_create(&self, container: &ContainerRef, config: ExecConfig) -> Result<ExecId, Error> {
        let what = format!("POST /containers/{container}/exec");
        let name = container.as_str();
        let created = self
            .typed(
                &what,
                |docker| async move { docker.create_exec(name, config).await },
            )
            .await?;
        ExecId::parse(&created.id).map_err(|error| Error::protocol(what, error))
    }

    /// Runs a command and joins it: its input if it was made with one, and its outputs. `tty` must be what it was
    /// made with.
    pub async fn exec_start(&self, exec: &ExecId, tty: Tty) -> Result<Attached, Error> {
        let request = Request::post(path!["exec", exec, "start"])
            .json(&json!({ "Detach": false, "Tty": tty == Tty::Yes }));
        let what = request.what();
        Ok(Attached {
            stream: self.hijack(request).await?,
            what,
            tty,
        })
    }

    /// Runs a command and leaves it alone.
    pub async fn exec_start_detached(&self, exec: &ExecId) -> Result<(), Error> {
        let request =
            Request::post(path!["exec", exec, "start"]).json(&json!({ "Detach": true, "Tty": false }));
        self.raw(request).await.map(drop)
    }

    /// Everything about one exec instance.
    pub async fn exec_inspect(&self, exec: &ExecId) -> Result<Value, Error> {
        self.json(Request::get(path!["exec", exec, "json"])).await
    }

    /// Whether it runs, and how it ended.
    pub async fn exec_state(&self, exec: &ExecId) -> Result<ExecState, Error> {
        self.json(Request::get(path!["exec", exec, "json"])).await
    }

    /// The exit code of a command whose output has ended. `None` if it still runs 5 s later: a command that closes
    /// its outputs may go on.
    pub async fn exec_exit_code(&self, exec: &ExecId) -> Result<Option<i64>, Error> {
        let give_up = Instant::now() + EXIT_CODE_LIMIT;
        let mut pause = Duration::from_millis(2);
        loop {
            let state = self.exec_state(exec).await?;
            if !state.running && state.exit_code.is_some() {
                return Ok(state.exit_code);
            }
            if Instant::now() >= give_up {
                return Ok(None);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Tells its terminal another size, in characters.
    pub async fn exec_resize(&self, exec: &ExecId, rows: u16, columns: u16) -> Result<(), Error> {
        let request = Request::post(path!["exec", exec, "resize"])
            .query("h", rows)
            .query("w", columns);
        self.raw(request).await.map(drop)
    }
}
