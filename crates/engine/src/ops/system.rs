//! The engine itself: is it there, what is it, what does it hold, what happens in it.

mod disk;
mod unused;

use std::time::{Duration, Instant};

use futures_util::Stream;
use http::HeaderMap;
use serde_json::Value;
use tokio::time::sleep;

pub use disk::{DiskUsage, Kind, Usage};

pub use unused::{Pruned, Reach, Selection, Sweep, Unused};

use crate::{Engine, Error, Filters, Request, path};

/// Sizes are measured by walking over all files of containers and volumes.
const MEASURING: Duration = Duration::from_mins(5);

/// What a daemon says that is measuring already.
const BUSY: &str = "disk usage operation is already running";
/// How long that is left alone.
const PAUSE: Duration = Duration::from_millis(200);

/// An engine's answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The newest API version that it serves.
    pub api_version: Option<String>,
    /// `linux` or `windows`.
    pub os: Option<String>,
    /// Which program answered, with its version.
    pub server: Option<String>,
    /// How long the answer took.
    pub took: Duration,
}

/// Which events to tell.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// From this moment on, Unix seconds; else from now.
    pub since: Option<i64>,
    /// Until this moment, Unix seconds; else for ever. One that is past ends the stream at once.
    pub until: Option<i64>,
    /// `container`, `event`, `image`, `label`, `network`, `type`, `volume` …
    pub filters: Filters,
}

impl Engine {
    /// Asks for a sign of life.
    pub async fn system_ping(&self) -> Result<Ping, Error> {
        let begun = Instant::now();
        let answer = self.send(Request::head(path!["_ping"])).await?;
        let text = |name| header(answer.headers(), name);
        Ok(Ping {
            api_version: text("api-version"),
            os: text("ostype"),
            server: text("server"),
            took: begun.elapsed(),
        })
    }

    /// Versions of the engine and its parts.
    pub async fn system_version(&self) -> Result<Value, Error> {
        self.json(Request::get(path!["version"])).await
    }

    /// How the engine is set up and how many objects it has.
    pub async fn system_info(&self) -> Result<Value, Error> {
        self.json(Request::get(path!["info"])).await
    }

    /// Disk usage as the daemon tells it, of all kinds or of some. [`DiskUsage::read`] understands it whatever the
    /// version. Engines before API 1.42 always measure all kinds, and measure for one client at a time: then this waits.
    pub async fn system_df(&self, kinds: &[Kind]) -> Result<Value, Error> {
        let give_up = Instant::now() + MEASURING;
        loop {
            let request = Request::get(path!["system", "df"]).deadline(MEASURING);
            // From API 1.52 on the objects are left out unless asked for; older daemons ignore the question.
            let request = request.query("verbose", 1);
            let request = kinds
                .iter()
                .fold(request, |request, kind| request.query("type", kind.as_str()));
            let measured = self.json(request).await;
            let is_busy = |error: &Error| error.to_string().contains(BUSY);
            if !measured.as_ref().is_err_and(is_busy) || Instant::now() >= give_up {
                return measured;
            }
            sleep(PAUSE).await;
        }
    }

    /// Events as they happen. Without `until` the stream ends only by being dropped.
    pub async fn system_events(
        &self,
        query: &EventQuery,
    ) -> Result<impl Stream<Item = Result<Value, Error>> + Send + use<>, Error> {
        let request = Request::get(path!["events"])
            .query_some("since", query.since)
            .query_some("until", query.until)
            .filters(&query.filters);
        self.lines(request).await
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}
