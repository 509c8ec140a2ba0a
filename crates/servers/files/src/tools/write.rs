//! `write_file` and `edit_file`.

use super::QUICK;
use super::read::Encoding;
use crate::diff::{self, Edit};
use crate::fault::Fault;
use crate::place::{Kind, Links, Place, Replace};
use crate::roots::Access;
use crate::server::Ctx;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::{Answer, Call, Code, Spec, ToolError, Toolset};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of a file that is edited.
const MOST_EDITED: u64 = 16 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteFile {
    path: String,
    content: String,
    #[schemars(extend("about" = "What `content` is: text, or base64 of any bytes."))]
    encoding: Option<Encoding>,
    #[schemars(extend("about" = "Whether a file that is there is replaced; true unless given."))]
    overwrite: Option<bool>,
}

impl Call<Ctx> for WriteFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "write_file",
        "Create a file, or replace all of its content.",
    )
    .disturbs()
    .idempotent()
    .aliases(&["create_file"]);

    fn about(&self) -> String {
        format!(
            "write {} to {}",
            base::text::bytes(self.content.len() as u64),
            self.path
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Write)?;
        let content = match self.encoding {
            Some(Encoding::Base64) => STANDARD
                .decode(self.content.trim())
                .map_err(|error| ToolError::arguments(format!("parameter content is not base64: {error}")))?,
            _ => self.content.into_bytes(),
        };
        let replace = match self.overwrite {
            Some(false) => Replace::Never,
            _ => Replace::Yes,
        };
        ctx.blocking(QUICK, move |_| {
            let name = spot.shown();
            let failed = |fault: Fault| fault.during("write", &name);
            let (at, old) = target(spot.place.as_ref(), &spot.at).map_err(failed)?;
            let written = spot
                .place
                .write(&at, &mut content.as_slice(), replace, None)
                .map_err(failed)?;
            let size = base::text::bytes(written);
            Ok(Answer::text(match old {
                Some(old) => format!("replaced {name}: {size} instead of {}", base::text::bytes(old)),
                None => format!("created {name}: {size}"),
            }))
        })
        .await
    }
}

/// The file that a path means, at the end of a link if it is one, and the size it has.
fn target(place: &dyn Place, at: &Path) -> Result<(PathBuf, Option<u64>), Fault> {
    match place.stat(at, Links::Keep) {
        Ok(stat) if stat.kind == Kind::Link => {
            let at = place.resolve(at)?;
            let size = place.stat(&at, Links::Keep)?.size;
            Ok((at, Some(size)))
        }
        Ok(stat) => Ok((at.to_owned(), Some(stat.size))),
        Err(Fault::Io(error)) if error.kind() == ErrorKind::NotFound => Ok((at.to_owned(), None)),
        Err(fault) => Err(fault),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditFile {
    path: String,
    #[serde(default)]
    edits: Vec<Edit>,
    /// Only show the diff.
    #[serde(default)]
    dry_run: bool,
    #[schemars(extend("hidden" = true, "about" = "With `new_text`: one edit, without a list."))]
    old_text: Option<String>,
    #[schemars(extend("hidden" = true, "about" = "See `old_text`."))]
    new_text: Option<String>,
    #[serde(default)]
    #[schemars(extend("hidden" = true, "about" = "With `old_text`: every occurrence."))]
    replace_all: bool,
}

impl Call<Ctx> for EditFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "edit_file",
        "Replace exact texts in a file; all edits or none. Answers with a diff.",
    )
    .disturbs()
    .aliases(&["str_replace"]);

    fn about(&self) -> String {
        format!("edit {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let access = if self.dry_run { Access::Read } else { Access::Write };
        let spot = ctx.roots().find(&self.path, access)?;
        let mut edits = self.edits;
        edits.extend(self.old_text.zip(self.new_text).map(|(old_text, new_text)| Edit {
            old_text,
            new_text,
            all: self.replace_all,
        }));
        if edits.is_empty() {
            return Err(
                ToolError::arguments("there is no edit").fix("give edits, a list of { old_text, new_text }")
            );
        }
        let dry_run = self.dry_run;
        ctx.blocking(QUICK, move |_| {
            let name = spot.shown();
            let failed = |fault: Fault| fault.during("edit", &name);
            let place = spot.place.as_ref();
            let at = place.resolve(&spot.at).map_err(failed)?;
            let (source, stat) = place.open(&at).map_err(failed)?;
            if stat.size > MOST_EDITED {
                return Err(too_large(&name, stat.size));
            }
            let mut old = Vec::new();
            source
                .take(MOST_EDITED)
                .read_to_end(&mut old)
                .map_err(|error| failed(error.into()))?;
            let old = String::from_utf8(old).map_err(|_| {
                ToolError::new(Code::Failed, format!("{name} is no text in UTF-8"))
                    .fix("write_file with encoding=base64 replaces all of it")
            })?;
            let new = diff::apply(&old, &edits).map_err(|error| error.during(format!("editing {name}")))?;
            let changes = diff::unified(&name, &old, &new);
            if changes.is_empty() {
                return Ok(Answer::text(format!(
                    "{name} stays as it is: the edits change nothing"
                )));
            }
            if !dry_run {
                let now = place.stat(&at, Links::Keep).map_err(failed)?;
                if (now.size, now.modified) != (stat.size, stat.modified) {
                    return Err(ToolError::new(
                        Code::Conflict,
                        format!("{name} was changed by somebody else meanwhile"),
                    )
                    .fix("read it again, and edit what is there now"));
                }
                place
                    .write(&at, &mut new.as_bytes(), Replace::Yes, None)
                    .map_err(failed)?;
            }
            let answer = Answer::text(changes).untrusted(format!("changes of {name}"));
            Ok(if dry_run {
                answer.note("[nothing was written: dry_run]")
            } else {
                answer
            })
        })
        .await
    }
}

fn too_large(name: &str, size: u64) -> ToolError {
    ToolError::new(Code::Failed, format!("{name} has {}", base::text::bytes(size))).fix(format!(
        "files up to {} are edited",
        base::text::bytes(MOST_EDITED)
    ))
}
