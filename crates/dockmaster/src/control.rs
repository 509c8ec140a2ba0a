//! How commands reach the gateways that run: each listens at a socket of its own in the state folder, whichever transport
//! its clients use. One connection, one request, one answer, each a line of JSON.
//!
//! The folder is its owner's alone and the guard lets no container mount it, so whoever connects is this user, and needs
//! no token. Deliberately absent: MCP, anything that a client of the gateway may do, and systems without such sockets;
//! there nobody listens, and `gateway status` asks by HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use gateway::CancellationToken;
use gateway::Status;
use serde::{Deserialize, Serialize};

use crate::assemble::House;
use crate::bridges;
use crate::output;
use crate::settings::{Settings, Transport};

#[cfg(unix)]
pub(crate) use unix::ask;

/// How long an exchange may take; whatever is asked for is answered without waiting for a server.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a host may take to say how it does; within [`PATIENCE`].
#[cfg(unix)]
const HOSTS: Duration = Duration::from_secs(3);
/// Most bytes of a request.
#[cfg(unix)]
const REQUEST: u64 = 4 << 10;
/// Most bytes of an answer.
#[cfg(unix)]
const ANSWER: u64 = 16 << 20;
/// Most commands that are answered at a time; further ones wait.
#[cfg(unix)]
const AT_ONCE: usize = 8;

/// What a command wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// To know how the gateway does.
    Status,
    /// The instances of a server stopped; the next use starts them anew.
    Restart { server: String },
    /// To go on as the configuration says now.
    Renew,
}

/// What a gateway answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// How it does.
    Status(Box<Told>),
    /// Whether it has such a server, and it was restarted.
    Restarted(bool),
    /// It goes on as the configuration says; but for these settings, which have changed and hold from its next start.
    Renewed { later: Vec<String> },
    /// Nothing was done, and why.
    Failed(String),
}

/// A gateway that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Of its process.
    pub(crate) pid: u32,
    /// How its clients reach it.
    pub(crate) transport: Transport,
    /// Where it listens, by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<SocketAddr>,
    /// How its hosts do; it asks those that it has used.
    #[serde(default)]
    pub(crate) hosts: Vec<hosts::State>,
    /// The bridges on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) bridges: Vec<bridges::states::Told>,
    /// How it does.
    #[serde(flatten)]
    pub(crate) status: Status,
}

/// The folder of the sockets.
fn folder(settings: &Settings) -> PathBuf {
    settings.folders.state.join("gateways")
}

/// How the gateways of this user do that can be asked; those that can't are passed over.
pub(crate) async fn gateways(settings: &Settings) -> Vec<Told> {
    let told = ask(settings, &Order::Status).await.into_iter();
    let mut told: Vec<_> = told
        .filter_map(|reply| match reply {
            Reply::Status(told) => Some(*told),
            Reply::Restarted(_) | Reply::Renewed { .. } | Reply::Failed(_) => None,
        })
        .collect();
    told.sort_by_key(|told| told.pid);
    told
}

/// What became of the order to go on as the configuration says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// So many gateways do.
    pub(crate) done: usize,
    /// So many go on as before.
    pub(crate) failed: usize,
}

/// Has the gateways that run go on as the configuration says now, and tells of those that do not, and of what holds later.
pub(crate) async fn renew(settings: &Settings) -> std::io::Result<Renewed> {
    let mut renewed = Renewed { done: 0, failed: 0 };
    let mut later = std::collections::BTreeSet::new();
    for reply in ask(settings, &Order::Renew).await {
        match reply {
            Reply::Renewed { later: of_this } => {
                renewed.done += 1;
                later.extend(of_this);
            }
            Reply::Failed(why) => {
                renewed.failed += 1;
                output::note(&format!("a gateway that runs goes on as before: {why}"))?;
            }
            Reply::Status(_) | Reply::Restarted(_) => {}
        }
    }
    match renewed.done {
        0 => {}
        1 => output::note("the gateway that runs has taken it over")?,
        count => output::note(&format!("{count} gateways that run have taken it over"))?,
    }
    if !later.is_empty() {
        let names: Vec<_> = later.into_iter().collect();
        output::note(&format!(
            "but for {}: what that says holds from the next `dockmaster gateway run`",
            names.join(", ")
        ))?;
    }
    Ok(renewed)
}

/// Serves clients, and beside them the commands of this user. `address`: where the clients connect, by HTTP.
#[cfg(unix)]
pub(crate) async fn beside<T>(
    settings: &Settings,
    house: &House,
    address: Option<SocketAddr>,
    serving: impl Future<Output = T>,
) -> T {
    let control = unix::Control::open(settings, house, address);
    let ended = CancellationToken::new();
    let listening = async {
        match control {
            Ok(control) => control.serve(ended.clone()).await,
            Err(error) => tracing::warn!("commands can't reach this gateway: {error}"),
        }
    };
    let serving = async {
        let served = serving.await;
        ended.cancel();
        served
    };
    tokio::join!(serving, listening).0
}

/// Serves clients.
#[cfg(not(unix))]
pub(crate) async fn beside<T>(
    _settings: &Settings,
    _house: &House,
    _address: Option<SocketAddr>,
    serving: impl Future<Output = T>,
) -> T {
    serving.await
}

/// Nobody listens here.
#[cfg(not(unix))]
#[expect(clippy::unused_async, reason = "the other system's waits")]
pub(crate) async fn ask(settings: &Settings, _order: &Order) -> Vec<Reply> {
    tracing::debug!("no gateway listens in {}", folder(settings).display());
    Vec::new()
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};

    use fs_err as fs;
    use futures_util::StreamExt;
    use futures_util::future::join_all;
    use futures_util::stream::FuturesUnordered;
    use gateway::CancellationToken;
    use serde_json::Value;
    use store::Entry;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::time::timeout;

    use super::{ANSWER, AT_ONCE, HOSTS, Order, PATIENCE, REQUEST, Reply, Told, folder};
    use crate::assemble::{self, House};
    use crate::bridges::states::{self, Whom};
    use crate::commands::host::in_order;
    use crate::settings::{LOCAL, Settings};

    /// A gateway's socket; it goes with this value.
    pub(super) struct Control<'a> {
        listener: UnixListener,
        path: PathBuf,
        desk: Desk<'a>,
    }

    /// What orders are carried out with.
    struct Desk<'a> {
        settings: &'a Settings,
        house: &'a House,
        address: Option<SocketAddr>,
    }

    impl<'a> Control<'a> {
        /// Listens. `address`: where clients reach the gateway by HTTP.
        ///
        /// # Errors
        /// The folder or the socket can't be made, such as when its path has more than about 100 bytes.
        pub(super) fn open(
            settings: &'a Settings,
            house: &'a House,
            address: Option<SocketAddr>,
        ) -> io::Result<Self> {
            let folder = folder(settings);
            crate::private::folder(&folder)?;
            // It may have been made by somebody with other habits.
            fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            // Random: process ids are used again, and containers that share a folder have the same ones.
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
            let path = folder.join(format!("{:016x}.sock", u64::from_ne_bytes(random)));
            Ok(Self {
                listener: UnixListener::bind(&path)?,
                path,
                desk: Desk {
                    settings,
                    house,
                    address,
                },
            })
        }

        /// Answers until told to stop.
        pub(super) async fn serve(self, stop: CancellationToken) {
            let mut answering = FuturesUnordered::new();
            loop {
                let has_room = answering.len() < AT_ONCE;
                tokio::select! {
                    () = stop.cancelled() => break,
                    Some(()) = answering.next() => {}
                    accepted = self.listener.accept(), if has_room => match accepted {
                        Ok((stream, _)) => answering.push(async {
                            if let Err(error) = self.desk.answer(stream).await {
                                tracing::debug!("a command was not answered: {error}");
                            }
                        }),
                        Err(error) => {
                            tracing::warn!("a command was not accepted: {error}");
                            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        }
                    },
                }
            }
        }
    }

    impl Drop for Control<'_> {
        fn drop(&mut self) {
            // Whoever finds it later sees that nobody listens, and removes it.
            let _ = fs::remove_file(&self.path);
        }
    }

    impl Desk<'_> {
        async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
            let (read, mut write) = stream.split();
            let mut line = String::new();
            timeout(PATIENCE, BufReader::new(read.take(REQUEST)).read_line(&mut line)).await??;
            // Once begun it is brought to its end, whether or not anybody waits for the answer.
            let reply = match serde_json::from_str(&line) {
                Ok(order) => self.carry_out(order).await,
                Err(error) => Reply::Failed(format!("the order is not understood: {error}")),
            };
            let mut line = serde_json::to_vec(&reply)?;
            line.push(b'\n');
            let answering = async {
                write.write_all(&line).await?;
                write.shutdown().await
            };
            timeout(PATIENCE, answering).await?
        }

        async fn carry_out(&self, order: Order) -> Reply {
            match order {
                Order::Status => Reply::Status(Box::new(Told {
                    pid: std::process::id(),
                    transport: self.settings.config.gateway.transport,
                    address: self.address,
                    hosts: self.hosts().await,
                    bridges: self.bridges().await,
                    status: self.house.gateway.status(),
                })),
                Order::Restart { server } => self.restart(&server).await,
                Order::Renew => match self.renew().await {
                    Ok(later) => Reply::Renewed {
                        later: later.into_iter().map(str::to_owned).collect(),
                    },
                    Err(error) => Reply::Failed(format!("{error:#}")),
                },
            }
        }

        /// How the hosts do: those that were used are asked, the others are left alone. `local` is used by all that is built
        /// in.
        async fn hosts(&self) -> Vec<hosts::State> {
            let hosts = self.house.hosts();
            let asked = in_order(&hosts).into_iter().map(|host| async move {
                if host.is_open() || host.name().as_str() == LOCAL {
                    host.state(HOSTS).await
                } else {
                    host.state_unasked()
                }
            });
            join_all(asked).await
        }

        async fn bridges(&self) -> Vec<states::Told> {
            states::all(self.settings, &self.house.hosts(), Whom::Used, HOSTS).await
        }

        async fn restart(&self, server: &str) -> Reply {
            let known = self.house.gateway.status().servers;
            if !known.iter().any(|known| known.name == server) {
                return Reply::Restarted(false);
            }
            // As with calls: what can't be written down is not done.
            match self.note("server.restart", server).await {
                Ok(()) => Reply::Restarted(self.house.gateway.restart(server)),
                Err(error) => Reply::Failed(format!("it was not restarted: {error}")),
            }
        }

        async fn renew(&self) -> anyhow::Result<Vec<&'static str>> {
            let settings = self.settings.again()?;
            self.note("servers.renew", "").await?;
            self.house.renew(&settings).await
        }

        /// Writes down what is done.
        async fn note(&self, what: &str, server: &str) -> Result<(), store::Error> {
            let row = Entry {
                time: base::clock::now(),
                principal: assemble::local_principal(self.settings).as_str().to_owned(),
                client: format!("dockmaster-cli {}", env!("CARGO_PKG_VERSION")),
                server: server.to_owned(),
                tool: what.to_owned(),
                arguments: Value::Null,
                decision: "allow".to_owned(),
                outcome: "ok".to_owned(),
                result_bytes: 0,
                milliseconds: 0,
            };
            self.house.store.audit().append(row).await
        }
    }

    /// Gives an order to every gateway that runs. Sockets that nobody listens at any more are removed.
    pub(crate) async fn ask(settings: &Settings, order: &Order) -> Vec<Reply> {
        let Ok(files) = fs::read_dir(folder(settings)) else {
            return Vec::new();
        };
        let sockets = files
            .filter_map(|file| Some(file.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "sock"));
        let asked = sockets.map(|path| async move {
            match timeout(PATIENCE, exchange(&path, order)).await {
                Ok(Ok(reply)) => Some(reply),
                Ok(Err(error)) => {
                    tracing::debug!("{}: {error}", path.display());
                    if error.kind() == io::ErrorKind::ConnectionRefused {
                        let _ = fs::remove_file(&path);
                    }
                    None
                }
                Err(_) => {
                    tracing::warn!("the gateway at {} does not answer", path.display());
                    None
                }
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn exchange(path: &Path, order: &Order) -> io::Result<Reply> {
        let mut stream = UnixStream::connect(path).await?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER).read_to_end(&mut answer).await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}
