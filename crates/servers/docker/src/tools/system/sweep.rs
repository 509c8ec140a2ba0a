//! What a prune would take, as a plan: shown first, and carried out only if it is still the same.

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::pick;
use crate::values::{Filters, When};
use engine::ops::system::{Reach, Selection, Sweep, Unused};
use server_kit::Answer;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Everything that one call would remove.
#[derive(Debug, Default)]
pub(super) struct Plan {
    parts: Vec<(Sweep, Vec<Unused>)>,
}

/// Whether to show or to remove.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// Only show.
    pub(super) dry_run: bool,
    /// The plan that was shown, if the caller wants exactly that.
    pub(super) plan: Option<&'a str>,
}

/// Shows what these sweeps would take, or takes it.
pub(super) async fn run(
    ctx: &Ctx,
    sweeps: &[Sweep],
    selection: &Selection,
    order: Order<'_>,
) -> Result<Answer, ToolError> {
    ctx.progress(0.0, None, "looking for what nothing uses").await;
    let plan = Plan::of(ctx, sweeps, selection).await?;
    if order.dry_run {
        return Ok(plan.shown());
    }
    if let Some(wanted) = order.plan
        && wanted != plan.handle()
    {
        return Err(
            ToolError::new(Code::Stale, "what would be removed is not what that plan showed")
                .fix("look again with dry_run=true, and give the plan that it shows"),
        );
    }
    plan.carry_out(ctx, selection).await
}

impl Plan {
    async fn of(ctx: &Ctx, sweeps: &[Sweep], selection: &Selection) -> Result<Self, ToolError> {
        let mut plan = Self::default();
        for &sweep in sweeps {
            let mut found = ctx.engine().unused(sweep, selection).await?;
            found.sort_by(|one, other| one.id.cmp(&other.id));
            plan.parts.push((sweep, found));
        }
        Ok(plan)
    }

    /// The same for the same objects. It is no secret and keeps nobody out; it only finds that something changed.
    fn handle(&self) -> String {
        let mut hasher = DefaultHasher::new();
        for (sweep, objects) in &self.parts {
            word(*sweep).hash(&mut hasher);
            for object in objects {
                object.id.hash(&mut hasher);
                object.names.hash(&mut hasher);
            }
        }
        format!("plan-{:016x}", hasher.finish())
    }

    fn is_empty(&self) -> bool {
        self.parts.iter().all(|(_, objects)| objects.is_empty())
    }

    fn shown(&self) -> Answer {
        if self.is_empty() {
            return Answer::text("nothing to remove");
        }
        let rows = self.parts.iter().flat_map(|(sweep, objects)| {
            objects.iter().map(|object| {
                let size = object.bytes.map(base::text::bytes).unwrap_or_default();
                vec![word(*sweep).to_owned(), name(object), size]
            })
        });
        let objects = self.parts.iter().flat_map(|(_, objects)| objects);
        let (count, bytes) = objects.fold((0, 0), |(count, bytes), object| {
            (count + 1, bytes + object.bytes.unwrap_or(0))
        });
        Answer::table(&["kind", "name", "size"], rows)
            .narrow("filters")
            .note(format!(
                "{count} object{} would be removed, at least {} freed; dry_run=false with plan={} removes {}",
                if count == 1 { "" } else { "s" },
                base::text::bytes(bytes),
                self.handle(),
                if count == 1 { "it" } else { "them" }
            ))
    }

    async fn carry_out(self, ctx: &Ctx, selection: &Selection) -> Result<Answer, ToolError> {
        if self.is_empty() {
            return Ok(Answer::text("nothing to remove"));
        }
        let mut lines = Vec::new();
        let mut freed = 0;
        for (sweep, objects) in self.parts.iter().filter(|(_, objects)| !objects.is_empty()) {
            ctx.progress(0.0, None, format!("removing {} {}", objects.len(), word(*sweep)))
                .await;
            let pruned = match ctx.engine().prune(*sweep, selection).await {
                Ok(pruned) => pruned,
                Err(error) if lines.is_empty() => return Err(error.into()),
                Err(error) => {
                    return Err(
                        ToolError::from(error).also(format_args!("removed before: {}", lines.join("; ")))
                    );
                }
            };
            freed += pruned.bytes;
            let gone: Vec<String> = objects
                .iter()
                .filter(|object| {
                    pruned.removed.contains(&object.id)
                        || object.names.iter().any(|name| pruned.removed.contains(name))
                })
                .map(name)
                .collect();
            if gone.len() < objects.len() {
                lines.push(format!(
                    "{}: {} of {} removed, the others are in use by now",
                    word(*sweep),
                    gone.len(),
                    objects.len()
                ));
            }
            if !gone.is_empty() {
                lines.push(format!("{}: {}", word(*sweep), gone.join(", ")));
            }
        }
        lines.insert(0, format!("removed; {} freed", base::text::bytes(freed)));
        Ok(Answer::text(lines.join("\n")).narrow("nothing: it is done"))
    }
}

/// What people call an object, in one line.
fn name(object: &Unused) -> String {
    let id = pick::short_id(&object.id);
    let names: Vec<&str> = object
        .names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .collect();
    match names.as_slice() {
        [] => id.to_owned(),
        // An anonymous volume is its own name, 64 digits long.
        [name] if *name == object.id && name.len() == 64 => id.to_owned(),
        names => base::text::cut(&base::redact::text(&names.join(", ")), 160).to_owned(),
    }
}

fn word(sweep: Sweep) -> &'static str {
    match sweep {
        Sweep::Containers => "container",
        Sweep::Networks => "network",
        Sweep::Images(_) => "image",
        Sweep::Volumes(_) => "volume",
        Sweep::BuildCache(_) => "build cache",
    }
}

/// How far a prune reaches.
pub(super) fn reach(all: bool) -> Reach {
    if all { Reach::Unused } else { Reach::Leftovers }
}

/// What the filters select: labels that an object must bear, and an age.
///
/// # Errors
/// Other filters: an object that should be kept would be removed if they were ignored.
pub(super) fn selection(filters: &Filters) -> Result<Selection, ToolError> {
    let filters = filters.to_engine();
    let known = ["label", "until"];
    let json = serde_json::to_value(&filters).unwrap_or_default();
    let unknown = pick::members(&json, "")
        .map(|(name, _)| name.to_owned())
        .find(|name| !known.contains(&name.as_str()));
    if let Some(unknown) = unknown {
        return Err(ToolError::arguments(format!(
            "there is no filter {:?} here",
            base::text::cut(&unknown, 60)
        ))
        .fix("the filters are label and until"));
    }
    let until = match filters.get("until") {
        [] => None,
        [until] => {
            let until: When = until
                .parse()
                .map_err(|error| ToolError::arguments(format!("filter until: {error}")))?;
            Some(until.0.as_second())
        }
        _ => return Err(ToolError::arguments("filter until: give one moment")),
    };
    Ok(Selection {
        labels: filters.get("label").to_vec(),
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn unused(id: &str, names: &[&str]) -> Unused {
        Unused {
            id: id.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            bytes: Some(1024),
        }
    }

    #[test]
    fn a_plan_is_the_same_for_the_same_objects() {
        let plan = |objects: Vec<Unused>| Plan {
            parts: vec![(Sweep::Images(Reach::Unused), objects)],
        };
        let one = plan(vec![unused("a", &["web:1"])]).handle();
        assert_eq!(one, plan(vec![unused("a", &["web:1"])]).handle());
        for other in [
            vec![],
            vec![unused("b", &["web:1"])],
            vec![unused("a", &["web:2"])],
            vec![unused("a", &["web:1"]), unused("b", &[])],
        ] {
            assert_ne!(one, plan(other).handle());
        }
    }

    #[test]
    fn objects_are_named_as_people_do() {
        let id = "0a".repeat(32);
        for (object, expected) in [
            (unused(&id, &[]), "0a0a0a0a0a0a"),
            (unused(&id, &[&id]), "0a0a0a0a0a0a"),
            (unused(&id, &["web:1", "web:2"]), "web:1, web:2"),
            (unused("data", &["data"]), "data"),
            (unused(&id, &[""]), "0a0a0a0a0a0a"),
        ] {
            assert_eq!(name(&object), expected);
        }
    }

    #[test]
    fn only_filters_that_are_applied_are_accepted() {
        let read = |filters: serde_json::Value| selection(&serde_json::from_value(filters).unwrap());
        let fits = read(json!({"label": ["a=1", "b"], "until": "1970-01-01T00:01:40Z"})).unwrap();
        assert_eq!((fits.labels.len(), fits.until), (2, Some(100)));
        assert_eq!(read(json!({})).unwrap(), Selection::default());
        for wrong in [
            json!({"label!": "keep"}),
            json!({"dangling": true}),
            json!({"until": "soon"}),
            json!({"until": ["1h", "2h"]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
