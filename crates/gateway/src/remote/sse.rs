//! HTTP+SSE (2024-11-05, Transports): one long stream from the server, which says first where messages are posted to.
//! The stream is the session: when it ends, so does the link.

use fetch::{Response, Url};
use tokio::time::timeout;
use wire::{Fault, code, method};

use super::exchange::{events, is_stream, send};
use super::failure::{Failure, Refusal};
use super::post::Post;
use super::session::Shared;

/// A request on a link that knows this transport alone.
pub(super) async fn request(shared: &Shared, post: &Post) {
    let Some((id, _)) = post.request() else { return };
    if post.is(method::INITIALIZE) {
        if let Err(failure) = converse(shared, post, None).await {
            shared.answer(id, failure.fault(shared)).await;
        }
        return;
    }
    if shared.session().endpoint.is_none() {
        let text = "HTTP+SSE knows the legacy era alone, which begins with initialize";
        return shared.answer(id, Fault::new(code::METHOD_NOT_FOUND, text)).await;
    }
    let _slot = shared.slots.acquire().await;
    let refused: Failure = match send(shared, post).await {
        Ok(response) if response.status().is_success() => return,
        Ok(response) => Refusal::read(response).await.into(),
        Err(failure) => failure,
    };
    shared.answer(id, refused.fault(shared)).await;
}

/// Opens the stream, posts `hello` to where it says, and passes on what comes until it ends, and the link with it.
/// `refusal` is what made us try this, and the reason that is told when the server does not know it either.
pub(super) async fn converse(shared: &Shared, hello: &Post, refusal: Option<Refusal>) -> Result<(), Failure> {
    let response = shared.listen(&shared.session(), None).await;
    let response = match (response, refusal) {
        (Ok(response), _) if is_stream(&response) => response,
        (_, Some(refusal)) => return Err(refusal.into()),
        (Ok(response), None) if !response.status().is_success() => {
            return Err(Refusal::read(response).await.into());
        }
        (Ok(response), None) => {
            let kind = response.media_type();
            let kind = base::text::clean(base::text::cut(&kind, 100)).into_owned();
            return Err(Failure::Content(format!(
                "answers GET with {kind:?}, not with a stream of events"
            )));
        }
        (Err(error), None) => return Err(error.into()),
    };
    stream(shared, hello, response).await
}

async fn stream(shared: &Shared, hello: &Post, response: Response) -> Result<(), Failure> {
    let base = response.url().clone();
    let mut events = events(shared, response);
    let first = timeout(shared.remote.limits.accept, events.next()).await;
    let first =
        first.map_err(|_| Failure::Content("opens a stream but does not say where to post".to_owned()))?;
    let endpoint = match first.map_err(|error| Failure::Cut(Some(error)))? {
        Some(event) if event.name == "endpoint" => endpoint(&base, &event.data).map_err(Failure::Content)?,
        Some(_) => {
            return Err(Failure::Content(
                "opens a stream that does not begin with its endpoint".to_owned(),
            ));
        }
        None => return Err(Failure::Cut(None)),
    };
    shared.lock().endpoint = Some(endpoint);
    let response = send(shared, hello).await?;
    if !response.status().is_success() {
        return Err(Refusal::read(response).await.into());
    }
    // From here on the end of the stream is the end of the link: its owner fails what waits, and opens another.
    let mut greeted = false;
    while let Ok(Some(event)) = events.next().await {
        if event.name == "message" {
            // Until the server is known, what comes is the answer to `initialize`; later nothing belongs to it.
            let asked = (!greeted).then_some(hello);
            greeted |= shared.deliver(event.data.as_bytes(), asked).await;
        }
    }
    shared.over.cancel();
    Ok(())
}

/// Where messages go. It has to be of the same origin as the stream, or a server could have credentials sent anywhere.
fn endpoint(base: &Url, text: &str) -> Result<Url, String> {
    let shown = || base::text::clean(base::text::cut(text, 200)).into_owned();
    let url = base
        .join(text.trim())
        .map_err(|_| format!("wants messages at {:?}, which is no URL", shown()))?;
    if url.origin() != base.origin() {
        return Err(format!(
            "wants messages at {:?}, which is not its own origin",
            shown()
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let base = Url::parse("https://a.example/mcp/sse?x=y").unwrap();
        for (text, url) in [
            (
                "/messages?sessionId=1",
                Ok("https://a.example/messages?sessionId=1"),
            ),
            ("messages", Ok("https://a.example/mcp/messages")),
            ("?session_id=2", Ok("https://a.example/mcp/sse?session_id=2")),
            (" https://a.example:443/m\n", Ok("https://a.example/m")),
            (
                "https://b.example/m",
                Err("wants messages at \"https://b.example/m\", which is not its own origin"),
            ),
            (
                "//b.example/m",
                Err("wants messages at \"//b.example/m\", which is not its own origin"),
            ),
            (
                "http://a.example/m",
                Err("wants messages at \"http://a.example/m\", which is not its own origin"),
            ),
            (
                "https://a.example:8443/",
                Err("wants messages at \"https://a.example:8443/\", which is not its own origin"),
            ),
            (
                "https://[",
                Err("wants messages at \"https://[\", which is no URL"),
            ),
        ] {
            let found = endpoint(&base, text);
            assert_eq!(
                found.as_ref().map(Url::as_str),
                url.as_ref()
                    .copied()
                    .map_err(|e| (*e).to_owned())
                    .as_ref()
                    .copied(),
                "{text}"
            );
        }
    }
}
