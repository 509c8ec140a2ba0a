//! How the program ends: the codes, and which error leads to which.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};

use crate::settings::SettingsError;

/// The codes, for the help; 65 to 78 are those of `sysexits.h`.
pub(crate) const CODES: &str = "\
Exit codes:
  0    done
  1    failed: the tool, the check or the command; standard error says why
  2    the command line is not understood
  65   the audit was tampered with
  69   no gateway answers there, or its own address can't be had
  77   refused: by the rules, or by a person, or there was nobody to ask
  78   the configuration is faulty
  130  interrupted";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Tampered = 65,
    Unavailable = 69,
    Refused = 77,
    Faulty = 78,
    Interrupted = 130,
}

/// An error that knows its code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }
}

/// Prints what went wrong, if anything, and gives the code.
pub(crate) fn report(ended: anyhow::Result<Exit>) -> ExitCode {
    let exit = match ended {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            let mark = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
            // Nobody reads standard error: then the code has to do.
            let _ = writeln!(anstream::stderr(), "{mark}error:{mark:#} {error:#}");
            code_of(&error)
        }
    };
    ExitCode::from(exit as u8)
}

/// Whoever read our output has had enough (`dockmaster audit list | head`): that is success.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn code_of(error: &anyhow::Error) -> Exit {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    if error.is::<SettingsError>() {
        return Exit::Faulty;
    }
    Exit::Failed
}
