//! The way to a logged-in session: the configuration is read, jump hosts are gone through, the host's key is judged, and
//! only then is said who we are.

use crate::ask::{Ask, Stranger, Trust};
use crate::config::{self, Files, Proxy, Resolved, Strict, Target};
use crate::guard::{Guard, Refusal};
use crate::keys::Opened;
use crate::known_hosts::{self, KnownHosts, Verdict};
use crate::login::Login;
use crate::session::{Goal, Limits, Session};
use crate::{Error, wire};
use futures_util::future::BoxFuture;
use russh::client::{Config, Handle};
use russh::keys::{Algorithm, PublicKey};
use russh::{Preferred, SshId, cipher, kex};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many jump hosts may stand one behind the other.
const JUMPS: usize = 8;
/// After how much silence the far side is asked whether it is there, where the configuration does not say.
const ALIVE: Duration = Duration::from_secs(15);
/// What keys are exchanged by: what russh takes for safe, and the curves of NIST, which hosts have that follow FIPS 140. Later
/// ones cost seconds.
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G14_SHA256,
    kex::DH_G15_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G18_SHA512,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
/// OpenSSH's own, in its order.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];
/// The largest file of known hosts: some 100,000 hosts.
const KNOWN: u64 = 16 << 20;

/// Where everything is that opening sessions needs.
#[derive(Clone)]
pub struct Options {
    /// The user's configuration and home.
    pub files: Files,
    /// The socket (Windows: the pipe) of the SSH agent, as `SSH_AUTH_SOCK` names it.
    pub agent: Option<PathBuf>,
    /// Who answers questions.
    pub ask: Arc<dyn Ask>,
    /// Bounds.
    pub limits: Limits,
}

/// Opens sessions for one host and the hosts on the way there.
pub(crate) struct Opener {
    pub(crate) options: Options,
    pub(crate) tasks: TaskTracker,
    opened: Opened,
    /// Keys of hosts that are trusted until this process ends.
    agreed: Mutex<Vec<(String, u16, PublicKey)>>,
}

impl Opener {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            tasks: TaskTracker::new(),
            opened: Opened::default(),
            agreed: Mutex::default(),
        }
    }

    /// A session with `target`; through `via` if that is given, else as the configuration says.
    pub(crate) fn open(
        &self,
        target: Target,
        via: Option<Arc<Session>>,
        depth: usize,
    ) -> BoxFuture<'_, Result<Arc<Session>, Error>> {
        Box::pin(async move {
            let files = self.options.files.clone();
            let asked = target.clone();
            let resolved = tokio::task::spawn_blocking(move || config::resolve(&files, &asked)).await;
            let resolved = resolved.map_err(|_| Error::Closed {
                host: target.host.clone(),
            })??;
            for note in &resolved.notes {
                tracing::warn!(host = target.host, "{note}");
            }
            let via = match via {
                Some(via) => Some(via),
                None => self.jumps(&target, &resolved, depth).await?,
            };
            self.session(&resolved, via).await
        })
    }

    async fn jumps(
        &self,
        target: &Target,
        resolved: &Resolved,
        depth: usize,
    ) -> Result<Option<Arc<Session>>, Error> {
        let jumps = match &resolved.proxy {
            Proxy::Direct => return Ok(None),
            Proxy::Jump(jumps) => jumps,
            Proxy::Command(command) => {
                return Err(Error::SystemOnly {
                    host: target.host.clone(),
                    what: format!(
                        "'ProxyCommand {}'",
                        base::text::cut(&base::redact::text(command), 80)
                    ),
                });
            }
        };
        // `Host *` with a ProxyJump applies to the jump host, too.
        let is_here = |jump: &Target| jump.host == resolved.alias || jump.host == resolved.host_name;
        if jumps.first().is_some_and(is_here) {
            return Ok(None);
        }
        if depth >= JUMPS {
            return Err(Error::Config {
                place: format!("ProxyJump of {}", target.host),
                reason: format!(
                    "more than {JUMPS} jump hosts stand one behind the other; do they name each other?"
                ),
            });
        }
        let mut via = None;
        for jump in jumps {
            via = Some(self.open(jump.clone(), via, depth + 1).await?);
        }
        Ok(via)
    }

    async fn session(&self, resolved: &Resolved, via: Option<Arc<Session>>) -> Result<Arc<Session>, Error> {
        let place = Place::of(resolved, via.as_deref());
        let known = self.known_hosts(resolved).await?;
        // A second time after someone has agreed to an unknown key: nobody is kept waiting while a person thinks.
        let mut may_ask = true;
        loop {
            let cut = CancellationToken::new();
            let guard = cut.clone().drop_guard();
            let refusal = Refusal::default();
            let transport = self.transport(resolved, via.as_ref(), &place).await?;
            let connecting = russh::client::connect_stream(
                Arc::new(settings(resolved, &known)),
                wire::Wire::new(transport, cut.clone()),
                self.guard(resolved, &known, &refusal),
            );
            // As with OpenSSH, the time to connect holds for the key exchange, too: a host that takes connections and never
            // answers is no better than one that takes none.
            let limit = resolved.connect_timeout.unwrap_or(self.options.limits.step);
            let connected = timeout(limit, connecting).await;
            let refused = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut handle = match (connected, refused) {
                (_, Some((Verdict::Unknown { fingerprint }, key))) if may_ask => {
                    drop(guard);
                    self.ask(resolved, &key, fingerprint).await?;
                    may_ask = false;
                    continue;
                }
                (_, Some((verdict, key))) => return Err(place.refused(resolved, verdict, &key)),
                (Ok(Ok(handle)), None) => handle,
                (Ok(Err(error)), None) => return Err(place.failed("the key exchange", &error)),
                (Err(_), None) => {
                    return Err(Error::Late {
                        host: place.host,
                        step: "the key exchange",
                        limit,
                    });
                }
            };
            self.login(resolved, &place, &mut handle).await?;
            let limits = self.options.limits.clone();
            let cut = guard.disarm();
            let session = Session::new(place.host, handle, cut, via, limits, self.tasks.clone());
            return Ok(Arc::new(session));
        }
    }

    async fn login(
        &self,
        resolved: &Resolved,
        place: &Place,
        handle: &mut Handle<Guard>,
    ) -> Result<(), Error> {
        let login = Login {
            host: &place.host,
            resolved,
            files: &self.options.files,
            agent: self.options.agent.as_ref(),
            ask: &*self.options.ask,
            opened: &self.opened,
            limit: self.options.limits.step,
        };
        login.run(handle).await
    }

    async fn transport(
        &self,
        resolved: &Resolved,
        via: Option<&Arc<Session>>,
        place: &Place,
    ) -> Result<Box<dyn wire::Duplex>, Error> {
        if let Some(via) = via {
            let goal = Goal::Tcp(resolved.host_name.clone(), resolved.port);
            return Ok(Box::new(
                Arc::clone(via).open(goal, self.options.limits.queue).await?,
            ));
        }
        let limit = resolved.connect_timeout.unwrap_or(self.options.limits.connect);
        let connecting = TcpStream::connect((&*resolved.host_name, resolved.port));
        let fail = |reason: String| Error::Connect {
            host: place.host.clone(),
            address: place.address.clone(),
            reason,
        };
        let stream = match timeout(limit, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(fail(explained(&error))),
            Err(_) => {
                return Err(fail(format!(
                    "no answer in {} s; is the host up, and does a firewall let port {} through?",
                    limit.as_secs(),
                    resolved.port
                )));
            }
        };
        // What is sent here is small and awaited.
        stream
            .set_nodelay(true)
            .map_err(|error| fail(error.to_string()))?;
        Ok(Box::new(stream))
    }

    fn guard(&self, resolved: &Resolved, known: &Arc<KnownHosts>, refusal: &Refusal) -> Guard {
        let (name, port) = (resolved.key_name(), resolved.port);
        let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        let agreed = agreed.iter().find(|(host, at, _)| host == name && *at == port);
        Guard {
            known: Arc::clone(known),
            name: name.to_owned(),
            port,
            agreed: agreed.map(|(_, _, key)| key.clone()),
            refusal: Arc::clone(refusal),
        }
    }

    async fn known_hosts(&self, resolved: &Resolved) -> Result<Arc<KnownHosts>, Error> {
        let paths = self.known_paths(resolved)?;
        let read = tokio::task::spawn_blocking(move || {
            let mut known = KnownHosts::default();
            for path in paths {
                match bytes_of(&path) {
                    Ok(bytes) => known.add(&path, &bytes),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    // It may be the one that revokes.
                    Err(error) => {
                        return Err(Error::Config {
                            place: path.display().to_string(),
                            reason: format!("the known hosts can't be read: {error}"),
                        });
                    }
                }
            }
            Ok(known)
        });
        let known = read.await.map_err(|_| Error::Closed {
            host: resolved.alias.clone(),
        })??;
        for warning in known.warnings() {
            tracing::warn!("{warning}");
        }
        Ok(Arc::new(known))
    }

    fn known_paths(&self, resolved: &Resolved) -> Result<Vec<PathBuf>, Error> {
        let path = |written: &String| {
            resolved
                .path(&self.options.files, written)
                .map_err(|reason| Error::Config {
                    place: format!("the file of known hosts {written}"),
                    reason,
                })
        };
        resolved.known_hosts.iter().map(path).collect()
    }

    /// Whether an unknown host is to be trusted; `Ok` when its key is agreed to from now on.
    async fn ask(&self, resolved: &Resolved, key: &PublicKey, fingerprint: String) -> Result<(), Error> {
        let (name, port) = (resolved.key_name(), resolved.port);
        let host = format!("{name} port {port}");
        let algorithm = key.algorithm().to_string();
        let first = self.known_paths(resolved)?.into_iter().next();
        let trust = match resolved.strict {
            Strict::Yes => Trust::Refuse,
            Strict::AcceptNew => Trust::Remember,
            Strict::Ask => {
                let stranger = Stranger {
                    host: host.clone(),
                    algorithm: algorithm.clone(),
                    fingerprint: fingerprint.clone(),
                };
                let answer = timeout(self.options.limits.ask, self.options.ask.trust(stranger)).await;
                answer.unwrap_or(Trust::Refuse)
            }
        };
        match trust {
            Trust::Refuse => {
                let advice = match &first {
                    Some(file) => format!(
                        "log in once with the system's ssh, or add this line to {}: {}",
                        file.display(),
                        known_hosts::line(name, port, key).unwrap_or_default()
                    ),
                    None => {
                        "name a file with UserKnownHostsFile in ~/.ssh/config and add the key to it".into()
                    }
                };
                return Err(Error::UnknownHost {
                    host,
                    algorithm,
                    fingerprint,
                    advice,
                });
            }
            Trust::Once => {}
            Trust::Remember => {
                if let Some(file) = first {
                    let line = known_hosts::line(name, port, key).unwrap_or_default();
                    let written = file.clone();
                    let result = tokio::task::spawn_blocking(move || remember(&written, &line)).await;
                    if !matches!(result, Ok(Ok(()))) {
                        tracing::warn!("the key of {host} can't be written to {}", file.display());
                    }
                }
            }
        }
        let mut agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        agreed.retain(|(host, at, _)| host != name || *at != port);
        agreed.push((name.to_owned(), port, key.clone()));
        Ok(())
    }
}

/// How a host is called in errors, and where it was looked for.
struct Place {
    host: String,
    address: String,
}

impl Place {
    fn of(resolved: &Resolved, via: Option<&Session>) -> Self {
        let host = match &resolved.alias {
            alias if *alias == resolved.host_name => alias.clone(),
            alias => format!("{alias} ({})", resolved.host_name),
        };
        let way = via
            .map(|via| format!(" through {}", via.host))
            .unwrap_or_default();
        Self {
            host,
            address: format!("{} port {}{way}", resolved.host_name, resolved.port),
        }
    }

    fn failed(&self, step: &'static str, error: &russh::Error) -> Error {
        let reason = match error {
            russh::Error::IO(error) if !is_end(error) => explained(error),
            russh::Error::IO(_) | russh::Error::HUP | russh::Error::Disconnect => {
                "the far side ended the connection; it may be too busy (MaxStartups), refuse this address, or not speak SSH 2 (is the port right?)"
                    .into()
            }
            russh::Error::Version => "what answers there does not speak SSH 2; is the port right?".into(),
            russh::Error::NoCommonAlgo { kind, theirs, .. } => format!(
                "no {kind:?} algorithm in common; it offers {}, of which none is safe and known here; with ssh = \"system\" \
                 for this host the system's ssh may reach it, if its configuration allows one of these",
                base::text::cut(&base::text::clean(&theirs.join(", ")), 200)
            ),
            other => base::text::cut(&base::text::clean(&other.to_string()), 300).to_owned(),
        };
        Error::Protocol {
            host: format!("{} at {}", self.host, self.address),
            step,
            reason,
        }
    }

    fn refused(&self, resolved: &Resolved, verdict: Verdict, key: &PublicKey) -> Error {
        let host = self.host.clone();
        let name = known_hosts::written(resolved.key_name(), resolved.port);
        match verdict {
            Verdict::Changed {
                place,
                known,
                fingerprint,
            } => Error::ChangedHost {
                host,
                fingerprint,
                known,
                place: Box::new(place),
                name,
            },
            Verdict::Revoked(place) => Error::RevokedHost { host, place },
            Verdict::Certificate { place, reason } => Error::HostCertificate { host, place, reason },
            Verdict::Unknown { .. } | Verdict::Known(_) => Error::UnknownHost {
                host,
                algorithm: key.algorithm().to_string(),
                fingerprint: known_hosts::fingerprint(key),
                advice: "try again: it showed another key a moment ago".into(),
            },
        }
    }
}

/// How a session with this host is set up: what is agreed on, and when the far side counts as gone.
fn settings(resolved: &Resolved, known: &KnownHosts) -> Config {
    let (name, port) = (resolved.key_name(), resolved.port);
    // Of an RSA key a known_hosts line does not say the hash.
    let is_known = |algorithm: &Algorithm| {
        known.algorithms(name, port).iter().any(|known| {
            known == algorithm || matches!((known, algorithm), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
        })
    };
    // SHA-1 can be forged. The rest in the order of russh, those that are known first, so that a host is not taken
    // for another because it shows another of its keys.
    let all = Preferred::DEFAULT
        .key
        .iter()
        .filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }));
    let (mut keys, others): (Vec<_>, Vec<_>) = all.cloned().partition(is_known);
    keys.extend(others);
    let certificates = if known.has_authority(name, port) {
        keys.clone()
    } else {
        Vec::new()
    };
    Config {
        client_id: SshId::Standard("SSH-2.0-dockmaster".into()),
        preferred: Preferred {
            key: keys.into(),
            host_key_certificates: certificates.into(),
            kex: EXCHANGES.into(),
            cipher: CIPHERS.into(),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(resolved.alive_interval.unwrap_or(ALIVE)),
        keepalive_max: resolved.alive_count.max(1),
        ..Config::default()
    }
}

/// Whether an error is how a far side that wants no more of us looks.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

fn explained(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is sshd running there, and on this port?",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "; is the network up?",
        _ if error.to_string().contains("lookup") => "; is the name right? An alias stands in ~/.ssh/config",
        _ => "",
    };
    format!("{error}{advice}")
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(KNOWN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > KNOWN {
        return Err(io::Error::other(format!("it has more than {KNOWN} bytes")));
    }
    Ok(bytes)
}

/// Adds a line to a file that may not be there yet, or not end with a line break.
fn remember(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let ends = bytes_of(file).map_or(true, |bytes| bytes.last().is_none_or(|last| *last == b'\n'));
    let mut options = fs_err::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(file)?;
    // One write, so that lines of two processes do not mix.
    file.write_all(format!("{}{line}\n", if ends { "" } else { "\n" }).as_bytes())
}
