//! Lists of tools, resources, templates and prompts, given out in pages of our own.

use policy::{Ask, Decision, Effect};
use wire::edit::Object;
use wire::{Era, Fault, Raw, Version, code};

use crate::caller::{Caller, Principal};
use crate::core::Core;
use crate::index::Tool;
pub(crate) use crate::upstream::List;

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
    let index = core.index(&caller.peer()).await?;
    Ok(write(list, index.list(list), from, core.limits.page))
}

/// The tools that `caller` may use in some way at least.
pub(crate) async fn tools(core: &Core, caller: &Caller) -> Result<Vec<Raw>, Fault> {
    let index = core.index_to_show(&caller.peer()).await?;
    let tools = index.tools.iter();
    Ok(tools
        .filter(|tool| may_use(core, &caller.principal, tool))
        .map(|tool| shown(caller, tool))
        .collect())
}

/// The definition for this client. Which calls become tasks a modern server decides by itself; a legacy client asks for
/// it, and may do so with any tool of such a server.
fn shown(caller: &Caller, tool: &Tool) -> Raw {
    let has_tasks = matches!(caller.era, Era::Legacy(version) if version >= Version::V2025_11_25);
    if has_tasks && tool.upstream.is_modern() && tool.upstream.offers_tasks(&caller.peer()) {
        return wire::bridge::task::may_be(&tool.raw);
    }
    tool.raw.clone()
}

/// Whether the rules let some call of the tool pass, or ask about it.
pub(crate) fn may_use(core: &Core, principal: &Principal, tool: &Tool) -> bool {
    let upstream = &tool.upstream;
    let own = upstream.own_name(&tool.name);
    let denied = |effect| {
        let ask = Ask {
            principal: principal.as_str(),
            server: &upstream.name,
            tool: &own,
            effect,
        };
        matches!(core.rules().decide(&ask), Decision::Deny { .. })
    };
    // With most rules the worst passes, and what the mildest is need not be found out.
    !denied(Effect::Destroy) || !denied(tool.mildest(&*upstream.describe, &own))
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
