//! Lists of tools, resources, templates and prompts: all pages of all servers read, and given out in pages of
//! our own.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use policy::{Ask, Decision, Effect};
use wire::edit::{Object, items};
use wire::{Fault, Raw, code, method};

use crate::caller::Caller;
use crate::core::Core;
use crate::index::Tool;
use crate::upstream::Upstream;

/// A server that never comes to its last page is given up after so many.
const MOST_PAGES: usize = 1_000;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Tools,
    Resources,
    Templates,
    Prompts,
}

impl List {
    pub(crate) fn of(method: &str) -> Option<Self> {
        match method {
            method::TOOLS_LIST => Some(Self::Tools),
            method::RESOURCES_LIST => Some(Self::Resources),
            method::TEMPLATES_LIST => Some(Self::Templates),
            method::PROMPTS_LIST => Some(Self::Prompts),
            _ => None,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST,
            Self::Resources => method::RESOURCES_LIST,
            Self::Templates => method::TEMPLATES_LIST,
            Self::Prompts => method::PROMPTS_LIST,
        }
    }

    /// The member of the result that holds the items.
    fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources | Self::Templates => "resources",
            Self::Prompts => "prompts",
        }
    }
}

/// A page of a list, for `caller`.
pub(crate) async fn page(
    core: &Core,
    caller: &Caller,
    list: List,
    params: &Object<'_>,
) -> Result<Raw, Fault> {
    let from = match params.get("cursor").filter(|cursor| cursor.get() != "null") {
        None => 0,
        Some(_) => params
            .text("cursor")
            .and_then(|cursor| cursor.strip_prefix('p')?.parse().ok())
            .ok_or_else(|| {
                Fault::new(
                    code::INVALID_PARAMS,
                    "params.cursor is none that was given out here",
                )
            })?,
    };
    if list == List::Tools {
        return Ok(write(list, &tools(core, caller).await?, from, core.limits.page));
    }
    let seen = core.set().seen(&caller.view);
    let lists = join_all(seen.iter().map(|upstream| all(upstream, list))).await;
    if let Some(Err(fault)) = lists.first()
        && lists.iter().all(Result::is_err)
    {
        return Err(fault.clone());
    }
    let mut found = Vec::new();
    for (upstream, list) in seen.iter().zip(lists) {
        match list {
            Ok(items) => found.extend(items),
            Err(fault) => tracing::warn!(server = upstream.name, "a list is missing: {}", fault.message()),
        }
    }
    Ok(write(list, &found, from, core.limits.page))
}

/// The tools that `caller` may use in some way at least.
pub(crate) async fn tools(core: &Core, caller: &Caller) -> Result<Vec<Raw>, Fault> {
    let index = core.index(&caller.peer()).await?;
    let seen = core.set().seen(&caller.view);
    let may_use = |tool: &&Tool| {
        let Some(upstream) = index.upstream(tool) else {
            return false;
        };
        if !seen.iter().any(|seen| Arc::ptr_eq(seen, upstream)) {
            return false;
        }
        let own = upstream.own_name(&tool.name);
        let denied = |effect| {
            let ask = Ask {
                principal: caller.principal.as_str(),
                server: &upstream.name,
                tool: &own,
                effect,
            };
            matches!(core.rules.decide(&ask), Decision::Deny { .. })
        };
        // With most rules the worst passes, and what the mildest is need not be found out.
        !denied(Effect::Destroy) || !denied(tool.mildest(&*upstream.describe, &own))
    };
    Ok(index
        .tools
        .iter()
        .filter(may_use)
        .map(|tool| tool.raw.clone())
        .collect())
}

/// Everything that one server lists.
pub(crate) async fn all(upstream: &Arc<Upstream>, list: List) -> Result<Vec<Raw>, Fault> {
    if !upstream.has(list.capability()).await? {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut cursors = HashSet::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut params = Object::empty();
        if let Some(cursor) = &cursor {
            params.set("cursor", cursor);
        }
        let result = upstream.ask(list.method(), params).await?;
        let wrong = |what: &str| {
            let server = &upstream.name;
            Fault::new(
                code::INTERNAL_ERROR,
                format!("server {server} answers {} with {what}", list.method()),
            )
        };
        let page = Object::parse(&result).map_err(|error| wrong(&error.to_string()))?;
        let page_items = page
            .get(list.member())
            .and_then(items)
            .ok_or_else(|| wrong("no list"))?;
        found.extend(page_items.into_iter().map(ToOwned::to_owned));
        match page.text("nextCursor") {
            Some(next) if cursors.insert(next.to_string()) => cursor = Some(next.into_owned()),
            // No further page, or one that we had: a server that turns in circles.
            _ => return Ok(found),
        }
    }
    tracing::warn!(
        server = upstream.name,
        "{} goes on after {MOST_PAGES} pages; cut",
        list.method()
    );
    Ok(found)
}

fn write(list: List, all: &[Raw], from: usize, size: usize) -> Raw {
    let page = all.get(from..).unwrap_or_default();
    let page = &page[..page.len().min(size)];
    let mut result = Object::empty();
    result.set(list.member(), page);
    if from + page.len() < all.len() {
        result.set("nextCursor", &format!("p{}", from + page.len()));
    }
    result.to_raw()
}
