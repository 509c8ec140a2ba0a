//! From the name that a client uses to the server that is meant: within the client's view, whatever else there is.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use policy::Effect;
use wire::{Fault, Raw, code};

use crate::caller::{Peer, View};
use crate::core::Core;
use crate::index::{self, Index, Place, Renamed};
use crate::lists::may_use;
use crate::near::nearest;
use crate::upstream::{NoAnswer, Upstream};

/// Members of results that hold the URI of a resource.
const URIS: [&str; 3] = ["uri", "resourceUri", "ui/resourceUri"];

/// Where something that a client named is.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) upstream: Arc<Upstream>,
    /// What the server calls it.
    pub(crate) name: String,
    /// The server's URIs that clients know by other names.
    renamed: Option<Renamed>,
    /// What a call of the tool counts as at least.
    pub(crate) at_least: Effect,
}

impl Found {
    /// A result of the server, with its URIs as clients know them.
    pub(crate) fn outward(&self, raw: Raw) -> Raw {
        match &self.renamed {
            Some(renamed) => index::outward(renamed, raw, &URIS),
            None => raw,
        }
    }

    /// The client knows it by this name, which no list may have: one that a template gave. What is read from it is said
    /// to be of that name.
    fn known_as(mut self, exposed: &str) -> Self {
        if exposed != self.name {
            let renamed = self.renamed.get_or_insert_default();
            if renamed.get(&self.name).is_none_or(|known| known != exposed) {
                let mut more = (**renamed).clone();
                more.insert(self.name.clone(), exposed.to_owned());
                *renamed = Arc::new(more);
            }
        }
        self
    }

    fn of(index: &Index, Place { upstream, own }: Place) -> Self {
        Self {
            renamed: index.renamed(&upstream).cloned(),
            upstream,
            name: own,
            at_least: Effect::Read,
        }
    }
}

impl Core {
    /// All that `peer` sees, as far as it is known: a server that does not come up is not waited for long.
    pub(crate) async fn index(&self, peer: &Peer) -> Result<Arc<Index>, Fault> {
        let set = self.set();
        let cell = set.index_cell(peer);
        let now = || self.changes.load(Ordering::Acquire);
        cell.get(set.seen(&peer.view), peer, now).await
    }

    /// Waits until each server that `peer` sees has said what it lists, or why it can't: as long as fetching its image
    /// and its start take. If none can, that is the error.
    pub(crate) async fn settle(&self, peer: &Peer) -> Result<(), Fault> {
        self.settle_until(peer, |_| false).await
    }

    /// The same, but no longer than until what is known is `enough`: others may take very long.
    async fn settle_until(&self, peer: &Peer, enough: impl Fn(&Index) -> bool) -> Result<(), Fault> {
        let seen = self.set().seen(&peer.view);
        let mut coming: FuturesUnordered<_> = seen.iter().map(|upstream| upstream.known(peer)).collect();
        let mut why_not = None;
        let mut is_any_known = false;
        while let Some(known) = coming.next().await {
            match known {
                Ok(_) if enough(&self.index_now(peer)) => return Ok(()),
                Ok(_) => is_any_known = true,
                Err(error) => why_not = why_not.or(Some(error)),
            }
        }
        match why_not {
            Some(error) if !is_any_known => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The same without waiting for any server.
    fn index_now(&self, peer: &Peer) -> Arc<Index> {
        let set = self.set();
        let cell = set.index_cell(peer);
        let now = self.changes.load(Ordering::Acquire);
        cell.peek(now)
            .unwrap_or_else(|| cell.make_now(&set.seen(&peer.view), peer, now))
    }

    /// The same as [`Self::index`], to be shown: what was approved meanwhile, by another process too, is in it.
    pub(crate) async fn index_to_show(&self, peer: &Peer) -> Result<Arc<Index>, Fault> {
        let index = self.index(peer).await?;
        if index.has_held() && self.look_for_approvals(&index).await {
            return self.index(peer).await;
        }
        Ok(index)
    }

    async fn look_for_approvals(&self, index: &Index) -> bool {
        let mut is_changed = false;
        for upstream in &index.upstreams {
            is_changed |= upstream.has_held() && upstream.judge_again().await;
        }
        is_changed
    }

    /// Whether the tool of that exposed name says that its calls have to be tasks.
    pub(crate) fn must_be_task(&self, peer: &Peer, name: &str) -> bool {
        let index = self.index_now(peer);
        index.find(name).is_some_and(|tool| tool.must_be_task)
    }

    /// The tool of an exposed name, or of an alias or unlisted name that a server of our own has.
    pub(crate) async fn find_tool(&self, peer: &Peer, name: &str) -> Result<Found, Fault> {
        let listed = |index: &Index| {
            let tool = index.find(name)?;
            let own = tool.upstream.own_name(&tool.name);
            let upstream = Arc::clone(&tool.upstream);
            Some(Found {
                at_least: tool.at_least(),
                ..Found::of(index, Place { upstream, own })
            })
        };
        let index = self.index_now(peer);
        if let Some(found) = listed(&index) {
            return Ok(found);
        }
        let described = |index: &Index| {
            let places = index.upstreams.iter();
            let place = places.filter_map(|upstream| {
                let own = upstream.unlisted(name)?;
                Some(Place {
                    upstream: Arc::clone(upstream),
                    own,
                })
            });
            place.map(|place| Found::of(index, place)).next()
        };
        if index.upstreams.len() == 1
            && let Some(found) = described(&index)
        {
            // Nobody else can have the name, so a call right after the start waits for no list.
            return Ok(found);
        }
        let knows = |index: &Index| {
            !index.is_partial
                || index.held(name).is_some()
                || listed(index).is_some()
                || described(index).is_some()
        };
        let mut index = match self.index(peer).await {
            Ok(index) if knows(&index) => index,
            // A server that is on its way up may have it: "no such tool" would be wrong.
            _ => {
                self.settle_until(peer, knows).await?;
                self.index_now(peer)
            }
        };
        if index.held(name).is_some() {
            index = self.index_to_show(peer).await?;
        }
        if let Some(Place { upstream, own }) = index.held(name) {
            let server = &upstream.name;
            let held = NoAnswer::Held {
                server: server.clone(),
                tool: own.clone(),
            };
            return Err(held.into());
        }
        listed(&index).or_else(|| described(&index)).ok_or_else(|| {
            let seen = index
                .named()
                .filter(|(_, tool)| may_use(self, &peer.principal, tool));
            let near = nearest(name, seen.map(|(name, _)| name));
            if let Some(server) = index.off(name) {
                let server = &server.name;
                let message = format!(
                    "the tool {name:?} of server {server} is switched off: it is not among the `tools` of its table. A \
                     person can switch it on: `dockmaster tools enable {server}/{name}`"
                );
                return Fault::new(code::INVALID_PARAMS, message);
            }
            let mut message = format!("there is no tool {:?}", base::text::cut(name, 100));
            if !near.is_empty() {
                message.push_str("; near it: ");
                message.push_str(&near.join(", "));
            }
            for (server, why) in silent(&index, peer) {
                _ = write!(
                    message,
                    "; server {server}, which may have it, does not work: {why}"
                );
            }
            Fault::new(code::INVALID_PARAMS, message)
        })
    }

    /// The prompt of an exposed name.
    pub(crate) async fn find_prompt(&self, peer: &Peer, name: &str) -> Result<Found, Fault> {
        let listed = |index: &Index| Some(Found::of(index, index.prompt(name)?.clone()));
        if let Some(found) = listed(&self.index_now(peer)) {
            return Ok(found);
        }
        let index = self.index(peer).await?;
        let found = listed(&index).or_else(|| only(&index, peer, "prompts", name));
        found.ok_or_else(|| {
            Fault::new(
                code::INVALID_PARAMS,
                format!("there is no prompt {:?}", base::text::cut(name, 100)),
            )
        })
    }

    /// The resource of a URI, as the client knows it.
    pub(crate) async fn find_resource(&self, peer: &Peer, uri: &str) -> Result<Found, Fault> {
        let listed = |index: &Index| Some(Found::of(index, index.resource(uri)?).known_as(uri));
        if let Some(found) = listed(&self.index_now(peer)) {
            return Ok(found);
        }
        let index = self.index(peer).await?;
        let found = listed(&index).or_else(|| only(&index, peer, "resources", uri));
        found.ok_or_else(|| {
            Fault::new(
                code::RESOURCE_NOT_FOUND,
                format!("there is no resource {:?}", base::text::cut(uri, 200)),
            )
        })
    }

    /// The instructions of all servers that are seen, each under its name where there are several.
    pub(crate) fn instructions(&self, view: &View) -> Option<String> {
        // What a server says of itself when it is made for one principal is not for all, so nobody in particular asks.
        let nobody = Peer::new(crate::Principal::new(""), view.clone());
        let seen = self.set().seen(view);
        let known: Vec<_> = seen
            .iter()
            .filter_map(|upstream| Some((&upstream.name, upstream.instructions(&nobody)?)))
            .collect();
        match &known[..] {
            [] => None,
            [(_, text)] => Some(text.clone()),
            _ => Some(
                known
                    .iter()
                    .map(|(name, text)| format!("## {name}\n{text}"))
                    .collect::<Vec<_>>()
                    .join("\n\n"),
            ),
        }
    }
}

/// Some servers of which it is not known what they have, and what went wrong with them.
fn silent<'a>(index: &'a Index, peer: &'a Peer) -> impl Iterator<Item = (&'a str, String)> {
    let unknown = index
        .upstreams
        .iter()
        .filter(|upstream| upstream.peek(peer).is_none());
    let silent = unknown.filter_map(|upstream| {
        let why = upstream.last_error()?;
        Some((upstream.name.as_str(), base::text::cut(&why, 300).to_owned()))
    });
    silent.take(3)
}

/// The one server that can do it at all may know names that it does not list.
fn only(index: &Index, peer: &Peer, capability: &str, name: &str) -> Option<Found> {
    let able = |upstream: &&Arc<Upstream>| upstream.peek(peer).is_some_and(|known| known.offers(capability));
    let mut able = index.upstreams.iter().filter(able);
    let (Some(upstream), None) = (able.next(), able.next()) else {
        return None;
    };
    let place = Place {
        upstream: Arc::clone(upstream),
        own: name.to_owned(),
    };
    Some(Found::of(index, place))
}
