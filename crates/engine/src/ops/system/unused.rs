//! What nothing uses: looking at it first, and removing it.
//!
//! The daemon's own prunes tell only afterwards what they removed, and differ between versions in what they take
//! (Engine 20.10 prunes named volumes, newer ones do not). Here the look and the removal follow one rule on all
//! versions: [`Engine::unused`] finds what [`Engine::prune`] with the same [`Sweep`] and [`Selection`] removes, as
//! far as nothing changes between the two.

use std::collections::HashSet;
use std::time::Duration;

use base::names::VolumeName;
use serde_json::Value;

use super::disk::{Kind, number, own_bytes};
use crate::ops::containers::ContainerQuery;
use crate::ops::images::Removed;
use crate::ops::volumes::RemoveVolume;
use crate::{Engine, Error, Filters, Request, path};

/// Removing many large objects takes minutes.
const SWEEPING: Duration = Duration::from_mins(15);

/// What is to be swept away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Containers that do not run.
    Containers,
    /// User-defined networks that no running container is in. A stopped container does not keep its network.
    Networks,
    /// Images.
    Images(Reach),
    /// Volumes that no container has, running or not. With them goes their data.
    Volumes(Reach),
    /// Results of builds.
    BuildCache(Reach),
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What has no name: untagged images, anonymous volumes, cache that belongs to no other record.
    Leftovers,
    /// Everything that no container uses.
    Unused,
}

/// Which objects of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `key` or `key=value`; an object must bear all of them. Build cache has no labels.
    pub labels: Vec<String>,
    /// Only what was made before this moment, Unix seconds. Volumes are not asked for their age.
    pub until: Option<i64>,
}

/// An object that nothing uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// Its id; a volume's name.
    pub id: String,
    /// What people call it; an image has as many as it has tags.
    pub names: Vec<String>,
    /// Bytes that go with it at least; `None` where it takes none (networks).
    pub bytes: Option<u64>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids and names, as the daemon gives them.
    pub removed: Vec<String>,
    /// Bytes that are free now.
    pub bytes: u64,
}

impl Engine {
    /// What a prune would remove.
    pub async fn unused(&self, sweep: Sweep, selection: &Selection) -> Result<Vec<Unused>, Error> {
        match sweep {
            Sweep::Containers => self.unused_containers(selection).await,
            Sweep::Networks => self.unused_networks(selection).await,
            Sweep::Images(reach) => self.unused_images(reach, selection).await,
            Sweep::Volumes(reach) => self.unused_volumes(reach, selection).await,
            Sweep::BuildCache(reach) => self.unused_build_cache(reach, selection).await,
        }
    }

    /// Removes what nothing uses.
    pub async fn prune(&self, sweep: Sweep, selection: &Selection) -> Result<Pruned, Error> {
        let filters = selection.filters();
        let (request, list) = match sweep {
            Sweep::Volumes(reach) => return self.prune_volumes(reach, selection).await,
            Sweep::Containers => return self.container_prune(&filters).await,
            Sweep::Networks => (
                Request::post(path!["networks", "prune"]).filters(&filters),
                "NetworksDeleted",
            ),
            Sweep::Images(reach) => {
                let filters = filters.with("dangling", if reach == Reach::Unused { "false" } else { "true" });
                (
                    Request::post(path!["images", "prune"]).filters(&filters),
                    "ImagesDeleted",
                )
            }
            Sweep::BuildCache(reach) => {
                let request = Request::post(path!["build", "prune"])
                    .query_some("all", (reach == Reach::Unused).then_some(1))
                    .filters(&selection.age_filter());
                (request, "CachesDeleted")
            }
        };
        self.sweep(request, list).await
    }

    /// Removes stopped containers by the daemon's own filters (`until`, `label`, `label!`), which say more than a
    /// [`Selection`] does.
    pub async fn container_prune(&self, filters: &Filters) -> Result<Pruned, Error> {
        let request = Request::post(path!["containers", "prune"]).filters(filters);
        self.sweep(request, "ContainersDeleted").await
    }

    async fn sweep(&self, request: Request, list: &str) -> Result<Pruned, Error> {
        let answer: Value = self.json(request.deadline(SWEEPING)).await?;
        Ok(Pruned {
            removed: removed(&answer[list]),
            bytes: number(&answer["SpaceReclaimed"]),
        })
    }

    async fn unused_containers(&self, selection: &Selection) -> Result<Vec<Unused>, Error> {
        let query = ContainerQuery {
            size: true,
            filters: selection.label_filter(),
            ..ContainerQuery::default()
        };
        let containers = self.container_list_stopped(&query).await?;
        Ok(containers
            .iter()
            .filter(|container| selection.is_old(container["Created"].as_i64()))
            .map(|container| Unused {
                id: text(&container["Id"]),
                names: texts(&container["Names"])
                    .map(|name| name.trim_start_matches('/').to_owned())
                    .collect(),
                bytes: Some(number(&container["SizeRw"])),
            })
            .collect())
    }

    async fn unused_networks(&self, selection: &Selection) -> Result<Vec<Unused>, Error> {
        let filters = selection.label_filter().with("dangling", "true");
        let networks = self.network_list(&filters).await?;
        if networks.is_empty() {
            return Ok(Vec::new());
        }
        // Engine 20.10 takes each user-defined network for dangling, so the containers are asked as well.
        let running = self.container_list(&ContainerQuery::default()).await?;
        let used: HashSet<&str> = running
            .iter()
            .filter_map(|container| container["NetworkSettings"]["Networks"].as_object())
            .flat_map(|networks| networks.values())
            .filter_map(|network| network["NetworkID"].as_str())
            .collect();
        Ok(networks
            .iter()
            .filter(|network| network["ConfigOnly"] != true && network["Ingress"] != true)
            .filter(|network| network["Id"].as_str().is_some_and(|id| !used.contains(id)))
            .filter(|network| selection.is_old(network["Created"].as_str().and_then(unix_seconds)))
            .map(|network| Unused {
                id: text(&network["Id"]),
                names: vec![text(&network["Name"])],
                bytes: None,
            })
            .collect())
    }

    async fn unused_images(&self, reach: Reach, selection: &Selection) -> Result<Vec<Unused>, Error> {
        let usage = self.system_df(&[Kind::Images]).await?;
        Ok(Kind::Images
            .objects(&usage)
            .iter()
            .filter(|image| number(&image["Containers"]) == 0)
            .filter(|image| reach == Reach::Unused || is_dangling(image))
            .filter(|image| {
                selection.is_old(image["Created"].as_i64()) && selection.has_labels(&image["Labels"])
            })
            .map(|image| Unused {
                id: text(&image["Id"]),
                names: texts(&image["RepoTags"])
                    .filter(|tag| !is_none(tag))
                    .map(str::to_owned)
                    .collect(),
                bytes: Some(own_bytes(image)),
            })
            .collect())
    }

    async fn unused_volumes(&self, reach: Reach, selection: &Selection) -> Result<Vec<Unused>, Error> {
        let usage = self.system_df(&[Kind::Volumes]).await?;
        Ok(Kind::Volumes
            .objects(&usage)
            .iter()
            // Without usage data it is not known whether anything uses it.
            .filter(|volume| volume["UsageData"]["RefCount"] == 0)
            .filter(|volume| reach == Reach::Unused || is_anonymous(volume))
            .filter(|volume| selection.has_labels(&volume["Labels"]))
            .map(|volume| Unused {
                id: text(&volume["Name"]),
                names: vec![text(&volume["Name"])],
                bytes: Some(number(&volume["UsageData"]["Size"])),
            })
            .collect())
    }

    async fn unused_build_cache(&self, reach: Reach, selection: &Selection) -> Result<Vec<Unused>, Error> {
        let usage = self.system_df(&[Kind::BuildCache]).await?;
        let is_own = |record: &Value| {
            record["Shared"] != true && !matches!(record["Type"].as_str(), Some("internal" | "frontend"))
        };
        Ok(Kind::BuildCache
            .objects(&usage)
            .iter()
            .filter(|record| record["InUse"] != true)
            .filter(|record| reach == Reach::Unused || is_own(record))
            .filter(|record| {
                let used = record["LastUsedAt"]
                    .as_str()
                    .or_else(|| record["CreatedAt"].as_str());
                selection.is_old(used.and_then(unix_seconds))
            })
            .map(|record| Unused {
                id: text(&record["ID"]),
                names: vec![text(&record["Description"])],
                bytes: Some(number(&record["Size"])),
            })
            .collect())
    }

    /// One by one: the daemon's prune takes named volumes on one version and leaves them on another.
    async fn prune_volumes(&self, reach: Reach, selection: &Selection) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        for volume in self.unused_volumes(reach, selection).await? {
            let name = VolumeName::parse(&volume.id)?;
            match self.volume_remove(&name, RemoveVolume::Orderly).await {
                Ok(()) => {
                    pruned.removed.push(volume.id);
                    pruned.bytes += volume.bytes.unwrap_or(0);
                }
                // Somebody took it into use, or was faster.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}

impl Selection {
    fn label_filter(&self) -> Filters {
        self.labels
            .iter()
            .fold(Filters::new(), |filters, label| filters.with("label", label))
    }

    fn filters(&self) -> Filters {
        match self.until {
            Some(until) => self.label_filter().with("until", until.to_string()),
            None => self.label_filter(),
        }
    }

    /// Build cache wants the age as a duration, and knows no labels.
    fn age_filter(&self) -> Filters {
        match self.until {
            Some(until) => {
                let age = base::clock::now().as_second().saturating_sub(until).max(0);
                Filters::new().with("until", format!("{age}s"))
            }
            None => Filters::new(),
        }
    }

    /// Whether something made then is to be taken; what does not say when it was made is young.
    fn is_old(&self, made: Option<i64>) -> bool {
        self.until
            .is_none_or(|until| made.is_some_and(|made| made <= until))
    }

    fn has_labels(&self, labels: &Value) -> bool {
        self.labels.iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels[key] == value,
            None => labels.get(wanted).is_some(),
        })
    }
}

fn removed(list: &Value) -> Vec<String> {
    let images = Removed::read(list);
    let names = texts(list).map(str::to_owned);
    images
        .untagged
        .into_iter()
        .chain(images.deleted)
        .chain(names)
        .collect()
}

fn is_dangling(image: &Value) -> bool {
    let has_none = |list: &Value| texts(list).all(is_none);
    has_none(&image["RepoTags"]) && has_none(&image["RepoDigests"])
}

/// `<none>:<none>` and `<none>@<none>`, which engines before 24 write for an image without a name.
fn is_none(reference: &str) -> bool {
    reference.starts_with("<none>")
}

/// Engines from 23 on label the volumes that they had to name themselves; before that the name alone shows it.
fn is_anonymous(volume: &Value) -> bool {
    let is_random = |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    volume["Labels"].get("com.docker.volume.anonymous").is_some()
        || volume["Name"].as_str().is_some_and(is_random)
}

fn unix_seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_select() {
        let labels = json!({"a": "1", "b": ""});
        for (wanted, expected) in [
            (vec![], true),
            (vec!["a"], true),
            (vec!["a=1", "b"], true),
            (vec!["b="], true),
            (vec!["a=2"], false),
            (vec!["a", "c"], false),
        ] {
            let selection = Selection {
                labels: wanted.iter().map(|label| (*label).to_owned()).collect(),
                until: None,
            };
            assert_eq!(selection.has_labels(&labels), expected, "{wanted:?}");
        }
        let selection = Selection {
            labels: vec!["a".to_owned()],
            until: None,
        };
        assert!(!selection.has_labels(&Value::Null));
    }

    #[test]
    fn age_selects() {
        let selection = Selection {
            labels: Vec::new(),
            until: Some(100),
        };
        let made = |time: &str| selection.is_old(unix_seconds(time));
        assert!(made("1970-01-01T00:01:40.9Z"));
        assert!(!made("1970-01-01T00:01:41Z"));
        assert!(made("1970-01-01T02:01:40+02:00"));
        assert!(!made("yesterday"));
        assert!(Selection::default().is_old(None));
    }

    #[test]
    fn names_of_nothing() {
        for (image, expected) in [
            (json!({"RepoTags": null, "RepoDigests": null}), true),
            (
                json!({"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}),
                true,
            ),
            (json!({"RepoTags": ["web:1"], "RepoDigests": null}), false),
            (json!({"RepoTags": [], "RepoDigests": ["web@sha256:00"]}), false),
        ] {
            assert_eq!(is_dangling(&image), expected, "{image}");
        }
        for (volume, expected) in [
            (json!({"Name": "data", "Labels": null}), false),
            (
                json!({"Name": "data", "Labels": {"com.docker.volume.anonymous": ""}}),
                true,
            ),
            (json!({"Name": "0a".repeat(32), "Labels": null}), true),
            (json!({"Name": "0a".repeat(31), "Labels": null}), false),
        ] {
            assert_eq!(is_anonymous(&volume), expected, "{volume}");
        }
    }
}
