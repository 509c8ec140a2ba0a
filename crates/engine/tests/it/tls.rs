//! TLS: a listener with certificates of its own before the real engine's socket.

use crate::here::options;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::ops::containers::ContainerQuery;
use engine::{Authority, Endpoint, Engine, Error, Identity, Options, Tls, Verify};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// An authority, a daemon with its certificate, and the files of a client.
struct Guarded {
    folder: tempfile::TempDir,
    port: u16,
    _tasks: JoinSet<()>,
}

type Authorities = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authorities {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, and its key.
fn issue(
    authority: &Authorities,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> (CertificateDer<'static>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.der().clone(), key.serialize_der())
}

fn write_pem(path: &Path, label: &str, der: &[u8]) {
    let text = format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    );
    fs_err::write(path, text).unwrap();
}

impl Guarded {
    /// A daemon that shows a certificate for `name` and wants one of the client.
    async fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority();
        let (certificate, key) = issue(&ca, name, ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = issue(&ca, "client", ExtendedKeyUsagePurpose::ClientAuth);
        let at = |name: &str| folder.path().join(name);
        write_pem(&at("ca.pem"), "CERTIFICATE", ca.der());
        write_pem(&at("cert.pem"), "CERTIFICATE", &client);
        write_pem(&at("key.pem"), "PRIVATE KEY", &client_key);
        write_pem(&at("other-ca.pem"), "CERTIFICATE", authority().der());

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = testkit::endpoint().strip_prefix("unix://").map(PathBuf::from);
        let socket = socket.expect("these tests put TLS before a Unix socket");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, socket) = (acceptor.clone(), socket.clone());
                relays.spawn(async move {
                    // Clients that are turned away are what half of these tests are about.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut daemon = UnixStream::connect(socket).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut daemon).await);
                });
            }
        });
        Self {
            folder,
            port,
            _tasks: tasks,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls {
            ca: Some(self.file("ca.pem")),
            identity: Some(Identity {
                certificate: self.file("cert.pem"),
                key: self.file("key.pem"),
            }),
            verify: Verify::Certificate,
        }
    }

    fn open(&self, host: &str, tls: Tls) -> Engine {
        let authority = Authority {
            host: host.to_owned(),
            port: self.port,
        };
        let endpoint = Endpoint::Tls(authority, Box::new(tls));
        Engine::open(Options {
            endpoint,
            ..options("unix://")
        })
        .unwrap()
    }
}

async fn list(engine: &Engine) -> Result<(), Error> {
    engine.container_list(&ContainerQuery::default()).await.map(drop)
}

async fn fails(engine: &Engine, expected: &str) {
    let error = list(engine).await.unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let daemon = Guarded::start("localhost").await;
    let engine = daemon.open("localhost", daemon.tls());
    for _ in 0..3 {
        list(&engine).await.unwrap();
    }
    // Upgraded connections and their half-close go through TLS as well.
    let scope = testkit::Scope::new("tls");
    let id = scope.run("exec", &["sleep", "60"]).await;
    crate::exec::cat_until_the_input_ends(&engine, &id).await;
    scope.finish().await;
}

#[tokio::test]
async fn an_address_is_a_name_too() {
    let daemon = Guarded::start("127.0.0.1").await;
    list(&daemon.open("127.0.0.1", daemon.tls())).await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_can_not_prove_itself_is_not_spoken_to() {
    let daemon = Guarded::start("elsewhere.example").await;
    fails(&daemon.open("localhost", daemon.tls()), "not valid for").await;
    let other = Tls {
        ca: Some(daemon.file("other-ca.pem")),
        ..daemon.tls()
    };
    fails(&daemon.open("localhost", other), "invalid peer certificate").await;
    // The system's authorities do not know it either.
    let system = Tls {
        ca: None,
        ..daemon.tls()
    };
    fails(&daemon.open("localhost", system), "").await;

    // Unless the user asked not to look.
    let blind = Tls {
        ca: None,
        verify: Verify::Nothing,
        ..daemon.tls()
    };
    list(&daemon.open("localhost", blind)).await.unwrap();
}

#[tokio::test]
async fn a_client_without_a_certificate_is_turned_away() {
    let daemon = Guarded::start("localhost").await;
    let nobody = Tls {
        identity: None,
        ..daemon.tls()
    };
    fails(&daemon.open("localhost", nobody), "").await;
}

#[tokio::test]
async fn files_that_are_missing_or_wrong_are_named() {
    let daemon = Guarded::start("localhost").await;
    let missing = Tls {
        ca: Some(daemon.file("none.pem")),
        ..daemon.tls()
    };
    fails(&daemon.open("localhost", missing), "none.pem").await;
    let key = Identity {
        certificate: daemon.file("cert.pem"),
        key: daemon.file("ca.pem"),
    };
    let swapped = Tls {
        identity: Some(key),
        ..daemon.tls()
    };
    fails(
        &daemon.open("localhost", swapped),
        "ca.pem: no private key in PEM form",
    )
    .await;
    let key = Identity {
        certificate: daemon.file("key.pem"),
        key: daemon.file("key.pem"),
    };
    let swapped = Tls {
        identity: Some(key),
        ..daemon.tls()
    };
    fails(
        &daemon.open("localhost", swapped),
        "key.pem: no certificate in PEM form",
    )
    .await;
}

#[tokio::test]
async fn plain_text_to_a_tls_port_fails_soon() {
    let daemon = Guarded::start("localhost").await;
    let plain = Engine::open(options(&format!("tcp://127.0.0.1:{}", daemon.port))).unwrap();
    let error = list(&plain).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
}
