//! Commands of declared tools that run on another host, as the configuration has switched them on there for the shell
//! server: by the same runner, so what that promises holds for them (docs/shell.md).

use std::pin::pin;
use std::time::Duration;

use custom_server::{Commands, Outcome};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use programs::task::{Beginning, Tail, Task};
use shell_server::runner::{Command, How, Runner, Started, Which};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::Current;

/// What a command is given between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(1);
/// How long the outputs are read on after it has ended: something else may hold them.
const REST: Duration = Duration::from_secs(1);

/// Runs the commands of one server's tools, as the configuration says then.
pub(super) struct Commanded {
    pub(super) given: Current,
    pub(super) host: String,
}

impl Commands for Commanded {
    fn place(&self) -> &str {
        &self.host
    }

    fn run(&self, task: Task) -> BoxFuture<'_, Result<Outcome, String>> {
        async move {
            let host = &self.host;
            let far = self.given.get().commands.get(host).cloned().ok_or_else(|| {
                format!("commands on {host} are switched off; write [hosts.{host}.shell] runner = \"host\" and [shell] enabled = true")
            })?;
            let expose = |(name, value): &(String, base::Secret)| (name.clone(), value.expose().to_owned());
            let command = Command {
                argv: task.argv.clone(),
                dir: task
                    .working_dir
                    .as_ref()
                    .map(|dir| dir.to_string_lossy().into_owned()),
                env: task.env.iter().map(expose).collect(),
            };
            let started = timeout(task.time, far.start(&command)).await.map_err(|_| {
                format!("{host} did not begin it in {} s; look at it by dockmaster host test {host}", task.time.as_secs())
            })?;
            let started = started.map_err(|fault| match &fault.fix {
                Some(fix) => format!("{fault}; {fix}"),
                None => fault.to_string(),
            })?;
            Ok(to_its_end(task, started).await)
        }
        .boxed()
    }
}

/// Giving it up ends the command.
async fn to_its_end(task: Task, started: Started) -> Outcome {
    let Started {
        mut input,
        mut outputs,
        process,
    } = started;
    let mut stdout = Beginning::new(task.output);
    let mut stderr = Tail::new(task.complaint);
    let mut timed_out = false;
    let exit = {
        let feed = async {
            // One that does not read its input has its reasons.
            if input.write_all(&task.stdin).await.is_ok() {
                let _closed = input.shutdown().await;
            }
        };
        let read = async {
            while let Some((which, piece)) = outputs.next().await {
                match which {
                    Which::Stdout => stdout.add(&piece),
                    Which::Stderr => stderr.add(&piece),
                }
            }
        };
        let mut ended = pin!(async {
            let mut streams = pin!(async { tokio::join!(feed, read) });
            tokio::select! {
                exit = process.ended() => {
                    let _cut_off = timeout(REST, streams).await;
                    exit
                }
                _ = &mut streams => process.ended().await,
            }
        });
        if let Ok(exit) = timeout(task.time, &mut ended).await {
            exit
        } else {
            timed_out = true;
            // It is over then, or the host is given up.
            tokio::select! {
                exit = &mut ended => exit,
                () = process.end(GRACE) => ended.await,
            }
        }
    };
    let failed = match exit.how {
        How::Code(0) => None,
        How::Unknown if timed_out => {
            timed_out = false;
            let remark = exit.remark.unwrap_or_default();
            let seconds = task.time.as_secs();
            Some(format!(
                "its time was up after {seconds} s, and nobody knows whether it has ended: {remark}"
            ))
        }
        how => Some(match exit.remark {
            Some(remark) => format!("{how}: {remark}"),
            None => how.to_string(),
        }),
    };
    Outcome {
        stdout: stdout.bytes,
        more: stdout.more,
        stderr: stderr.bytes.into(),
        before: stderr.before,
        timed_out,
        failed,
    }
}
