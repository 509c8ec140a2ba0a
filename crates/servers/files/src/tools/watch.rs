//! `watch_files`: what changes while a call waits.
//!
//! Found by comparing names, sizes and times of two looks, a second or less apart: that works on every file system, those
//! of networks included, needs nothing of the system's that could run out, and what was missed in between is seen
//! by the next look. What comes and goes between two of them is not seen.

use super::list::directories;
use crate::fault::Fault;
use crate::place::{Flow, Kind, Links, Walk};
use crate::roots::{Access, Spot};
use crate::server::Ctx;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::values::Span;
use server_kit::{Answer, Call, Code, Spec, ToolError, Toolset};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a call waits unless another time is given.
const USUAL: Duration = Duration::from_secs(30);
/// The longest that may be asked for.
const LONGEST: Duration = Duration::from_mins(10);
/// The least time between two looks; more, if a look takes long, so that it is no more than a tenth of a processor.
const PAUSE: Duration = Duration::from_millis(200);
/// Files that are watched.
const MOST: usize = 50_000;
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchFiles {
    path: String,
    #[schemars(extend("about" = "How long to wait for a change: 30s unless given, at most 10m."))]
    timeout: Option<Span>,
    /// Hidden and ignored files too.
    #[serde(default)]
    all: bool,
}

impl Call<Ctx> for WatchFiles {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "watch_files",
        "Wait until a file, or anything in a directory, changes.",
    )
    .reads();

    fn about(&self) -> String {
        format!("watch {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        let wait = self.timeout.map_or(USUAL, |Span(time)| time).min(LONGEST);
        let began = Instant::now();
        let first = look(&ctx, &spot, self.all).await?;
        let mut pause = PAUSE;
        loop {
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(Answer::text(format!(
                    "nothing changed in {} in {} s",
                    spot.shown(),
                    wait.as_secs()
                )));
            }
            tokio::time::sleep(pause.min(left)).await;
            let looking = Instant::now();
            let now = look(&ctx, &spot, self.all).await?;
            pause = PAUSE.max(looking.elapsed() * 10);
            let changes = differences(&first, &now);
            if !changes.is_empty() {
                let rows = changes
                    .into_iter()
                    .map(|(path, change)| vec![change.to_owned(), spot.shown_at(path)]);
                return Ok(
                    Answer::table(&["change", "path"], rows).untrusted(format!("names in {}", spot.shown()))
                );
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "seconds of a wait that ends within minutes"
            )]
            let (done, total) = (began.elapsed().as_secs() as f64, wait.as_secs() as f64);
            ctx.progress(done, Some(total), "nothing changed so far").await;
        }
    }
}

type Seen = BTreeMap<PathBuf, (Kind, u64, Option<SystemTime>)>;

async fn look(ctx: &Ctx, spot: &Spot, all: bool) -> Result<Seen, ToolError> {
    let spot = spot.clone();
    ctx.walking(LOOK, move |limit| {
        let failed = |fault: Fault| fault.during("watch", &spot.shown());
        let stat = match spot.place.stat(&spot.at, Links::Follow) {
            Ok(stat) => stat,
            // Watching for a file to appear is watching too.
            Err(Fault::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Seen::new()),
            Err(fault) => return Err(failed(fault)),
        };
        if stat.kind != Kind::Dir {
            let one = (spot.at.clone(), (stat.kind, stat.size, stat.modified));
            return Ok(Seen::from([one]));
        }
        let seen = Mutex::new(Seen::new());
        let walk = Walk {
            all,
            depth: usize::MAX,
            limit,
        };
        let unread = spot
            .place
            .walk(&spot.at, &walk, &|| {
                Box::new(|found| {
                    let Ok(stat) = (found.stat)() else { return Flow::On };
                    // A directory's own time changes with every name in it, which is told by itself.
                    let state = match stat.kind {
                        Kind::Dir => (stat.kind, 0, None),
                        _ => (stat.kind, stat.size, stat.modified),
                    };
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.insert(found.path.to_owned(), state);
                    if seen.len() > MOST { Flow::Enough } else { Flow::On }
                })
            })
            .map_err(failed)?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > MOST || limit.reached() {
            return Err(ToolError::new(
                Code::Failed,
                format!("{} has more than {MOST} files", spot.shown()),
            )
            .also(format!("{} can't be read", directories(unread)))
            .fix("watch a directory below, or leave out all=true"));
        }
        Ok(seen)
    })
    .await
}

fn differences<'a>(before: &'a Seen, now: &'a Seen) -> Vec<(&'a Path, &'static str)> {
    let mut changes: Vec<(&Path, &str)> = Vec::new();
    for (path, state) in now {
        match before.get(path) {
            None => changes.push((path, "created")),
            Some(old) if old != state => changes.push((path, "changed")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    changes.extend(gone.map(|path| (path.as_path(), "deleted")));
    changes.sort_unstable();
    changes
}
