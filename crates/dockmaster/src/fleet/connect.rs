//! The ways to a server, by what its plan says it is.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use base::{KnownSecrets, Secret};
use catalog::Place;
use catalog::plan::{self, Plan, Target};
use catalog::tools::Tool;
use custom_server::{Commands, Declared};
use fetch::{Addresses, Plain};
use futures_util::FutureExt;
use futures_util::future::join_all;
use gateway::{Link, Share, Wire};
use instances::Start;
use secrets::SecretName;

use super::commanded::Commanded;
use super::contained::{Contained, Somewhere};
use super::{Fleet, Given, Notes};
use crate::bridges::parcel::Served;
use crate::bridges::ways::Way;
use crate::percall;
use crate::placed::Placed;
use crate::settings::LOCAL;

/// Who may share an instance, as the gateway says it.
pub(super) fn sharing(sharing: plan::Sharing) -> gateway::Sharing {
    match sharing {
        plan::Sharing::Everyone => gateway::Sharing::Everyone,
        plan::Sharing::Principal => gateway::Sharing::Principal,
        plan::Sharing::Session => gateway::Sharing::Session,
        plan::Sharing::Call => gateway::Sharing::Call,
    }
}

/// Whether a plan is placed on a host, or may come to be.
fn may_be_on(plan: &Plan, host: &hosts::Host) -> bool {
    let place = plan.host.as_ref();
    place.is_some_and(|place| place.may_be(host.name().as_str(), host.labels()))
}

/// How long a bridge may take to be told what has changed, when somebody waits for that.
const TELLING: Duration = Duration::from_secs(3);
/// Most bytes that are told of how a server ended.
const TOLD: usize = 600;

impl Fleet {
    pub(super) async fn connect(&self, plan: &Arc<Placed>, share: &Share) -> Result<Link> {
        let given = self.given();
        if let Some(way) = self.way(&given, plan).await? {
            return given
                .ways
                .link(way, plan.server.as_str(), sharing(plan.sharing), share);
        }
        let secrets = self.secrets(&given, plan).await?;
        let secret = |name: &str| secrets.get(name).cloned();
        let server = plan.server.as_str();
        match &plan.target {
            Target::Container(container) => self.contained(&given, plan, container, share, &secret).await,
            Target::PerCall(tools) => Ok(percall::link(percall::Calls {
                place: self.somewhere(plan),
                tools: tools.clone(),
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
                    limits: gateway::RemoteLimits::of_messages(self.answer_size),
                    speaks_for: None,
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

    /// Starts it in a container, and joins it.
    async fn contained(
        &self,
        given: &Given,
        plan: &Placed,
        container: &plan::Container,
        share: &Share,
        secret: &(dyn Fn(&str) -> Option<Secret> + Sync),
    ) -> Result<Link> {
        let (lines, stderr) = self.logs.sink(plan.server.as_str());
        let start = Start {
            server: &plan.server,
            container,
            share: &share.key,
            secrets: secret,
            stderr: Some(lines),
            progress: None,
        };
        let started = given.instances(plan).await?.start(start).await;
        let mut running = started.map_err(|error| plan.failed(error))?;
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

    /// The way to the bridge that runs this plan. `None` where there is no bridge, and for what nobody has switched on, such
    /// as a server that is tried out: the gateway runs that by itself.
    async fn way(&self, given: &Given, plan: &Placed) -> Result<Option<Way>> {
        let (Some(_), Some(id)) = (&plan.host, Served::id_of(plan)) else {
            return Ok(None);
        };
        let Some(host) = given.elsewhere.host_of(plan).await? else {
            return Ok(None);
        };
        let Some(record) = given.ways.record(&host)? else {
            return Ok(None);
        };
        if !self.placed().iter().any(|(other, _)| other == &plan.plan) {
            return Ok(None);
        }
        // A secret that is missing is told by whoever needs it.
        self.secrets(given, plan).await?;
        let served = self.served_on(given, &host).await;
        given.ways.to(&host, record, served, id).await.map(Some)
    }

    fn placed(&self) -> Vec<(Plan, Notes)> {
        self.placed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the bridge of a host has to serve. What can't run for want of a secret is left out.
    async fn served_on(&self, given: &Given, host: &hosts::Host) -> Vec<Served> {
        let mut served: Vec<Served> = Vec::new();
        for (plan, notes) in self.placed().iter().filter(|(plan, _)| may_be_on(plan, host)) {
            let Ok(secrets) = self.secrets(given, plan).await else {
                continue;
            };
            let new = Served::new(plan, notes.effects(), secrets);
            served.extend(new.filter(|new| !served.iter().any(|known| known.id == new.id)));
        }
        served
    }

    /// Tells the bridges of hosts that are in use what has changed. One that is not reached now is told by the next
    /// connection to it.
    pub(crate) async fn tell_bridges(&self) {
        let given = self.given();
        let told = given.elsewhere.used().into_iter().map(|host| {
            let given = &given;
            async move {
                let telling = async {
                    let Some(record) = given.ways.record(&host)? else {
                        return Ok(());
                    };
                    let served = self.served_on(given, &host).await;
                    given
                        .ways
                        .to(&host, record, served, String::new())
                        .await
                        .map(drop)
                };
                let told: Result<Result<()>, _> = tokio::time::timeout(TELLING, telling).await;
                if let Ok(Err(error)) = told {
                    tracing::warn!("{error:#}");
                }
            }
        });
        join_all(told).await;
    }

    fn somewhere(&self, plan: &Arc<Placed>) -> Somewhere {
        Somewhere {
            given: self.given.clone(),
            plan: Arc::clone(plan),
        }
    }

    /// The toolbox of tools that the user declared.
    fn declared(
        &self,
        given: &Given,
        plan: &Arc<Placed>,
        tools: &[Tool],
        secrets: BTreeMap<String, Secret>,
    ) -> Declared {
        let contained = Contained {
            place: self.somewhere(plan),
            secrets: secrets.clone(),
        };
        let there = match &plan.host {
            Some(Place::On(name)) if name.as_str() != LOCAL => Some(Commanded {
                given: self.given.clone(),
                host: name.to_string(),
            }),
            _ => None,
        };
        Declared {
            name: plan.server.to_string(),
            tools: tools.to_vec(),
            secrets,
            known: self.known.clone(),
            environment: match &there {
                Some(_) => Vec::new(),
                None => given.environment.clone(),
            },
            commands: there.map(|there| Arc::new(there) as Arc<dyn Commands>),
            client: self.client.clone(),
            containers: Arc::new(contained),
        }
    }

    /// Of tools that the user declared, each with whether it could be called, which is found out without calling it.
    pub(crate) async fn check(&self, plan: &Plan) -> Result<Vec<(Tool, Result<String, String>)>> {
        let Target::Tools(tools) = &plan.target else {
            return Ok(Vec::new());
        };
        let given = self.given();
        let secrets = self.secrets(&given, plan).await?;
        let plan = Arc::new(Placed::new(plan.clone()));
        let declared = self.declared(&given, &plan, tools, secrets);
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
            if let Some(value) = given.parcel.get(name) {
                self.known.learn([value.clone()]);
                values.insert(name.clone(), value.clone());
                continue;
            }
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
