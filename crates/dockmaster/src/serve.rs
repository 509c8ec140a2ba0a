//! `gateway run`: serves until the input ends or a signal comes, then ends what is at work within a time limit.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use gateway::{BindError, CancellationToken, HttpOptions, Key, Principal};

use crate::assemble::{self, House};
use crate::control;
use crate::exit::{Exit, Failure};
use crate::settings::{Settings, Transport};
use crate::{clients, output, stdio, token};

/// Whom the bearer of the token is taken for.
const TOKEN_PRINCIPAL: &str = "token";

/// Serves.
pub(crate) async fn run(settings: &Settings, print: bool) -> Result<Exit> {
    let transport = settings.config.gateway.transport;
    let key = match transport {
        // It knows hashes of keys.
        _ if settings.is_bridge() => None,
        Transport::Http => Some(token::obtain(settings)?),
        // What a client of the same user could read anyway still must not come out of a tool.
        Transport::Stdio => token::find(settings).unwrap_or_default(),
    };
    let house = assemble::house(
        settings,
        settings.config.docker.toolset,
        key.clone().into_iter().collect(),
    )
    .await?;
    if print && transport == Transport::Stdio {
        print_client(&clients::stdio(&std::env::current_exe()?, settings))?;
    }
    let stop = CancellationToken::new();
    let store = house.store.clone();
    let ended = until_told_to_stop(
        &stop,
        Box::pin(async {
            let prepared = async {
                if let Err(error) = store.ready().await {
                    tracing::error!("calls will fail until this is mended: {error}");
                }
                if let Some(fleet) = house.fleet.get() {
                    fleet.reap().await;
                }
                Ok(())
            };
            let served = async {
                match transport {
                    Transport::Http => serve_http(settings, print, &house, key, stop.clone()).await,
                    Transport::Stdio => serve_stdio(settings, &house, stop.clone()).await,
                }
            };
            tokio::try_join!(prepared, served).map(drop)
        }),
    )
    .await;
    // Who asks twice does not want to wait for anything.
    if !matches!(ended, Ok(Exit::Interrupted)) {
        house.close().await;
    }
    ended
}

async fn serve_stdio(settings: &Settings, house: &House, stop: CancellationToken) -> Result<()> {
    let principal = assemble::local_principal(settings);
    let (input, output, _before) = stdio::open();
    let serving = house.gateway.serve_stdio(principal, input, output, stop);
    let served = control::beside(settings, house, None, serving).await;
    served.context("the pipe to the client broke")
}

async fn serve_http(
    settings: &Settings,
    print: bool,
    house: &House,
    key: Option<base::Secret>,
    stop: CancellationToken,
) -> Result<()> {
    let config = &settings.config.gateway;
    let keys = key.iter().map(|token| Key {
        principal: Principal::new(TOKEN_PRINCIPAL),
        token: token.clone(),
    });
    let options = HttpOptions {
        address: SocketAddr::new(config.host, config.port),
        keys: keys.collect(),
        hosts: config.hosts.clone(),
        origins: config.origins.clone(),
        sse: config.sse,
        links: settings.is_bridge().then(|| house.links.clone()),
    };
    let server = house
        .gateway
        .bind(options)
        .await
        .map_err(|error| not_bound(settings, error))?;
    let address = server.address();
    output::note(&format!("listening at {}", clients::url(address)))?;
    if let Some(key) = key {
        output::note(&format!("the bearer token is {}", token::place(settings)))?;
        if print {
            print_client(&clients::http(address, &key))?;
        }
    }
    control::beside(settings, house, Some(address), server.serve(stop)).await;
    Ok(())
}

/// An address may be had another time; what else keeps the gateway from listening has to be set right first.
fn not_bound(settings: &Settings, error: BindError) -> Failure {
    match error {
        BindError::Address { .. } => Failure::new(Exit::Unavailable, error),
        BindError::ShortKey(_) => Failure::new(
            Exit::Faulty,
            format!(
                "the bearer token is {}, and shorter than 16 characters; set a longer one, or none, and one is generated",
                token::place(settings)
            ),
        ),
        BindError::NoKey | BindError::OpenAddress(_) => Failure::new(Exit::Faulty, error),
    }
}

/// On standard error: standard output belongs to the protocol.
fn print_client(client: &serde_json::Value) -> Result<()> {
    output::note(&format!("{client:#}\n\n{}", clients::PLACES))?;
    Ok(())
}

/// Runs until it ends or a signal comes; then tells it to stop and waits. A second signal ends the wait.
async fn until_told_to_stop(
    stop: &CancellationToken,
    work: impl Future<Output = Result<()>>,
) -> Result<Exit> {
    tokio::pin!(work);
    let mut signals = Signals::listen().context("can't listen for signals")?;
    tokio::select! {
        ended = &mut work => ended.map(|()| Exit::Done),
        () = signals.next() => {
            tracing::info!("stopping");
            stop.cancel();
            tokio::select! {
                ended = work => ended.map(|()| Exit::Done),
                () = signals.next() => Ok(Exit::Interrupted),
            }
        }
    }
}

/// The signals that end a program.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "Unix can refuse")]
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        // Without a console there is no such key, and the client ends us by ending our input.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
