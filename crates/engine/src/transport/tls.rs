//! TLS to a daemon: rustls with aws-lc-rs, own authorities, client certificates, and, where it was asked for,
//! no proof of who answers.

use super::connect::{Connect, Duplex, tcp};
use crate::endpoint::{Authority, Identity, Tls, Verify};
use crate::{Endpoint, EndpointError};
use futures_util::future::BoxFuture;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// Opens TLS streams; the files are read at the first one.
pub(super) struct TlsConnect(Arc<Shared>);

struct Shared {
    authority: Authority,
    tls: Tls,
    ready: OnceCell<(TlsConnector, ServerName<'static>)>,
}

impl TlsConnect {
    pub(super) fn new(authority: Authority, tls: Tls) -> Self {
        Self(Arc::new(Shared {
            authority,
            tls,
            ready: OnceCell::new(),
        }))
    }
}

impl Connect for TlsConnect {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (connector, name) = shared.ready.get_or_try_init(|| prepare(&shared)).await?;
            let stream = tcp(&shared.authority).await?;
            let stream = connector.connect(name.clone(), stream).await?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

async fn prepare(shared: &Shared) -> io::Result<(TlsConnector, ServerName<'static>)> {
    let (authority, tls) = (shared.authority.clone(), shared.tls.clone());
    let config = tokio::task::spawn_blocking(move || configure(&authority, &tls))
        .await
        .map_err(io::Error::other)?
        .map_err(io::Error::other)?;
    let name = ServerName::try_from(shared.authority.host.clone()).map_err(io::Error::other)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn configure(authority: &Authority, tls: &Tls) -> Result<ClientConfig, EndpointError> {
    let fail = |reason: String| EndpointError::Tls {
        address: Endpoint::Tcp(authority.clone()).to_string(),
        reason,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(error.to_string()))?;
    let builder = match tls.verify {
        Verify::Certificate => builder.with_root_certificates(authorities(tls.ca.as_deref()).map_err(fail)?),
        Verify::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    };
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let (chain, key) = load_identity(identity).map_err(fail)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| fail(format!("{}: {error}", identity.certificate.display())))
        }
    }
}

fn authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| at(path, error))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this system trusts no authority; name the daemon's (ca.pem)".to_owned());
    }
    Ok(roots)
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

/// Believes whoever answers; see [`Verify::Nothing`]. Signatures of the handshake are still checked, so that at
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
