//! One HTTP request to a running gateway.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::Secret;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::clients;
use crate::exit::{Exit, Failure};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const MOST: usize = 1 << 20;

/// The status of the gateway at this address.
pub(crate) async fn fetch(address: SocketAddr, token: Option<&Secret>) -> Result<Value> {
    match tokio::time::timeout(PATIENCE, ask(address, token)).await {
        Ok(answer) => answer,
        Err(_) => Err(unavailable(address, &format!("no answer within {PATIENCE:?}"))),
    }
}

async fn ask(address: SocketAddr, token: Option<&Secret>) -> Result<Value> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| unavailable(address, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("HTTP failed")?;
    let mut request = Request::get("/status").header(HOST, address.to_string());
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)?;
        Ok::<_, anyhow::Error>((status, body.to_bytes()))
    };
    let (status, body) = tokio::select! {
        answer = exchange => answer.context("the gateway's answer broke off")?,
        ended = connection => {
            ended.context("the connection to the gateway broke")?;
            bail!("the gateway closed the connection without an answer");
        }
    };
    match status {
        StatusCode::OK => serde_json::from_slice(&body).context("what answered there is no gateway of ours"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            bail!(
                "the gateway at {} does not accept the bearer token; set DOCKMASTER_TOKEN to the one it was started with",
                clients::url(address)
            )
        }
        status => bail!("what listens at {address} answered {status}; is it a gateway?"),
    }
}

fn unavailable(address: SocketAddr, cause: &dyn std::fmt::Display) -> anyhow::Error {
    let message = format!(
        "no gateway answers at {}: {cause}; start one with `dockmaster gateway run --transport http`",
        clients::url(address)
    );
    Failure::new(Exit::Unavailable, message).into()
}
