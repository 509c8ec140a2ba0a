//! A server behind a bridge that drives Docker: it gets a filtered socket of its host's engine, as it would on this machine.

use serde_json::json;
use testkit::{Daemon, image_on};

use super::{Bridged, VERSION};
use crate::harness::Dockmaster;

/// An MCP server that tells what its Docker socket is.
const LOOKER: &str = r#"
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"method":"initialize"'*) reply "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"looker","version":"1"}}' ;;
    *'"method":"tools/list"'*) reply "$id" '"result":{"tools":[{"name":"look","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"look"'*) reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$(ls -l /var/run/docker.sock | cut -c1-10)\"}]}" ;;
    *'"id":'*) [ -z "$id" ] || reply "$id" '"error":{"code":-32601,"message":"no such method"}' ;;
  esac
done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_a_bridge_gets_a_filtered_socket() {
    let daemon = Daemon::here();
    let image = image_on(&daemon).await;
    let server = format!("looker-{}", std::process::id());
    let toml = format!(
        "[hosts.far]\nendpoint = '{}'\n[servers.{server}]\nimage = \"{image}\"\ndocker_socket = true\n\
         args = [\"sh\", \"-c\", '''{LOOKER}''']\n[profiles.default.servers.{server}]\nhost = 'far'\n",
        daemon.endpoint()
    );
    let bridged = Bridged::new(Dockmaster::new().configured(&toml), &server);
    bridged.install();
    let client = bridged.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(client.call("look", json!({})).await.text(), "srw-rw-rw-");

    let id = bridged.id();
    let volume = format!("/volumes/dockmaster.bridge-{id}-given");
    let folder = daemon.get(&volume).await.ok().json()["Mountpoint"].to_string();
    let Some(socket) = socket_in(folder.trim_matches('"')) else {
        eprintln!(
            "who runs this may not look into the engine's volumes, so what the socket gives is not asked"
        );
        bridged.uninstall().await;
        return;
    };
    let docker = Daemon::at(socket);
    assert_eq!(docker.get("/_ping").await.ok().text(), "OK");
    assert_eq!(docker.get("/containers/json?all=1").await.ok().json(), json!([]));
    let bridge = format!("/containers/dockmaster.bridge-{id}");
    assert_eq!(docker.get(&format!("{bridge}/json")).await.status, 403);
    assert_eq!(docker.delete(&format!("{bridge}?force=1")).await.status, 403);
    // Neither the engine's own socket nor what the bridge gives to others.
    for source in ["/var/run/docker.sock", folder.trim_matches('"'), "/"] {
        let wish = json!({ "Image": image, "HostConfig": { "Binds": [format!("{source}:/s")] } });
        assert_eq!(
            docker.post("/containers/create", &wish).await.status,
            403,
            "{source}"
        );
    }
    let made = docker
        .post("/containers/create", &json!({ "Image": image, "Cmd": ["true"] }))
        .await;
    let made = made.ok().json()["Id"].as_str().unwrap().to_owned();
    assert_eq!(docker.get(&format!("/containers/{made}/json")).await.status, 200);
    docker.delete(&format!("/containers/{made}?force=1")).await.ok();
    assert!(client.close().await.success());
    bridged.uninstall().await;
}

/// The one Docker socket beneath a folder, two levels down.
fn socket_in(folder: &str) -> Option<std::path::PathBuf> {
    let beneath = |folder: std::path::PathBuf| {
        let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let gateways = beneath(folder.into()).into_iter().flat_map(beneath);
    gateways
        .map(|instance| instance.join("docker.sock"))
        .find(|path| path.exists())
}
