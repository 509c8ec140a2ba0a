//! Which exposed name is which tool, prompt or resource of which server: an immutable index of all that a view shows,
//! swapped whole. It is made of what is known of the servers, and waits for none that runs badly.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use futures_util::future::join_all;
use policy::Effect;
use serde_json::Value;
use wire::edit::{Object, may_name};
use wire::header::{Mirrored, Mismarked};
use wire::{Fault, Raw};

use crate::caller::Peer;
use crate::mildest::mildest;
use crate::names::{self, Claims};
use crate::parts::{Describe, Origin};
use crate::upstream::{Known, List, NoAnswer, Upstream};

/// A tool as it is listed.
pub(crate) struct Tool {
    pub(crate) upstream: Arc<Upstream>,
    /// What the server lists it as.
    pub(crate) name: String,
    /// Its definition, under the exposed name.
    pub(crate) raw: Raw,
    /// Parameters that modern HTTP clients repeat in headers.
    pub(crate) mirrored: Vec<Mirrored>,
    /// Its calls have to be tasks, it says (2025-11-25).
    pub(crate) must_be_task: bool,
    /// The server says itself that the tool destroys, which is believed where that is denied.
    pub(crate) says_it_destroys: bool,
    /// The mildest that it can do; found when somebody wants to know.
    mildest: OnceLock<Effect>,
}

impl Tool {
    /// The mildest that it can do, by its own name.
    pub(crate) fn mildest(&self, describe: &dyn Describe, own: &str) -> Effect {
        let described = self
            .mildest
            .get_or_init(|| mildest(describe, own, &schema(&self.raw).unwrap_or_default()));
        (*described).max(self.at_least())
    }

    /// What a call counts as at least, whatever its arguments.
    pub(crate) fn at_least(&self) -> Effect {
        if self.says_it_destroys {
            Effect::Destroy
        } else {
            Effect::Read
        }
    }
}

/// Something of a server that clients may know by another name than the server does.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) upstream: Arc<Upstream>,
    /// What the server calls it.
    pub(crate) own: String,
}

/// A template of resources.
struct Template {
    place: Place,
    /// What all its URIs begin with, as clients see them.
    fixed: String,
}

/// Exposed URIs by a server's own, where they differ.
pub(crate) type Renamed = Arc<HashMap<String, String>>;

/// All that the servers of a view list.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) tools: Vec<Tool>,
    by_name: HashMap<String, usize>,
    /// Tools that wait to be approved, by exposed name.
    held: HashMap<String, Place>,
    /// Tools that their server's set-up leaves out, by their own names: that server.
    off: HashMap<String, Arc<Upstream>>,
    prompts: Vec<Raw>,
    by_prompt: HashMap<String, Place>,
    resources: Vec<Raw>,
    by_uri: HashMap<String, Place>,
    template_items: Vec<Raw>,
    templates: Vec<Template>,
    renamed: HashMap<String, Renamed>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// The state of the lists that it was made from.
    made_at: u64,
    /// Of some server nothing is known yet.
    pub(crate) is_partial: bool,
}

impl Index {
    pub(crate) fn find(&self, exposed: &str) -> Option<&Tool> {
        self.by_name.get(exposed).and_then(|at| self.tools.get(*at))
    }

    /// The listed tools by their exposed names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &Tool)> {
        let names = self.by_name.iter();
        names.filter_map(|(name, at)| Some((name.as_str(), self.tools.get(*at)?)))
    }

    /// A tool that waits to be approved.
    pub(crate) fn held(&self, exposed: &str) -> Option<&Place> {
        self.held.get(exposed)
    }

    /// The server that has a tool of that name which its set-up leaves out.
    pub(crate) fn off(&self, own: &str) -> Option<&Arc<Upstream>> {
        self.off.get(own)
    }

    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    pub(crate) fn prompt(&self, exposed: &str) -> Option<&Place> {
        self.by_prompt.get(exposed)
    }

    /// The resource of that URI: one that is listed, or that belongs to a template; of several templates the one that
    /// fixes most of it.
    pub(crate) fn resource(&self, uri: &str) -> Option<Place> {
        if let Some(place) = self.by_uri.get(uri) {
            return Some(place.clone());
        }
        if let Some((server, own)) = names::unmarked(uri) {
            let upstream = self.upstreams.iter().find(|upstream| upstream.name == server)?;
            return Some(Place {
                upstream: Arc::clone(upstream),
                own,
            });
        }
        let fits = |template: &&Template| !template.fixed.is_empty() && uri.starts_with(&template.fixed);
        let best = self.templates.iter().filter(fits).max_by(|one, other| {
            let length = one.fixed.len().cmp(&other.fixed.len());
            length.then_with(|| other.place.upstream.name.cmp(&one.place.upstream.name))
        });
        best.map(|template| Place {
            own: uri.to_owned(),
            ..template.place.clone()
        })
    }

    /// URIs of a server that clients know by other names.
    pub(crate) fn renamed(&self, upstream: &Upstream) -> Option<&Renamed> {
        self.renamed.get(&upstream.name)
    }

    /// Items other than tools, as they are listed.
    pub(crate) fn list(&self, list: List) -> &[Raw] {
        match list {
            List::Tools => &[],
            List::Resources => &self.resources,
            List::Templates => &self.template_items,
            List::Prompts => &self.prompts,
        }
    }
}

/// Holds the present index of a view.
#[derive(Default)]
pub(crate) struct IndexCell {
    current: RwLock<Option<Arc<Index>>>,
    making: tokio::sync::Mutex<()>,
}

impl IndexCell {
    /// The index, if it is made of the lists as they are now; it may lack servers of which nothing is known yet.
    pub(crate) fn peek(&self, now: u64) -> Option<Arc<Index>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|index| index.made_at == now)
    }

    /// The index of what is known at once, without waiting for any server.
    pub(crate) fn make_now(&self, upstreams: &[Arc<Upstream>], peer: &Peer, now: u64) -> Arc<Index> {
        let known = upstreams.iter().map(|upstream| upstream.peek(peer)).collect();
        self.keep(upstreams, known, now)
    }

    /// The index, made anew if lists have changed (`now` counts the changes). Callers share one making.
    pub(crate) async fn get(
        &self,
        upstreams: Vec<Arc<Upstream>>,
        peer: &Peer,
        now: impl Fn() -> u64,
    ) -> Result<Arc<Index>, Fault> {
        let fresh = || self.peek(now()).filter(|index| !index.is_partial);
        if let Some(index) = fresh() {
            return Ok(index);
        }
        let _one = self.making.lock().await;
        if let Some(index) = fresh() {
            return Ok(index);
        }
        let results = join_all(upstreams.iter().map(|upstream| upstream.known_soon(peer))).await;
        if !results.is_empty() && results.iter().all(Result::is_err) {
            let first = results.into_iter().find_map(Result::err);
            return Err(first.unwrap_or(NoAnswer::Stopping).into());
        }
        // What came in while others were waited for is in the peek, so its number is taken first.
        let made_at = now();
        let known = upstreams.iter().map(|upstream| upstream.peek(peer)).collect();
        Ok(self.keep(&upstreams, known, made_at))
    }

    fn keep(&self, upstreams: &[Arc<Upstream>], known: Vec<Option<Arc<Known>>>, made_at: u64) -> Arc<Index> {
        let is_partial = known.iter().any(Option::is_none);
        let known: Vec<_> = upstreams
            .iter()
            .cloned()
            .zip(known.into_iter().map(Option::unwrap_or_default))
            .collect();
        let index = Arc::new(Index {
            made_at,
            is_partial,
            ..make(&known)
        });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&index));
        index
    }
}

fn make(servers: &[(Arc<Upstream>, Arc<Known>)]) -> Index {
    let mut index = Index {
        upstreams: servers.iter().map(|(upstream, _)| Arc::clone(upstream)).collect(),
        ..Index::default()
    };
    // First, since tools name resources.
    add_resources(&mut index, servers);
    add_tools(&mut index, servers);
    add_prompts(&mut index, servers);
    index
}

fn add_tools(index: &mut Index, servers: &[(Arc<Upstream>, Arc<Known>)]) {
    let off = &mut index.off;
    let named: Vec<Vec<(String, Option<&Raw>)>> = servers
        .iter()
        .map(|(upstream, known)| {
            let mut tools = once(&upstream.name, &known.tools, "name");
            // What is held back keeps its name, so that no other gets it meanwhile.
            let listed: HashSet<String> = tools.iter().map(|(name, _)| name.clone()).collect();
            let held = known.held.keys().filter(|name| !listed.contains(*name));
            tools.extend(held.map(|name| (name.clone(), None)));
            tools.retain(|(name, _)| {
                let is_permitted = upstream.permits(name);
                if !is_permitted {
                    off.insert(name.clone(), Arc::clone(upstream));
                }
                is_permitted
            });
            tools
        })
        .collect();
    for (upstream, tools, exposed) in expose(servers, &named) {
        for ((name, raw), exposed) in tools.iter().zip(exposed) {
            let Some(exposed) = exposed else { continue };
            let Some(raw) = raw else {
                let place = Place {
                    upstream: Arc::clone(upstream),
                    own: name.clone(),
                };
                index.held.insert(exposed, place);
                continue;
            };
            // Clients by HTTP leave an invalid one out; others don't care.
            let mirrored = mirrored(raw).unwrap_or_default();
            // Hardly any tool says so.
            let must_be_task = raw.get().contains("taskSupport") && wire::bridge::task::has_to_be(raw);
            let says_it_destroys = upstream.origin != Origin::BuiltIn && says_it_destroys(raw);
            let raw = index
                .renamed(upstream)
                .map_or_else(|| (*raw).clone(), |renamed| with_ui(raw, renamed));
            let raw = if exposed == *name {
                raw
            } else {
                with_name(&raw, &exposed)
            };
            index.by_name.insert(exposed, index.tools.len());
            index.tools.push(Tool {
                upstream: Arc::clone(upstream),
                name: name.clone(),
                raw,
                mirrored,
                must_be_task,
                says_it_destroys,
                mildest: OnceLock::new(),
            });
        }
    }
}

/// Whether a definition has the annotation `destructiveHint` (2025-03-26 and later). Of a tool that only reads it means
/// nothing, and that it is missing says nothing here.
fn says_it_destroys(definition: &Raw) -> bool {
    const HINT: &str = "destructiveHint";
    if !may_name(definition, HINT) {
        return false;
    }
    let definition: Value = serde_json::from_str(definition.get()).unwrap_or_default();
    let says = |hint: &str| definition["annotations"][hint] == Value::Bool(true);
    says(HINT) && !says("readOnlyHint")
}

fn add_prompts(index: &mut Index, servers: &[(Arc<Upstream>, Arc<Known>)]) {
    let named: Vec<Vec<(String, Option<&Raw>)>> = servers
        .iter()
        .map(|(upstream, known)| once(&upstream.name, &known.prompts, "name"))
        .collect();
    for (upstream, prompts, exposed) in expose(servers, &named) {
        for ((name, raw), exposed) in prompts.iter().zip(exposed) {
            let (Some(exposed), Some(raw)) = (exposed, raw) else {
                continue;
            };
            let raw = if exposed == *name {
                (*raw).clone()
            } else {
                with_name(raw, &exposed)
            };
            index.prompts.push(raw);
            let place = Place {
                upstream: Arc::clone(upstream),
                own: name.clone(),
            };
            index.by_prompt.insert(exposed, place);
        }
    }
}

fn add_resources(index: &mut Index, servers: &[(Arc<Upstream>, Arc<Known>)]) {
    let of = |list: List, member: &'static str| -> Vec<Vec<(String, Option<&Raw>)>> {
        let lists = servers.iter();
        lists
            .map(|(upstream, known)| once(&upstream.name, known.list(list), member))
            .collect()
    };
    let (resources, templates) = (of(List::Resources, "uri"), of(List::Templates, "uriTemplate"));
    let (shared_uris, shared_templates) = (shared(&resources), shared(&templates));
    for (((upstream, _), resources), templates) in servers.iter().zip(&resources).zip(&templates) {
        let mut renamed = HashMap::new();
        for (uri, raw) in resources {
            let exposed = exposed_uri(&upstream.name, uri, &shared_uris);
            let place = Place {
                upstream: Arc::clone(upstream),
                own: uri.clone(),
            };
            let raw = raw.map(|raw| {
                if exposed == *uri {
                    raw.clone()
                } else {
                    with(raw, "uri", &exposed)
                }
            });
            index.resources.extend(raw);
            if exposed != *uri {
                renamed.insert(uri.clone(), exposed.clone());
            }
            index.by_uri.insert(exposed, place);
        }
        for (uri, raw) in templates {
            let exposed = exposed_uri(&upstream.name, uri, &shared_templates);
            let raw = raw.map(|raw| {
                if exposed == *uri {
                    raw.clone()
                } else {
                    with(raw, "uriTemplate", &exposed)
                }
            });
            index.template_items.extend(raw);
            index.templates.push(Template {
                fixed: exposed.split('{').next().unwrap_or_default().to_owned(),
                place: Place {
                    upstream: Arc::clone(upstream),
                    own: uri.clone(),
                },
            });
        }
        if !renamed.is_empty() {
            index.renamed.insert(upstream.name.clone(), Arc::new(renamed));
        }
    }
}

/// A URI keeps its name unless another server has it too, or it pretends to be a rewritten one.
fn exposed_uri(server: &str, uri: &str, shared: &HashSet<String>) -> String {
    if shared.contains(uri) || names::unmarked(uri).is_some() {
        names::marked(server, uri)
    } else {
        uri.to_owned()
    }
}

/// What more than one server lists.
fn shared(lists: &[Vec<(String, Option<&Raw>)>]) -> HashSet<String> {
    let (mut seen, mut shared) = (HashSet::new(), HashSet::new());
    for (name, _) in lists.iter().flatten() {
        if !seen.insert(name) {
            shared.insert(name.clone());
        }
    }
    shared
}

/// A server, what it lists, and the exposed name of each.
type Exposed<'a> = (
    &'a Arc<Upstream>,
    &'a [(String, Option<&'a Raw>)],
    Vec<Option<String>>,
);

fn expose<'a>(
    servers: &'a [(Arc<Upstream>, Arc<Known>)],
    named: &'a [Vec<(String, Option<&'a Raw>)>],
) -> Vec<Exposed<'a>> {
    let claims: Vec<_> = servers
        .iter()
        .zip(named)
        .map(|((upstream, _), items)| Claims {
            server: &upstream.name,
            prefix: upstream.prefix.as_deref(),
            names: items.iter().map(|(name, _)| name.as_str()).collect(),
        })
        .collect();
    let exposed = names::expose(&claims);
    let servers = servers.iter().zip(named).zip(exposed);
    servers
        .map(|(((upstream, _), items), exposed)| (upstream, items.as_slice(), exposed))
        .collect()
}

/// Items by name, each name once: of one that stands twice the first counts. What has no name is left out.
fn once<'a>(server: &str, items: &'a [Raw], member: &str) -> Vec<(String, Option<&'a Raw>)> {
    let mut seen = HashSet::new();
    let mut named = Vec::with_capacity(items.len());
    for raw in items {
        let name = match Object::parse(raw) {
            Ok(object) => object.text(member).map(String::from),
            Err(error) => {
                tracing::warn!(server, "an item of a list is left out: {error}");
                None
            }
        };
        let Some(name) = name else { continue };
        if seen.insert(name.clone()) {
            named.push((name, Some(raw)));
        } else {
            tracing::warn!(server, name, "listed twice; the first counts");
        }
    }
    named
}

fn with_name(raw: &Raw, name: &str) -> Raw {
    with(raw, "name", name)
}

fn with(raw: &Raw, member: &'static str, value: &str) -> Raw {
    Object::parse(raw).map_or_else(
        |_| raw.clone(),
        |mut object| {
            object.set(member, value);
            object.to_raw()
        },
    )
}

/// A tool whose page (MCP Apps, `_meta.ui.resourceUri`) has a name of ours.
fn with_ui(tool: &Raw, renamed: &Renamed) -> Raw {
    outward(renamed, tool.clone(), &["resourceUri", "ui/resourceUri"])
}

/// `raw` with the server's own URIs, as values of these members, under their exposed names.
pub(crate) fn outward(renamed: &HashMap<String, String>, raw: Raw, members: &[&str]) -> Raw {
    let changed = wire::strings::rewrite(&raw, |member, text| {
        let is_meant = member.is_some_and(|member| members.contains(&member));
        is_meant.then(|| renamed.get(text).cloned()).flatten()
    });
    changed.unwrap_or(raw)
}

/// The parameters that modern HTTP clients repeat in headers.
pub(crate) fn mirrored(tool: &Raw) -> Result<Vec<Mirrored>, Mismarked> {
    // Hardly any tool has them, and a schema is large.
    if !tool.get().contains("x-mcp-header") {
        return Ok(Vec::new());
    }
    schema(tool).map_or(Ok(Vec::new()), |schema| Mirrored::of_schema(&schema))
}

fn schema(tool: &Raw) -> Option<Value> {
    serde_json::from_str(Object::parse(tool).ok()?.get("inputSchema")?.get()).ok()
}
