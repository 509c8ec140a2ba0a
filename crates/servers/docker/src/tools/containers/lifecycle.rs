//! Starting, stopping, pausing, renaming and removing containers.

use crate::create::{Made, report};
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::values::Span;
use base::names::ContainerRef;
use engine::ops::containers::{Change, RemoveContainer as How, Stop};
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

/// How long the engine waits before it kills, when nothing else is said; its own default.
const STOP_TIMEOUT: u64 = 10;

macro_rules! container_only {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            #[schemars(with = "String")]
            container: ContainerRef,
        }
    };
}

container_only!(
    /// Starts what was created or stopped.
    StartContainer
);
container_only!(
    /// Freezes all processes.
    PauseContainer
);
container_only!(
    /// Lets them go on.
    UnpauseContainer
);

impl Call<Ctx> for StartContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "start_container", "Start a container.")
        .adds()
        .idempotent()
        .aliases(&["docker_start_container", "container_start"]);

    fn about(&self) -> String {
        format!("start container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let done = match ctx.engine().container_start(&self.container).await? {
            Change::Done => "started",
            Change::AlreadySo => "already running:",
        };
        Ok(report(&ctx, &Made::existing(self.container), done).await)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[schemars(extend("about" = "How long it may take before it is killed; 10s, or what the container was made with."))]
    timeout: Option<Span>,
}

impl Call<Ctx> for StopContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "stop_container", "Stop a container.")
        .disturbs()
        .idempotent()
        .aliases(&["docker_stop_container", "container_stop"]);

    fn about(&self) -> String {
        format!("stop container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        announce_stop(&ctx, &self.container, self.timeout).await;
        Ok(
            match ctx
                .engine()
                .container_stop(&self.container, how(self.timeout))
                .await?
            {
                Change::Done => Answer::text(format!(
                    "stopped {}{}",
                    self.container,
                    exit(&ctx, &self.container).await
                )),
                Change::AlreadySo => Answer::text(format!("{} was not running", self.container)),
            },
        )
    }
}

/// The exit code, where the container is still there to tell it.
async fn exit(ctx: &Ctx, container: &ContainerRef) -> String {
    match ctx.engine().container_inspect(container).await {
        Ok(details) => format!(" ({})", super::digest::state(&details)),
        Err(_) => String::new(),
    }
}

fn how(timeout: Option<Span>) -> Stop<'static> {
    Stop {
        timeout: timeout.and_then(|span| u32::try_from(span.0.as_secs()).ok()),
        signal: None,
    }
}

async fn announce_stop(ctx: &Ctx, container: &ContainerRef, timeout: Option<Span>) {
    let seconds = timeout.map_or(STOP_TIMEOUT, |span| span.0.as_secs());
    ctx.progress(
        0.0,
        None,
        format!("stopping {container}; it is killed after {seconds} s"),
    )
    .await;
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    timeout: Option<Span>,
}

impl Call<Ctx> for RestartContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "restart_container",
        "Stop and start a container.",
    )
    .disturbs()
    .aliases(&["docker_restart_container", "container_restart"]);

    fn about(&self) -> String {
        format!("restart container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        announce_stop(&ctx, &self.container, self.timeout).await;
        ctx.engine()
            .container_restart(&self.container, how(self.timeout))
            .await?;
        Ok(report(&ctx, &Made::existing(self.container), "restarted").await)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[serde(default)]
    #[schemars(extend("about" = "Kill it first if it runs."))]
    force: bool,
    #[serde(default)]
    #[schemars(extend("about" = "Its anonymous volumes too, with their data."))]
    remove_volumes: bool,
}

impl Call<Ctx> for RemoveContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "remove_container", "Remove a container.")
        .aliases(&["docker_remove_container", "container_remove"]);

    fn about(&self) -> String {
        let force = if self.force { " (force)" } else { "" };
        let volumes = if self.remove_volumes {
            " and its anonymous volumes with their data"
        } else {
            ""
        };
        format!("remove container {}{volumes}{force}", self.container)
    }

    fn data_loss(&self) -> Option<String> {
        self.remove_volumes.then(|| self.container.to_string())
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let how = How {
            force: self.force,
            volumes: self.remove_volumes,
        };
        ctx.engine().container_remove(&self.container, how).await?;
        Ok(Answer::text(format!("removed {}", self.container)))
    }
}

impl Call<Ctx> for PauseContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "pause_container", "Pause a container.")
        .adds()
        .aliases(&["docker_pause_container", "container_pause"]);

    fn about(&self) -> String {
        format!("pause container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        ctx.engine().container_pause(&self.container).await?;
        Ok(Answer::text(format!("paused {}", self.container)))
    }
}

impl Call<Ctx> for UnpauseContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "unpause_container", "Resume a container.")
        .adds()
        .aliases(&["docker_unpause_container", "container_unpause"]);

    fn about(&self) -> String {
        format!("unpause container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        ctx.engine().container_unpause(&self.container).await?;
        Ok(Answer::text(format!("resumed {}", self.container)))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[schemars(with = "String")]
    new_name: ContainerRef,
}

impl Call<Ctx> for RenameContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "rename_container",
        "Give a container another name.",
    )
    .adds();

    fn about(&self) -> String {
        format!("rename container {} to {}", self.container, self.new_name)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        ctx.engine()
            .container_rename(&self.container, &self.new_name)
            .await?;
        Ok(Answer::text(format!(
            "{} is called {} now",
            self.container, self.new_name
        )))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KillContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// SIGKILL unless given.
    signal: Option<String>,
}

impl Call<Ctx> for KillContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "kill_container",
        "Send a signal to a container's main process.",
    )
    .disturbs();

    fn effect(&self) -> Effect {
        Effect::Change
    }

    fn about(&self) -> String {
        format!(
            "send {} to container {}",
            self.signal.as_deref().unwrap_or("SIGKILL"),
            self.container
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let signal = self.signal.as_deref().unwrap_or("SIGKILL");
        let plain = signal.len() <= 16
            && signal
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-".contains(&b));
        if !plain {
            return Err(ToolError::arguments("parameter signal: it is no signal")
                .fix("give a name such as SIGTERM or HUP, or a number"));
        }
        ctx.engine().container_kill(&self.container, Some(signal)).await?;
        Ok(Answer::text(format!("sent {signal} to {}", self.container)))
    }
}
