//! `doctor`: looks at everything that has to be right, and says what is not and what to do about it. Nothing is
//! changed, and no check hinders the next.

mod engine;
mod local;

use anyhow::Result;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::bridges::states::Told;
use crate::cli::Json;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Fault,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            fix: None,
        }
    }

    fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Warning,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    fn fault(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Fault,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }
}

/// Looks at everything.
pub(crate) async fn run(settings: Result<Settings>, json: Json) -> Result<Exit> {
    let checks = match &settings {
        Ok(settings) => {
            let mut checks = vec![local::configuration(settings)];
            checks.extend(engine::checks(settings).await);
            checks.extend(local::checks(settings).await);
            checks
        }
        Err(error) => vec![Check::fault(
            "configuration",
            format!("{error:#}"),
            "mend that, and run doctor again",
        )],
    };
    if json.json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            output::line(&shown(check))?;
        }
    }
    Ok(if has_fault(&checks) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// Looks at the engine of a host.
pub(crate) async fn of_host(settings: &Settings, name: &str) -> Vec<Check> {
    engine::of(settings, name).await
}

/// What was found of a bridge.
pub(crate) fn of_bridge(told: &Told) -> Check {
    let found = format!("{} {}", told.version, told.state);
    match &told.fix {
        None if told.state == "running" => Check::ok("bridge", found),
        None => Check::warning("bridge", found, "look at the host itself"),
        Some(fix) => Check::fault("bridge", found, fix),
    }
}

/// Whether something does not work.
pub(crate) fn has_fault(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.state == State::Fault)
}

/// A check for people.
pub(crate) fn shown(check: &Check) -> String {
    let (mark, colour) = match check.state {
        State::Ok => ("ok", AnsiColor::Green),
        State::Warning => ("look", AnsiColor::Yellow),
        State::Fault => ("FAULT", AnsiColor::Red),
    };
    let style = Style::new().fg_color(Some(colour.into()));
    let found = base::text::clean(&check.found).replace('\n', "\n                      ");
    let mut text = format!("{style}{mark:5}{style:#} {:15} {found}", check.name);
    if let Some(fix) = &check.fix {
        text.push_str("\n                      -> ");
        text.push_str(&base::text::clean(fix));
    }
    text
}
