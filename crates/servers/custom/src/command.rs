//! A call that is a program, as it is run on this machine.

use std::path::PathBuf;

use base::Secret;
use catalog::tools::Tool;
use programs::task::{End, NoStart, Task};
use wire::Raw;

use crate::answer::{self, Printed};

/// Bytes of standard error that are told of a program that failed.
const COMPLAINT: usize = 8 << 10;

/// What is run.
pub(crate) struct Program {
    pub(crate) argv: Vec<String>,
    /// The whole environment.
    pub(crate) env: Vec<(String, Secret)>,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) stdin: Vec<u8>,
}

impl Program {
    pub(crate) fn task(self, tool: &Tool) -> Task {
        Task {
            argv: self.argv,
            env: self.env,
            working_dir: self.working_dir,
            stdin: self.stdin,
            time: tool.time,
            output: tool.output,
            complaint: COMPLAINT,
        }
    }
}

pub(crate) async fn run(tool: &Tool, program: Program) -> Raw {
    let name = program.argv.first().cloned().unwrap_or_default();
    let task = program.task(tool);
    let done = match task.run().await {
        Ok(done) => done,
        Err(error @ NoStart::Missing) => {
            return answer::text(
                &format!(
                    "{} was not run: {name}: {error}; is it installed where the gateway runs?",
                    tool.name
                ),
                true,
            );
        }
        Err(error) => return answer::text(&format!("{} was not run: {name}: {error}", tool.name), true),
    };
    let failed = match done.end {
        End::Code(0) => None,
        End::Code(code) => Some(format!("it ended with exit code {code}")),
        End::Signal(signal) => Some(format!("it was ended by signal {signal}")),
        End::Late => Some(late(tool)),
    };
    answer::printed(
        tool,
        &Printed {
            stdout: &done.stdout,
            more: done.more,
            stderr: &done.stderr,
            before: done.before,
            failed,
        },
    )
}

/// What is told of a call whose time was up.
pub(crate) fn late(tool: &Tool) -> String {
    format!(
        "its time was up after {} s, and it was ended; timeout in its file gives it more",
        tool.time.as_secs()
    )
}
