//! `docker pass`, the CLI plugin of Docker's secrets engine. Names are kept under `docker/mcp/`, where `docker mcp secret`
//! keeps its own, so each sees what the other stored.

use base::Secret;
use programs::{Answer, Programs};

use crate::program::told;
use crate::{Error, Fault, SecretName};

const REALM: &str = "docker/mcp/";
/// What stands for a value that the plugin does not show.
const MASKED: &str = "**********";

/// The plugin, by way of the `docker` command.
#[derive(Debug, Clone)]
pub struct DockerPass(Programs);

impl DockerPass {
    /// Nothing is run yet.
    pub fn new(programs: Programs) -> Self {
        Self(programs)
    }

    pub(crate) fn place() -> String {
        "docker pass".to_owned()
    }

    pub(crate) async fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let attempt = format!("reading {name}");
        let id = format!("{REALM}{name}");
        let mut answer = self.ask(&attempt, &["get", "--reveal", &id], b"").await?;
        // The first versions had no such switch, and showed the value without.
        if !answer.is_success && says(&answer, &["unknown flag"]) {
            answer = self.ask(&attempt, &["get", &id], b"").await?;
        }
        if !answer.is_success {
            return if says(&answer, &["not found"]) {
                Ok(None)
            } else {
                Err(refused(&attempt, &answer))
            };
        }
        let text = answer.text().map_err(|reason| fault(&attempt, reason))?;
        match value(text) {
            Some(MASKED) => Err(fault(&attempt, "it does not show values")),
            Some("") => Ok(None),
            Some(value) => Ok(Some(Secret::new(value))),
            None => Err(fault(
                &attempt,
                "its answer has no line that begins with `Value: `",
            )),
        }
    }

    pub(crate) async fn names(&self) -> Result<Vec<SecretName>, Error> {
        let answer = self.ask("listing", &["ls"], b"").await?;
        if !answer.is_success {
            return if says(&answer, &["not found"]) {
                Ok(Vec::new())
            } else {
                Err(refused("listing", &answer))
            };
        }
        // Some versions print the list to stderr.
        let texts = [&answer.output, answer.complaint.as_slice()].map(String::from_utf8_lossy);
        let lines = texts.iter().flat_map(|text| text.lines());
        Ok(lines
            .filter_map(|line| SecretName::parse(line.trim().strip_prefix(REALM)?).ok())
            .collect())
    }

    /// The plugin does not store over a value in every keyring; then the old one is removed first.
    pub(crate) async fn set(&self, name: &SecretName, value: &Secret) -> Result<(), Error> {
        let attempt = format!("storing {name}");
        let id = format!("{REALM}{name}");
        let first = self
            .ask(&attempt, &["set", &id], value.expose().as_bytes())
            .await?;
        if first.is_success {
            return Ok(());
        }
        if !self.names().await?.contains(name) {
            return Err(refused(&attempt, &first));
        }
        self.remove(name).await?;
        let again = self
            .ask(&attempt, &["set", &id], value.expose().as_bytes())
            .await?;
        if again.is_success {
            Ok(())
        } else {
            Err(refused(&format!("{attempt} (the old value is removed)"), &again))
        }
    }

    /// Whether it was there.
    pub(crate) async fn remove(&self, name: &SecretName) -> Result<bool, Error> {
        let attempt = format!("removing {name}");
        let answer = self
            .ask(&attempt, &["rm", &format!("{REALM}{name}")], b"")
            .await?;
        if answer.is_success {
            Ok(true)
        } else if says(&answer, &["not found"]) {
            Ok(false)
        } else {
            Err(refused(&attempt, &answer))
        }
    }

    async fn ask(&self, attempt: &str, arguments: &[&str], input: &[u8]) -> Result<Answer, Error> {
        let arguments = [&["pass"], arguments].concat();
        let answer = self.0.ask("docker", &arguments, input).await.map_err(|none| {
            let (reason, mend) = told(none, "docker");
            Fault::error(Self::place(), attempt, reason, mend)
        })?;
        // What the docker command says of a plugin that it does not have: 20.10, and 28 and later.
        if !answer.is_success
            && says(
                &answer,
                &["is not a docker command", "unknown command: docker pass"],
            )
        {
            let mend = "install docker-secrets-engine, or choose another place for secrets under [secrets]";
            return Err(Fault::error(
                Self::place(),
                attempt,
                "this docker has no `pass` command",
                mend,
            ));
        }
        Ok(answer)
    }
}

/// The value in `ID: …\nValue: …\n`. It may have lines of its own.
fn value(text: &str) -> Option<&str> {
    let (_, value) = text
        .split_once("Value: ")
        .filter(|(before, _)| before.is_empty() || before.ends_with('\n'))?;
    Some(value.strip_suffix('\n').unwrap_or(value))
}

fn says(answer: &Answer, words: &[&str]) -> bool {
    let said = [&answer.output, answer.complaint.as_slice()]
        .map(|text| String::from_utf8_lossy(text).to_ascii_lowercase());
    said.iter()
        .any(|said| words.iter().any(|words| said.contains(words)))
}

fn refused(attempt: &str, answer: &Answer) -> Error {
    fault(attempt, answer.words())
}

fn fault(attempt: &str, reason: impl Into<String>) -> Error {
    let mend = "see what `docker pass ls` says, and that its keyring is unlocked";
    Fault::error(DockerPass::place(), attempt, reason, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (text, wanted) in [
            ("ID: docker/mcp/a\nValue: hunter2\n", Some("hunter2")),
            ("ID: docker/mcp/a\nValue: two\nlines\n\n", Some("two\nlines\n")),
            ("ID: docker/mcp/a\nValue: Value: x\n", Some("Value: x")),
            ("ID: docker/mcp/a\nValue: \n", Some("")),
            ("ID: docker/mcp/a\n", None),
            ("", None),
        ] {
            assert_eq!(value(text), wanted, "{text:?}");
        }
    }
}
