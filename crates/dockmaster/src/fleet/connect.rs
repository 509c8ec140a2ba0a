//! The ways to a server, by what its plan says it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use base::{KnownSecrets, Secret};
use catalog::plan::{self, Plan, Target};
use catalog::tools::Tool;
use custom_server::{Containers, Declared};
use fetch::{Addresses, Plain};
use futures_util::FutureExt;
use gateway::{Link, Share, Wire};
use instances::Start;
use secrets::SecretName;

use super::{Fleet, Given};
use crate::contained::Contained;
use crate::percall;
use crate::placed::Placed;

/// Most bytes that are told of how a server ended.
const TOLD: usize = 600;

impl Fleet {
    pub(super) async fn connect(&self, plan: &Placed, share: &Share) -> Result<Link> {
        let given = self.given();
        let secrets = self.secrets(&given, plan).await?;
        let secret = |name: &str| secrets.get(name).cloned();
        let server = plan.server.as_str();
        match &plan.target {
            Target::Container(container) => {
                let (lines, stderr) = self.logs.sink(server);
                let start = Start {
                    server: &plan.server,
                    container,
                    share: &share.key,
                    secrets: &secret,
                    stderr: Some(lines),
                    progress: None,
                };
                let started = given.instances(plan).await?.start(start).await;
                // The next start may find another host that fits.
                let mut running = started.inspect_err(|_| plan.forget())?;
                let stdio = running.take_stdio().context("the server has no pipes")?;
                let known = self.known.clone();
                let driver = async move {
                    tokio::pin!(stderr);
                    let ended = tokio::select! {
                        ended = running.exited() => Some(ended),
                        () = &mut stderr => None,
                    };
                    // It holds the other end of the log, whose last lines are written when it has gone.
                    drop(running);
                    stderr.await;
                    let ended = ended.filter(|ended| !ended.was_told_to());
                    ended.map(|ended| fit_to_tell(&known, &ended.to_string()))
                };
                Ok(Link {
                    wire: Wire::Pipe(Box::new(stdio)),
                    driver: Some(driver.boxed()),
                })
            }
            Target::PerCall(tools) => Ok(percall::link(percall::Calls {
                server: plan.server.clone(),
                tools: tools.clone(),
                instances: given.instances(plan).await?,
                secrets,
            })),
            Target::Tools(tools) => Ok(percall::link(self.declared(&given, plan, tools, secrets))),
            Target::Remote(remote) => {
                let lacking = || anyhow::anyhow!("a secret of {server} has no value");
                let header = |(name, value): (&String, &plan::Value)| -> Result<_> {
                    Ok(gateway::RemoteHeader {
                        name: name.clone(),
                        value: value.fill(secret).ok_or_else(lacking)?,
                        secret: None,
                    })
                };
                let remote = gateway::Remote {
                    server: server.to_owned(),
                    url: remote.address(secret).ok_or_else(lacking)?.expose().to_owned(),
                    transport: match remote.transport {
                        plan::RemoteTransport::StreamableHttp => gateway::RemoteTransport::StreamableHttp,
                        plan::RemoteTransport::Sse => gateway::RemoteTransport::Sse,
                    },
                    headers: remote.headers.iter().map(header).collect::<Result<_>>()?,
                    client: if remote.of_the_user {
                        // Who wrote the address means that host, wherever it is.
                        self.client.with_rules(Addresses::Private, Plain::Permitted)
                    } else {
                        self.client.clone()
                    },
                    limits: gateway::RemoteLimits::default(),
                };
                Ok(remote.link()?)
            }
            Target::Process(process) => {
                let env = process.env.iter().map(|(name, value)| {
                    let value = value
                        .fill(secret)
                        .with_context(|| format!("a secret of {server} has no value"))?;
                    Ok((name.clone(), value))
                });
                let own: Vec<(String, Secret)> = env.collect::<Result<_>>()?;
                let mut env = given.environment.clone();
                env.retain(|(name, _)| !own.iter().any(|(other, _)| other == name));
                env.extend(own);
                let process = gateway::Process {
                    command: process.command.clone(),
                    env,
                    working_dir: process.working_dir.clone(),
                    grace: std::time::Duration::from_secs(3),
                    stderr: self.logs.lines(server),
                };
                let mut link = process.start()?;
                let known = self.known.clone();
                link.driver = link.driver.map(|driver| {
                    driver
                        .map(move |why| why.map(|why| fit_to_tell(&known, &why)))
                        .boxed()
                });
                Ok(link)
            }
            Target::BuiltIn => anyhow::bail!("{server} is built in"),
        }
    }

    /// The toolbox of tools that the user declared.
    fn declared(
        &self,
        given: &Given,
        plan: &Plan,
        tools: &[Tool],
        secrets: BTreeMap<String, Secret>,
    ) -> Declared {
        let contained = given.instances.clone().map(|instances| Contained {
            server: plan.server.clone(),
            instances,
            secrets: secrets.clone(),
        });
        Declared {
            name: plan.server.to_string(),
            tools: tools.to_vec(),
            secrets,
            known: self.known.clone(),
            environment: given.environment.clone(),
            client: self.client.clone(),
            containers: contained.map(|contained| Arc::new(contained) as Arc<dyn Containers>),
        }
    }

    /// Of tools that the user declared, each with whether it could be called, which is found out without calling it.
    pub(crate) async fn check(&self, plan: &Plan) -> Result<Vec<(Tool, Result<String, String>)>> {
        let Target::Tools(tools) = &plan.target else {
            return Ok(Vec::new());
        };
        let given = self.given();
        let secrets = self.secrets(&given, plan).await?;
        let declared = self.declared(&given, plan, tools, secrets);
        let mut checked = Vec::new();
        for tool in tools {
            checked.push((tool.clone(), declared.check(tool).await));
        }
        Ok(checked)
    }

    /// The values of a plan's secrets; a missing one is an error that says which command sets it.
    async fn secrets(&self, given: &Given, plan: &Plan) -> Result<BTreeMap<String, Secret>> {
        let mut values = BTreeMap::new();
        for name in &plan.secrets {
            let value = given.sources.require(&SecretName::parse(name)?).await?;
            self.known.learn([value.clone()]);
            values.insert(name.clone(), value);
        }
        Ok(values)
    }
}

/// A server's words without secrets, for clients and the status. They are cut last: half a secret would not be known as
/// one.
fn fit_to_tell(known: &KnownSecrets, text: &str) -> String {
    let text = base::redact::text(&base::text::clean(text)).replace('\n', " ");
    let text = known.spotter().replace(&text).unwrap_or(text);
    base::text::cut(&text, TOLD).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_the_cut_would_divide_is_not_told() {
        let secret = "k".repeat(40);
        let known: KnownSecrets = [Secret::new(secret.clone())].into_iter().collect();
        for before in [TOLD - 41, TOLD - 20, TOLD - 9, TOLD] {
            let told = fit_to_tell(&known, &format!("{}{secret} and more", " ".repeat(before)));
            assert!(told.len() <= TOLD && !told.contains("kkk"), "{told}");
        }
    }
}
