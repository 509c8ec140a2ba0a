//! What a server lists, remembered: read once, kept under the server's fingerprint beyond the life of the process, read
//! anew when the server says that something has changed. Whoever asks gets what is known and waits only when nothing
//! is. The definitions of tools from outside are compared here with what was approved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use wire::Raw;

use super::instance::{Instance, Owner};
use super::known::{Known, List, Said};
use super::lease::Key;
use super::{Lease, NoAnswer, Upstream, lock};
use crate::caller::{Peer, Principal};
use crate::events::{Audience, Event, Who};
use crate::parts::Origin;
use crate::pins;

/// Between two readings of lists that change there is at least this time.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a list for a client waits for a server of which nothing is known yet.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What is known, for each principal where that may differ.
#[derive(Default)]
pub(super) struct Cells(Mutex<HashMap<Option<Principal>, Arc<Cell>>>);

#[derive(Default)]
struct Cell {
    known: RwLock<Option<Arc<Known>>>,
    reading: Mutex<Reading>,
}

type Outcome = Option<Result<Arc<Known>, NoAnswer>>;

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent facts; not one of them decides another"
)]
struct Reading {
    /// The one that is on its way, and since when.
    running: Option<(watch::Receiver<Outcome>, Instant)>,
    /// What was kept before this process has been looked at.
    has_looked: bool,
    /// The server itself was asked in this process.
    is_confirmed: bool,
    /// The lists have changed since they were read.
    is_stale: bool,
    /// Lists that change all the time are not read all the time.
    not_before: Option<Instant>,
    /// The next reading waits for that time.
    is_scheduled: bool,
    /// What clients are told once it is read.
    announce: Vec<Event>,
    /// Why it could not be read, as the log says already.
    told: Option<String>,
}

impl Cell {
    fn peek(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: &Arc<Known>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(known));
    }
}

impl Upstream {
    fn scope(&self, peer: &Peer) -> Option<Principal> {
        self.lists_by_principal().then(|| peer.principal.clone())
    }

    fn cell(&self, scope: Option<Principal>) -> Arc<Cell> {
        Arc::clone(lock(&self.lists.0).entry(scope).or_default())
    }

    /// What is known of it for `peer`, without asking anybody.
    pub(crate) fn peek(&self, peer: &Peer) -> Option<Arc<Known>> {
        self.cell(self.scope(peer)).peek()
    }

    /// What is known of it for anybody.
    pub(super) fn any_known(&self) -> Option<Arc<Known>> {
        lock(&self.lists.0).values().find_map(|cell| cell.peek())
    }

    /// What it lists for `peer`. What is known is given at once, even while it is read anew; else this waits for the
    /// server.
    pub(crate) async fn known(self: &Arc<Self>, peer: &Peer) -> Result<Arc<Known>, NoAnswer> {
        self.known_until(peer, None).await
    }

    /// The same, but a server that has been asked for [`PATIENCE`] already is not waited for.
    pub(crate) async fn known_soon(self: &Arc<Self>, peer: &Peer) -> Result<Arc<Known>, NoAnswer> {
        self.known_until(peer, Some(PATIENCE)).await
    }

    async fn known_until(
        self: &Arc<Self>,
        peer: &Peer,
        patience: Option<Duration>,
    ) -> Result<Arc<Known>, NoAnswer> {
        let scope = self.scope(peer);
        let cell = self.cell(scope.clone());
        if let Some(known) = cell.peek() {
            return Ok(known);
        }
        let (mut reading, since) = self.begin_reading(&cell, scope);
        let ended = reading.wait_for(Option::is_some);
        let outcome = match patience {
            None => ended.await,
            Some(patience) => {
                let Ok(ended) = timeout_at(since + patience, ended).await else {
                    let mut reading = lock(&cell.reading);
                    // Somebody got a list without it.
                    reading.announce = vec![
                        Event::ToolsChanged,
                        Event::PromptsChanged,
                        Event::ResourcesChanged,
                    ];
                    return Err(NoAnswer::TimedOut {
                        server: self.name.clone(),
                        method: "what it lists".to_owned(),
                        after: patience,
                    });
                };
                ended
            }
        };
        match outcome {
            Ok(outcome) => outcome.clone().unwrap_or(Err(NoAnswer::Stopping)),
            Err(_) => Err(NoAnswer::Stopping),
        }
    }

    /// Reads what was kept before, if anything was; the server is not started for it.
    pub(crate) async fn recall(self: &Arc<Self>, scope: Option<Principal>) {
        if self.lists_by_principal() && scope.is_none() {
            return;
        }
        let cell = self.cell(scope.clone());
        self.look(&cell, scope.as_ref()).await;
    }

    /// Looks once at what was kept before this process.
    async fn look(&self, cell: &Cell, scope: Option<&Principal>) -> Option<Arc<Known>> {
        if lock(&cell.reading).has_looked {
            return None;
        }
        let (memory, key) = (self.around.memory.as_ref()?, self.kept_under(scope)?);
        let kept = memory.lists(key).await;
        lock(&cell.reading).has_looked = true;
        let text = match kept {
            Ok(text) => text?,
            Err(error) => {
                tracing::warn!(server = self.name, "its kept lists can't be read: {error}");
                return None;
            }
        };
        let said = match serde_json::from_str::<Said>(&text) {
            Ok(said) => said,
            Err(error) => {
                tracing::warn!(server = self.name, "its kept lists can't be understood: {error}");
                return None;
            }
        };
        let known = Arc::new(self.judge(said).await);
        if cell.peek().is_none() {
            cell.set(&known);
            self.changed();
        }
        Some(known)
    }

    fn kept_under(&self, scope: Option<&Principal>) -> Option<String> {
        let fingerprint = self.fingerprint.as_ref()?;
        Some(match scope {
            None => fingerprint.clone(),
            Some(principal) => format!("{fingerprint}\n{principal}"),
        })
    }

    /// Begins to read, or joins the reading that is on its way.
    fn begin_reading(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        scope: Option<Principal>,
    ) -> (watch::Receiver<Outcome>, Instant) {
        let mut reading = lock(&cell.reading);
        if let Some(running) = &reading.running {
            return running.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let running = (outcome, Instant::now());
        reading.running = Some(running.clone());
        drop(reading);
        let (upstream, cell) = (Arc::clone(self), Arc::clone(cell));
        self.around.tasks.spawn(async move {
            let outcome = upstream.read(&cell, scope.as_ref()).await;
            let announce = {
                let mut reading = lock(&cell.reading);
                reading.running = None;
                reading.not_before = Some(Instant::now() + PAUSE);
                match &outcome {
                    Ok(_) => std::mem::take(&mut reading.announce),
                    Err(_) => Vec::new(),
                }
            };
            upstream.tell(&cell, outcome.as_ref().err());
            sender.send_replace(Some(outcome));
            for event in announce {
                upstream
                    .around
                    .hub
                    .hub()
                    .publish(&upstream.audience_of_scope(scope.as_ref()), &event);
            }
            // It changed again while it was read.
            if lock(&cell.reading).is_stale {
                upstream.read_anew(&cell, scope);
            }
        });
        running
    }

    /// Logs why it is not known what it lists; the same reason once, however many ask.
    fn tell(&self, cell: &Cell, error: Option<&NoAnswer>) {
        let why = error.map(ToString::to_string);
        let told = std::mem::replace(&mut lock(&cell.reading).told, why.clone());
        if let Some(why) = why.filter(|why| told.as_ref() != Some(why)) {
            tracing::warn!(server = self.name, "what it lists is not known: {why}");
        }
    }

    /// Begins to read what has changed: now, or after a pause since the last time.
    fn read_anew(self: &Arc<Self>, cell: &Arc<Cell>, scope: Option<Principal>) {
        let then = {
            let mut reading = lock(&cell.reading);
            if reading.running.is_some() || reading.is_scheduled {
                return;
            }
            let then = reading.not_before.filter(|then| *then > Instant::now());
            reading.is_scheduled = then.is_some();
            then
        };
        let Some(then) = then else {
            drop(self.begin_reading(cell, scope));
            return;
        };
        let (upstream, cell) = (Arc::clone(self), Arc::clone(cell));
        self.around.tasks.spawn(async move {
            if upstream
                .around
                .stop
                .run_until_cancelled(sleep_until(then))
                .await
                .is_some()
            {
                lock(&cell.reading).is_scheduled = false;
                upstream.begin_reading(&cell, scope);
            }
        });
    }

    async fn read(self: &Arc<Self>, cell: &Cell, scope: Option<&Principal>) -> Result<Arc<Known>, NoAnswer> {
        if cell.peek().is_none()
            && let Some(known) = self.look(cell, scope).await
        {
            return Ok(known);
        }
        lock(&cell.reading).is_stale = false;
        let lease = self.lease_for_lists(scope).await?;
        let said = self.ask_all(&lease).await?;
        drop(lease);
        Ok(self.take_over(cell, scope, said).await)
    }

    /// What it said becomes what is known of it, and is compared with what was approved.
    async fn take_over(&self, cell: &Cell, scope: Option<&Principal>, said: Said) -> Arc<Known> {
        lock(&cell.reading).is_confirmed = true;
        let before = cell.peek();
        if let (Some(memory), Some(key)) = (&self.around.memory, self.kept_under(scope))
            && before.as_ref().is_none_or(|before| !same(&before.said, &said))
            && let Ok(text) = serde_json::to_string(&said)
            && let Err(error) = memory.keep_lists(self.name.clone(), key, text).await
        {
            tracing::warn!(server = self.name, "its lists can't be kept: {error}");
        }
        let known = Arc::new(self.judge(said).await);
        cell.set(&known);
        self.changed();
        if let Some(before) = before {
            let mut reading = lock(&cell.reading);
            for (event, lists) in [
                (Event::ToolsChanged, &[List::Tools][..]),
                (Event::PromptsChanged, &[List::Prompts]),
                (Event::ResourcesChanged, &[List::Resources, List::Templates]),
            ] {
                let is_changed = lists
                    .iter()
                    .any(|list| !same_items(before.list(*list), known.list(*list)));
                let is_told = reading.announce.iter().any(|told| told.kind() == event.kind());
                if is_changed && !is_told {
                    reading.announce.push(event);
                }
            }
        }
        known
    }

    /// Asks a new instance what it lists, before anybody's call reaches it: it may have other tools than those that were
    /// approved, and nothing outside of it need have changed for that. One that takes long is asked on the side.
    pub(super) async fn check_lists(self: &Arc<Self>, instance: &Arc<Instance>, owner: &Owner) {
        let scope = owner.principal.clone().filter(|_| self.lists_by_principal());
        let cell = self.cell(scope.clone());
        if self.origin == Origin::BuiltIn || owner.key == Key::Lists || cell.peek().is_none() {
            return;
        }
        let Some(lease) = Lease::before_calls(instance) else {
            return;
        };
        match timeout(PATIENCE, self.ask_all(&lease)).await {
            Ok(Ok(said)) => {
                self.take_over(&cell, scope.as_ref(), said).await;
                let announce = std::mem::take(&mut lock(&cell.reading).announce);
                for event in announce {
                    let audience = self.audience_of_scope(scope.as_ref());
                    self.around.hub.hub().publish(&audience, &event);
                }
            }
            Ok(Err(error)) => tracing::warn!(server = self.name, "what it lists now is not known: {error}"),
            Err(_) => {
                lock(&cell.reading).is_confirmed = false;
                tracing::warn!(server = self.name, "what it lists now is not known yet");
            }
        }
    }

    /// What of it may be shown: all of what is ours; of what comes from outside that which was approved, screened.
    async fn judge(&self, said: Said) -> Known {
        if self.origin == Origin::BuiltIn {
            return Known {
                tools: said.tools.clone(),
                resources: said.resources.clone(),
                templates: said.templates.clone(),
                prompts: said.prompts.clone(),
                instructions: said.instructions.clone(),
                held: HashMap::new(),
                said,
            };
        }
        let definitions = pins::definitions(&said.tools);
        let held = match self.approved(&definitions).await {
            Ok(approved) => pins::compare(&approved, &definitions),
            Err(why) => {
                tracing::warn!(
                    server = self.name,
                    "what was approved can't be read, so nothing passes: {why}"
                );
                pins::compare(&[], &definitions)
            }
        };
        let clean = |items: &[Raw]| -> Vec<Raw> {
            let items = items.iter();
            items
                .filter_map(|item| self.around.screen.definition(&self.name, self.screening, item))
                .collect()
        };
        let shown: Vec<Raw> = said
            .tools
            .iter()
            .filter(|tool| pins::name_of(tool).is_some_and(|name| !held.contains_key(&name)))
            .cloned()
            .collect();
        Known {
            tools: clean(&shown),
            resources: clean(&said.resources),
            templates: clean(&said.templates),
            prompts: clean(&said.prompts),
            instructions: said
                .instructions
                .as_ref()
                .and_then(|text| self.around.screen.words(&self.name, self.screening, text)),
            held,
            said,
        }
    }

    /// A running server says that a list has changed: it is read anew, and then clients are told. Where nothing was
    /// read yet, they are told at once.
    pub(crate) fn list_changed(self: &Arc<Self>, who: &Who, event: &Event) {
        let scope = match who {
            Who::Principal(principal) if self.lists_by_principal() => Some(principal.clone()),
            _ => None,
        };
        let cell = self.cell(scope.clone());
        let is_known = cell.peek().is_some();
        {
            let mut reading = lock(&cell.reading);
            if !is_known && reading.running.is_none() {
                drop(reading);
                return self
                    .around
                    .hub
                    .hub()
                    .publish(&self.audience_of_scope(scope.as_ref()), event);
            }
            reading.is_stale = true;
            if !reading.announce.iter().any(|told| told.kind() == event.kind()) {
                reading.announce.push(event.clone());
            }
        }
        self.read_anew(&cell, scope);
    }

    /// What is known is read again, and clients are told of what has changed.
    pub(crate) fn look_again(self: &Arc<Self>, who: &Who) {
        let scope = match who {
            Who::Principal(principal) if self.lists_by_principal() => Some(principal.clone()),
            _ => None,
        };
        let cell = self.cell(scope.clone());
        if cell.peek().is_none() {
            return;
        }
        lock(&cell.reading).is_stale = true;
        self.read_anew(&cell, scope);
    }

    /// An instance runs: what it lists may be other than what was kept, so it is asked once.
    pub(super) fn confirm_lists(self: &Arc<Self>, scope: Option<Principal>) {
        let scope = scope.filter(|_| self.lists_by_principal());
        let cell = self.cell(scope.clone());
        {
            let reading = lock(&cell.reading);
            if reading.is_confirmed || reading.running.is_some() || cell.peek().is_none() {
                return;
            }
        }
        self.begin_reading(&cell, scope);
    }

    /// Judges anew what is known: something was approved.
    pub(crate) async fn judge_again(&self) -> bool {
        let cells: Vec<_> = lock(&self.lists.0).values().cloned().collect();
        let mut is_changed = false;
        for cell in cells {
            let Some(before) = cell.peek() else { continue };
            let known = self.judge(before.said.clone()).await;
            if !same_items(&before.tools, &known.tools) || before.held.len() != known.held.len() {
                cell.set(&Arc::new(known));
                is_changed = true;
            }
        }
        if is_changed {
            self.changed();
            self.around
                .hub
                .hub()
                .publish(&self.everyone(), &Event::ToolsChanged);
        }
        is_changed
    }

    fn audience_of_scope(&self, scope: Option<&Principal>) -> Audience {
        Audience {
            who: scope.map_or(Who::Everyone, |principal| Who::Principal(principal.clone())),
            ..self.everyone()
        }
    }

    fn changed(&self) {
        self.around
            .changes
            .fetch_add(1, std::sync::atomic::Ordering::Release);
    }
}

fn same(one: &Said, other: &Said) -> bool {
    same_items(&one.tools, &other.tools)
        && same_items(&one.resources, &other.resources)
        && same_items(&one.templates, &other.templates)
        && same_items(&one.prompts, &other.prompts)
        && one.instructions == other.instructions
        && one.capabilities.as_ref().map(|raw| raw.get()) == other.capabilities.as_ref().map(|raw| raw.get())
}

fn same_items(one: &[Raw], other: &[Raw]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.get() == other.get())
}
