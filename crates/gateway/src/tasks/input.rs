//! What a legacy server wants of a modern client while it works on a task. It asks by requests, on the stream of
//! `tasks/result`, which therefore is open from the beginning; the client finds them in its `tasks/get`, and answers by
//! `tasks/update`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::mrtr::InputRequired;
use wire::{Raw, method, to_raw};

use super::{LIFE, Task, inside};
use crate::caller::Caller;
use crate::core::Core;
use crate::events::Event;
use crate::input::{Ask, InRounds};
use crate::upstream::Sending;

/// Requests that wait, under keys that are never given twice.
#[derive(Default)]
pub(super) struct Wanted {
    open: Vec<(String, Ask)>,
    next: u64,
}

impl Wanted {
    /// What the client is to bring; `None`: nothing at the moment.
    pub(super) fn requests(&mut self) -> Option<InputRequired> {
        self.open.retain(|(_, ask)| !ask.reply.is_closed());
        let requests = self
            .open
            .iter()
            .map(|(key, ask)| (key.clone(), ask.request.clone()));
        let requests: Vec<_> = requests.collect();
        (!requests.is_empty()).then_some(InputRequired {
            requests,
            state: None,
        })
    }

    /// Gives the server what the client brings. What nobody waits for is passed over (2026-07-28, Tasks, "Task Update
    /// Requests").
    pub(super) fn take(&mut self, responses: &Object<'_>, screen: impl Fn(Raw) -> Raw) {
        for (key, ask) in std::mem::take(&mut self.open) {
            match responses.get(&key) {
                // An error means that the server no longer waits for it.
                Some(answer) => drop(ask.reply.send(Ok(screen(answer.to_owned())))),
                None => self.open.push((key, ask)),
            }
        }
    }

    fn push(&mut self, ask: Ask) {
        self.next += 1;
        self.open.push((format!("ask-{}", self.next), ask));
    }
}

/// Takes the server's requests until the task has ended.
pub(super) fn gather(core: &Core, caller: &Caller, task: &Arc<Task>) {
    task.state().wanted = Some(Wanted::default());
    let (asker, mut asks) = InRounds::new(caller.side.abilities);
    let (caller, ended, server) = (
        caller.clone(),
        task.ended.clone(),
        Arc::clone(&task.place.upstream),
    );
    let (owner, own, task) = (task.owner.clone(), task.handle.own.clone(), Arc::downgrade(task));
    core.tasks.spawn(async move {
        let cancel = CancellationToken::new();
        let told = |event: Event| server.task_event(&server.audience(&owner), &own, &event);
        let news = || Event::Task {
            id: own.clone(),
            is_modern: false,
            params: to_raw(&serde_json::json!({})),
        };
        let result = async {
            let lease = server.lease_again(&owner, &cancel).await.ok()??;
            let sending = Sending {
                asker: Some(asker),
                ..Sending::plain(&caller, &cancel, LIFE)
            };
            server
                .send(&lease, method::TASKS_RESULT, inside::about(&own), sending)
                .await
                .ok()
        };
        tokio::pin!(result);
        loop {
            tokio::select! {
                biased;
                Some(ask) = asks.recv() => {
                    let Some(task) = task.upgrade() else { return };
                    if let Some(wanted) = &mut task.state().wanted {
                        wanted.push(ask);
                    }
                    told(news());
                }
                _ = &mut result => return told(news()),
                () = ended.cancelled() => return,
            }
        }
    });
}
