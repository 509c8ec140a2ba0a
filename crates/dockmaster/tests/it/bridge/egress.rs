//! Servers behind a bridge that may reach some hosts: what they get at, what they are kept from, and what is left.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Daemon, McpClient, Scope, all_engines, eventually, image_on};

use super::life::COUNTER;
use super::{Bridged, MADE_BY, VERSION};
use crate::harness::Dockmaster;

/// An MCP server that runs the script it is called with, in base64, and answers with what that prints, lines parted by `|`.
const RUNNER: &str = r#"
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"method":"initialize"'*) reply "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"runner","version":"1"}}' ;;
    *'"method":"tools/list"'*) reply "$id" '"result":{"tools":[{"name":"act","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"act"'*)
      said=$(printf '%s' "$line" | sed -n 's/.*"script":"\([^"]*\)".*/\1/p' | base64 -d | sh 2>&1 | tr '\n"\\\r\t' '|    ')
      reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$said\"}]}" ;;
    *'"id":'*) [ -z "$id" ] || reply "$id" '"error":{"code":-32601,"message":"no such method"}' ;;
  esac
done
"#;

/// Functions for scripts: `ask URL` fetches it through the proxy, `tunnel HOST:PORT` asks for a tunnel; both print the
/// status. `direct HOST PORT` goes there by itself.
const TOOLS: &str = r#"
P=${HTTP_PROXY#http://}; H=${P%:*}; N=${P#*:}
say() { printf "$1" | timeout 10 nc $H $N 2>&1 | tr -d '\r' | head -1 | cut -d' ' -f2; }
ask() { echo "$1 $(say "GET $1 HTTP/1.1\r\nHost: lies.example\r\nConnection: close\r\n\r\n")"; }
tunnel() { echo "tunnel $1 $(say "CONNECT $1 HTTP/1.1\r\nHost: $1\r\n\r\n")"; }
direct() { timeout 3 nc -w 2 $1 $2 </dev/null >/dev/null 2>&1 && echo "direct $1:$2 is open"; }
"#;

/// A web site: `/away` leads elsewhere.
const SITE: &str = r#"
cat >/tmp/answer <<'END'
read -r _ path _
while read -r line; do [ "$line" = "$(printf '\r')" ] && break; done
case $path in
  */away) printf 'HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' ;;
  *) printf 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n' ;;
esac
END
exec nc -ll -p 8000 -e sh /tmp/answer
"#;

/// A site on an engine, and a server on the host `far` of that engine which may reach it.
struct Trial {
    /// Ends the site, which the bridge's network does not go without.
    scope: Scope,
    bridged: Bridged,
    /// The site's container, and its address on the engine's own network.
    site: (String, String),
    is_podman: bool,
    server: String,
}

impl Trial {
    async fn new(daemon: Daemon, number: usize) -> Self {
        let image = image_on(&daemon).await;
        let is_podman = daemon.get("/version").await.ok().text().contains("Podman Engine");
        let scope = Scope::on(daemon.clone(), "bridge-egress");
        let id = scope.run("site", &["sh", "-c", SITE]).await;
        let state = daemon.get(&format!("/containers/{id}/json")).await.ok().json();
        let networks = state["NetworkSettings"]["Networks"].as_object().unwrap();
        let address = networks.values().next().unwrap()["IPAddress"]
            .as_str()
            .unwrap()
            .to_owned();
        let server = format!("out{number}-{}", std::process::id());
        let dockmaster = Dockmaster::new().configured(&format!(
            "[hosts.far]\nendpoint = '{}'\n[servers.counter]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{COUNTER}''']\n\
             [profiles.default.servers.counter]\nhost = 'far'\n[profiles.default.servers.{server}]\nhost = 'far'\n\
             hosts = [\"{}:8000\"]\n",
            daemon.endpoint(),
            if is_podman { &address } else { "site.test" },
        ));
        // What a catalog declares may not be private, and what the user names may.
        let entry = json!({
            "type": "server", "title": "Out", "description": "does as it is told", "image": image,
            "command": ["sh", "-c", RUNNER], "allowHosts": ["inner.test:8000", "10.77.0.9:8000"],
        });
        let catalog = json!({ "version": 3, "name": "runners", "registry": { &server: entry } });
        let file = dockmaster.home().join("runners.yaml");
        fs_err::write(&file, catalog.to_string()).unwrap();
        let bridged = Bridged::on(daemon, dockmaster, &server);
        let imported = bridged.run(&["catalog", "import", file.to_str().unwrap(), "--yes"]);
        assert_eq!(imported.code(), 0, "{}", imported.transcript());
        Self {
            scope,
            bridged,
            site: (id, address),
            is_podman,
            server,
        }
    }

    /// The site under its names in the bridge's own network, or out of it again.
    async fn site_is(&self, what: &str) {
        if self.is_podman {
            return;
        }
        let network = format!("dockmaster.bridge-{}", self.bridged.id());
        let body =
            json!({"Container": self.site.0, "EndpointConfig": {"Aliases": ["site.test", "inner.test"]}});
        let path = format!("/networks/{network}/{what}");
        self.bridged.daemon.post(&path, &body).await.ok();
    }

    async fn bridge(&self) -> Value {
        let path = format!("/containers/dockmaster.bridge-{}/json", self.bridged.id());
        self.bridged.daemon.get(&path).await.ok().json()
    }

    /// The networks that the bridge is in.
    async fn networks(&self) -> Vec<String> {
        let state = self.bridge().await;
        let ports = state["HostConfig"]["PortBindings"].as_object();
        assert!(ports.is_none_or(serde_json::Map::is_empty), "{state}");
        let networks = state["NetworkSettings"]["Networks"].as_object();
        networks
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Containers of servers, networks of servers.
    async fn made(&self) -> (usize, usize) {
        let id = self.bridged.id();
        let all = super::all_of(&self.bridged.daemon, &format!("\"{MADE_BY}\":\"{id}\"")).await;
        let count = |kind: &str| all.iter().filter(|(path, _)| path.starts_with(kind)).count();
        (count("/containers"), count("/networks"))
    }

    async fn act(&self, client: &McpClient, script: &str) -> String {
        let script = STANDARD.encode(format!("{TOOLS}\n{script}"));
        match client.try_call("act", json!({"script": script})).await {
            Ok(answer) => answer.text(),
            Err(error) => format!("{error:?}; {}", client.stderr()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_a_bridge_gets_out_to_what_it_declares_and_nowhere_else() {
    for (number, daemon) in all_engines().into_iter().enumerate() {
        let trial = Trial::new(daemon, number).await;
        gets_out(&trial).await;
        trial.scope.finish().await;
    }
}

async fn gets_out(trial: &Trial) {
    let at = trial.bridged.daemon.endpoint();
    trial.bridged.install();
    let own = format!("dockmaster.bridge-{}", trial.bridged.id());
    let counts = async |wanted: &str| {
        let called = trial.bridged.run(&["tools", "call", "count"]);
        assert_eq!(called.stdout(), wanted, "{at}: {}", called.transcript());
    };
    let client = trial.bridged.client(&[]);
    client.initialize(VERSION).await;
    if trial.is_podman {
        // Podman connects no container that was made without a network.
        let said = trial.act(&client, "true").await;
        assert!(said.contains("`dockmaster host upgrade far`"), "{said}");
        counts("call 1\n").await;
        let upgraded = trial.bridged.small(&["host", "upgrade", "far"]);
        assert_eq!(upgraded.code(), 0, "{}", upgraded.transcript());
    } else {
        assert_eq!(
            trial.networks().await,
            ["none"],
            "{at}: nobody has asked for more yet"
        );
    }
    assert_eq!(trial.act(&client, "echo here").await, "here|", "{at}");
    assert_eq!(trial.networks().await, [own.as_str()], "{at}");
    assert_eq!(trial.made().await.1, 0, "{at}: its servers need none");
    trial.site_is("connect").await;

    is_let_out(trial, &client).await;
    is_kept_in(trial, &client).await;

    // It crashes with all that it holds, and its engine brings it back; what it has left is removed.
    let before = trial.bridge().await["State"]["Pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(before.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the bridge comes back", async || {
        let now = trial.bridge().await["State"]["Pid"].as_i64();
        now.filter(|now| *now != 0 && *now != before)
    })
    .await;
    eventually("it is let out again", async || {
        let said = trial.act(&client, &permitted(trial)).await;
        said.ends_with(" 200|").then_some(())
    })
    .await;
    eventually("nothing is left of before", async || {
        (trial.made().await == (1, 0)).then_some(())
    })
    .await;
    assert!(client.close().await.success());

    // When no server needs it any more the way is shut.
    trial.site_is("disconnect").await;
    let disabled = trial.bridged.run(&["server", "disable", &trial.server]);
    assert_eq!(disabled.code(), 0, "{}", disabled.transcript());
    counts("call 1\n").await;
    if !trial.is_podman {
        assert_eq!(trial.networks().await, Vec::<String>::new(), "{at}");
    }
    trial.bridged.uninstall().await;
}

/// Fetches what may be fetched.
fn permitted(trial: &Trial) -> String {
    let to = if trial.is_podman {
        &trial.site.1
    } else {
        "site.test"
    };
    format!("ask http://{to}:8000/")
}

async fn is_let_out(trial: &Trial, client: &McpClient) {
    let to = if trial.is_podman {
        &trial.site.1
    } else {
        "site.test"
    };
    let said = trial
        .act(
            client,
            &format!("ask http://{to}:8000/\ntunnel {to}:8000\nask http://{to}:8000/away\nwget -qO- http://{to}:8000/away"),
        )
        .await;
    let wanted = format!(
        "http://{to}:8000/ 200|tunnel {to}:8000 200|http://{to}:8000/away 302|wget: server returned error: HTTP/1.1 403 Forbidden|"
    );
    assert_eq!(said, wanted, "{}", trial.bridged.daemon.endpoint());
}

async fn is_kept_in(trial: &Trial, client: &McpClient) {
    let at = trial.bridged.daemon.endpoint();
    let (to, address) = match &trial.site {
        (_, address) if trial.is_podman => (address.as_str(), "10.0.0.1"),
        (_, address) => ("site.test", address.as_str()),
    };
    let refused = [
        format!("{to}:8001"),
        format!("{address}:8000"),
        "inner.test:9".to_owned(),
        "10.77.0.9:8000".to_owned(),
        "169.254.169.254:80".to_owned(),
        "127.0.0.1:8811".to_owned(),
        "other.test:443".to_owned(),
    ];
    let script = refused.each_ref().map(|to| format!("tunnel {to}\n")).concat();
    let said = trial.act(client, &script).await;
    let wanted = refused.each_ref().map(|to| format!("tunnel {to} 403|")).concat();
    assert_eq!(said, wanted, "{at}");
    if !trial.is_podman {
        // The name is declared, by a catalog, and leads to a private address.
        let said = trial.act(client, "ask http://inner.test:8000/").await;
        assert_eq!(said, "http://inner.test:8000/ 403|", "{at}");
    }
    // There is no other way, not to the proxy's own machine either.
    let gateway = &trial.bridge().await["NetworkSettings"]["Networks"];
    let gateway = gateway
        .as_object()
        .and_then(|networks| networks.values().next())
        .unwrap()["Gateway"]
        .clone();
    let said = trial
        .act(
            client,
            &format!(
                "direct {} 8000\ndirect {} 22\ndirect 127.0.0.1 8811\nip route\nls /sys/class/net\n\
                 timeout 5 nslookup site.test >/dev/null 2>&1 && echo a name was found\ntrue",
                trial.site.1,
                gateway.as_str().unwrap()
            ),
        )
        .await;
    assert_eq!(said, "lo|", "{at}");
    // Each refusal is in the audit here, by way of the bridge's.
    let rows = trial.bridged.audit();
    let told: Vec<&Value> = rows.iter().filter(|row| row["tool"] == "egress").collect();
    for to in refused.iter().map(String::as_str).chain(["elsewhere.test:9"]) {
        let row = told.iter().find(|row| row["arguments"]["to"] == to);
        let row = row.unwrap_or_else(|| panic!("{at}: {to} is not in {told:?}"));
        assert_eq!(
            row["principal"],
            format!("server:{}@far", trial.server),
            "{at}: {row}"
        );
        assert_eq!(row["decision"], "deny", "{at}: {row}");
    }
}
