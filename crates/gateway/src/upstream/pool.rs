//! The instances of a server: who shares which, one start at a time for each, back-off after failures, and for each
//! running one a supervisor (`supervise.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::method;

use super::circuit::Admission;
use super::handshake::{self, Refusal};
use super::instance::{Instance, Owner};
use super::lease::{Key, Lease};
use super::{NoAnswer, Upstream, lock};
use crate::Limits;
use crate::caller::{Lifeline, Peer, Principal};
use crate::events::{Audience, Sink, Who};
use crate::parts::{Link, PREPARING, Share, Sharing};
use crate::status::What;

type Started = Option<Result<Arc<Instance>, NoAnswer>>;

pub(super) enum Slot {
    Starting(watch::Receiver<Started>),
    Ready(Arc<Instance>),
}

/// Tells when an instance's driver has ended and why, if the server ended by itself. An error: there is none.
pub(super) type Fate = oneshot::Receiver<Option<String>>;

/// How long a server that ended while it was started is given to be found dead, and of what.
pub(super) const FOUND_DEAD: Duration = Duration::from_secs(2);

/// Why a server can't be talked to. Of one that has ended by itself its end says more than the broken connection.
async fn cause(refusal: Refusal, fate: Fate) -> String {
    let ended = matches!(refusal, Refusal::Gone(_));
    match timeout(FOUND_DEAD, fate).await {
        Ok(Ok(Some(why))) if ended => why,
        _ => refusal.to_string(),
    }
}

impl Upstream {
    /// An instance for `peer`, which stays busy until the lease is dropped. Those who need the same at the same time
    /// share one start.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        peer: &Peer,
        cancel: &CancellationToken,
    ) -> Result<Lease, NoAnswer> {
        let owner = self.owner(peer);
        self.lease_of(owner, cancel).await
    }

    /// The instance of an owner that had one before, started again if need be; `None`: it has gone for good.
    pub(crate) async fn lease_again(
        self: &Arc<Self>,
        owner: &Owner,
        cancel: &CancellationToken,
    ) -> Result<Option<Lease>, NoAnswer> {
        if let Some(lease) = self.ready(&owner.key) {
            return Ok(Some(lease));
        }
        let is_over = owner.lifeline.as_ref().is_some_and(Lifeline::is_over);
        match owner.key {
            Key::Everyone | Key::Principal(_) | Key::Session(_) if !is_over => {
                self.lease_of(owner.clone(), cancel).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The same to read lists from.
    pub(super) async fn lease_for_lists(
        self: &Arc<Self>,
        scope: Option<&Principal>,
    ) -> Result<Lease, NoAnswer> {
        let key = match (self.sharing, scope) {
            (Sharing::Everyone, _) => Key::Everyone,
            (Sharing::Principal, Some(principal)) => Key::Principal(principal.clone()),
            _ => Key::Lists,
        };
        let owner = Owner {
            key,
            lifeline: None,
            principal: scope.cloned(),
        };
        self.lease_of(owner, &self.around.stop).await
    }

    /// The key under which `peer` finds its instance.
    pub(crate) fn key(&self, peer: &Peer) -> Key {
        match (self.sharing, &peer.session) {
            (Sharing::Everyone, _) => Key::Everyone,
            (Sharing::Session, Some(session)) => Key::Session(session.number),
            // A request outside of any session: its principal is all that ties it to others.
            (Sharing::Principal, _) | (Sharing::Session, None) => Key::Principal(peer.principal.clone()),
            (Sharing::Call, _) => Key::Call(self.next_number()),
        }
    }

    pub(crate) fn owner(&self, peer: &Peer) -> Owner {
        let key = self.key(peer);
        Owner {
            lifeline: match key {
                Key::Session(_) => peer.session.clone(),
                _ => None,
            },
            principal: (key != Key::Everyone).then(|| peer.principal.clone()),
            key,
        }
    }

    pub(super) async fn lease_of(
        self: &Arc<Self>,
        owner: Owner,
        cancel: &CancellationToken,
    ) -> Result<Lease, NoAnswer> {
        // More than once only when an instance ends between its start and our entering.
        for _ in 0..3 {
            if let Some(lease) = self.ready(&owner.key) {
                return Ok(lease);
            }
            let mut started = self.begin(&owner)?;
            let outcome = tokio::select! {
                outcome = started.wait_for(Option::is_some) => match outcome {
                    Ok(outcome) => outcome.clone().unwrap_or(Err(NoAnswer::Stopping)),
                    Err(_) => Err(NoAnswer::Stopping),
                },
                () = cancel.cancelled() => Err(NoAnswer::Cancelled),
                () = self.around.stop.cancelled() => Err(NoAnswer::Stopping),
            };
            if let Some(lease) = Lease::of(&outcome?) {
                return Ok(lease);
            }
        }
        Err(self.no_start("it ends as soon as it is started".to_owned()))
    }

    pub(crate) fn ready(&self, key: &Key) -> Option<Lease> {
        match self.read_slots().get(key) {
            Some(Slot::Ready(instance)) => Lease::of(instance),
            _ => None,
        }
    }

    /// Begins a start for this owner, or joins the one that is on its way.
    pub(super) fn begin(self: &Arc<Self>, owner: &Owner) -> Result<watch::Receiver<Started>, NoAnswer> {
        if self.around.stop.is_cancelled() {
            return Err(NoAnswer::Stopping);
        }
        if self.retired.is_cancelled() {
            return Err(self.no_start("it was taken out of the configuration".to_owned()));
        }
        let mut slots = self.write_slots();
        match slots.get(&owner.key) {
            Some(Slot::Starting(started)) => return Ok(started.clone()),
            Some(Slot::Ready(instance)) if instance.connection.is_live() && !instance.is_closed() => {
                return Ok(watch::channel(Some(Ok(Arc::clone(instance)))).1);
            }
            _ => {}
        }
        let (sender, started) = watch::channel(None);
        slots.insert(owner.key.clone(), Slot::Starting(started.clone()));
        drop(slots);
        let (upstream, owner) = (Arc::clone(self), owner.clone());
        // A task of its own: whoever waits may give up, and the others still get their instance.
        self.around.tasks.spawn(async move {
            let outcome = upstream.adopt_or_start(&owner).await;
            {
                let mut slots = upstream.write_slots();
                match &outcome {
                    Ok(instance) => {
                        slots.insert(owner.key.clone(), Slot::Ready(Arc::clone(instance)));
                    }
                    Err(_) => {
                        slots.remove(&owner.key);
                    }
                }
            }
            let is_started = outcome.is_ok();
            sender.send_replace(Some(outcome));
            if is_started {
                upstream.keep_warm();
                upstream.started_for(&owner);
            } else if matches!(owner.key, Key::Everyone | Key::Spare(_)) {
                upstream.keep_warm_later().await;
            }
        });
        Ok(started)
    }

    pub(super) async fn start_within(self: &Arc<Self>, owner: &Owner) -> Result<Arc<Instance>, NoAnswer> {
        loop {
            let admission = lock(&self.circuit).admit(Instant::now());
            match admission {
                Admission::Now => break,
                Admission::Refused(why) => return Err(self.no_start(why)),
                Admission::At(then) => tokio::select! {
                    () = sleep_until(then) => {}
                    () = self.around.stop.cancelled() => return Err(NoAnswer::Stopping),
                },
            }
        }
        let ready = async {
            // Before it takes a turn or a place: others need not wait for an image.
            self.prepared().await.map_err(|why| Some((why, true)))?;
            let _turn = self.around.starts.acquire().await.map_err(|_| None)?;
            let place = self
                .around
                .room
                .take(self.life.bytes)
                .await
                .map_err(|why| Some((why, false)))?;
            let limit = self.start_limit();
            let started = timeout(limit, self.start(owner)).await;
            let instance = started
                .unwrap_or_else(|_| {
                    Err(format!(
                        "no answer within {} s, its `start_timeout`",
                        limit.as_secs()
                    ))
                })
                .map_err(|why| Some((why, true)))?;
            Ok::<_, Option<(String, bool)>>((instance, place))
        };
        let ready = tokio::select! {
            ready = ready => ready,
            () = self.around.stop.cancelled() => Err(None),
            () = self.retired.cancelled() => Err(None),
        };
        match ready {
            Ok(((instance, gone), place)) => {
                self.record(&owner.key, What::Started, "");
                place.is_of(&instance);
                self.around
                    .tasks
                    .spawn(Arc::clone(self).supervise(Arc::clone(&instance), gone, place));
                self.check_lists(&instance, owner).await;
                Ok(instance)
            }
            Err(None) => {
                lock(&self.circuit).undecided();
                Err(NoAnswer::Stopping)
            }
            Err(Some((why, is_its_fault))) => {
                self.record(&owner.key, What::Failed, &why);
                if is_its_fault {
                    self.failed(&why);
                } else {
                    lock(&self.circuit).undecided();
                }
                Err(self.no_start(why))
            }
        }
    }

    /// Gets what has to be there before a start. Starts of one server wait for each other here, so that an image is
    /// made once.
    async fn prepared(&self) -> Result<(), String> {
        let Some(prepare) = &self.prepare else {
            return Ok(());
        };
        let _one = self.preparing.lock().await;
        match timeout(PREPARING, prepare()).await {
            Ok(prepared) => prepared.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "its image is not there after {} minutes",
                PREPARING.as_secs() / 60
            )),
        }
    }

    /// Connects and shakes hands. What comes back beside the instance tells of its end.
    async fn start(self: &Arc<Self>, owner: &Owner) -> Result<(Arc<Instance>, Fate), String> {
        let sink = Sink::new(
            self.around.hub.hub(),
            Arc::downgrade(self),
            self.audience(owner),
            owner.lifeline.clone(),
        );
        let around = Arc::new(super::Surroundings {
            hub: sink.clone(),
            limits: Limits {
                start: self.start_limit(),
                list: self.list_limit(),
                call: self.call_limit(),
                ..self.around.limits.clone()
            },
            ..(*self.around).clone()
        });
        let (link, mut fate) = self.open(owner).await?;
        let is_asked = !self.spoken.is_legacy();
        let begun = handshake::begin(link, &self.name, &self.spoken, &around).await;
        let connection = match begun {
            Ok(connection) => connection,
            Err(Refusal::Gone(why)) if is_asked => {
                tracing::debug!(server = self.name, "{why}; connected again for initialize");
                let (link, of_second) = self.open(owner).await?;
                fate = of_second;
                match handshake::greet(link, &self.name, &self.spoken, &around).await {
                    Ok(connection) => connection,
                    Err(refusal) => return Err(cause(refusal, fate).await),
                }
            }
            Err(refusal) => return Err(cause(refusal, fate).await),
        };
        let instance = Arc::new(Instance::new(connection, owner.clone()));
        sink.is_of(&instance);
        Ok((instance, fate))
    }

    /// Makes an instance and opens a link to it. What comes back beside it tells of its end.
    async fn open(&self, owner: &Owner) -> Result<(Link, Fate), String> {
        let share = Share {
            key: owner.key.text(),
            principal: match owner.key {
                Key::Everyone | Key::Lists | Key::Spare(_) => None,
                _ => owner.principal.clone(),
            },
        };
        let link = (self.connect)(share).await.map_err(|error| error.to_string())?;
        let (tell, fate) = oneshot::channel();
        let driver = link.driver.map(|driver| -> crate::Driver {
            Box::pin(async move {
                let why = driver.await;
                drop(tell.send(why.clone()));
                why
            })
        });
        Ok((Link { driver, ..link }, fate))
    }

    /// Who hears of what happens in an instance of this owner.
    pub(crate) fn audience(&self, owner: &Owner) -> Audience {
        let who = match (&owner.key, &owner.principal) {
            (Key::Everyone, _) => Who::Everyone,
            (Key::Session(number), _) => Who::Session(*number),
            (Key::Principal(principal), _) | (Key::Call(_), Some(principal)) => {
                Who::Principal(principal.clone())
            }
            (Key::Call(_) | Key::Lists | Key::Spare(_), _) => Who::Nobody,
        };
        Audience {
            who,
            key: owner.key.clone(),
            ..self.everyone()
        }
    }

    /// What a new instance has to be told: whatever was asked of those before.
    fn started_for(self: &Arc<Self>, owner: &Owner) {
        let upstream = Arc::clone(self);
        let owner = owner.clone();
        self.around.tasks.spawn(async move {
            upstream.tell_again(&owner.key).await;
            if matches!(owner.key, Key::Everyone | Key::Principal(_)) {
                upstream.confirm_lists(match &owner.key {
                    Key::Principal(principal) => Some(principal.clone()),
                    _ => None,
                });
            }
        });
    }

    /// An instance has forgotten what it was told; it is told again, and what it lists is read again.
    pub(crate) fn renewed(self: &Arc<Self>, instance: &Instance) {
        let (upstream, key) = (Arc::clone(self), instance.key());
        let who = self.audience_of(instance).who;
        self.around.tasks.spawn(async move {
            if let Some(lease) = upstream.ready(&key) {
                lease.forget_level().await;
            }
            upstream.tell_again(&key).await;
            upstream.look_again(&who);
        });
    }

    /// Tells the instance of that key the log level, and what is watched in it.
    pub(super) async fn tell_again(&self, key: &Key) {
        // A call is over sooner than it could be told.
        if let Key::Call(_) = key {
            return;
        }
        let Some(lease) = self.ready(key) else { return };
        let level = *lock(&self.level);
        if let Some(level) = level
            && lease.offers("logging")
        {
            let mut params = Object::empty();
            params.set("level", level);
            if let Err(error) = self.ask_of(&lease, method::SET_LEVEL, params).await {
                tracing::debug!(server = self.name, "{}: {}", method::SET_LEVEL, error.message());
            }
        }
        self.watch_again(&lease).await;
    }

    pub(super) fn failed(&self, why: &str) {
        let chance = crate::seal::random::<1>().map_or(128, |[chance]| chance);
        // Whoever is refused for it may be another than the one whose copy it was.
        let told = match self.sharing {
            Sharing::Everyone => why,
            Sharing::Principal | Sharing::Session | Sharing::Call => super::circuit::without_words(why),
        };
        lock(&self.circuit).failed(Instant::now(), told, chance);
    }

    fn no_start(&self, cause: String) -> NoAnswer {
        NoAnswer::Start {
            server: self.name.clone(),
            cause,
        }
    }

    /// Stops what runs, now; the next use starts it again, whatever failed before.
    pub(crate) fn restart(&self) {
        lock(&self.circuit).worked();
        for slot in self.read_slots().values() {
            if let Slot::Ready(instance) = slot {
                instance.close("a restart was asked for");
            }
        }
    }

    /// The live instances, with their keys.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let slots = self.read_slots();
        let ready = slots.values().filter_map(|slot| match slot {
            Slot::Ready(instance) => Some(Arc::clone(instance)),
            Slot::Starting(_) => None,
        });
        ready.collect()
    }

    pub(super) fn is_starting(&self) -> bool {
        self.read_slots()
            .values()
            .any(|slot| matches!(slot, Slot::Starting(_)))
    }
}
