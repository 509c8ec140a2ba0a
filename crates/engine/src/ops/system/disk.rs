//! Disk usage in one shape, from the two in which daemons tell it: lists of objects up to API 1.51, and from 1.52 on
//! one summary for each kind, with the objects inside.

use serde_json::Value;

/// What takes space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Images and their layers.
    Images,
    /// What containers have written beside volumes.
    Containers,
    /// Volumes of the local driver.
    Volumes,
    /// Results of builds that later builds may use.
    BuildCache,
}

impl Kind {
    /// All kinds, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Images, Self::Containers, Self::Volumes, Self::BuildCache];

    /// The word of the API's `type` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "image",
            Self::Containers => "container",
            Self::Volumes => "volume",
            Self::BuildCache => "build-cache",
        }
    }

    /// The objects of this kind in a daemon's answer.
    pub fn objects(self, answer: &Value) -> &[Value] {
        let (list, summary) = match self {
            Self::Images => ("Images", "ImageUsage"),
            Self::Containers => ("Containers", "ContainerUsage"),
            Self::Volumes => ("Volumes", "VolumeUsage"),
            Self::BuildCache => ("BuildCache", "BuildCacheUsage"),
        };
        let objects = answer[summary]["Items"]
            .as_array()
            .or_else(|| answer[list].as_array());
        objects.map_or(&[], Vec::as_slice)
    }

    fn summary(self, answer: &Value) -> Option<Usage> {
        let summary = match self {
            Self::Images => &answer["ImageUsage"],
            Self::Containers => &answer["ContainerUsage"],
            Self::Volumes => &answer["VolumeUsage"],
            Self::BuildCache => &answer["BuildCacheUsage"],
        };
        summary.is_object().then(|| Usage {
            count: number(&summary["TotalCount"]),
            active: number(&summary["ActiveCount"]),
            bytes: number(&summary["TotalSize"]),
            reclaimable: number(&summary["Reclaimable"]),
        })
    }
}

/// The space that one kind takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Objects there are.
    pub count: u64,
    /// Objects that a container or a build uses.
    pub active: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Bytes that removing what is not used would free at least. Layers that unused images share among each other
    /// are not counted up to API 1.51, because the daemon does not tell who shares them.
    pub reclaimable: u64,
}

impl Usage {
    fn add(&mut self, active: bool, bytes: u64, reclaimable: u64) {
        self.count += 1;
        self.active += u64::from(active);
        self.bytes += bytes;
        if !active {
            self.reclaimable += reclaimable;
        }
    }
}

/// The space that each kind takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// Images; layers that several share are counted once.
    pub images: Usage,
    /// Containers' own layers.
    pub containers: Usage,
    /// Volumes.
    pub volumes: Usage,
    /// Build cache.
    pub build_cache: Usage,
}

impl DiskUsage {
    /// Reads what [`Engine::system_df`](crate::Engine::system_df) gave.
    pub fn read(answer: &Value) -> Self {
        let usage = |kind: Kind, from_objects: fn(&Value, &[Value]) -> Usage| {
            kind.summary(answer)
                .unwrap_or_else(|| from_objects(answer, kind.objects(answer)))
        };
        Self {
            images: usage(Kind::Images, images),
            containers: usage(Kind::Containers, containers),
            volumes: usage(Kind::Volumes, volumes),
            build_cache: usage(Kind::BuildCache, build_cache),
        }
    }

    /// The usage of one kind.
    pub fn of(&self, kind: Kind) -> Usage {
        match kind {
            Kind::Images => self.images,
            Kind::Containers => self.containers,
            Kind::Volumes => self.volumes,
            Kind::BuildCache => self.build_cache,
        }
    }
}

/// Bytes that go when only this image goes.
pub(super) fn own_bytes(image: &Value) -> u64 {
    number(&image["Size"]).saturating_sub(number(&image["SharedSize"]))
}

/// A number of the daemon; it writes -1 for what it has not measured.
pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn images(answer: &Value, images: &[Value]) -> Usage {
    let mut usage = Usage::default();
    for image in images {
        usage.add(number(&image["Containers"]) > 0, 0, own_bytes(image));
    }
    usage.bytes = number(&answer["LayersSize"]);
    if usage.active == 0 {
        usage.reclaimable = usage.bytes;
    }
    usage
}

fn containers(_: &Value, containers: &[Value]) -> Usage {
    let mut usage = Usage::default();
    for container in containers {
        let state = container["State"].as_str().unwrap_or_default();
        let active = matches!(state, "running" | "paused" | "restarting");
        let bytes = number(&container["SizeRw"]);
        usage.add(active, bytes, bytes);
    }
    usage
}

fn volumes(_: &Value, volumes: &[Value]) -> Usage {
    let mut usage = Usage::default();
    for volume in volumes {
        let bytes = number(&volume["UsageData"]["Size"]);
        usage.add(number(&volume["UsageData"]["RefCount"]) > 0, bytes, bytes);
    }
    usage
}

fn build_cache(_: &Value, records: &[Value]) -> Usage {
    let mut usage = Usage::default();
    for record in records {
        // What a record shares with another is told with both.
        let bytes = if record["Shared"] == true {
            0
        } else {
            number(&record["Size"])
        };
        usage.add(record["InUse"] == true, bytes, bytes);
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_of_objects_are_summed() {
        let answer = json!({
            "LayersSize": 300,
            "Images": [
                {"Containers": 1, "Size": 200, "SharedSize": 100},
                {"Containers": 0, "Size": 200, "SharedSize": 100},
                {"Containers": -1, "Size": 50, "SharedSize": -1},
            ],
            "Containers": [
                {"State": "running", "SizeRw": 10},
                {"State": "exited", "SizeRw": 7},
                {"State": "created"},
            ],
            "Volumes": [
                {"UsageData": {"RefCount": 1, "Size": 5}},
                {"UsageData": {"RefCount": 0, "Size": 6}},
                {"UsageData": {"RefCount": -1, "Size": -1}},
                {"UsageData": null},
            ],
            "BuildCache": null,
        });
        let usage = |count, active, bytes, reclaimable| Usage {
            count,
            active,
            bytes,
            reclaimable,
        };
        assert_eq!(
            DiskUsage::read(&answer),
            DiskUsage {
                images: usage(3, 1, 300, 150),
                containers: usage(3, 1, 17, 7),
                volumes: usage(4, 1, 11, 6),
                build_cache: usage(0, 0, 0, 0),
            }
        );
    }

    #[test]
    fn summaries_are_taken_as_they_are() {
        let answer = json!({
            "ImageUsage": {"TotalCount": 3, "ActiveCount": 1, "TotalSize": 300, "Reclaimable": 90, "Items": [{"Id": "a"}]},
            "VolumeUsage": {"TotalCount": 2, "ActiveCount": 2, "TotalSize": 8},
            "BuildCacheUsage": {"TotalCount": 1, "ActiveCount": 0, "TotalSize": 4, "Reclaimable": 4},
        });
        let read = DiskUsage::read(&answer);
        assert_eq!(
            read.images,
            Usage {
                count: 3,
                active: 1,
                bytes: 300,
                reclaimable: 90
            }
        );
        assert_eq!(
            read.volumes,
            Usage {
                count: 2,
                active: 2,
                bytes: 8,
                reclaimable: 0
            }
        );
        assert_eq!(read.containers, Usage::default());
        assert_eq!(
            read.build_cache,
            Usage {
                count: 1,
                active: 0,
                bytes: 4,
                reclaimable: 4
            }
        );
        assert_eq!(Kind::Images.objects(&answer), [json!({"Id": "a"})]);
        assert!(Kind::Volumes.objects(&answer).is_empty());
    }

    #[test]
    fn when_no_image_is_used_all_layers_can_go() {
        let answer = json!({"LayersSize": 300, "Images": [
            {"Containers": 0, "Size": 200, "SharedSize": 200},
            {"Containers": 0, "Size": 300, "SharedSize": 200},
        ]});
        assert_eq!(DiskUsage::read(&answer).images.reclaimable, 300);
    }
}
