//! This machine: configuration, the audit, the token, free space, a running gateway.

use std::net::SocketAddr;
use std::path::Path;

use store::Store;

use super::Check;
use super::engine::space;
use crate::clients;
use crate::commands::status;
use crate::keep;
use crate::settings::Settings;
use crate::token;

/// The configuration, which was read already.
pub(super) fn configuration(settings: &Settings) -> Check {
    let file = settings.folders.shown(&settings.file);
    if !settings.has_file() {
        return Check::ok(
            "configuration",
            format!("all at its default; {file} does not exist"),
        );
    }
    match others_may_write(&settings.file) {
        Some(true) => Check::fault(
            "configuration",
            format!("{file} can be written by others, who could open the guard"),
            format!("chmod go-w {}", settings.file.display()),
        ),
        _ => Check::ok("configuration", format!("{file} is in order")),
    }
}

/// All other checks of this machine.
pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![audit(settings).await];
    checks.extend(token_file(settings));
    checks.extend(secrets(settings).await);
    checks.extend(space("state", &settings.folders.state));
    checks.push(gateway(settings).await);
    #[cfg(unix)]
    checks.push(egress());
    checks
}

async fn audit(settings: &Settings) -> Check {
    let path = settings.database();
    let shown = settings.folders.shown(&path);
    let ready = async {
        let store = Store::open(path.clone());
        let ready = store.ready().await;
        store.close().await;
        ready
    };
    if let Err(error) = ready.await {
        return Check::fault(
            "audit",
            error.to_string(),
            "every call fails until that is mended",
        );
    }
    match others_may_read(&path) {
        Some(true) => Check::warning(
            "audit",
            format!("{shown} can be read by others"),
            format!("chmod go= {}", path.display()),
        ),
        _ => Check::ok("audit", format!("{shown} can be written")),
    }
}

fn token_file(settings: &Settings) -> Option<Check> {
    let file = settings.folders.token_file();
    let shown = settings.folders.shown(&file);
    match token::find(settings) {
        Err(error) => Some(Check::fault(
            "token",
            format!("{error:#}"),
            format!("chmod 600 {}", file.display()),
        )),
        Ok(None) => None,
        Ok(Some(_)) if others_may_read(&file) == Some(true) => {
            let fix = format!(
                "chmod 600 {0}; or remove it, so that another is generated",
                file.display()
            );
            Some(Check::fault(
                "token",
                format!("{shown} can be read by others"),
                fix,
            ))
        }
        Ok(Some(_)) => Some(Check::ok("token", token::place(settings))),
    }
}

/// The sources of secrets, each asked what it has.
async fn secrets(settings: &Settings) -> Vec<Check> {
    let sources = match keep::sources(settings) {
        Ok(sources) => sources,
        Err(error) => {
            return vec![Check::fault(
                "secrets",
                format!("{error:#}"),
                "mend `secrets.sources`",
            )];
        }
    };
    let faults = sources.list().await.faults;
    if faults.is_empty() {
        let places = sources.places().join(", then ");
        return vec![Check::ok("secrets", format!("looked for in {places}"))];
    }
    let fix = "mend it, or take it out of `secrets.sources`; a server whose secret is looked for there does not start";
    let warning = |fault: secrets::Error| Check::warning("secrets", fault.to_string(), fix);
    faults.into_iter().map(warning).collect()
}

async fn gateway(settings: &Settings) -> Check {
    let config = &settings.config.gateway;
    let address = SocketAddr::new(config.host, config.port);
    let url = clients::url(address);
    match token::find(settings) {
        Ok(Some(token)) if status::fetch(address, Some(&token)).await.is_ok() => {
            Check::ok("gateway", format!("runs at {url}"))
        }
        _ => Check::ok(
            "gateway",
            format!("none answers at {url}; clients that speak stdio start their own"),
        ),
    }
}

/// How servers with declared hosts get to their proxy.
#[cfg(unix)]
fn egress() -> Check {
    match crate::relay::own() {
        Ok(_) => Check::ok(
            "egress",
            "servers with declared hosts have no network, and reach nothing but the proxy",
        ),
        Err(error) => Check::warning(
            "egress",
            format!(
                "servers with declared hosts get a network in which services of this host that listen on all \
                 addresses can be reached (on Podman they are refused), since this executable can't be mounted into containers: {error}"
            ),
            "install it as a file that everybody may read and run (chmod 755), on Linux",
        ),
    }
}

/// Whether others than the owner may read it; `None` if it is not there or the system has no such rights.
#[cfg(unix)]
fn others_may_read(path: &Path) -> Option<bool> {
    mode(path).map(|mode| mode & 0o044 != 0)
}

#[cfg(unix)]
fn others_may_write(path: &Path) -> Option<bool> {
    mode(path).map(|mode| mode & 0o022 != 0)
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs_err::metadata(path).ok()?.permissions().mode())
}

#[cfg(not(unix))]
fn others_may_read(_path: &Path) -> Option<bool> {
    None
}

#[cfg(not(unix))]
fn others_may_write(_path: &Path) -> Option<bool> {
    None
}
