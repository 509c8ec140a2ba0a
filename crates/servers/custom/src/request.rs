//! A call that is an HTTP request.

use std::time::Duration;

use base::KnownSecrets;
use catalog::tools::{Http, HttpCall, Tool};
use fetch::{Client, Request};
use http::Method;
use tokio::time::timeout;
use wire::Raw;

use crate::answer;

/// How long a host may take to answer when it is only asked whether it does.
const REACH: Duration = Duration::from_secs(15);
/// Bytes of an answer that is an error which are told.
const SAID: usize = 4 << 10;

pub(crate) async fn send(tool: &Tool, call: HttpCall, client: &Client, known: &KnownSecrets) -> Raw {
    let sent = timeout(tool.time, exchange(tool, call, client)).await;
    let told = match sent {
        Ok(Ok(answer)) => return answer,
        Ok(Err(error)) => format!("{} got no answer: {error}", tool.name),
        Err(_) => format!(
            "{} got no answer within {} s; timeout in its file gives it more",
            tool.name,
            tool.time.as_secs()
        ),
    };
    // A server may say back what it was sent, its header with the secret included.
    let told = known.spotter().replace(&told).unwrap_or(told);
    answer::text(&told, true)
}

/// Whether the host of a tool answers at all.
pub(crate) async fn reach(call: &Http, client: &Client) -> Result<String, String> {
    let written = call.url.as_written();
    let (scheme, rest) = written.split_once("://").unwrap_or(("https", written));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let place = format!("{scheme}://{host}/");
    let asked = async {
        let request = Request::new(Method::HEAD, &place)?.head_limit(REACH);
        Ok::<_, fetch::Error>(client.send(request).await?.status())
    };
    match timeout(REACH, asked).await {
        Ok(Ok(status)) => Ok(format!("{host} answers (HEAD / gives {})", status.as_u16())),
        Ok(Err(error)) => Err(format!("{host} does not answer: {error}")),
        Err(_) => Err(format!("{host} does not answer within {} s", REACH.as_secs())),
    }
}

async fn exchange(tool: &Tool, call: HttpCall, client: &Client) -> Result<Raw, fetch::Error> {
    let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::GET);
    let mut request = Request::new(method, &call.url)?
        .head_limit(tool.time)
        .idle_limit(tool.time);
    if let Some((media_type, bytes)) = call.body {
        request = request.body(media_type, bytes);
    }
    for (name, value, is_secret) in &call.headers {
        request = if *is_secret {
            request.secret_header(name, value)?
        } else {
            request.header(name, value.expose())?
        };
    }
    let mut response = client.send(request).await?;
    let status = response.status();
    let (mut bytes, mut more) = (Vec::new(), 0_u64);
    // Read so far as it is told, and a little to know that there is more; dropping the rest closes the connection.
    while let Some(chunk) = response.chunk().await? {
        let room = tool.output.saturating_sub(bytes.len()).min(chunk.len());
        bytes.extend_from_slice(chunk.get(..room).unwrap_or_default());
        more += u64::try_from(chunk.len() - room).unwrap_or(0);
        if more > 0 {
            break;
        }
    }
    if status.is_redirection() {
        let place = response.header("location").unwrap_or("nowhere");
        return Ok(answer::text(
            &format!(
                "the server redirects ({status}) to {}, and redirects are not followed; write that address into the file if it is meant",
                base::text::cut(&base::text::clean(place), 300)
            ),
            true,
        ));
    }
    if !status.is_success() {
        let said = String::from_utf8_lossy(bytes.get(..SAID).unwrap_or(&bytes));
        return Ok(answer::text(
            &format!("the server answered {status}\n{said}"),
            true,
        ));
    }
    if tool.output_schema().is_some() {
        return Ok(answer::data(tool, &bytes, more, "the answer"));
    }
    let media_type = response.media_type();
    let mut told = match String::from_utf8(bytes) {
        Ok(told) => told,
        Err(error) if more > 0 && error.utf8_error().error_len().is_none() => {
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }
        Err(error) => {
            let length = error.as_bytes().len();
            let kind = if media_type.is_empty() {
                "bytes".to_owned()
            } else {
                media_type
            };
            return Ok(answer::text(
                &format!("the server answered {status} with {length} bytes of {kind}, which are no text"),
                false,
            ));
        }
    };
    if told.is_empty() {
        told = format!("the server answered {status}, with nothing in it");
    }
    if more > 0 {
        told.push_str("\n[the rest is left out; max_output in its file gives it more]");
    }
    Ok(answer::text(&told, false))
}
