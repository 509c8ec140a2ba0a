//! The two ways to ask a client for what a server wants: a request on the stream of its call (legacy), or a list of
//! what is wanted that goes out with a result (modern).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::bridge;
use wire::edit::Object;
use wire::meta::ClientCapabilities;
use wire::mrtr::InputRequest;
use wire::{Era, Fault, Raw, Version, code};

use crate::call::Stop;
use crate::caller::Caller;
use crate::core::Core;
use crate::outlet::Outlet;
use crate::session::Session;
use crate::upstream::{Asker, Progress};

/// Requests of a server that wait for one retry.
const ASKS: usize = 16;

/// Asks a legacy client by requests on the stream of its call.
pub(crate) struct InSession {
    session: Arc<Session>,
    outlet: Outlet,
    version: Version,
    abilities: ClientCapabilities,
    /// How long a person may think.
    patience: Duration,
    /// The task that is asked for, as the client knows it.
    task: Option<String>,
}

impl InSession {
    /// For the client of a call that came by a session and has a stream; `None`: it can't be asked.
    pub(crate) fn of(
        core: &Core,
        caller: &Caller,
        outlet: Option<&Outlet>,
        task: Option<&str>,
    ) -> Option<Arc<Self>> {
        let Era::Legacy(version) = caller.era else {
            return None;
        };
        let session = Arc::clone(caller.side.answers.as_ref()?);
        Some(Arc::new(Self {
            session,
            outlet: outlet?.clone(),
            version,
            abilities: caller.side.abilities,
            patience: core.limits.confirm,
            task: task.map(ToOwned::to_owned),
        }))
    }

    /// For the client of a session outside of any call; `None`: it has no stream at the moment.
    pub(crate) fn beyond_calls(session: &Arc<Session>, patience: Duration) -> Option<Self> {
        let hello = session.hello()?;
        Some(Self {
            session: Arc::clone(session),
            outlet: session.stream()?,
            version: hello.version,
            abilities: hello.capabilities,
            patience,
            task: None,
        })
    }

    /// Answers to all of `requests`, under their keys. One that the client refuses fails the call.
    pub(crate) async fn all(
        &self,
        requests: Vec<(String, InputRequest)>,
        cancel: &CancellationToken,
    ) -> Result<Raw, Stop> {
        let asking = requests
            .into_iter()
            .map(|(key, InputRequest { method, params })| async move {
                let answer = self.ask(&method, params, None).await;
                (key, answer)
            });
        let answers = tokio::select! {
            biased;
            answers = join_all(asking) => answers,
            () = cancel.cancelled() => return Err(Stop::Cancelled),
        };
        let mut responses = Object::empty();
        for (key, answer) in answers {
            responses.set_named(&key, &answer?);
        }
        Ok(responses.to_raw())
    }

    /// Word that a visit is done will concern this client.
    pub(super) fn expect_visits(&self, error: &Raw) {
        for (_, InputRequest { params, .. }) in bridge::visits(error).into_iter().flatten() {
            self.expect_visit(params.as_ref());
        }
    }

    fn expect_visit(&self, params: Option<&Raw>) {
        let id = params.and_then(|raw| Some(Object::parse(raw).ok()?.text("elicitationId")?.into_owned()));
        if let Some(id) = id {
            self.session.expect_visit(id);
        }
    }
}

impl Asker for InSession {
    fn ask(
        &self,
        method: &str,
        params: Option<Raw>,
        progress: Option<Progress>,
    ) -> BoxFuture<'static, Result<Raw, Fault>> {
        let id = crate::seal::random_id().unwrap_or_default();
        let params = bridge::for_legacy(method, params.as_deref(), self.abilities, self.version, &id);
        let params = match params {
            Ok(params) => params,
            Err(unable) => return std::future::ready(Err(not_offered(&unable))).boxed(),
        };
        self.expect_visit(Some(&params));
        let params = match &self.task {
            Some(task) => bridge::task::relate(&params, Some(task)),
            None => params,
        };
        let (session, outlet, patience) = (Arc::clone(&self.session), self.outlet.clone(), self.patience);
        let method = method.to_owned();
        async move {
            match timeout(patience, session.ask(&outlet, &method, params, progress)).await {
                Ok(Some(answer)) => answer.map_err(Fault::Relayed),
                Ok(None) => Err(Fault::new(
                    code::INTERNAL_ERROR,
                    "the client is gone, or can't be asked any more",
                )),
                Err(_) => Err(Fault::new(
                    code::INTERNAL_ERROR,
                    format!(
                        "the client did not answer {method} within {} s",
                        patience.as_secs()
                    ),
                )),
            }
        }
        .boxed()
    }
}

fn not_offered(unable: &bridge::Unable) -> Fault {
    Fault::new(code::METHOD_NOT_FOUND, unable.to_string())
}

/// Takes what a legacy server asks, for the result that passes it on.
pub(crate) struct InRounds {
    asks: mpsc::Sender<Ask>,
    abilities: ClientCapabilities,
}

/// A request of a server that waits for the client's retry.
pub(crate) struct Ask {
    pub(crate) request: InputRequest,
    pub(crate) reply: oneshot::Sender<Result<Raw, Fault>>,
}

impl InRounds {
    /// For a client with these abilities; what it is to be asked comes out at the other end.
    pub(crate) fn new(abilities: ClientCapabilities) -> (Arc<Self>, mpsc::Receiver<Ask>) {
        let (asks, taken) = mpsc::channel(ASKS);
        (Arc::new(Self { asks, abilities }), taken)
    }
}

impl Asker for InRounds {
    /// A result has no way back but the answer, so nothing is heard of progress.
    fn ask(
        &self,
        method: &str,
        params: Option<Raw>,
        _progress: Option<Progress>,
    ) -> BoxFuture<'static, Result<Raw, Fault>> {
        let params = match bridge::for_modern(method, params.as_deref(), self.abilities) {
            Ok(params) => params,
            Err(unable) => return std::future::ready(Err(not_offered(&unable))).boxed(),
        };
        let (reply, answer) = oneshot::channel();
        let request = InputRequest {
            method: method.to_owned(),
            params,
        };
        let sent = self.asks.try_send(Ask { request, reply }).is_ok();
        async move {
            let gone = || {
                Fault::new(
                    code::INTERNAL_ERROR,
                    "the client does not come back with an answer",
                )
            };
            if !sent {
                return Err(Fault::new(
                    code::INTERNAL_ERROR,
                    "too many requests wait for the client",
                ));
            }
            answer.await.unwrap_or_else(|_| Err(gone()))
        }
        .boxed()
    }
}
