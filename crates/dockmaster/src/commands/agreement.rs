//! What a person has to agree to before it is done; `--yes` says it beforehand, and without a terminal nobody can.

use anyhow::Result;

use crate::exit::{Exit, Failure};
use crate::output;

/// Has `asks` agreed to. `who` asks for them; `otherwise` says what did not come of it.
///
/// # Errors
/// The person says no, or there is nobody to ask.
pub(crate) fn agree(who: &str, asks: &[String], yes: bool, otherwise: &str) -> Result<()> {
    if asks.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = asks
        .iter()
        .map(|ask| format!("  {}", base::text::clean(ask).replace('\n', "\n  ")))
        .collect();
    output::note(&format!("{who} asks for:\n{}", lines.join("\n")))?;
    let message = match if yes { Some(true) } else { output::agree("Agree?")? } {
        Some(true) => return Ok(()),
        Some(false) => otherwise.to_owned(),
        None => format!(
            "{otherwise}: there is no terminal to agree at; the same command with --yes agrees to that"
        ),
    };
    Err(Failure::new(Exit::Refused, message).into())
}
