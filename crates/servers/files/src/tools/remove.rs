//! `delete_file`, and the way back: `restore_file` and `empty_trash`.

use super::{LONG, QUICK, count, moment};
use crate::fault::Fault;
use crate::roots::{Access, Spot};
use crate::server::Ctx;
use crate::trash::{self, Deleted};
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::values::Span;
use server_kit::{Answer, Call, Code, Spec, ToolError, Toolset};
use std::time::{Duration, SystemTime};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteFile {
    path: String,
    /// Not to the trash; gone.
    #[serde(default)]
    permanent: bool,
}

impl Call<Ctx> for DeleteFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "delete_file",
        "Move a file, or a directory with all in it, to the trash.",
    )
    .aliases(&["remove_file", "delete_directory"]);

    fn effect(&self) -> Effect {
        if self.permanent {
            Effect::Destroy
        } else {
            Effect::Change
        }
    }

    fn about(&self) -> String {
        if self.permanent {
            format!("delete {} for good", self.path)
        } else {
            format!("move {} to the trash", self.path)
        }
    }

    fn data_loss(&self) -> Option<String> {
        self.permanent.then(|| self.path.clone())
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Write)?;
        let permanent = self.permanent;
        ctx.blocking(LONG, move |_| {
            let name = spot.shown();
            let failed = |fault: Fault| fault.during("delete", &name);
            if spot.at.as_os_str().is_empty() {
                return Err(failed(Fault::Root));
            }
            if permanent {
                spot.place.remove(&spot.at).map_err(failed)?;
                return Ok(Answer::text(format!("deleted {name} for good")));
            }
            let id = trash::put(spot.place.as_ref(), &spot.at).map_err(failed)?;
            Ok(Answer::text(format!(
                "moved {name} to the trash; restore_file with id {id} brings it back"
            )))
        })
        .await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreFile {
    /// Without it, the trash is listed.
    id: Option<String>,
    /// Other than where it was.
    destination: Option<String>,
}

impl Call<Ctx> for RestoreFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "restore_file",
        "Bring something back from the trash, or list what is there.",
    )
    .adds()
    .aliases(&["list_trash"]);

    fn effect(&self) -> Effect {
        if self.id.is_some() {
            Effect::Change
        } else {
            Effect::Read
        }
    }

    fn about(&self) -> String {
        match &self.id {
            Some(id) => format!("restore {id} from the trash"),
            None => "list the trash".to_owned(),
        }
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let roots: Vec<Spot> = ctx.roots().writable().collect();
        let Some(id) = self.id else {
            return ctx.blocking(QUICK, move |_| listed(&roots)).await;
        };
        let to = match &self.destination {
            Some(path) => Some(ctx.roots().find(path, Access::Write)?),
            None => None,
        };
        ctx.blocking(QUICK, move |_| {
            let (root, deleted) = holding(&roots, &id)?;
            let at = match &to {
                Some(to) if !to.beside(root) => {
                    return Err(ToolError::arguments(format!("{} is in another root", to.shown()))
                        .fix("restore it to where it was, and copy it from there"));
                }
                Some(to) => &to.at,
                None => &deleted.from,
            };
            let name = root.shown_at(at);
            trash::restore(root.place.as_ref(), &id, at)
                .map_err(|fault| fault.during("restore", &name).also("it is still in the trash"))?;
            Ok(Answer::text(format!("restored {name}")))
        })
        .await
    }
}

fn holding<'a>(roots: &'a [Spot], id: &str) -> Result<(&'a Spot, Deleted), ToolError> {
    roots
        .iter()
        .find_map(|root| Some((root, trash::find(root.place.as_ref(), id).ok()?)))
        .ok_or_else(|| {
            let id = base::text::cut(id, 60);
            ToolError::new(Code::NotFound, format!("{id:?} is not in the trash"))
                .fix("restore_file without id lists what is there")
        })
}

fn listed(roots: &[Spot]) -> Result<Answer, ToolError> {
    let mut rows = Vec::new();
    for root in roots {
        let all = trash::all(root.place.as_ref())
            .map_err(|fault| fault.during("list the trash of", &root.shown()))?;
        rows.extend(all.into_iter().map(|deleted| {
            vec![
                deleted.id,
                root.shown_at(&deleted.from),
                deleted.kind.as_str().to_owned(),
                base::text::bytes(deleted.size),
                moment(deleted.when),
            ]
        }));
    }
    if rows.is_empty() {
        return Ok(Answer::text("the trash is empty"));
    }
    Ok(Answer::table(&["id", "was", "kind", "size", "deleted"], rows).untrusted("names of files"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmptyTrash {
    /// Deleted longer ago than this: 30d.
    older_than: Option<Span>,
}

impl Call<Ctx> for EmptyTrash {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "empty_trash",
        "Remove what is in the trash, for good.",
    )
    .idempotent();

    fn about(&self) -> String {
        match self.older_than {
            Some(Span(age)) => format!("remove what has been in the trash for {} s", age.as_secs()),
            None => "remove all that is in the trash".to_owned(),
        }
    }

    fn data_loss(&self) -> Option<String> {
        Some("the trash".to_owned())
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let roots: Vec<Spot> = ctx.roots().writable().collect();
        let age = self.older_than.map_or(Duration::ZERO, |Span(age)| age);
        ctx.blocking(LONG, move |limit| {
            let before = SystemTime::from(base::clock::now()).checked_sub(age);
            let mut removed = 0;
            for root in &roots {
                let failed = |fault: Fault| fault.during("empty the trash of", &root.shown());
                for deleted in trash::all(root.place.as_ref()).map_err(failed)? {
                    if limit.reached() {
                        return Err(ToolError::new(Code::Timeout, "emptying takes too long")
                            .also(format!("removed {} until then", count(removed, "item")))
                            .fix("call empty_trash again"));
                    }
                    if deleted.when <= before {
                        trash::purge(root.place.as_ref(), &deleted.id).map_err(failed)?;
                        removed += 1;
                    }
                }
            }
            Ok(Answer::text(format!(
                "removed {} from the trash",
                count(removed, "item")
            )))
        })
        .await
    }
}
