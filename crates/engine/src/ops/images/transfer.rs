//! What a pull, a push or a load says while it runs: the daemon's progress lines as typed events, and the sum
//! over all layers for whoever shows one figure.

use std::collections::BTreeMap;

use serde_json::Value;

/// One line of a pull, push, load or import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEvent {
    /// About the whole transfer: `Pulling from library/busybox`, `Loaded image: web:1`.
    Status(String),
    /// About one layer.
    Layer {
        /// The layer's short id.
        id: String,
        /// What is done with it: `Downloading`, `Pull complete`, `Pushed`.
        status: String,
        /// How far that is, where the daemon says so.
        progress: Option<LayerProgress>,
    },
    /// The manifest's digest (`sha256:…`), the name of exactly what was transferred.
    Digest(String),
}

/// Bytes of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerProgress {
    /// Done so far. The daemon counts tar framing too, so this may exceed `total`.
    pub current: u64,
    /// All, where known.
    pub total: Option<u64>,
}

impl TransferEvent {
    /// Reads a progress line; `None` for a line that says nothing new (an `aux` object of a kind not known here).
    pub(crate) fn read(line: &Value) -> Option<Self> {
        if let Some(digest) = line["aux"]["Digest"].as_str() {
            return Some(Self::Digest(digest.to_owned()));
        }
        if let Some(text) = line["stream"].as_str() {
            let text = text.trim();
            return (!text.is_empty()).then(|| Self::Status(text.to_owned()));
        }
        let status = line["status"].as_str()?.trim();
        if let Some(digest) = status.strip_prefix("Digest: ") {
            return Some(Self::Digest(digest.to_owned()));
        }
        // `{"status":"Pulling from library/busybox","id":"1.36"}` bears a tag where layers bear their id.
        match line["id"].as_str() {
            Some(id) if !status.starts_with("Pulling from ") => Some(Self::Layer {
                id: id.to_owned(),
                status: status.to_owned(),
                progress: layer_progress(&line["progressDetail"]),
            }),
            _ => Some(Self::Status(status.to_owned())),
        }
    }
}

fn layer_progress(detail: &Value) -> Option<LayerProgress> {
    // A push of unknown size has `total` 0 or -1.
    let total = detail["total"].as_u64().filter(|total| *total > 0);
    detail["current"]
        .as_u64()
        .map(|current| LayerProgress { current, total })
}

/// Sums the layers' progress, so that one figure can be shown that only grows.
#[derive(Debug, Default)]
pub struct Tally {
    layers: BTreeMap<String, LayerState>,
}

#[derive(Debug, Default, Clone, Copy)]
struct LayerState {
    moved: u64,
    total: u64,
    done: bool,
}

impl Tally {
    /// Takes in one event.
    pub fn add(&mut self, event: &TransferEvent) {
        let TransferEvent::Layer { id, status, progress } = event else {
            return;
        };
        let layer = self.layers.entry(id.clone()).or_default();
        // Extraction counts the same bytes a second time; only what crosses the network is summed.
        if matches!(status.as_str(), "Downloading" | "Pushing")
            && let Some(progress) = progress
        {
            layer.moved = layer.moved.max(progress.current);
            layer.total = layer.total.max(progress.total.unwrap_or(0));
        }
        if is_final(status) {
            layer.done = true;
            layer.moved = layer.moved.max(layer.total);
        }
    }

    /// Bytes moved over the network so far, all layers together.
    pub fn moved(&self) -> u64 {
        self.layers.values().map(|layer| layer.moved).sum()
    }

    /// Bytes to move, as far as layers have announced them: it grows while further layers begin.
    pub fn total(&self) -> u64 {
        self.layers
            .values()
            .map(|layer| layer.total.max(layer.moved))
            .sum()
    }

    /// Layers finished, and layers seen.
    pub fn layers(&self) -> (usize, usize) {
        let done = self.layers.values().filter(|layer| layer.done).count();
        (done, self.layers.len())
    }
}

fn is_final(status: &str) -> bool {
    matches!(
        status,
        "Pull complete" | "Already exists" | "Pushed" | "Layer already exists"
    ) || status.starts_with("Mounted from ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(id: &str, status: &str, progress: Option<(u64, Option<u64>)>) -> TransferEvent {
        TransferEvent::Layer {
            id: id.to_owned(),
            status: status.to_owned(),
            progress: progress.map(|(current, total)| LayerProgress { current, total }),
        }
    }

    #[test]
    fn lines_of_the_daemon_become_events() {
        let digest = "sha256:b29b945692f63dd5126e6e54141c0a4161c3b81e929e3e0583aca2c1344bbc57";
        let table = [
            (
                json!({"status":"Pulling from e/x","id":"1"}),
                Some(TransferEvent::Status("Pulling from e/x".to_owned())),
            ),
            (
                json!({"status":"Downloading","progressDetail":{"current":43520,"total":1_984_172},"progress":"[=>]","id":"89993f8e8d10"}),
                Some(layer(
                    "89993f8e8d10",
                    "Downloading",
                    Some((43520, Some(1_984_172))),
                )),
            ),
            (
                json!({"status":"Pushing","progressDetail":{"current":512,"total":-1},"id":"89993f8e8d10"}),
                Some(layer("89993f8e8d10", "Pushing", Some((512, None)))),
            ),
            (
                json!({"status":"Preparing","progressDetail":{},"id":"89993f8e8d10"}),
                Some(layer("89993f8e8d10", "Preparing", None)),
            ),
            (
                json!({"status":format!("Digest: {digest}")}),
                Some(TransferEvent::Digest(digest.to_owned())),
            ),
            (
                json!({"progressDetail":{},"aux":{"Tag":"1","Digest":digest,"Size":527}}),
                Some(TransferEvent::Digest(digest.to_owned())),
            ),
            (
                json!({"stream":"Loaded image: rigs/busybox:1\n"}),
                Some(TransferEvent::Status("Loaded image: rigs/busybox:1".to_owned())),
            ),
            (json!({"stream":"\n"}), None),
            (json!({"aux":{"something":"new"}}), None),
        ];
        for (line, expected) in table {
            assert_eq!(TransferEvent::read(&line), expected, "{line}");
        }
    }

    #[test]
    fn the_tally_counts_each_byte_once_and_never_falls() {
        let mut tally = Tally::default();
        let steps = [
            (layer("a", "Pulling fs layer", None), 0, 0, (0, 1)),
            (layer("a", "Downloading", Some((10, Some(100)))), 10, 100, (0, 1)),
            (layer("b", "Already exists", None), 10, 100, (1, 2)),
            (
                layer("a", "Downloading", Some((100, Some(100)))),
                100,
                100,
                (1, 2),
            ),
            (layer("a", "Extracting", Some((3, Some(100)))), 100, 100, (1, 2)),
            (layer("c", "Downloading", Some((30, None))), 130, 130, (1, 3)),
            (layer("a", "Pull complete", None), 130, 130, (2, 3)),
            (TransferEvent::Status("Status: done".to_owned()), 130, 130, (2, 3)),
        ];
        for (event, moved, total, layers) in steps {
            tally.add(&event);
            assert_eq!(
                (tally.moved(), tally.total(), tally.layers()),
                (moved, total, layers),
                "{event:?}"
            );
        }
    }
}
