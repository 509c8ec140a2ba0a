//! Opening connections: a name is resolved once, its addresses are judged, and exactly the permitted ones are
//! connected to, so that no second answer of a name server can differ from the one that was checked.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, select_ok};
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use url::{Host, Url};

use crate::stream::{Duplex, Stream};
use crate::{Addresses, Class, Kind, Plain, tls};

/// How long one address has before the next is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses of one name that are tried.
const ADDRESSES: usize = 8;
/// Most bytes of a proxy's answer to CONNECT.
const PROXY_HEAD: usize = 16 << 10;

/// An HTTP proxy that is asked to CONNECT. It resolves names itself, so rules on addresses then apply to hosts that
/// are written as addresses only; which names may be reached is up to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    secure: bool,
    login: Option<Secret>,
    except: Vec<String>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]` or the same with `https`. A text without a scheme is `http`.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url =
            Url::parse(&whole).map_err(|error| format!("the address of the proxy is no URL: {error}"))?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("a proxy is reached by http or https, not by {other}")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("the address of the proxy has no host")?;
        let part = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let login = (!url.username().is_empty() || url.password().is_some()).then(|| {
            format!(
                "{}:{}",
                part(url.username()),
                part(url.password().unwrap_or_default())
            )
        });
        Ok(Self {
            host: bare(host).to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            secure,
            login: login.map(Secret::new),
            except: Vec::new(),
        })
    }

    /// The same, but not for these hosts: `example.com` and `.example.com` also stand for all names below, `*` for
    /// everything, and addresses for themselves.
    #[must_use]
    pub fn except(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.trim().to_ascii_lowercase());
        self.except.extend(hosts.filter(|host| !host.is_empty()));
        self
    }

    /// Whether it is asked for `host`. This machine itself is never reached by way of a proxy.
    fn serves(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if is_localhost(&host) {
            return false;
        }
        !self.except.iter().any(|except| {
            let name = except.trim_start_matches("*.").trim_start_matches('.');
            except == "*" || host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
        })
    }

    fn shown(&self) -> String {
        authority(&self.host, self.port)
    }
}

fn is_localhost(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse()
            .is_ok_and(|address| Class::of(address) == Class::Loopback)
}

/// Opens streams to the one peer of a client that is reached by no address; see [`crate::Client::over_streams`].
pub trait Dial: Send + Sync + 'static {
    /// Opens one more.
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>;
}

/// Opens connections for the pool.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Shared>);

struct Shared {
    rules: Rules,
    /// In place of addresses.
    dial: Option<Arc<dyn Dial>>,
    /// Read at the first connection that needs it: the system's authorities take time and memory.
    tls: Arc<Tls>,
}

/// What the pool may reach, and how.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) addresses: Addresses,
    pub(crate) plain: Plain,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) hosts: Arc<HashMap<String, Vec<IpAddr>>>,
    pub(crate) limit: Duration,
}

/// TLS that is set up when it is first needed.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: tls::Settings,
    ready: OnceCell<tls::Connector>,
}

impl Tls {
    pub(crate) fn new(settings: tls::Settings) -> Self {
        Self {
            settings,
            ready: OnceCell::new(),
        }
    }

    async fn connect(&self, host: &str, stream: Box<dyn Duplex>) -> Result<Box<dyn Duplex>, Kind> {
        let fail = |cause: String| Kind::Tls {
            host: host.to_owned(),
            cause,
        };
        let load = || tls::Connector::load(self.settings.clone());
        let connector = self
            .ready
            .get_or_try_init(load)
            .await
            .map_err(|error| fail(error.to_string()))?;
        let session = connector
            .connect(host, stream)
            .await
            .map_err(|error| fail(error.to_string()))?;
        Ok(Box::new(session))
    }
}

impl Connector {
    pub(crate) fn new(rules: Rules, tls: Arc<Tls>, dial: Option<Arc<dyn Dial>>) -> Self {
        Self(Arc::new(Shared { rules, dial, tls }))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = Kind;
    type Future = BoxFuture<'static, Result<Stream, Kind>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Kind>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let limit = shared.rules.limit;
            match tokio::time::timeout(limit, shared.open(&uri)).await {
                Ok(stream) => stream.map(Stream::new),
                Err(_) => Err(Kind::TimedOut {
                    what: "connection",
                    after: limit,
                }),
            }
        })
    }
}

impl Shared {
    async fn open(&self, uri: &Uri) -> Result<Box<dyn Duplex>, Kind> {
        let host = bare(uri.host().unwrap_or_default());
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if let Some(dial) = &self.dial {
            return dial.dial().await.map_err(|error| Kind::Connect {
                address: authority(host, port),
                cause: error.to_string(),
            });
        }
        let stream: Box<dyn Duplex> = match &self.rules.proxy {
            Some(proxy) if proxy.serves(host) => self.through(proxy, host, port, secure).await?,
            _ => Box::new(self.direct(host, port, secure).await?),
        };
        if secure {
            self.tls.connect(host, stream).await
        } else {
            Ok(stream)
        }
    }

    async fn direct(&self, host: &str, port: u16, secure: bool) -> Result<TcpStream, Kind> {
        let addresses = match self.rules.hosts.get(&host.to_ascii_lowercase()) {
            Some(addresses) => addresses.clone(),
            None => resolve(host, port).await?,
        };
        let addresses = judged(host, addresses, &self.rules.addresses)?;
        if !secure && self.rules.plain == Plain::Loopback {
            // Judged on the address as well: "localhost" may be anything to a name server.
            let here = |address: &&IpAddr| Class::of(**address) == Class::Loopback;
            let here: Vec<_> = addresses.iter().filter(here).copied().collect();
            if here.is_empty() {
                return Err(Kind::Refused(PLAIN.to_owned()));
            }
            return reach(host, port, here).await;
        }
        reach(host, port, addresses).await
    }

    async fn through(
        &self,
        proxy: &Proxy,
        host: &str,
        port: u16,
        secure: bool,
    ) -> Result<Box<dyn Duplex>, Kind> {
        if let Ok(address) = host.parse() {
            judged(host, vec![address], &self.rules.addresses)?;
        }
        if !secure && self.rules.plain != Plain::Permitted {
            return Err(Kind::Refused(PLAIN.to_owned()));
        }
        let addresses = resolve(&proxy.host, proxy.port).await?;
        let mut stream: Box<dyn Duplex> = Box::new(reach(&proxy.host, proxy.port, addresses).await?);
        if proxy.secure {
            stream = self.tls.connect(&proxy.host, stream).await?;
        }
        tunnel(&mut stream, proxy, &authority(host, port))
            .await
            .map_err(|cause| Kind::Proxy {
                proxy: proxy.shown(),
                cause,
            })?;
        Ok(stream)
    }
}

/// Why plain HTTP is refused.
pub(crate) const PLAIN: &str =
    "plain HTTP is not permitted here: anyone on the way could read and change it; use https";

/// Opens a TCP connection to `host`, a name or an address, at one of its addresses that `rules` permit.
///
/// # Errors
/// [`Kind::Resolve`], [`Kind::Forbidden`], [`Kind::Connect`], or [`Kind::TimedOut`] after `limit`.
pub async fn dial(host: &str, port: u16, rules: &Addresses, limit: Duration) -> Result<TcpStream, Kind> {
    let host = bare(host);
    let dialling = async {
        let addresses = judged(host, resolve(host, port).await?, rules)?;
        reach(host, port, addresses).await
    };
    tokio::time::timeout(limit, dialling)
        .await
        .unwrap_or(Err(Kind::TimedOut {
            what: "connection",
            after: limit,
        }))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, Kind> {
    // Odd spellings of addresses (0x7f.1, 2130706433) are addresses to the system's resolver.
    if let Ok(Host::Ipv4(address)) = Host::parse(host) {
        return Ok(vec![IpAddr::V4(address)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found
        .map_err(|error| Kind::Resolve {
            name: host.to_owned(),
            cause: error.to_string(),
        })?
        .map(|address| address.ip())
        .collect();
    Ok(found)
}

/// Those of `addresses` that may be reached.
fn judged(host: &str, addresses: Vec<IpAddr>, rules: &Addresses) -> Result<Vec<IpAddr>, Kind> {
    let Some(&first) = addresses.first() else {
        return Err(Kind::Resolve {
            name: host.to_owned(),
            cause: "the answer is empty".to_owned(),
        });
    };
    let permitted: Vec<_> = addresses
        .into_iter()
        .filter(|address| rules.permit(*address))
        .collect();
    if permitted.is_empty() {
        return Err(Kind::Forbidden {
            name: host.to_owned(),
            address: first,
            class: Class::of(first),
        });
    }
    Ok(permitted)
}

/// The first of `addresses` that answers; each has a head start before the next.
async fn reach(host: &str, port: u16, addresses: Vec<IpAddr>) -> Result<TcpStream, Kind> {
    let attempts = addresses
        .into_iter()
        .take(ADDRESSES)
        .zip(0_u32..)
        .map(|(address, at)| {
            Box::pin(async move {
                tokio::time::sleep(STAGGER * at).await;
                let stream = TcpStream::connect(SocketAddr::new(address, port)).await?;
                attend(&stream)?;
                io::Result::Ok(stream)
            })
        });
    match select_ok(attempts).await {
        Ok((stream, _)) => Ok(stream),
        Err(error) => Err(Kind::Connect {
            address: authority(host, port),
            cause: error.to_string(),
        }),
    }
}

/// Sends small writes at once, and notices within a minute that the other host has vanished, because a stream of events
/// may rightly be silent for days.
///
/// # Errors
/// That the system refuses it, as it does for a connection that is gone.
pub fn attend(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    keep_alive(stream)
}

#[cfg(unix)]
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the calls of other systems can fail")]
fn keep_alive(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// Asks a proxy for a tunnel (RFC 9110, section 9.3.6).
async fn tunnel(stream: &mut Box<dyn Duplex>, proxy: &Proxy, target: &str) -> Result<(), String> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(login) = &proxy.login {
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&STANDARD.encode(login.expose()));
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let broken = |error: io::Error| format!("broke off: {error}");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut head = Vec::new();
    // Whoever waits for us to speak first (TLS, HTTP) sends nothing behind the head, so a byte too many is a fault.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > PROXY_HEAD {
            return Err("sends an answer without an end".to_owned());
        }
        match stream.read_buf(&mut head).await.map_err(broken)? {
            0 => return Err("closed the connection without an answer".to_owned()),
            _ if head
                .windows(4)
                .position(|end| end == b"\r\n\r\n")
                .is_some_and(|at| at + 4 < head.len()) =>
            {
                return answered(&head).and(Err("sends more than an answer".to_owned()));
            }
            _ => {}
        }
    }
    answered(&head)
}

fn answered(head: &[u8]) -> Result<(), String> {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    match status {
        Some(code) if code.starts_with('2') => Ok(()),
        Some("407") => Err("wants a login; give it as http://user:password@host:port".to_owned()),
        Some(_) => Err(format!(
            "refuses the connection: {}",
            base::text::cut(&base::text::clean(&line), 200)
        )),
        None => Err("does not speak HTTP".to_owned()),
    }
}

/// `host` without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        for (text, shown, login) in [
            ("proxy.example", "proxy.example:80", None),
            ("proxy.example:3128", "proxy.example:3128", None),
            (
                "http://me:p%40w@proxy.example:3128/",
                "proxy.example:3128",
                Some("me:p@w"),
            ),
            ("https://[fd00::1]", "[fd00::1]:443", None),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.shown(), shown);
            assert_eq!(proxy.login.as_ref().map(Secret::expose), login);
        }
        for (text, reason) in [
            ("socks5://a", "a proxy is reached by http or https, not by socks5"),
            ("http://", "the address of the proxy is no URL: empty host"),
        ] {
            assert_eq!(Proxy::parse(text).unwrap_err(), reason);
        }
    }

    #[test]
    fn exceptions() {
        let except = ["Example.com", ".inner.example", "*.deep.example", "10.0.0.7", ""];
        let proxy = Proxy::parse("p").unwrap().except(except.map(str::to_owned));
        for (host, serves) in [
            ("example.org", true),
            ("example.com", false),
            ("EXAMPLE.com.", false),
            ("a.example.com", false),
            ("notexample.com", true),
            ("inner.example", false),
            ("x.inner.example", false),
            ("y.deep.example", false),
            ("10.0.0.7", false),
            ("10.0.0.8", true),
            ("localhost", false),
            ("app.localhost", false),
            ("127.0.0.2", false),
            ("::1", false),
        ] {
            assert_eq!(proxy.serves(host), serves, "{host}");
        }
        assert!(
            !Proxy::parse("p")
                .unwrap()
                .except(["*".to_owned()])
                .serves("example.org")
        );
    }

    #[test]
    fn answers_of_proxies() {
        for (head, said) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Ok(())),
            ("HTTP/1.0 204\r\n\r\n", Ok(())),
            (
                "HTTP/1.1 407 Auth\r\n\r\n",
                Err("wants a login; give it as http://user:password@host:port"),
            ),
            (
                "HTTP/1.1 403 No\u{1b}[31m\r\n\r\n",
                Err("refuses the connection: HTTP/1.1 403 No"),
            ),
            ("SSH-2.0\r\n\r\n", Err("does not speak HTTP")),
            ("", Err("does not speak HTTP")),
        ] {
            assert_eq!(answered(head.as_bytes()), said.map_err(str::to_owned), "{head:?}");
        }
    }
}
