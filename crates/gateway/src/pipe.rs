//! A client over a pipe: one line, one message, both eras on it as they come.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::edit::Object;
use wire::meta::RequestMeta;
use wire::{Fault, Frame, Id, Malformed, Message, Raw, Request, code, method};

use crate::caller::Peer;
use crate::core::Core;
use crate::dispatch::{self, members};
use crate::lines::{Line, Lines};
use crate::modern::Stream;
use crate::outlet::{Outlet, write_lines};
use crate::session::{Session, Work};
use crate::{legacy, modern};

/// Serves the client until its input ends or `stop`.
pub(crate) async fn serve(
    core: &Arc<Core>,
    peer: Peer,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let (outlet, queue) = Outlet::new();
    let written = core.tasks.spawn(write_lines(writer, queue));
    let session = Session::new(peer, core.limits.in_flight);
    session.set_stream(outlet.clone());
    let requests = TaskTracker::new();
    let ending = core.stop.child_token();
    let pipe = Pipe {
        core: Arc::clone(core),
        session,
        outlet,
        requests,
        ending,
    };

    let mut lines = Lines::new(reader, core.limits.message_bytes);
    let read = loop {
        let line = tokio::select! {
            // A flood of lines must not keep the order to stop from being seen.
            biased;
            () = stop.cancelled() => break Ok(()),
            () = core.stop.cancelled() => break Ok(()),
            () = pipe.outlet.closed() => break Ok(()),
            line = lines.next() => line,
        };
        match line {
            Ok(Some(line)) => pipe.line(line, || lines.overlong_id()).await,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    pipe.finish().await;
    match timeout(core.limits.drain, written).await {
        // Not reading what was written is the client's right.
        Ok(Ok(Err(error))) if error.kind() != std::io::ErrorKind::BrokenPipe => read.and(Err(error)),
        Ok(_) | Err(_) => read,
    }
}

struct Pipe {
    core: Arc<Core>,
    session: Arc<Session>,
    outlet: Outlet,
    requests: TaskTracker,
    /// Nothing more is read: subscriptions end.
    ending: CancellationToken,
}

impl Pipe {
    /// `overlong_id` finds the id of one that is too long.
    async fn line(&self, line: Line, overlong_id: impl FnOnce() -> Option<Id>) {
        let limits = wire::Limits {
            bytes: self.core.limits.message_bytes,
            ..wire::Limits::default()
        };
        let frame = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return,
            Line::Whole(line) => wire::parse(&line, &limits),
            Line::TooLong(bytes) => Err(Malformed {
                code: code::INVALID_REQUEST,
                reason: format!(
                    "the message has {bytes} bytes; at most {} are accepted",
                    limits.bytes
                ),
                id: overlong_id(),
            }),
        };
        match frame {
            Ok(Frame::Single(message)) => self.message(message).await,
            Ok(Frame::Batch(messages)) => self.batch(messages).await,
            Err(error) => {
                self.send(Message::response(error.id.clone(), Err(error.fault())))
                    .await;
            }
        }
    }

    async fn message(&self, message: Message) {
        match message {
            Message::Notification(notification) => dispatch::hear(&self.core, &self.session, &notification),
            Message::Response(response) => self.session.answered(response),
            Message::Request(request) => match self.begin(request) {
                Begun::Answered(answer) => self.send(answer).await,
                Begun::Working(request, work) => {
                    let (core, session) = (Arc::clone(&self.core), Arc::clone(&self.session));
                    let (outlet, ending) = (self.outlet.clone(), self.ending.clone());
                    self.requests.spawn(async move {
                        if let Some(answer) = work_on(&core, &session, request, work, &outlet, &ending).await
                        {
                            // An error means that nobody reads any more.
                            drop(outlet.send(&answer).await);
                        }
                    });
                }
            },
        }
    }

    /// All of a batch at a time; the answers leave together (2025-03-26, Base Protocol, "Batches").
    async fn batch(&self, messages: Vec<Result<Message, Malformed>>) {
        if !self
            .session
            .hello()
            .is_none_or(|hello| hello.version.has_batches())
        {
            let fault = Fault::new(code::INVALID_REQUEST, "this protocol version has no batches");
            return self.send(Message::response(None, Err(fault))).await;
        }
        let mut answers = Vec::new();
        let mut working = Vec::new();
        for message in messages {
            match message {
                Err(error) => answers.push(Message::response(error.id.clone(), Err(error.fault()))),
                Ok(Message::Notification(notification)) => {
                    dispatch::hear(&self.core, &self.session, &notification);
                }
                Ok(Message::Response(response)) => self.session.answered(response),
                Ok(Message::Request(request)) => match self.begin(request) {
                    Begun::Answered(answer) => answers.push(answer),
                    Begun::Working(request, work) => working.push((request, work)),
                },
            }
        }
        let (core, session) = (Arc::clone(&self.core), Arc::clone(&self.session));
        let (outlet, ending) = (self.outlet.clone(), self.ending.clone());
        self.requests.spawn(async move {
            let work = working
                .into_iter()
                .map(|(request, work)| work_on(&core, &session, request, work, &outlet, &ending));
            answers.extend(futures_util::future::join_all(work).await.into_iter().flatten());
            if !answers.is_empty() {
                drop(outlet.send_line(join(&answers), None).await);
            }
        });
    }

    /// Answers what needs no time, in order; notes the rest as at work, so that a cancellation right behind it
    /// finds it.
    fn begin(&self, request: Request) -> Begun {
        if request.method == method::INITIALIZE && !is_modern(&request) {
            let answer = legacy::initialize(&self.core, &self.session, request.params.as_ref());
            return Begun::Answered(Message::response(Some(request.id), answer));
        }
        match self.session.begin(&request) {
            Ok(work) => Begun::Working(request, work),
            Err(fault) => Begun::Answered(Message::response(Some(request.id), Err(fault))),
        }
    }

    async fn send(&self, message: Message) {
        // An error means that nobody reads any more; the loop ends by itself then.
        drop(self.outlet.send(&message).await);
    }

    /// Lets what is at work end, then ends the rest.
    async fn finish(self) {
        self.requests.close();
        self.ending.cancel();
        // Questions can't be answered any more.
        self.session.stop_asking();
        if timeout(self.core.limits.drain, self.requests.wait())
            .await
            .is_err()
        {
            self.session.close();
            // Cancelled requests end at once.
            let _ended = timeout(self.core.limits.drain, self.requests.wait()).await;
        }
        self.session.close();
    }
}

enum Begun {
    Answered(Message),
    Working(Request, Work),
}

/// Whether a request is of the modern era: it says so in its `_meta`, or has a method that only that has.
pub(crate) fn is_modern(request: &Request) -> bool {
    speaks_modern(request, members(request.params.as_ref()).as_ref().ok())
}

/// The same where its `params` were read already; `None`: they are no object.
pub(crate) fn speaks_modern(request: &Request, params: Option<&Object<'_>>) -> bool {
    matches!(request.method.as_str(), method::DISCOVER | method::LISTEN)
        || params.is_some_and(|params| RequestMeta::of(params).is_modern())
}

/// The answer to a request; `None` if it was cancelled, as then none may be sent.
async fn work_on(
    core: &Core,
    session: &Arc<Session>,
    request: Request,
    work: Work,
    outlet: &Outlet,
    ending: &CancellationToken,
) -> Option<Message> {
    let params = members(request.params.as_ref());
    let answer = if speaks_modern(&request, params.as_ref().ok()) {
        let stream = Stream {
            outlet: Some(outlet),
            cancel: &work.cancel,
            ending,
        };
        modern_answer(core, session, &request, params, stream).await
    } else {
        let (outlet, cancel) = (Some(outlet), &work.cancel);
        legacy::answer(core, session, &request, params, outlet, cancel).await
    };
    work.answer(answer)
}

async fn modern_answer(
    core: &Core,
    session: &Session,
    request: &Request,
    params: Result<Object<'_>, Fault>,
    stream: Stream<'_>,
) -> Result<Raw, Fault> {
    let params = params?;
    let meta = RequestMeta::of(&params).modern()?;
    modern::answer(core, session.peer(), meta, request, params, stream).await
}

/// A batch of answers on one line.
pub(crate) fn join(answers: &[Message]) -> Vec<u8> {
    let mut line = vec![b'['];
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        line.extend_from_slice(&answer.to_line());
    }
    line.push(b']');
    line
}
