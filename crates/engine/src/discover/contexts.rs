//! The docker CLI's store of contexts: `contexts/meta/<id>/meta.json` and `contexts/tls/<id>/docker/*.pem`, the id
//! being the SHA-256 of the name.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{DiscoverError, NamedBy, Origin, printable, tls};
use crate::tarball::read_small;
use crate::{Endpoint, Tls, Verify};

const LIMIT: u64 = 1 << 20;
/// Most names in an error.
const KNOWN: usize = 20;

/// The endpoint of a context, with its TLS material.
pub(super) fn endpoint(folder: &Path, name: &str, by: NamedBy) -> Result<(Endpoint, Origin), DiscoverError> {
    let store = folder.join("contexts");
    let path = meta_path(&store, &id(name));
    let unusable = |reason: String| DiscoverError::Context {
        name: printable(name),
        path: path.clone(),
        reason,
    };
    let meta = match read(&path) {
        Ok(meta) => meta,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(DiscoverError::NoContext {
                name: printable(name),
                by,
                known: names(&store),
                folder: store,
            });
        }
        Err(cause) => return Err(unusable(cause.to_string())),
    };
    let docker = &meta["Endpoints"]["docker"];
    let Some(host) = docker["Host"].as_str().filter(|host| !host.is_empty()) else {
        return Err(unusable("it has no Endpoints.docker.Host".to_owned()));
    };
    let skips_verify = docker["SkipTLSVerify"].as_bool().unwrap_or(false);
    let material = tls::Files::of_context(&store.join("tls").join(id(name)).join("docker"));
    let identity = material.identity().map_err(|missing| {
        unusable(format!(
            "{} is not there beside its other half",
            missing.display()
        ))
    })?;
    let wants_tls = skips_verify || material.has_ca() || identity.is_some();
    let parsed = tls::parse(host, wants_tls).map_err(|cause| unusable(cause.to_string()))?;
    let endpoint = if wants_tls {
        parsed.with_tls(Tls {
            ca: material.ca(),
            identity,
            verify: if skips_verify {
                Verify::Nothing
            } else {
                Verify::Certificate
            },
        })
    } else {
        parsed
    };
    let origin = Origin::Context {
        name: name.to_owned(),
        by,
    };
    Ok((endpoint, origin))
}

fn id(name: &str) -> String {
    format!("{:x}", Sha256::digest(name.as_bytes()))
}

fn meta_path(store: &Path, id: &str) -> PathBuf {
    store.join("meta").join(id).join("meta.json")
}

fn read(path: &Path) -> io::Result<Value> {
    let mut file = fs_err::File::open(path)?.into_file();
    let content = read_small(&mut file, LIMIT)?;
    serde_json::from_slice(&content).map_err(|cause| {
        io::Error::other(format!(
            "line {}, column {}: it is not valid JSON",
            cause.line(),
            cause.column()
        ))
    })
}

/// The names of the contexts that can be read, in order.
fn names(store: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(store.join("meta")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .take(1000)
        .filter_map(|entry| read(&entry.path().join("meta.json")).ok())
        .filter_map(|meta| meta["Name"].as_str().map(printable))
        .collect();
    names.sort_unstable();
    names.truncate(KNOWN);
    names
}
