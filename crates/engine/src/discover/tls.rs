//! TLS as the environment asks for it, and the three files that go with it.

use std::path::{Path, PathBuf};

use super::{DiscoverError, Surroundings, given};
use crate::{Endpoint, EndpointError, Identity, Tls, Verify};

/// `ca.pem`, `cert.pem` and `key.pem` in one folder.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn of_context(folder: &Path) -> Self {
        Self(folder.to_path_buf())
    }

    pub(super) fn has_ca(&self) -> bool {
        self.ca().is_some()
    }

    pub(super) fn ca(&self) -> Option<PathBuf> {
        Some(self.0.join("ca.pem")).filter(|path| path.is_file())
    }

    /// Certificate and key, if they are there.
    ///
    /// # Errors
    /// One of them is missing; its path.
    pub(super) fn identity(&self) -> Result<Option<Identity>, PathBuf> {
        let identity = Identity {
            certificate: self.0.join("cert.pem"),
            key: self.0.join("key.pem"),
        };
        match (identity.certificate.is_file(), identity.key.is_file()) {
            (true, true) => Ok(Some(identity)),
            (false, false) => Ok(None),
            (true, false) => Err(identity.key),
            (false, true) => Err(identity.certificate),
        }
    }
}

/// An address of the environment or the configuration, with TLS if the environment asks for it.
pub(super) fn endpoint(text: &str, origin: &str, around: &Surroundings) -> Result<Endpoint, DiscoverError> {
    let asked = asked(around);
    let parsed = parse(text, asked.is_some()).map_err(|cause| DiscoverError::Endpoint {
        origin: origin.to_owned(),
        cause,
    })?;
    match (asked, &parsed) {
        (Some(asked), Endpoint::Tcp(_) | Endpoint::Tls(..)) => Ok(parsed.with_tls(asked.tls(around)?)),
        _ => Ok(parsed),
    }
}

/// An address of the configuration with its own folder of certificates, if it has one.
pub(super) fn named(text: &str, folder: Option<&Path>, key: &str) -> Result<Endpoint, DiscoverError> {
    let origin = || format!("{key}.endpoint");
    let parsed = parse(text.trim(), folder.is_some()).map_err(|cause| DiscoverError::Endpoint {
        origin: origin(),
        cause,
    })?;
    let Some(folder) = folder else {
        return Ok(parsed);
    };
    let key = format!("{key}.certificates");
    if !matches!(parsed, Endpoint::Tcp(_) | Endpoint::Tls(..)) {
        let endpoint = parsed.to_string();
        return Err(DiscoverError::NoTls { key, endpoint });
    }
    let files = Files(folder.to_path_buf());
    let missing = |missing| DiscoverError::Certificates {
        key: key.clone(),
        missing,
    };
    let ca = files.ca().ok_or_else(|| missing(folder.join("ca.pem")))?;
    Ok(parsed.with_tls(Tls {
        ca: Some(ca),
        identity: files.identity().map_err(missing)?,
        verify: Verify::Certificate,
    }))
}

/// Reads an address. As with the docker CLI the scheme may be missing; with TLS the default port is 2376.
pub(super) fn parse(text: &str, wants_tls: bool) -> Result<Endpoint, EndpointError> {
    let with_scheme = match text {
        path if path.starts_with('/') => format!("unix://{path}"),
        text if !text.contains("://") => format!("tcp://{text}"),
        text => text.to_owned(),
    };
    match with_scheme.strip_prefix("tcp://") {
        Some(rest) if wants_tls => Endpoint::parse(&format!("https://{rest}")),
        _ => Endpoint::parse(&with_scheme),
    }
}

/// Which variable asks for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// `DOCKER_TLS_VERIFY`.
    Verify,
    /// `DOCKER_TLS` alone.
    Encrypt,
    /// `DOCKER_CERT_PATH` alone. The docker CLI would speak in the clear then, its SDKs with TLS; who names
    /// certificates wants them used.
    Certificates,
}

fn asked(around: &Surroundings) -> Option<Asked> {
    if given(around.docker_tls_verify.as_ref()).is_some() {
        Some(Asked::Verify)
    } else if given(around.docker_tls.as_ref()).is_some() {
        Some(Asked::Encrypt)
    } else {
        cert_path(around).map(|_| Asked::Certificates)
    }
}

fn cert_path(around: &Surroundings) -> Option<PathBuf> {
    around
        .docker_cert_path
        .clone()
        .filter(|path| !path.as_os_str().is_empty())
}

impl Asked {
    fn tls(self, around: &Surroundings) -> Result<Tls, DiscoverError> {
        let named = cert_path(around);
        let is_named = named.is_some();
        let Some(folder) = named.or_else(|| around.config_dir()) else {
            return Ok(Tls {
                verify: self.verify(),
                ..Tls::default()
            });
        };
        let files = Files(folder);
        let missing = |missing| DiscoverError::Tls {
            by: self.variable(),
            missing,
        };
        let ca = files.ca();
        if is_named && ca.is_none() && self.verify() == Verify::Certificate {
            return Err(missing(files.0.join("ca.pem")));
        }
        Ok(Tls {
            ca,
            identity: files.identity().map_err(missing)?,
            verify: self.verify(),
        })
    }

    fn verify(self) -> Verify {
        match self {
            Self::Verify | Self::Certificates => Verify::Certificate,
            Self::Encrypt => Verify::Nothing,
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Verify => "DOCKER_TLS_VERIFY",
            Self::Encrypt => "DOCKER_TLS",
            Self::Certificates => "DOCKER_CERT_PATH",
        }
    }
}
