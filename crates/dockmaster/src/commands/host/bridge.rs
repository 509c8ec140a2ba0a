//! `host install|upgrade|uninstall`: Dockmaster itself on another host.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use base::names::ImageRef;
use bridge::{Bridge, Executable, Place};
use engine::Endpoint;
use serde::Deserialize;
use store::Store;

use super::users;
use crate::bridges::parcel::{PROTOCOL, Parcel};
use crate::bridges::{Record, audit, reach, versions, ways};
use crate::control::{self, Order};
use crate::exit::{Exit, Failure};
use crate::settings::{LOCAL, Settings};
use crate::{engines, fleet, output};

/// Where engines listen on their own hosts.
const SOCKET: &str = "/var/run/docker.sock";

/// What a bridge says of itself.
#[derive(Deserialize)]
struct Hello {
    protocol: u32,
    version: String,
}

/// Puts a bridge on a host.
pub(super) async fn install(
    settings: &Settings,
    name: &str,
    executable: Option<PathBuf>,
    socket: Option<String>,
) -> Result<Exit> {
    let (engine, found) = engines::of(settings, name)?;
    if name == LOCAL {
        bail!("{LOCAL} needs no bridge: this Dockmaster is there already");
    }
    if Record::read(settings, name)?.is_some() {
        let (_, record) = reach::of(settings, name).await?;
        bail!(
            "there is a bridge on {name} already, Dockmaster {}; `dockmaster host upgrade {name}` replaces it",
            record.version
        );
    }
    let executable = executable_of(executable)?;
    let socket = match (socket, &found.endpoint) {
        (Some(socket), _) if !socket.starts_with('/') => bail!("{socket:?} is no absolute path"),
        (Some(socket), _) => socket,
        (None, Endpoint::Unix(path)) => path.display().to_string(),
        (None, Endpoint::Ssh(address)) => match &address.socket {
            Some(path) => path.display().to_string(),
            None => SOCKET.to_owned(),
        },
        (None, _) => SOCKET.to_owned(),
    };
    let mut record = Record::new(socket)?;
    let mut parcel = Parcel::new(settings, name, &record, Vec::new())?;
    parcel.keys = record.hashes();
    let bridge = Bridge::new(&engine, &record.id);
    let place = place(&record);
    // First, so that one whose installation is broken off can be uninstalled.
    record.save(settings, name)?;
    let installed = bridge
        .install(&executable, &place, &serde_json::to_vec(&parcel)?)
        .await;
    let hello = installed
        .map_err(anyhow::Error::from)
        .and_then(|said| hello(name, &said));
    let hello = match hello {
        Ok(hello) => hello,
        Err(error) => {
            let left = bridge.uninstall().await;
            if left.stuck.is_empty() {
                Record::forget(settings, name)?;
            }
            return Err(error.context(format!("no bridge was installed on {name}")));
        }
    };
    record.version = hello.version;
    record.save(settings, name)?;
    output::line(&format!(
        "installed a bridge on {name}: Dockmaster {}, container {}, {}",
        record.version,
        bridge.name(),
        base::text::bytes(executable.size())
    ))?;
    go_on(settings, name).await?;
    Ok(Exit::Done)
}

/// Replaces the bridge by this Dockmaster.
pub(super) async fn upgrade(settings: &Settings, name: &str, executable: Option<PathBuf>) -> Result<Exit> {
    let (engine, _) = engines::of(settings, name)?;
    let executable = executable_of(executable)?;
    known(settings, name)?;
    let _one = Record::lock_upgrades(settings, name).await?;
    let known = known(settings, name)?;
    let bridge = Bridge::new(&engine, &known.id);
    // This takes long, and others use the bridge meanwhile.
    let image = bridge.prepare(&executable, &place(&known)).await?;
    let replaced = replace(settings, name, &bridge, &known.id, &image).await;
    let Replaced { record, version } = match replaced {
        Ok(replaced) => replaced,
        Err(error) => {
            bridge.discard(&image).await;
            return Err(error);
        }
    };
    let before = if record.version == version {
        String::new()
    } else {
        format!(" (was {})", record.version)
    };
    output::line(&format!(
        "upgraded the bridge on {name}: Dockmaster {version}{before}, with a new key"
    ))?;
    go_on(settings, name).await?;
    Ok(Exit::Done)
}

/// What was there before, and the version of what is there now.
struct Replaced {
    record: Record,
    version: String,
}

/// Has the bridge run another image. Until that is done, nobody else reaches it.
async fn replace(
    settings: &Settings,
    name: &str,
    bridge: &Bridge,
    id: &str,
    image: &ImageRef,
) -> Result<Replaced> {
    let _one = Record::lock(settings, name).await?;
    let record = reach::mend(settings, name, bridge).await?;
    if record.id != id {
        bail!(
            "the bridge on {name} was uninstalled and another one installed just now; nothing was upgraded"
        );
    }
    let mut version = String::new();
    let is_well = async |bridge: &Bridge, said: Vec<u8>| -> Result<(), bridge::Error> {
        let fine = async {
            let hello = hello(name, &said)?;
            ways::rekey(settings, name, bridge, hello.version.clone()).await?;
            version = hello.version;
            anyhow::Ok(())
        };
        fine.await
            .map_err(|error| bridge::Error::Said(format!("{error:#}")))
    };
    let upgraded = bridge.upgrade(image, &place(&record), is_well).await;
    if let Err(error) = upgraded {
        // The new one may have been well for a moment, and have got a key, which stays valid.
        if let Some(mut now) = Record::read(settings, name)? {
            now.version = record.version;
            now.save(settings, name)?;
        }
        return Err(error.into());
    }
    Ok(Replaced { record, version })
}

/// Takes the bridge away with all that is its own.
pub(super) async fn uninstall(settings: &Settings, name: &str, forget: bool) -> Result<Exit> {
    let (engine, _) = engines::of(settings, name)?;
    let record = known(settings, name)?;
    let bridge = Bridge::new(&engine, &record.id);
    let store = Store::open(settings.database());
    if let Err(error) = audit::fetch(&store, name, &bridge, &record.id).await {
        output::note(&format!(
            "the last of what it wrote down could not be fetched: {error:#}"
        ))?;
    }
    store.close().await;
    let left = bridge.uninstall().await;
    for stuck in &left.stuck {
        output::note(&format!("could not be removed: {stuck}"))?;
    }
    if !left.stuck.is_empty() && !forget {
        let message = format!(
            "something of the bridge on {name} is still there; mend what is wrong and do it again, or forget it with --forget"
        );
        return Err(Failure::new(Exit::Failed, message).into());
    }
    Record::forget(settings, name)?;
    output::line(&format!("uninstalled the bridge on {name}"))?;
    if !left.data.is_empty() {
        output::note(&format!(
            "volumes with data of its servers were left as they are: {}",
            left.data.join(", ")
        ))?;
    }
    go_on(settings, name).await?;
    Ok(Exit::Done)
}

fn known(settings: &Settings, name: &str) -> Result<Record> {
    Record::read(settings, name)?.with_context(|| {
        format!("there is no bridge on {name} that was installed from here; `dockmaster host install {name}` does it")
    })
}

fn place(record: &Record) -> Place {
    Place {
        socket: record.socket.clone(),
        version: versions::OWN.to_owned(),
        way_out: record.way_out,
    }
}

fn hello(host: &str, said: &[u8]) -> Result<Hello> {
    let hello: Hello =
        serde_json::from_slice(said).context("what the bridge says of itself can't be read")?;
    if hello.protocol != PROTOCOL {
        bail!(
            "the bridge speaks protocol {}, and this Dockmaster {PROTOCOL}",
            hello.protocol
        );
    }
    versions::fit(host, &hello.version)?;
    Ok(hello)
}

/// The one that was named, or this very one.
fn executable_of(named: Option<PathBuf>) -> Result<Executable> {
    if let Some(path) = named {
        return Ok(Executable::whole(&path)?);
    }
    if !cfg!(target_os = "linux") {
        bail!("this Dockmaster is no program for Linux; give one with --executable PATH, linked statically");
    }
    let maps = fs_err::read_to_string("/proc/self/maps")?;
    Ok(Executable::running(&std::env::current_exe()?, &maps)?)
}

/// Has the gateways that run use it, or do without.
async fn go_on(settings: &Settings, name: &str) -> Result<()> {
    control::renew(settings).await?;
    if users(settings, name).is_empty() {
        return Ok(());
    }
    for enabled in fleet::enabled(settings) {
        let server = enabled.name.to_string();
        if super::is_placed_on(&enabled, name) {
            drop(control::ask(settings, &Order::Restart { server }).await);
        }
    }
    Ok(())
}
