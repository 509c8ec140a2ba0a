//! Asking a server what it lists: every list that it offers, each to its last page.

use std::collections::HashSet;

use wire::edit::{Object, items};
use wire::{Fault, Raw, code};

use super::known::{List, Said};
use super::{Lease, NoAnswer, Upstream};
use crate::index::mirrored;
use crate::pins;

/// A server that never comes to its last page is given up after so many.
const MOST_PAGES: usize = 1_000;
/// Items of a list beyond this number are left out.
const MOST_ITEMS: usize = 10_000;

impl Upstream {
    /// Reads all lists that the server offers, side by side.
    pub(super) async fn ask_all(&self, lease: &Lease) -> Result<Said, NoAnswer> {
        let list = async |list: List| {
            if lease.offers(list.capability()) {
                self.all_pages(lease, list).await
            } else {
                Ok(Vec::new())
            }
        };
        let (tools, resources, templates, prompts) = tokio::join!(
            list(List::Tools),
            list(List::Resources),
            list(List::Templates),
            list(List::Prompts)
        );
        // Servers that can do one thing well get away with faults in the others.
        let or_none = |list: Result<Vec<Raw>, NoAnswer>| match list {
            Err(error @ NoAnswer::Nonsense { .. }) => {
                tracing::warn!(server = self.name, "a list is missing: {error}");
                Ok(Vec::new())
            }
            other => other,
        };
        let mut tools = tools?;
        if lease.is_mirrored() {
            tools.retain(|tool| self.can_mirror(tool));
        }
        Ok(Said {
            capabilities: Some(lease.capabilities().clone()),
            instructions: lease.instructions().map(ToOwned::to_owned),
            tools,
            resources: or_none(resources)?,
            templates: or_none(templates)?,
            prompts: or_none(prompts)?,
        })
    }

    /// Whether the tool can be called by HTTP: one that wants parameters mirrored as none can be is left out, and keeps
    /// no other from being listed (2026-07-28, Streamable HTTP, "Schema Extension").
    fn can_mirror(&self, tool: &Raw) -> bool {
        let Err(why) = mirrored(tool) else { return true };
        let (name, why) = (pins::name_of(tool).unwrap_or_default(), why.to_string());
        let clean = |text: &str| base::text::clean(base::text::cut(text, 300)).into_owned();
        tracing::warn!(
            server = self.name,
            tool = clean(&name),
            "the tool is left out: {}",
            clean(&why)
        );
        false
    }

    /// Everything that it lists, page by page.
    async fn all_pages(&self, lease: &Lease, list: List) -> Result<Vec<Raw>, NoAnswer> {
        let nonsense = |what: String| NoAnswer::Nonsense {
            server: self.name.clone(),
            method: list.method().to_owned(),
            what,
        };
        let mut found: Vec<Raw> = Vec::new();
        let mut bytes = 0;
        let mut cursors = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut params = Object::empty();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor);
            }
            let sending = super::Sending::own(&self.around.stop, self.list_limit());
            let result = match self.send(lease, list.method(), params, sending).await? {
                Ok(result) => result,
                Err(error) => {
                    let fault = Fault::Relayed(error);
                    // Whoever has resources need not have templates, and many say so by not knowing the method.
                    if fault.code() == Some(code::METHOD_NOT_FOUND) && list != List::Tools {
                        tracing::debug!(server = self.name, "it has no {}", list.method());
                        return Ok(found);
                    }
                    let message = fault.message();
                    return Err(nonsense(format!(
                        "the error {:?}",
                        base::text::cut(&base::text::clean(&message), 300)
                    )));
                }
            };
            bytes += result.get().len();
            let page = Object::parse(&result).map_err(|error| nonsense(error.to_string()))?;
            let page_items = page
                .get(list.member())
                .and_then(items)
                .ok_or_else(|| nonsense("no list".to_owned()))?;
            found.extend(page_items.into_iter().map(ToOwned::to_owned));
            if found.len() > MOST_ITEMS || bytes > self.around.limits.answer_bytes {
                tracing::warn!(server = self.name, "{} is too long; cut", list.method());
                found.truncate(MOST_ITEMS);
                return Ok(found);
            }
            match page.text("nextCursor") {
                Some(next) if cursors.insert(next.to_string()) => cursor = Some(next.into_owned()),
                // No further page, or one that we had: a server that turns in circles.
                _ => return Ok(found),
            }
        }
        tracing::warn!(
            server = self.name,
            "{} goes on after {MOST_PAGES} pages; cut",
            list.method()
        );
        Ok(found)
    }
}
