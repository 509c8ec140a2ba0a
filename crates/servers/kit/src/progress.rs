//! How far a call is, for the client that asked to be told.

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No more messages than one in this time; a pull reports hundreds of steps a second.
const BETWEEN_REPORTS: Duration = Duration::from_millis(200);

/// Where a client hears how far its request is.
#[derive(Debug)]
pub struct Progress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    last: Mutex<(Option<Instant>, f64)>,
}

impl Progress {
    /// `None`: the client does not want to hear.
    pub fn of(request: &RequestContext<RoleServer>) -> Option<Self> {
        Some(Self {
            peer: request.peer.clone(),
            token: request.meta.get_progress_token()?,
            last: Mutex::new((None, 0.0)),
        })
    }

    /// Tells the client how far its request is. `done` never goes back, and messages in quick succession are left out.
    pub async fn tell(&self, done: f64, total: Option<f64>, message: impl Into<String>) {
        let done = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.0.is_some_and(|at| at.elapsed() < BETWEEN_REPORTS) {
                return;
            }
            // The specification wants each report above the last one.
            let done = if last.0.is_some() && done <= last.1 {
                last.1 + 0.001
            } else {
                done
            };
            *last = (Some(Instant::now()), done);
            done
        };
        let mut report = ProgressNotificationParam::new(self.token.clone(), done)
            .with_message(base::text::clean(&message.into()).into_owned());
        if let Some(total) = total {
            report = report.with_total(total.max(done));
        }
        // A client that is gone ends the call by its token; one that doesn't read must not hold up the work.
        let told = self.peer.notify_progress(report);
        drop(tokio::time::timeout(BETWEEN_REPORTS, told).await);
    }
}
