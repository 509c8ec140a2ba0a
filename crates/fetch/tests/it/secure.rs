//! TLS with an authority of the test's own.

use std::path::PathBuf;
use std::sync::Arc;

use crate::peer::{Peer, answer, here};
use fetch::{Client, Kind, Options, Redirects, Request};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use testkit::{Over, PeerStream};
use tokio_rustls::TlsAcceptor;

/// What a server needs, and the file of the authority behind it.
pub(crate) fn server(name: &str) -> (Over, tempfile::TempDir, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs_err::write(&file, pem(authority.der())).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let over: Over = Arc::new(move |stream| {
        let acceptor = acceptor.clone();
        Box::pin(async move {
            // Clients that do not trust this server are what some tests are about.
            let stream = acceptor.accept(stream).await.ok()?;
            Some(Box::new(stream) as Box<dyn PeerStream>)
        })
    });
    (over, folder, file)
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn trusting(file: PathBuf) -> Client {
    Client::new(Options {
        authorities: vec![file],
        ..here()
    })
}

#[tokio::test]
async fn authorities() {
    let (tls, _folder, file) = server("localhost");
    let peer = Peer::over(Some(tls), |_| vec![answer("200 OK", "", "safe")]).await;
    let url = format!("https://localhost:{}/", peer.port);
    let get = || Request::get(&url).unwrap();
    let client = trusting(file.clone());
    assert_eq!(client.send(get()).await.unwrap().text().await.unwrap(), "safe");
    assert_eq!(client.send(get()).await.unwrap().text().await.unwrap(), "safe");
    assert!(peer.seen().iter().all(|seen| seen.connection == 0));

    let error = Client::new(here()).send(get()).await.unwrap_err();
    assert!(
        matches!(&error.kind, Kind::Tls { cause, .. } if cause.contains("certificate")),
        "{error}"
    );
    assert!(!error.may_have_happened());
    let other = format!("https://127.0.0.1:{}/", peer.port);
    let error = client.send(Request::get(&other).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("not valid for"), "{error}");
    let missing = file.with_file_name("none.pem");
    let error = trusting(missing).send(get()).await.unwrap_err();
    assert!(error.to_string().contains("none.pem"), "{error}");
}

#[tokio::test]
async fn https_is_not_left() {
    let (tls, _folder, file) = server("localhost");
    let plain = Peer::start(|_| vec![answer("200 OK", "", "plain")]).await;
    let to = plain.url("/x");
    let peer = Peer::over(Some(tls), move |_| {
        vec![answer("302 Found", &format!("Location: {to}\r\n"), "")]
    })
    .await;
    let request = Request::get(&format!("https://localhost:{}/", peer.port)).unwrap();
    let error = trusting(file)
        .send(request.redirects(Redirects::Follow(5)))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it would leave https"), "{error}");
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn plain_text_on_a_port_of_tls() {
    let peer = Peer::start(|_| vec![answer("400 Bad Request", "", "")]).await;
    let request = Request::get(&format!("https://localhost:{}/", peer.port)).unwrap();
    let error = Client::new(here()).send(request).await.unwrap_err();
    assert!(
        matches!(error.kind, Kind::Tls { .. } | Kind::TimedOut { .. }),
        "{error}"
    );
}
