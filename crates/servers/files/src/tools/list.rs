//! `list_directory`, `directory_tree`, `get_file_info` and `list_allowed_directories`.

use super::{Cursor, QUICK, count, moment};
use crate::fault::Fault;
use crate::names;
use crate::place::{Entry, Flow, Kind, Links, Walk};
use crate::roots::{Access, Root};
use crate::server::Ctx;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::answer::Digest;
use server_kit::hosts::LOCAL;
use server_kit::{Answer, Call, Spec, ToolError, Toolset};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

/// Names that a directory is read for; they are sorted before any is shown.
const MOST_NAMES: usize = 500_000;
/// Names in one answer, unless more are asked for.
const SHOWN: usize = 1_000;
/// Names in a tree.
const MOST_IN_TREE: usize = 20_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDirectory {
    path: String,
    limit: Option<usize>,
    /// Go on after this name.
    after: Option<String>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<Cursor>,
}

impl Call<Ctx> for ListDirectory {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "list_directory",
        "Names in a directory, with kind, size and time.",
    )
    .reads()
    .aliases(&["list_directory_with_sizes", "list_files"]);

    fn about(&self) -> String {
        format!("list {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        let after = match &self.after {
            Some(name) => Some(
                names::parse(name)
                    .map_err(|fault| ToolError::arguments(format!("parameter after: {fault}")))?
                    .into_os_string(),
            ),
            None => None,
        };
        let limit = self.limit.unwrap_or(SHOWN);
        ctx.blocking(QUICK, move |_| {
            let name = spot.shown();
            let (mut entries, whole) = spot
                .place
                .list(&spot.at, MOST_NAMES)
                .map_err(|fault| fault.during("list", &name))?;
            entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            let from = after.map_or(0, |after| entries.partition_point(|entry| entry.name <= after));
            let total = entries.len();
            let shown: Vec<&Entry> = entries.iter().skip(from).take(limit).collect();
            let mut answer = Answer::table(
                &["name", "kind", "size", "modified"],
                shown.iter().map(|e| row(e)),
            )
            .narrow("limit")
            .untrusted(format!("names in {name}"));
            if let (Some(last), true) = (shown.last(), from + shown.len() < total) {
                answer = answer.note(format!(
                    "[{} of {total}; after={} goes on]",
                    shown.len(),
                    names::shown(&last.name)
                ));
            } else if from == 0 {
                answer = answer.note(format!("[{}]", count(total, "name")));
            }
            Ok(if whole {
                answer
            } else {
                answer.note(format!(
                    "[there are more than {MOST_NAMES} names; search_files finds others]"
                ))
            })
        })
        .await
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let stat = &entry.stat;
    let size = match stat.kind {
        Kind::File => base::text::bytes(stat.size),
        _ => String::new(),
    };
    vec![
        names::shown(&entry.name),
        stat.kind.as_str().to_owned(),
        size,
        moment(stat.modified),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectoryTree {
    path: String,
    /// 3 unless given.
    depth: Option<usize>,
    /// Hidden and ignored files too.
    #[serde(default)]
    all: bool,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<Cursor>,
}

impl Call<Ctx> for DirectoryTree {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "directory_tree",
        "What is in a directory and those below it, indented.",
    )
    .reads()
    .aliases(&["tree"]);

    fn about(&self) -> String {
        format!("show the tree of {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        ctx.walking(QUICK, move |limit| {
            let name = spot.shown();
            let tree = Mutex::new((Tree::default(), 0_usize));
            let walk = Walk {
                all: self.all,
                depth: self.depth.unwrap_or(3).max(1) - 1,
                limit,
            };
            let unread = spot
                .place
                .walk(&spot.at, &walk, &|| {
                    Box::new(|found| {
                        let mut tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
                        tree.1 += 1;
                        let beneath = found.path.strip_prefix(&spot.at).unwrap_or(found.path);
                        tree.0.add(beneath, found.kind);
                        if tree.1 < MOST_IN_TREE {
                            Flow::On
                        } else {
                            Flow::Enough
                        }
                    })
                })
                .map_err(|fault: Fault| fault.during("show", &name))?;
            let (tree, shown) = tree.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut text = format!("{name}/\n");
            tree.write(&mut text, 1);
            let mut answer = Answer::text(text)
                .narrow("depth, or a directory below")
                .untrusted(format!("names in {name}"));
            if shown >= MOST_IN_TREE || limit.reached() {
                answer = answer.note(format!("[there is more: only {shown} names were looked at]"));
            }
            if unread > 0 {
                answer = answer.note(format!("[{} can't be read]", directories(unread)));
            }
            Ok(answer)
        })
        .await
    }
}

/// "1 directory", "2 directories".
pub(super) fn directories(number: usize) -> String {
    match number {
        1 => "1 directory".to_owned(),
        _ => format!("{number} directories"),
    }
}

/// Names below names.
#[derive(Debug, Default)]
struct Tree {
    kind: Option<Kind>,
    below: BTreeMap<OsString, Tree>,
}

impl Tree {
    fn add(&mut self, path: &Path, kind: Kind) {
        let mut node = self;
        for name in path {
            node = node.below.entry(name.to_owned()).or_default();
        }
        node.kind = Some(kind);
    }

    fn write(&self, text: &mut String, depth: usize) {
        for (name, tree) in &self.below {
            for _ in 0..depth {
                text.push_str("  ");
            }
            text.push_str(&names::shown(name));
            text.push_str(match tree.kind {
                Some(Kind::Dir) => "/",
                Some(Kind::Link) => "@",
                _ => "",
            });
            text.push('\n');
            tree.write(text, depth + 1);
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetFileInfo {
    path: String,
}

impl Call<Ctx> for GetFileInfo {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "get_file_info",
        "Kind, size, times and permissions of a file.",
    )
    .reads()
    .aliases(&["stat_file", "file_info"]);

    fn about(&self) -> String {
        format!("look at {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        ctx.blocking(QUICK, move |_| {
            let name = spot.shown();
            let stat = spot
                .place
                .stat(&spot.at, Links::Keep)
                .map_err(|fault| fault.during("look at", &name))?;
            let target = match stat.kind {
                Kind::Link => spot.place.read_link(&spot.at).unwrap_or_default(),
                _ => PathBuf::new(),
            };
            let leads = match stat.kind {
                Kind::Link => match spot.place.resolve(&spot.at) {
                    Ok(at) => spot.shown_at(&at),
                    Err(fault) => fault.to_string(),
                },
                _ => String::new(),
            };
            let size = match stat.kind {
                Kind::File => format!("{} ({} bytes)", base::text::bytes(stat.size), stat.size),
                _ => String::new(),
            };
            let links = if stat.links > 1 {
                stat.links.to_string()
            } else {
                String::new()
            };
            let digest = Digest::new()
                .line("path", &name)
                .line("kind", stat.kind.as_str())
                .line("size", size)
                .line("modified", moment(stat.modified))
                .line("created", moment(stat.created))
                .line(
                    "permissions",
                    stat.mode.map(|mode| format!("{mode:04o}")).unwrap_or_default(),
                )
                .line("hard links", links)
                .line("points to", names::shown(target))
                .line("leads to", leads);
            Ok(Answer::from(digest).untrusted(format!("details of {name}")))
        })
        .await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAllowedDirectories {}

impl Call<Ctx> for ListAllowedDirectories {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        super::WHICH,
        "The roots: directories beneath which files can be reached.",
    )
    .reads();

    fn about(&self) -> String {
        "list the roots".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let access = |root: &Root| if root.write { "read and write" } else { "read" };
        let remarked = |answer: Answer, remark: Option<String>| match remark {
            Some(remark) => answer.note(format!("[{remark}]")),
            None => answer,
        };
        let Some(sites) = ctx.all_sites() else {
            let row = |root: &Root| vec![names::shown(&root.path), access(root).to_owned()];
            let answer = Answer::table(&["path", "access"], ctx.roots().all().map(row));
            return Ok(remarked(answer, ctx.roots().remark()));
        };
        let remark = ctx.roots().remark();
        let rows = sites.flat_map(|site| {
            let row = |root: &Root| {
                vec![
                    site.host.clone(),
                    names::shown(&root.path),
                    access(root).to_owned(),
                ]
            };
            site.roots.all().map(row).collect::<Vec<_>>()
        });
        let answer = Answer::table(&["host", "path", "access"], rows);
        Ok(remarked(
            answer,
            remark.map(|remark| format!("{LOCAL}, {remark}")),
        ))
    }
}
