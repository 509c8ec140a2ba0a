//! TLS for the whole house: rustls with aws-lc-rs, the system's authorities and those of given files, client
//! certificates, and, where it was asked for, no proof of who answers.
//!
//! Deliberately absent: what a stream is used for, and servers.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

pub use tokio_rustls::client::TlsStream;

/// How TLS sessions are set up. Files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who may vouch for the other side.
    pub trust: Trust,
    /// Who we are to it.
    pub identity: Option<Identity>,
    /// The protocols that are offered (ALPN); empty: the extension is not sent.
    pub protocols: Vec<&'static str>,
}

/// Who may vouch for the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The system's authorities, and those in these files.
    System(Vec<PathBuf>),
    /// The authorities in this file alone.
    Only(PathBuf),
    /// Encrypted, but whoever answers is believed.
    Anyone,
}

impl Default for Trust {
    fn default() -> Self {
        Self::System(Vec::new())
    }
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, the own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Settings that can't be used: which file, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// Opens TLS sessions. Cheap to clone.
#[derive(Clone)]
pub struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// Reads the files of `settings`, apart from the async workers.
    ///
    /// # Errors
    /// [`SettingsError`] names the file.
    pub async fn load(settings: Settings) -> Result<Self, SettingsError> {
        let loading = tokio::task::spawn_blocking(move || Self::read(&settings));
        loading
            .await
            .unwrap_or_else(|error| Err(SettingsError(error.to_string())))
    }

    /// Reads the files of `settings`. It blocks: the system's authorities take some milliseconds.
    ///
    /// # Errors
    /// [`SettingsError`] names the file.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let config = configure(settings).map_err(SettingsError)?;
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with `host`, a DNS name or an address (IPv6 without brackets), over `stream`.
    ///
    /// # Errors
    /// What rustls says of the handshake; the other side has then seen nothing of ours but that.
    pub async fn connect<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

fn configure(settings: &Settings) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &settings.trust {
        Trust::System(files) => builder.with_root_certificates(system_and(files)?),
        Trust::Only(file) => {
            let mut roots = RootCertStore::empty();
            add(&mut roots, file)?;
            builder.with_root_certificates(roots)
        }
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = load_identity(identity)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| at(&identity.certificate, error))?
        }
    };
    config.alpn_protocols = settings
        .protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Ok(config)
}

fn system_and(files: &[PathBuf]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for file in files {
        add(&mut roots, file)?;
    }
    if roots.is_empty() {
        return Err(
            "this system trusts no authority; install ca-certificates, or name the file of one".to_owned(),
        );
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| at(file, error))?;
    }
    Ok(())
}

fn load_identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates(&identity.certificate)?;
    let pem = fs_err::read(&identity.key).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| at(&identity.key, format!("no private key in PEM form ({error})")))?;
    Ok((chain, key))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs_err::read(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(at(path, "no certificate in PEM form")),
        Err(error) => Err(at(path, error)),
    }
}

fn at(path: &Path, error: impl Display) -> String {
    format!("{}: {error}", path.display())
}

/// Believes whoever answers; see [`Trust::Anyone`]. Signatures of the handshake are still checked, so that at
/// least the key that was shown is the key that is used.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
