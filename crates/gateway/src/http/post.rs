//! POST to the endpoint: one message, or a batch of 2025-03-26. A request is answered as plain JSON when nothing
//! comes before the answer, as a stream when something does, or when the answer takes long.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, StatusCode, header};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::header::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID, decode};
use wire::meta::{Ability, ModernMeta, RequestMeta};
use wire::{Era, Fault, Frame, Id, Malformed, Message, Raw, Request, Version, code, meta, method};

use super::body::Accepted;
use super::replay::Purpose;
use super::reply::{self, Response};
use super::sessions::Held;
use super::{Refused, Request as HttpRequest, Site, body, fault, json, sessions, text};
use crate::call::Kind;
use crate::caller::Peer;
use crate::core::Core;
use crate::dispatch::{self, members};
use crate::modern::Stream;
use crate::outlet::{Outgoing, Outlet};
use crate::overlong::Ends;
use crate::session::{Session, Work};
use crate::{Limits, legacy, modern, pipe};

/// Bytes of a body that is too long which are still read, and thrown away: a client that writes all before it reads
/// would otherwise lose the refusal with the connection.
const DRAINED: usize = 64 << 20;

pub(crate) async fn post(site: &Arc<Site>, peer: Peer, request: HttpRequest) -> Result<Response, Refused> {
    let core = &site.core;
    let (head, content) = request.into_parts();
    let headers = &head.headers;
    if !is_json(headers) {
        return Err(Refused::no_json());
    }
    let accepted = Accepted::of(headers);
    if accepted == Accepted::default() {
        return Err(Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            "send `Accept: application/json, text/event-stream`",
        ));
    }
    let content = content_of(content, &core.limits).await?;
    let frame = wire::parse(&content, &wire_limits(&core.limits));
    drop(content);
    let post = Post {
        site,
        core,
        peer,
        headers,
        accepted,
    };
    match frame {
        Ok(Frame::Single(message)) => post.single(message).await,
        Ok(Frame::Batch(messages)) => post.batch(messages).await,
        Err(error) => Ok(fault(StatusCode::BAD_REQUEST, error.id.clone(), error.fault())),
    }
}

pub(super) fn wire_limits(limits: &Limits) -> wire::Limits {
    wire::Limits {
        bytes: limits.message_bytes,
        ..wire::Limits::default()
    }
}

/// The body, or why it is not taken.
pub(super) async fn content_of(body: Incoming, limits: &Limits) -> Result<Bytes, Refused> {
    let most = limits.message_bytes;
    match timeout(limits.receive, receive(body, most)).await {
        Ok(Ok(Received::Whole(content))) => Ok(content),
        Ok(Ok(Received::TooLong(id))) => {
            let reason = format!("at most {most} bytes are accepted (`gateway.message_size`)");
            Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, reason).to(id))
        }
        Ok(Err(error)) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            format!("the body can't be read: {error}"),
        )),
        Err(_) => Err(Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        )),
    }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    kind.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/json")
}

enum Received {
    Whole(Bytes),
    /// The id of the request in it, where it was read to its end and one was found.
    TooLong(Option<Id>),
}

/// Reads a body of at most `most` bytes.
async fn receive(mut body: Incoming, most: usize) -> Result<Received, hyper::Error> {
    let mut content = Vec::new();
    let mut ends = Ends::default();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= most {
            content.extend_from_slice(&data);
        } else if length <= most.saturating_add(DRAINED) {
            ends.extend(&std::mem::take(&mut content));
            ends.extend(&data);
        } else {
            return Ok(Received::TooLong(None));
        }
    }
    Ok(if length <= most {
        Received::Whole(content.into())
    } else {
        Received::TooLong(ends.id())
    })
}

/// What a POST comes with.
struct Post<'a> {
    site: &'a Arc<Site>,
    core: &'a Arc<Core>,
    peer: Peer,
    headers: &'a HeaderMap,
    accepted: Accepted,
}

/// What the version header says.
enum Spoken {
    Nothing,
    Known(Version),
    Unknown(String),
}

impl Post<'_> {
    fn spoken(&self) -> Spoken {
        match text(self.headers, PROTOCOL_VERSION) {
            Ok(None) => Spoken::Nothing,
            Ok(Some(name)) => {
                Version::parse(name).map_or_else(|| Spoken::Unknown(name.to_owned()), Spoken::Known)
            }
            Err(()) => Spoken::Unknown("(not ASCII)".to_owned()),
        }
    }

    async fn single(self, message: Message) -> Result<Response, Refused> {
        let spoken = self.spoken();
        match message {
            Message::Request(request) => {
                let object = match members(request.params.as_ref()) {
                    Ok(object) => object,
                    Err(error) => return Ok(fault(StatusCode::BAD_REQUEST, Some(request.id), error)),
                };
                let is_modern = matches!(spoken, Spoken::Known(version) if version.era() == Era::Modern)
                    || pipe::speaks_modern(&request, Some(&object));
                if is_modern {
                    return Ok(match self.check(&spoken, &request, &object).await {
                        Ok(meta) => self.modern(meta, request).await,
                        Err(error) => fault(StatusCode::BAD_REQUEST, Some(request.id), error),
                    });
                }
                if let Some(refused) = unknown_version(&spoken, Some(&request)) {
                    return Ok(refused);
                }
                if request.method == method::INITIALIZE {
                    return self.initialize(request);
                }
                self.legacy(request).await
            }
            other => self.one_way(&spoken, vec![other]),
        }
    }

    /// Notifications and answers: taken, and that is all.
    fn one_way(&self, spoken: &Spoken, messages: Vec<Message>) -> Result<Response, Refused> {
        if let Some(refused) = unknown_version(spoken, None) {
            return Ok(refused);
        }
        // The modern era has no notification for HTTP, and no session that one could be for.
        if matches!(spoken, Spoken::Known(version) if version.era() == Era::Modern) {
            return Ok(reply::empty(StatusCode::ACCEPTED));
        }
        let held = sessions::named(self.site, &self.peer, self.headers)?;
        for message in messages {
            match message {
                Message::Notification(notification) => {
                    dispatch::hear(self.core, &held.session, &notification);
                }
                Message::Response(response) => held.session.answered(response),
                Message::Request(_) => {}
            }
        }
        Ok(reply::empty(StatusCode::ACCEPTED))
    }

    /// A handshake makes a session.
    fn initialize(self, request: Request) -> Result<Response, Refused> {
        let session = Session::new(self.peer, self.core.limits.in_flight);
        let result = match legacy::initialize(self.core, &session, request.params.as_ref()) {
            Ok(result) => result,
            Err(error) => return Ok(fault(StatusCode::BAD_REQUEST, Some(request.id), error)),
        };
        let id = self.core.sessions.add(session)?;
        let mut response = json(
            StatusCode::OK,
            Message::response(Some(request.id), Ok(result)).to_line(),
        );
        if let Ok(id) = header::HeaderValue::from_str(&id) {
            response
                .headers_mut()
                .insert(header::HeaderName::from_static(SESSION_ID), id);
        }
        Ok(response)
    }

    async fn legacy(self, request: Request) -> Result<Response, Refused> {
        let held = sessions::named(self.site, &self.peer, self.headers)?;
        let session = Arc::clone(&held.session);
        let work = match session.begin(&request) {
            Ok(work) => work,
            Err(error) => return Ok(fault(StatusCode::OK, Some(request.id), error)),
        };
        let purpose = Purpose::Answer(Some(request.id.clone()));
        let (core, can_stream) = (Arc::clone(self.core), self.accepted.stream);
        let (outlet, queue) = Outlet::to(can_stream && held.polls());
        // A client that goes away has not cancelled (2025-11-25, Transports, "Sending Messages"), so the task
        // belongs to the gateway.
        self.core.tasks.spawn(async move {
            let answer = legacy_answer(&core, &session, request, work, can_stream.then_some(&outlet)).await;
            if let Some(answer) = answer {
                drop(outlet.send_line(answer.to_line(), Some(StatusCode::OK)).await);
            }
        });
        Ok(self.respond_in(&held, purpose, queue).await)
    }

    /// A batch of a legacy session; its answers come as one array.
    async fn batch(self, messages: Vec<Result<Message, Malformed>>) -> Result<Response, Refused> {
        let spoken = self.spoken();
        if let Some(refused) = unknown_version(&spoken, None) {
            return Ok(refused);
        }
        let held = sessions::named(self.site, &self.peer, self.headers)?;
        let session = Arc::clone(&held.session);
        if !session.hello().is_some_and(|hello| hello.version.has_batches()) {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "the protocol version of this session has no batches",
            ));
        }
        let mut answers = Vec::new();
        let mut working = Vec::new();
        for message in messages {
            match message {
                Err(error) => answers.push(Message::response(error.id.clone(), Err(error.fault()))),
                Ok(Message::Notification(notification)) => dispatch::hear(self.core, &session, &notification),
                Ok(Message::Response(response)) => session.answered(response),
                Ok(Message::Request(request)) => match session.begin(&request) {
                    Ok(work) => working.push((request, work)),
                    Err(error) => answers.push(Message::response(Some(request.id), Err(error))),
                },
            }
        }
        if answers.is_empty() && working.is_empty() {
            return Ok(reply::empty(StatusCode::ACCEPTED));
        }
        let (core, can_stream) = (Arc::clone(self.core), self.accepted.stream);
        let (outlet, queue) = Outlet::new();
        self.core.tasks.spawn(async move {
            let streamed = can_stream.then_some(&outlet);
            let work = working
                .into_iter()
                .map(|(request, work)| legacy_answer(&core, &session, request, work, streamed));
            answers.extend(futures_util::future::join_all(work).await.into_iter().flatten());
            drop(outlet.send_line(pipe::join(&answers), Some(StatusCode::OK)).await);
        });
        Ok(self.respond_in(&held, Purpose::Answer(None), queue).await)
    }

    async fn modern(self, meta: ModernMeta, request: Request) -> Response {
        let core = Arc::clone(self.core);
        let peer = self.peer.clone();
        let can_stream = self.accepted.stream;
        let (outlet, queue) = Outlet::new();
        // Closing the response is how a client of this era cancels.
        let cancel = CancellationToken::new();
        let (cancelled, ending) = (cancel.clone(), self.site.ending.clone());
        self.core.tasks.spawn(async move {
            let answer = match members(request.params.as_ref()) {
                Ok(params) => {
                    let stream = Stream {
                        outlet: can_stream.then_some(&outlet),
                        cancel: &cancelled,
                        ending: &ending,
                    };
                    modern::answer(&core, &peer, meta, &request, params, stream).await
                }
                Err(error) => Err(error),
            };
            let status = status_of(&answer);
            let line = Message::response(Some(request.id), answer).to_line();
            drop(outlet.send_line(line, Some(status)).await);
        });
        self.respond(queue, cancel).await
    }

    /// What a modern request has to say of itself, and that its headers say the same as its body (2026-07-28,
    /// Streamable HTTP, "Server Validation").
    async fn check(
        &self,
        spoken: &Spoken,
        request: &Request,
        params: &Object<'_>,
    ) -> Result<ModernMeta, Fault> {
        let request_meta = RequestMeta::of(params);
        let named = request_meta.version();
        let header = match spoken {
            Spoken::Known(version) => Some(version.as_str()),
            Spoken::Unknown(name) => Some(name.as_str()),
            Spoken::Nothing => None,
        };
        let mismatch = |header: &str, why: String| {
            Fault::new(code::HEADER_MISMATCH, format!("header mismatch: {header} {why}"))
        };
        match (header, named.as_deref()) {
            (Some(header), Some(named)) if header != named => {
                return Err(mismatch(
                    "MCP-Protocol-Version",
                    format!("is {header:?}, the body says {named:?}"),
                ));
            }
            (None, Some(_)) => return Err(mismatch("MCP-Protocol-Version", "is missing".to_owned())),
            _ => {}
        }
        let meta = request_meta.modern()?;
        self.same(METHOD, Some(&request.method))?;
        // 2026-07-28, Tasks, "Streamable HTTP: Routing Headers". What asks for one that is not said to be taken is told
        // that first.
        if matches!(
            request.method.as_str(),
            method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL
        ) && meta.capabilities.has(Ability::Tasks)
        {
            self.same(NAME, params.text("taskId").as_deref())?;
        }
        let kind = match request.method.as_str() {
            method::TOOLS_CALL => Some(Kind::Tool),
            method::RESOURCES_READ => Some(Kind::Resource),
            method::PROMPTS_GET => Some(Kind::Prompt),
            _ => None,
        };
        if let Some(kind) = kind {
            let subject = params.text(kind.subject());
            self.same(NAME, subject.as_deref())?;
            if kind == Kind::Tool
                && let Some(subject) = subject
            {
                self.mirrored(&subject, params).await?;
            }
        }
        Ok(meta)
    }

    /// That the header says what the body says. A body that lacks it is found wrong later, with a better reason.
    fn same(&self, header: &str, wanted: Option<&str>) -> Result<(), Fault> {
        let mismatch =
            |why: String| Fault::new(code::HEADER_MISMATCH, format!("header mismatch: {header} {why}"));
        let given = text(self.headers, header).map_err(|()| mismatch("is not ASCII".to_owned()))?;
        match (given, wanted) {
            (None, Some(wanted)) => Err(mismatch(format!("is missing; the body says {wanted:?}"))),
            (Some(given), Some(wanted)) => {
                // The method is never wrapped, and no method looks as if it were.
                let given = decode(given).ok_or_else(|| mismatch("is not valid Base64".to_owned()))?;
                if given == wanted {
                    return Ok(());
                }
                Err(mismatch(format!("is {given:?}, the body says {wanted:?}")))
            }
            (_, None) => Ok(()),
        }
    }

    /// The same for parameters that the tool's schema mirrors.
    async fn mirrored(&self, tool: &str, params: &Object<'_>) -> Result<(), Fault> {
        let index = self.core.index(&self.peer).await?;
        let Some(tool) = index.find(tool).filter(|tool| !tool.mirrored.is_empty()) else {
            return Ok(());
        };
        let arguments = params
            .get("arguments")
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        for mirrored in &tool.mirrored {
            let header = text(self.headers, &mirrored.header);
            if !header.is_ok_and(|header| mirrored.agrees(&arguments, header)) {
                let (header, path) = (&mirrored.header, mirrored.path.join("."));
                return Err(Fault::new(
                    code::HEADER_MISMATCH,
                    format!("header mismatch: {header} does not say what arguments.{path} says"),
                ));
            }
        }
        Ok(())
    }

    /// Waits for the first message: an answer goes out as JSON, anything else opens a stream.
    async fn respond(self, mut queue: mpsc::Receiver<Outgoing>, cancel: CancellationToken) -> Response {
        let limits = &self.core.limits;
        // Hyper drops this future when the client goes away.
        let guard = cancel.drop_guard();
        let can_stream = self.accepted.stream;
        let first = match timeout(limits.quiet, queue.recv()).await {
            Ok(first) => first,
            Err(_) if can_stream => return body::stream(queue, Vec::new(), limits.keep_alive, guard),
            Err(_) => queue.recv().await,
        };
        match first {
            Some(Outgoing {
                line,
                last: Some(status),
            }) if self.accepted.json => {
                drop(guard.disarm());
                json(status, line)
            }
            Some(message) => body::stream(queue, vec![message], limits.keep_alive, guard),
            // Cancelled by the client in another request: there is no answer.
            None => reply::empty(StatusCode::ACCEPTED),
        }
    }

    /// The same for a legacy session: a stream outlives the response, and can be resumed. Until one begins, the client
    /// has no id to resume it by.
    async fn respond_in(
        self,
        held: &Held,
        purpose: Purpose,
        mut queue: mpsc::Receiver<Outgoing>,
    ) -> Response {
        let can_stream = self.accepted.stream;
        let first = match timeout(self.core.limits.quiet, queue.recv()).await {
            Err(_) if !can_stream => queue.recv().await,
            Err(_) => {
                let reader = held.replay.open(&self.core.tasks, purpose, None, queue);
                return held.stream(self.site, reader);
            }
            Ok(first) => first,
        };
        match first {
            Some(Outgoing {
                line,
                last: Some(status),
            }) if self.accepted.json => json(status, line),
            // Cancelled by the client in another request: there is no answer.
            None => reply::empty(StatusCode::ACCEPTED),
            message => {
                let reader = held.replay.open(&self.core.tasks, purpose, message, queue);
                held.stream(self.site, reader)
            }
        }
    }
}

async fn legacy_answer(
    core: &Core,
    session: &Arc<Session>,
    request: Request,
    work: Work,
    outlet: Option<&Outlet>,
) -> Option<Message> {
    let params = members(request.params.as_ref());
    let answer = legacy::answer(core, session, &request, params, outlet, &work.cancel).await;
    work.answer(answer)
}

/// The status of an answer of the modern era that goes out alone.
fn status_of(answer: &Result<Raw, Fault>) -> StatusCode {
    match answer.as_ref().err().and_then(Fault::code) {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(code::HEADER_MISMATCH | code::UNSUPPORTED_VERSION | code::MISSING_CLIENT_CAPABILITY) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}

/// A version that nobody knows is answered in the words of the modern era, which tell a client what to use instead.
fn unknown_version(spoken: &Spoken, request: Option<&Request>) -> Option<Response> {
    let Spoken::Unknown(name) = spoken else {
        return None;
    };
    let id = request.map(|request| request.id.clone());
    Some(fault(StatusCode::BAD_REQUEST, id, meta::unsupported(name)))
}
