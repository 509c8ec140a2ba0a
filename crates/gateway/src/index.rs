//! Which exposed name is which tool of which server: an immutable index that is swapped whole.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use futures_util::future::join_all;
use policy::Effect;
use serde_json::Value;
use wire::edit::Object;
use wire::header::Mirrored;
use wire::{Fault, Raw};

use crate::lists::{self, List};
use crate::mildest::mildest;
use crate::parts::Describe;
use crate::upstream::Upstream;

/// Names longer than this are refused by model providers.
const LONGEST: usize = 64;

/// A tool as it is listed.
pub(crate) struct Tool {
    server: usize,
    /// What the server calls it.
    pub(crate) name: String,
    /// Its definition, under the exposed name.
    pub(crate) raw: Raw,
    /// Parameters that modern HTTP clients repeat in headers.
    pub(crate) mirrored: Vec<Mirrored>,
    /// The mildest that it can do; found when somebody wants to know.
    mildest: OnceLock<Effect>,
}

impl Tool {
    /// The mildest that it can do, by its own name.
    pub(crate) fn mildest(&self, describe: &dyn Describe, own: &str) -> Effect {
        *self
            .mildest
            .get_or_init(|| mildest(describe, own, &schema(&self.raw).unwrap_or_default()))
    }
}

/// The tools of all servers.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) tools: Vec<Tool>,
    upstreams: Vec<Arc<Upstream>>,
    by_name: HashMap<String, usize>,
    /// The state of the lists that it was made from.
    made_at: u64,
    /// A server did not answer; the next use tries again.
    is_partial: bool,
}

impl Index {
    pub(crate) fn find(&self, exposed: &str) -> Option<&Tool> {
        self.by_name.get(exposed).map(|at| &self.tools[*at])
    }

    /// Tools of one server.
    pub(crate) fn count(&self, server: &Arc<Upstream>) -> usize {
        let tools = self.tools.iter();
        tools
            .filter(|tool| {
                self.upstream(tool)
                    .is_some_and(|upstream| Arc::ptr_eq(upstream, server))
            })
            .count()
    }

    /// Whose tool it is.
    pub(crate) fn upstream(&self, tool: &Tool) -> Option<&Arc<Upstream>> {
        self.upstreams.get(tool.server)
    }
}

/// Holds the present index.
#[derive(Default)]
pub(crate) struct IndexCell {
    current: RwLock<Option<Arc<Index>>>,
    making: tokio::sync::Mutex<()>,
}

impl IndexCell {
    /// The index as it is, if one was made.
    pub(crate) fn peek(&self) -> Option<Arc<Index>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The index, made anew if lists have changed (`now` counts the changes). Callers share one making.
    pub(crate) async fn get(
        &self,
        upstreams: &[Arc<Upstream>],
        now: impl Fn() -> u64,
    ) -> Result<Arc<Index>, Fault> {
        let fresh = || {
            self.peek()
                .filter(|index| index.made_at == now() && !index.is_partial)
        };
        if let Some(index) = fresh() {
            return Ok(index);
        }
        let _one = self.making.lock().await;
        if let Some(index) = fresh() {
            return Ok(index);
        }
        // Taken before the lists are read: a change in between makes the index old at once.
        let made_at = now();
        let lists = join_all(upstreams.iter().map(|upstream| lists::all(upstream, List::Tools))).await;
        let is_partial = lists.iter().any(Result::is_err);
        if is_partial && lists.iter().all(Result::is_err) {
            let first = lists.into_iter().find_map(Result::err);
            return Err(first.unwrap_or_else(|| Fault::new(wire::code::INTERNAL_ERROR, "no server")));
        }
        for (upstream, list) in upstreams.iter().zip(&lists) {
            if let Err(fault) = list {
                tracing::warn!(
                    server = upstream.name,
                    "its tools are not listed: {}",
                    fault.message()
                );
            }
        }
        let lists = lists.into_iter().map(Result::unwrap_or_default).collect();
        let names: Vec<_> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        let index = Arc::new(Index {
            made_at,
            is_partial,
            upstreams: upstreams.to_vec(),
            ..make(&names, lists)
        });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&index));
        Ok(index)
    }
}

/// Names stay as they are while only one server has them; else each gets its server's name in front. What is
/// still not unique, or has no name, is left out.
fn make(servers: &[&str], lists: Vec<Vec<Raw>>) -> Index {
    let named: Vec<Vec<(String, Raw)>> = lists
        .into_iter()
        .map(|tools| {
            tools
                .into_iter()
                .filter_map(|raw| Some((name_of(&raw)?, raw)))
                .collect()
        })
        .collect();
    let mut claims: HashMap<&str, usize> = HashMap::new();
    for tools in &named {
        let own: HashSet<&str> = tools.iter().map(|(name, _)| name.as_str()).collect();
        for name in own {
            *claims.entry(name).or_default() += 1;
        }
    }
    let shared: HashSet<String> = claims
        .iter()
        .filter(|(_, servers)| **servers > 1)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let mut index = Index::default();
    for (server, tools) in named.into_iter().enumerate() {
        for (name, raw) in tools {
            let exposed = if shared.contains(&name) {
                base::text::cut(&format!("{}_{name}", servers[server]), LONGEST).to_owned()
            } else {
                name.clone()
            };
            if index.by_name.contains_key(&exposed) {
                tracing::warn!(
                    server = servers[server],
                    tool = exposed,
                    "listed twice; the first counts"
                );
                continue;
            }
            index.by_name.insert(exposed.clone(), index.tools.len());
            let mirrored = mirrored(&raw);
            let raw = if exposed == name {
                raw
            } else {
                renamed(&raw, &exposed)
            };
            index.tools.push(Tool {
                server,
                name,
                raw,
                mirrored,
                mildest: OnceLock::new(),
            });
        }
    }
    index
}

fn name_of(tool: &Raw) -> Option<String> {
    match Object::parse(tool) {
        Ok(object) => object.text("name").map(String::from),
        Err(error) => {
            tracing::warn!("a tool definition is left out: {error}");
            None
        }
    }
}

fn renamed(tool: &Raw, name: &str) -> Raw {
    Object::parse(tool).map_or_else(
        |_| tool.clone(),
        |mut object| {
            object.set("name", name);
            object.to_raw()
        },
    )
}

fn mirrored(tool: &Raw) -> Vec<Mirrored> {
    // Hardly any tool has them, and a schema is large.
    if !tool.get().contains("x-mcp-header") {
        return Vec::new();
    }
    schema(tool)
        .map(|schema| Mirrored::of_schema(&schema))
        .unwrap_or_default()
}

fn schema(tool: &Raw) -> Option<Value> {
    serde_json::from_str(Object::parse(tool).ok()?.get("inputSchema")?.get()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::to_raw;

    use super::*;

    #[test]
    fn names() {
        let tool = |name: &str| to_raw(&json!({"name": name, "inputSchema": {"type": "object"}}));
        let long = "x".repeat(60);
        let index = make(
            &["docker", "files"],
            vec![
                vec![
                    tool("read"),
                    tool("stop"),
                    tool("stop"),
                    tool(&long),
                    to_raw(&json!({"title": "no name"})),
                ],
                vec![tool("read"), tool("write"), tool(&long), to_raw(&json!(7))],
            ],
        );
        let names: Vec<_> = index
            .tools
            .iter()
            .map(|tool| (name_of(&tool.raw).unwrap(), tool.server))
            .collect();
        let (first, second) = (
            format!("docker_{}", "x".repeat(57)),
            format!("files_{}", "x".repeat(58)),
        );
        assert_eq!(
            names
                .iter()
                .map(|(name, server)| (name.as_str(), *server))
                .collect::<Vec<_>>(),
            [
                ("docker_read", 0),
                ("stop", 0),
                (first.as_str(), 0),
                ("files_read", 1),
                ("write", 1),
                (second.as_str(), 1)
            ]
        );
        assert_eq!(index.find("files_read").unwrap().name, "read");
        assert_eq!(
            index.find("files_read").unwrap().raw.get(),
            r#"{"name":"files_read","inputSchema":{"type":"object"}}"#
        );
        assert!(index.find("read").is_none());
    }
}
