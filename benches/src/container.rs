//! The trivial server in a container: a warm one called through the gateway, beside its twin whose standard input and
//! output are attached directly. The image is made on the spot of this executable and the libraries that it needs.

use crate::Place;
use crate::attach;
use crate::client::Client;
use crate::echo::Era;
use crate::figures::fine;
use crate::front::{Front, Home, Way};
use crate::machine;
use crate::page::Page;
use crate::relay::{Compared, in_turns, wait_for_tools};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::Command;
use testkit::Scope;

const BURSTS: usize = 40;

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    page.section(
        "A warm container",
        "The trivial server in a container that runs already: through the gateway, and its twin (same image, same limits) \
         attached to directly over the engine's socket, in turns as above.",
        "| client | eras | attached directly, ms | through the gateway, ms | added, p50 | added, p99 | CPU a call, ms |",
    );
    let scope = Scope::new("bench-warm");
    let measured = rows(page, place, &scope);
    place.runtime.block_on(scope.finish());
    let worst = measured?;
    page.target(
        "a call to a warm container, over the container itself, at worst",
        "≤ 0.15 ms",
        &format!("{} ms", fine(worst)),
        worst <= 0.15,
    );
    Ok(())
}

/// Gives the most that a call takes longer through the gateway.
fn rows(page: &mut Page, place: &Place, scope: &Scope) -> Result<f64> {
    let image = image(place, scope)?;
    let mut worst = f64::NEG_INFINITY;
    for (way, era) in [
        (Way::Stdio, Era::Legacy),
        (Way::Stdio, Era::Modern),
        (Way::Http, Era::Legacy),
        (Way::Http, Era::Modern),
    ] {
        eprintln!("a warm container over {}, {}", way.name(), era.name());
        let compared = compare(place, scope, &image, way, era)?;
        worst = worst.max(compared.added());
        page.row(&[
            way.name(),
            &format!("{0} → {0}", era.name()),
            &compared.direct.fine_cell(),
            &compared.through.fine_cell(),
            &fine(compared.added()),
            &fine(compared.added_slow()),
            &fine(compared.cpu),
        ]);
    }
    Ok(worst)
}

fn compare(place: &Place, scope: &Scope, image: &str, way: Way, era: Era) -> Result<Compared> {
    let home = Home::new(&format!(
        "[servers.echo]\nimage = \"{image}\"\nargs = [\"--era\", \"{}\"]\n\n[profiles.default.servers.echo]\n",
        era.name()
    ))?;
    let mut through = Front::gateway(place.dockmaster, &home, way, era)?;
    wait_for_tools(&mut through.client, 1)?;
    let request = crate::relay::echo_call(&through.client);
    through.client.once(&request)?;
    let what = format!("twin-{}-{}", way.name().to_lowercase(), era.name());
    let mut twin = place.runtime.block_on(twin(scope, image, &what, era))?;
    in_turns(&mut twin, &mut through, BURSTS)
}

/// A container like the one that the gateway has just started from `image`, and a client attached to it.
async fn twin(scope: &Scope, image: &str, what: &str, era: Era) -> Result<Client> {
    let daemon = scope.daemon();
    let running = daemon.get("/containers/json").await.ok().json();
    let of_gateway = running.as_array().into_iter().flatten().find(|container| {
        container["Labels"]["dockmaster.image"]
            .as_str()
            .is_some_and(|name| name.ends_with(image))
    });
    let id = of_gateway
        .and_then(|container| container["Id"].as_str())
        .context("the gateway runs no container of the image")?;
    let seen = daemon.get(&format!("/containers/{id}/json")).await.ok().json();
    let mut body = seen["Config"].clone();
    body["HostConfig"] = seen["HostConfig"].clone();
    body["Labels"] = json!({});
    body["Hostname"] = Value::Null;
    let id = scope.create(what, body).await;
    let (output, input) = attach::attach(&machine::socket(), &id)?;
    daemon
        .post(&format!("/containers/{id}/start"), &Value::Null)
        .await
        .ok();
    Client::over_pipe(output, input, era)
}

/// Makes the image, which starts the trivial server; its name, which goes with the scope.
pub(crate) fn image(place: &Place, scope: &Scope) -> Result<String> {
    let image = scope.image("echo");
    let (name, tag) = image.rsplit_once(':').context("a name has a tag")?;
    let path = format!(
        "/images/create?fromSrc=-&repo={name}&tag={tag}\
         &changes=ENTRYPOINT%20%5B%22%2Fbench%22%2C%22serve-echo%22%5D&changes=LABEL%20{}%3D{}",
        Scope::KEY,
        scope.value()
    );
    let archive = archive(place)?;
    let import = scope
        .daemon()
        .post_bytes(&path, "application/x-tar", archive.into());
    place.runtime.block_on(import).ok();
    Ok(image)
}

/// This executable as `/bench`, and its libraries where it looks for them.
fn archive(place: &Place) -> Result<Vec<u8>> {
    let output = Command::new("ldd").arg(&place.this).output()?;
    ensure!(output.status.success(), "ldd can't read {}", place.this);
    let output = String::from_utf8(output.stdout)?;
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`
    let libraries = output
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, &place.this, "bench")?;
    for library in libraries {
        add(&mut archive, library, library.trim_start_matches('/'))?;
    }
    Ok(archive.into_inner()?)
}

fn add(archive: &mut tar::Builder<Vec<u8>>, file: &str, path: &str) -> Result<()> {
    let content = fs_err::read(file)?;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o755);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    Ok(archive.append_data(&mut header, path, content.as_slice())?)
}
