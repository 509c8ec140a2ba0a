//! A small server with the names that the official conformance suite asks for, by itself and behind a gateway:
//!
//! ```text
//! conformance alone ADDRESS ERA             the server itself, over HTTP
//! conformance pipe ADDRESS TOKEN ERA        a gateway before it, which reaches it by a pipe
//! conformance http ADDRESS TOKEN URL        a gateway before a server by HTTP: one that runs `alone`
//! ```
//!
//! ERA is `legacy` or `modern`. What the suite says of the server by itself, it has to say of the gateway:
//!
//! ```text
//! npx @modelcontextprotocol/conformance@0.2.0-alpha.12 server --url http://ADDRESS/mcp --requirements 2025-11-25
//! ```
//!
//! The suite sends no token, so something has to add the `Authorization` header to its requests to a gateway.

mod alone;
mod content;
mod fixture;
mod jobs;
mod tools;

use std::io;
use std::sync::Arc;

use base::Secret;
use base::names::ServerName;
use fetch::{Addresses, Client, Options, Plain};
use futures_util::future::BoxFuture;
use gateway::{
    CancellationToken, Connect, Describe, Gateway, HttpOptions, Journal, Key, Link, Parts, Principal, Remote,
    RemoteLimits, RemoteTransport, Server, Wire,
};
use policy::Effect;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use self::fixture::{Era, Fixture};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["alone", address, era] => Ok(alone::serve(address.parse()?, self::era(era)?).await?),
        ["pipe", address, token, era] => behind(address, token, by_pipe(self::era(era)?)).await,
        ["http", address, token, url] => behind(address, token, by_http(url)).await,
        _ => Err("see the head of main.rs for the arguments".into()),
    }
}

fn era(name: &str) -> Result<Era, Failure> {
    match name {
        "legacy" => Ok(Era::Legacy),
        "modern" => Ok(Era::Modern),
        other => Err(format!("there is no era {other:?}: legacy or modern").into()),
    }
}

/// A gateway before one server.
async fn behind(address: &str, token: &str, connect: Connect) -> Result<(), Failure> {
    let token = Secret::new(token);
    let gateway = Gateway::new(Parts {
        servers: vec![Server::new(
            ServerName::parse("fixture")?,
            connect,
            Arc::new(Harmless),
        )],
        secrets: [token.clone()].into_iter().collect(),
        ..Parts::new(Arc::new(Forgets), "conformance", "1.0")
    })?;
    let options = HttpOptions {
        address: address.parse()?,
        keys: vec![Key {
            principal: Principal::new("suite"),
            token,
        }],
        hosts: vec![],
        origins: vec![],
        sse: false,
        links: None,
    };
    gateway.bind(options).await?.serve(CancellationToken::new()).await;
    Ok(())
}

fn by_pipe(era: Era) -> Connect {
    Box::new(move |_| {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let link = Link {
            wire: Wire::Pipe(Box::new(theirs)),
            driver: Some(Box::pin(async move {
                serve(ours, era).await;
                None
            })),
        };
        Box::pin(std::future::ready(Ok(link)))
    })
}

fn by_http(url: &str) -> Connect {
    let remote = Remote {
        server: "fixture".to_owned(),
        url: url.to_owned(),
        transport: RemoteTransport::StreamableHttp,
        headers: vec![],
        client: Client::new(Options {
            addresses: Addresses::Private,
            plain: Plain::Loopback,
            ..Options::default()
        }),
        limits: RemoteLimits::default(),
        speaks_for: None,
    };
    Box::new(move |_| {
        let link = remote.link().map_err(io::Error::other);
        Box::pin(std::future::ready(link))
    })
}

/// The suite's calls need no trace.
struct Forgets;

impl Journal for Forgets {
    fn append(&self, _entry: store::Entry) -> BoxFuture<'_, Result<(), store::Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Nothing here does any harm.
struct Harmless;

impl Describe for Harmless {
    fn canonical(&self, _tool: &str) -> Option<String> {
        None
    }

    fn effect(&self, _tool: &str, _arguments: &Value) -> Effect {
        Effect::Read
    }

    fn about(&self, tool: &str, _arguments: &Value) -> String {
        format!("call {tool}")
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}

/// The server at a pipe: a line in, lines out.
async fn serve(stream: DuplexStream, era: Era) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut fixture = Fixture::new(era);
    loop {
        let due = fixture.jobs.due().map(tokio::time::Instant::from_std);
        let is_due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let answers = tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => fixture.answers(&serde_json::from_str(&line).unwrap_or_default()),
                _ => return,
            },
            () = is_due => fixture.jobs.tick(),
        };
        for answer in answers {
            if writer.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
