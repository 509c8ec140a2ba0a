//! The ways of calls to bridges: which servers go by one, that it knows what they are made of, and the streams to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use base::Secret;
use bridge::Bridge;
use gateway::{Link, Share};
use hosts::Host;

use super::parcel::{Parcel, Served};
use super::reach::{self, Door};
use super::record::{self, Record};
use super::versions;
use crate::assemble;
use crate::settings::Settings;

/// The ways from one gateway.
pub(crate) struct Ways {
    settings: Settings,
    /// Tells sessions of this process from those of others.
    run: String,
    /// One pool of streams for each bridge, by its id.
    clients: Mutex<BTreeMap<String, fetch::Client>>,
}

/// The way to one bridge.
pub(crate) struct Way {
    client: fetch::Client,
    key: Secret,
    /// What names of principals are hashed with.
    names: Secret,
    /// The plan, as the bridge knows it.
    plan: String,
}

impl Ways {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        Ok(Self {
            settings: settings.clone(),
            run: record::digits(&record::random::<4>()?),
            clients: Mutex::default(),
        })
    }

    /// What is known of the bridge of a host, if it has one.
    pub(crate) fn record(&self, host: &Host) -> Result<Option<Record>> {
        // A bridge has none of its own.
        if self.settings.is_bridge() {
            return Ok(None);
        }
        Record::read(&self.settings, host.name().as_str())
    }

    /// The way to the bridge of a host, which is brought to know `servers` first. One of an unsuitable version is an error
    /// that says what to do.
    pub(crate) async fn to(
        &self,
        host: &Host,
        record: Record,
        servers: Vec<Served>,
        plan: String,
    ) -> Result<Way> {
        let name = host.name().as_str();
        versions::fit(name, &record.version)?;
        let engine = host.engine().map_err(anyhow::Error::msg)?;
        let bridge = Bridge::new(&engine, &record.id);
        let parcel = Parcel::new(&self.settings, name, &record, servers)?;
        let (needed, by_this) = (parcel.needs_way_out(None), parcel.needs_way_out(Some(&plan)));
        let known = parcel.revision()? == record.revision && !record.is_old();
        let record = if known {
            record
        } else {
            bring(&self.settings, name, &bridge, parcel)
                .await
                .with_context(|| format!("the bridge on {name} could not be told what it is to run"))?
        };
        if needed && let Err(error) = open(&self.settings, name, &bridge, &record.revision).await {
            let mend = match error.downcast_ref() {
                Some(bridge::Error::Fixed(_)) => {
                    format!("; `dockmaster host upgrade {name}` makes it anew with a way out")
                }
                _ => String::new(),
            };
            let error = error.context(format!("the bridge on {name} can't reach hosts yet{mend}"));
            if by_this {
                return Err(error);
            }
            tracing::warn!("{error:#}");
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(record.id.clone()).or_insert_with(|| {
            client(Door {
                settings: self.settings.clone(),
                host: name.to_owned(),
                bridge,
            })
        });
        Ok(Way {
            client: client.clone(),
            key: record.key(),
            names: record.names(),
            plan,
        })
    }

    /// A link to a server over there.
    pub(crate) fn link(
        &self,
        way: Way,
        server: &str,
        sharing: gateway::Sharing,
        share: &Share,
    ) -> Result<Link> {
        let own = |name: &str, value: Secret| gateway::RemoteHeader {
            name: name.to_owned(),
            value,
            secret: None,
        };
        let mut headers = vec![own(
            "authorization",
            Secret::new(format!("Bearer {}", way.key.expose())),
        )];
        match sharing {
            gateway::Sharing::Everyone => {}
            gateway::Sharing::Principal => {
                let whose = record::hash(format!("{}/{}", way.names.expose(), share.key).as_bytes());
                headers.push(own("dockmaster-for", Secret::new(whose)));
            }
            // Another process counts its sessions and calls from one, too.
            gateway::Sharing::Session | gateway::Sharing::Call => {
                let whose = format!("{}-{}", self.run, share.key);
                headers.push(own("dockmaster-for", Secret::new(whose)));
            }
        }
        let remote = gateway::Remote {
            server: server.to_owned(),
            url: format!("http://localhost/mcp/profile/{}", way.plan),
            transport: gateway::RemoteTransport::StreamableHttp,
            headers,
            client: way.client,
            limits: gateway::RemoteLimits::of_messages(assemble::bytes(
                self.settings.config.gateway.answer_size,
            )),
            // Whoever shares the server: what it asks or tells in a call is for the client of that call alone.
            speaks_for: Some(gateway::Namesake {
                run: self.run.as_str().into(),
                key: way.names,
            }),
        };
        Ok(remote.link()?)
    }
}

fn client(door: Door) -> fetch::Client {
    let options = fetch::Options {
        user_agent: concat!("dockmaster/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits: fetch::Limits {
            // A new stream is a program that is started over there.
            connect: std::time::Duration::from_secs(30),
            ..fetch::Limits::default()
        },
        ..fetch::Options::default()
    };
    fetch::Client::over_streams(options, Arc::new(door))
}

/// Gives a bridge its way out, once, for the parcel of this revision.
async fn open(settings: &Settings, host: &str, bridge: &Bridge, revision: &str) -> Result<()> {
    let _one = Record::lock(settings, host).await?;
    let record = reach::mend(settings, host, bridge).await?;
    // Another one has come over it, which is to have none.
    if record.revision != revision && !record.way_out {
        return Ok(());
    }
    Ok(bridge.set_way_out(true).await?)
}

/// Brings a parcel to a bridge, with a new key where the present one is old, and notes that it is there. One at a time for
/// each host, whichever process does it.
async fn bring(settings: &Settings, host: &str, bridge: &Bridge, mut parcel: Parcel) -> Result<Record> {
    let _one = Record::lock(settings, host).await?;
    let record = reach::mend(settings, host, bridge).await?;
    let revision = parcel.revision()?;
    let is_due = record.is_old();
    if record.revision == revision && !is_due {
        // Somebody else was faster.
        return Ok(record);
    }
    let mut next = if is_due { record.rotated()? } else { record };
    next.revision = revision;
    parcel.keys = next.hashes();
    bridge.ask(&["take"], &serde_json::to_vec(&parcel)?).await?;
    next.way_out = parcel.needs_way_out(None);
    if !next.way_out {
        bridge.set_way_out(false).await?;
    }
    // Kept once it holds over there: until then the key before is good in any case.
    next.save(settings, host)?;
    Ok(next)
}

/// Gives a bridge a new key; the one before stays valid beside it. `version` is what runs over there now. For whoever holds the
/// lock of its record.
pub(crate) async fn rekey(settings: &Settings, host: &str, bridge: &Bridge, version: String) -> Result<()> {
    let Some(record) = Record::read(settings, host)? else {
        bail!("the bridge on {host} was uninstalled just now");
    };
    let mut next = record.rotated()?;
    bridge
        .ask(&["keys"], &serde_json::to_vec(&next.hashes())?)
        .await?;
    next.version = version;
    next.save(settings, host)
}
