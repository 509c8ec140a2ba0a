//! Making volumes. Directories in disguise are in `mounts`, with all other ways to mount one.

use super::*;

#[test]
fn drivers_and_file_systems() {
    use Rule::VolumeDriver;
    for (body, wanted) in [
        (json!({"Name": "v"}), None),
        (json!({}), None),
        (json!({"Name": "v", "Driver": "local", "DriverOpts": {}}), None),
        (json!({"Name": "v", "DriverOpts": {"size": "1G"}}), None),
        (
            json!({"Name": "v", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=64m,uid=1000,mode=1777,noexec"}}),
            None,
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "tmpfs", "device": "/etc", "o": "size=1m"}}),
            None,
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "remount"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "rshared"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "nfs", "o": "addr=192.0.2.1,rw", "device": ":/x"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "cifs", "device": "//192.0.2.1/x"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "ext4", "device": "/dev/sda1"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "overlay", "device": "overlay", "o": "lowerdir=/etc"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "NONE", "device": "/"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"Type": "none", "O": "bind", "Device": "/"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"mountpoint": "/"}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "Driver": "vieux/sshfs:latest"}),
            Some(VolumeDriver),
        ),
        (json!({"Name": "v", "Driver": "Local"}), Some(VolumeDriver)),
        (
            json!({"Name": "v", "ClusterVolumeSpec": {"AccessMode": {}}}),
            Some(VolumeDriver),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}),
            Some(Rule::Bind),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "none", "o": "bind", "device": "srv/app"}}),
            Some(Rule::Bind),
        ),
        (
            json!({"Name": "v", "DriverOpts": {"type": "none", "o": "bind", "device": ""}}),
            Some(Rule::Bind),
        ),
        (json!({"Name": "v", "Frobnicate": 1}), Some(Rule::UnknownField)),
    ] {
        check("", &post("/volumes/create").json(&body), wanted);
    }
    check(
        "volume_types = [\"nfs\"]",
        &post("/volumes/create")
            .json(&json!({"DriverOpts": {"type": "nfs", "o": "addr=192.0.2.1", "device": ":/x"}})),
        None,
    );
    // A type that is open does not open the kernel's way round it.
    check(
        "volume_types = [\"nfs\"]",
        &post("/volumes/create").json(&json!({"DriverOpts": {"type": "nfs", "o": "bind", "device": "/"}})),
        Some(Rule::Bind),
    );
    check(
        "volume_drivers = [\"acme\"]",
        &post("/volumes/create").json(&json!({"Driver": "acme", "DriverOpts": {"x": "y"}})),
        None,
    );
}

#[test]
fn drivers_named_by_containers() {
    for (host, wanted) in [
        (json!({"VolumeDriver": "local", "Binds": ["v:/t"]}), None),
        (
            json!({"VolumeDriver": "acme", "Binds": ["v:/t"]}),
            Some(Rule::VolumeDriver),
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Name": "acme"}}}]}),
            Some(Rule::VolumeDriver),
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Options": {"type": "nfs", "device": ":/", "o": "addr=a"}}}}]}),
            Some(Rule::VolumeDriver),
        ),
    ] {
        check("", &create(&host), wanted);
    }
}

#[test]
fn updates_are_for_clusters() {
    check(
        "",
        &ask(Method::PUT, "/volumes/v?version=1").json(&json!({"Spec": {}})),
        Some(Rule::VolumeDriver),
    );
}
