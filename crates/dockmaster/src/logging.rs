//! The log, on standard error. Libraries that would write down requests are held at warnings.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::prelude::*;

use crate::env::{Environment, Var};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Nothing
    Off,
    /// What failed
    Error,
    /// What is not as it should be
    Warn,
    /// What happens
    Info,
    /// What is done for it
    Debug,
    /// Everything
    Trace,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Libraries whose own log is of no use to who runs this program, or has bodies and headers in it.
const QUIET: [&str; 6] = ["bollard", "hyper", "hyper_util", "rmcp", "rustls", "tower"];

/// Begins to log. `said` is what the command line says; else the variable counts, else the `usual` of the command.
pub(crate) fn start(said: Option<LogLevel>, usual: LogLevel, environment: &Environment) {
    let named = environment.text(Var::Log);
    let level = said
        .or_else(|| LogLevel::from_str(named.as_deref()?, true).ok())
        .unwrap_or(usual)
        .filter();
    let quiet = level.min(LevelFilter::from_level(Level::WARN));
    let targets = QUIET
        .iter()
        .fold(Targets::new().with_default(level), |targets, name| {
            targets.with_target(*name, quiet)
        });
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(level > LevelFilter::INFO)
        .with_timer(Clock { shown: !terminal });
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .init();
    if let Some(named) = named
        && LogLevel::from_str(&named, true).is_err()
    {
        tracing::warn!(
            "{} is {named:?}, which is no log level; use off, error, warn, info, debug or trace",
            Var::Log.name()
        );
    }
}

/// The time before each line, in seconds; a person at a terminal needs none.
struct Clock {
    shown: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        if self.shown {
            write!(line, "{:.0}", base::clock::now())?;
        }
        Ok(())
    }
}
