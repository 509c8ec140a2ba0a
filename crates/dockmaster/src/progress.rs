//! What a long call is doing, on standard error, while a person watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use tokio::sync::mpsc;
use wire::Raw;

use crate::confirm::Screen;
use crate::output;

/// Calls that are over sooner show nothing.
const PATIENCE: Duration = Duration::from_millis(300);

/// The params of `notifications/progress`, as far as they are shown.
#[derive(Deserialize)]
struct Progress {
    #[serde(default, rename = "progress")]
    done: f64,
    total: Option<f64>,
    message: Option<String>,
}

/// Shows the progress of a call until the channel is closed. Without a person it only takes it in. It begins once nothing
/// else is on the screen.
pub(crate) async fn show(updates: mpsc::Receiver<Raw>, screen: Screen) {
    let read = |update: Raw| serde_json::from_str(update.get()).ok();
    follow(updates, screen, None, read).await;
}

/// The same for an image that is fetched or made. `doing`: what is said until there is more to say.
pub(crate) async fn show_image(updates: mpsc::Receiver<instances::Progress>, doing: String) {
    let read = |update| match update {
        instances::Progress::Pulling { moved, total } => Some(Progress {
            done: in_columns(moved),
            total: Some(in_columns(total)),
            message: Some(format!(
                "{doing}: {} of {}",
                base::text::bytes(moved),
                base::text::bytes(total)
            )),
        }),
        instances::Progress::Building(line) => Some(Progress {
            done: 0.0,
            total: None,
            message: Some(format!("{doing}: {line}")),
        }),
        _ => None,
    };
    follow(updates, Screen::default(), Some(&doing), read).await;
}

async fn follow<T>(
    mut updates: mpsc::Receiver<T>,
    screen: Screen,
    begins: Option<&str>,
    read: impl Fn(T) -> Option<Progress>,
) {
    let mut bar: Option<ProgressBar> = None;
    let patience = async {
        tokio::time::sleep(PATIENCE).await;
        screen.lock().await
    };
    tokio::pin!(patience);
    let mut waiting = output::person_is_watching();
    loop {
        tokio::select! {
            update = updates.recv() => {
                let Some(update) = update else { break };
                if let (Some(bar), Some(progress)) = (&bar, read(update)) {
                    draw(bar, &progress);
                }
            }
            _mine = &mut patience, if waiting => {
                waiting = false;
                let begun = spinner();
                if let Some(text) = begins {
                    begun.set_message(text.to_owned());
                }
                bar = Some(begun);
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bar has fewer columns than that")]
fn in_columns(bytes: u64) -> f64 {
    bytes as f64
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("{spinner} {elapsed} {wide_msg}"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bar needs no more precision than it has columns, and a negative number is none"
)]
fn draw(bar: &ProgressBar, progress: &Progress) {
    if let Some(message) = &progress.message {
        let message = base::text::clean(message).replace(['\n', '\t'], " ");
        bar.set_message(message);
    }
    if let Some(total) = progress.total.filter(|total| *total > 0.0) {
        if bar.length().is_none() {
            bar.set_style(style("{spinner} {elapsed} [{bar:24}] {percent:>3}% {wide_msg}"));
        }
        bar.set_length(total as u64);
        bar.set_position(progress.done as u64);
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours; one with a fault shows as the default one, which the eye finds sooner than a panic.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
