//! The other end of a bridge: this executable in its container. `serve` is the gateway there; the others are started beside
//! it for a moment, by way of the engine, and speak by standard input and output.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base::KnownSecrets;
use base::names::ServerName;
use store::{Seq, Store};

use super::parcel::{PORT, PROTOCOL, Parcel, SOCKET};
use super::versions;
use crate::control::{self, Order, Reply};
use crate::env::Environment;
use crate::exit::{self, Exit};
use crate::logging::{self, LogLevel};
use crate::logs::Logs;
use crate::private;
use crate::settings::{Overrides, Settings};
use crate::{output, serve};

/// Most bytes of a parcel.
const PARCEL: u64 = 64 << 20;
/// Most bytes of a list of keys.
const KEYS: u64 = 64 << 10;
/// How long the gateway inside may take to listen.
const START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks whether the engine's socket is the one at which the engine listens.
const LOOK: Duration = Duration::from_secs(10);
/// After so many in a row that found nobody, it is not.
const REFUSED: u32 = 3;
/// Bytes that are passed on at a time.
const CHUNK: usize = 64 << 10;

/// How it ended, if this is what it was started for.
pub(crate) fn asked_for() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != bridge::ARGUMENT {
        return None;
    }
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = Environment::of_process();
    logging::start(None, LogLevel::Info, &environment);
    let done = match words.as_slice() {
        ["serve"] => gateway(&environment),
        ["dial"] => dial(),
        ["hello"] => hello(),
        ["take"] => take(environment),
        ["keys"] => keys(environment),
        ["tell"] => tell(),
        ["audit", from, most] => audit(environment, from, most),
        ["logs", server, most] => logs(environment, server, most),
        ["restart", server] => restart(environment, server),
        _ => Err(anyhow::anyhow!(
            "this is started by Dockmaster in its bridges, and by nobody else"
        )),
    };
    Some(exit::report(done))
}

fn settings(environment: Environment) -> Result<Settings> {
    let overrides = Overrides {
        bridge: true,
        ..Overrides::default()
    };
    Ok(Settings::read(None, overrides, environment)?)
}

fn gateway(environment: &Environment) -> Result<Exit> {
    // What it is to be is told by the first parcel, which comes once the container runs.
    let settings = loop {
        let settings = settings(environment.clone())?;
        if Parcel::last(&settings)?.is_some() {
            break settings;
        }
        std::thread::sleep(PAUSE);
    };
    // During an upgrade there may be two, which must not both work with what lies in their volume: the other has to end first.
    let turn = fs_err::File::create(settings.folders.state.join("turn.lock"))?;
    turn.file().lock().context("can't wait for the bridge before")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = serve::run(&settings, false) => ended,
            () = cut_off() => Err(anyhow::anyhow!(
                "the engine's socket leads nowhere any more; what is mounted here is that of an engine before"
            )),
        }
    });
    runtime.shutdown_background();
    drop(turn);
    ended
}

/// Returns when nobody has listened at the engine's socket for a while. An engine that keeps containers while it is
/// restarted itself (`live-restore`) may have made another socket since; the container gets that when it is started again,
/// which its engine does once it ends. Servers that still run are found and removed by the next start.
async fn cut_off() {
    let path = SOCKET.trim_start_matches("unix://");
    let mut refused = 0;
    while refused < REFUSED {
        tokio::time::sleep(LOOK).await;
        refused = match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused + 1,
            _ => 0,
        };
    }
}

/// A connection to the gateway inside; it may be about to listen.
fn connect() -> Result<TcpStream> {
    let give_up = Instant::now() + START;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > give_up => {
                return Err(error).context("the gateway in the bridge does not listen");
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Passes bytes on between standard input and output and the gateway, until it hangs up.
fn dial() -> Result<Exit> {
    let stream = connect()?;
    stream.set_nodelay(true)?;
    let mut to_gateway = stream.try_clone()?;
    // Reading standard input can't be given up; the thread ends with the process.
    std::thread::spawn(move || {
        drop(pass(&mut io::stdin().lock(), &mut to_gateway));
        drop(to_gateway.shutdown(Shutdown::Write));
    });
    // Whoever is on the other side hears of an end by the end.
    drop(pass(&mut &stream, &mut output::raw()));
    Ok(Exit::Done)
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..length).unwrap_or_default())?;
        to.flush()?;
    }
}

/// Whether the gateway inside answers.
fn hello() -> Result<Exit> {
    let mut stream = connect()?;
    stream.set_read_timeout(Some(START))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4 << 10).read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("the gateway in the bridge is not well");
    }
    tell()
}

/// What it is.
fn tell() -> Result<Exit> {
    output::json(&serde_json::json!({"protocol": PROTOCOL, "version": versions::OWN}))?;
    Ok(Exit::Done)
}

/// Takes a parcel in the place of the one before, and has the gateway go on by it.
fn take(environment: Environment) -> Result<Exit> {
    let mut text = Vec::new();
    io::stdin().lock().take(PARCEL + 1).read_to_end(&mut text)?;
    if text.len() as u64 > PARCEL {
        bail!("the parcel has more than {} MiB", PARCEL >> 20);
    }
    let parcel: Parcel = serde_json::from_slice(&text).context("the parcel can't be read")?;
    if parcel.protocol != PROTOCOL {
        bail!(
            "it speaks protocol {PROTOCOL}, and was spoken to in protocol {}; `dockmaster host upgrade` brings both together",
            parcel.protocol
        );
    }
    let settings = settings(environment.clone())?;
    // It has to be understood before it takes the place of one that is.
    let draft = settings.folders.state.join("draft.toml");
    private::write(&draft, parcel.config.as_bytes())?;
    let read = Settings::read(Some(&draft), Overrides::default(), environment);
    drop(fs_err::remove_file(&draft));
    read.context("its configuration is not understood there")?;
    private::write(&settings.folders.config_file(), parcel.config.as_bytes())?;
    private::write(&Parcel::file(&settings), &text)?;
    go_on(&settings)
}

/// Takes other keys, and leaves the rest of the last parcel as it is.
fn keys(environment: Environment) -> Result<Exit> {
    let mut text = Vec::new();
    io::stdin().lock().take(KEYS).read_to_end(&mut text)?;
    let settings = settings(environment)?;
    let mut parcel = Parcel::last(&settings)?.context("there was no parcel yet")?;
    parcel.keys = serde_json::from_slice(&text).context("the keys can't be read")?;
    private::write(&Parcel::file(&settings), &serde_json::to_vec(&parcel)?)?;
    go_on(&settings)
}

/// Has the gateway go on by what lies there now.
fn go_on(settings: &Settings) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let replies = runtime.block_on(control::ask(settings, &Order::Renew));
    // Before the first parcel nobody listens.
    if replies.is_empty() && TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_ok() {
        bail!("the gateway in the bridge did not take it over");
    }
    for reply in replies {
        if let Reply::Failed(why) = reply {
            bail!("{why}");
        }
    }
    Ok(Exit::Done)
}

/// The last lines of a server's log.
fn logs(environment: Environment, server: &str, most: &str) -> Result<Exit> {
    let (server, settings) = (ServerName::parse(server)?, settings(environment)?);
    let logs = Logs::new(settings.folders.state.join("logs"), KnownSecrets::default());
    for line in logs.tail(server.as_str(), most.parse()?)? {
        output::line(&line)?;
    }
    Ok(Exit::Done)
}

/// Has the gateway stop the instances of a server. One that it has no plan of does not run either.
fn restart(environment: Environment, server: &str) -> Result<Exit> {
    let (server, settings) = (ServerName::parse(server)?.to_string(), settings(environment)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let replies = runtime.block_on(control::ask(&settings, &Order::Restart { server }));
    if replies.is_empty() {
        bail!("the gateway in the bridge does not answer");
    }
    for reply in replies {
        if let Reply::Failed(why) = reply {
            bail!("{why}");
        }
    }
    Ok(Exit::Done)
}

/// Rows of the audit behind a number.
fn audit(environment: Environment, from: &str, most: &str) -> Result<Exit> {
    let settings = settings(environment)?;
    let path = settings.database();
    if !path.exists() {
        return Ok(Exit::Done);
    }
    let rows = Store::open(path)
        .audit()
        .behind(Seq(from.parse()?), most.parse()?)?;
    for row in rows {
        output::json_line(&row)?;
    }
    Ok(Exit::Done)
}
