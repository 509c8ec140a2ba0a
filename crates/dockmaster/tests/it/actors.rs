//! Servers that behave as a test says, for faults and the soak: one shell script, in a container or as a process,
//! whose mode is read from a file at each step, so that it can change while the server runs.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Daemon, McpClient};

use crate::harness::Dockmaster;

pub(crate) const VERSION: &str = "2025-11-25";

/// `$1` is the file of its mode, `$2` the name of its tool.
///
/// | mode | what it does |
/// | --- | --- |
/// | `mute` | says nothing to `initialize` |
/// | `exits` | ends at once, with its reason on standard error |
/// | `floods` | fills its standard error without an end, and answers |
/// | `stubborn` | stays when its input ends and when it is told to stop |
/// | `dies` | ends in the middle of a call |
/// | `huge` | answers a call with 100 MB |
/// | `twins` | lists its tool twice |
/// | `two` | lists a second tool |
/// | `runs` | answers a call with what the script beside the file of its mode prints, lines parted by `|` |
///
/// A call waits for `seconds`, and is answered with the name of the tool and of the host it runs on.
const SCRIPT: &str = r#"
mode() { cat "$FILE" 2>/dev/null; }
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
FILE=$1 TOOL=$2
case $(mode) in
  exits) echo "the disk is full" >&2; exit 3 ;;
  floods) yes "a line that nobody asked for" >&2 & ;;
  stubborn) trap '' TERM ;;
esac
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  mode=$(mode)
  case $line in
    *'"method":"initialize"'*)
      [ "$mode" = mute ] || reply "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"actor","version":"1"}}' ;;
    *'"method":"tools/list"'*)
      one="{\"name\":\"$TOOL\",\"inputSchema\":{\"type\":\"object\"}}"
      case $mode in
        twins) reply "$id" "\"result\":{\"tools\":[$one,$one]}" ;;
        two) reply "$id" "\"result\":{\"tools\":[$one,{\"name\":\"${TOOL}_too\",\"inputSchema\":{\"type\":\"object\"}}]}" ;;
        *) reply "$id" "\"result\":{\"tools\":[$one]}" ;;
      esac ;;
    *'"method":"tools/call"'*)
      seconds=$(printf '%s' "$line" | sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p')
      [ -z "$seconds" ] || sleep "$seconds"
      case $mode in
        dies) echo "out of luck" >&2; exit 4 ;;
        huge)
          printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' "$id"
          head -c 100000000 /dev/zero | tr '\0' x
          printf '"}]}}\n' ;;
        runs)
          said=$(sh "${FILE%/*}/script" 2>&1 | tr '\n"\\\r\t' '|    ')
          reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$said\"}]}" ;;
        *)
          case $line in *'"changes":true'*) printf '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n' ;; esac
          reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$TOOL at $(hostname) $$\"}]}" ;;
      esac ;;
    *'"method":"ping"'*) reply "$id" '"result":{}' ;;
    *'"id":'*) [ -z "$id" ] || reply "$id" '"error":{"code":-32601,"message":"no such method"}' ;;
  esac
done
while [ "$(mode)" = stubborn ]; do sleep 1; done
"#;

/// A server of the script.
pub(crate) struct Actor {
    /// Unique among the tests that run at the same time.
    pub(crate) name: String,
    pub(crate) tool: String,
    mode: PathBuf,
}

impl Actor {
    /// In the mode `good`.
    pub(crate) fn new(dockmaster: &Dockmaster, tool: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = dockmaster.home().join(tool);
        fs_err::create_dir(&folder).unwrap();
        // Whoever it runs as has to read it.
        fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let actor = Self {
            name: format!("{tool}-{}", std::process::id()),
            tool: tool.to_owned(),
            mode: folder.join("mode"),
        };
        actor.set("good");
        actor
    }

    pub(crate) fn set(&self, mode: &str) {
        fs_err::write(&self.mode, mode).unwrap();
    }

    /// What it runs in the mode `runs`.
    pub(crate) fn script(&self, script: &str) {
        fs_err::write(self.mode.with_file_name("script"), script).unwrap();
        self.set("runs");
    }

    /// The file of its mode, which is among the arguments of its processes on this machine.
    pub(crate) fn mode(&self) -> &str {
        self.mode.to_str().unwrap()
    }

    fn folder(&self) -> &str {
        self.mode.parent().and_then(std::path::Path::to_str).unwrap()
    }

    /// Its tables as a container, switched on.
    pub(crate) async fn container(&self, further: &str) -> String {
        let image = testkit::image().await;
        let Self { name, tool, .. } = self;
        let folder = self.folder();
        format!(
            "[servers.{name}]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{SCRIPT}''', \"server\", \"/mode/mode\", \"{tool}\"]\n\
             volumes = [\"{folder}:/mode:ro\"]\n[profiles.default.servers.{name}]\nmemory = \"64MiB\"\n{further}\n"
        )
    }

    /// A catalog that has it as a container with these hosts, and the table that switches it on.
    pub(crate) async fn entry(&self, hosts: &[&str]) -> (Value, String) {
        let Self { name, tool, .. } = self;
        let folder = self.folder();
        let entry = json!({
            "type": "server",
            "title": "Actor",
            "description": "does as it is told",
            "image": testkit::image().await,
            "command": ["sh", "-c", SCRIPT, "server", "/mode/mode", tool],
            "volumes": [format!("{folder}:/mode:ro")],
            "allowHosts": hosts,
        });
        let catalog = json!({ "version": 3, "name": "actors", "registry": { name: entry } });
        (
            catalog,
            format!("[profiles.default.servers.{name}]\nmemory = \"64MiB\"\n"),
        )
    }

    /// Its tables as a process, switched on.
    pub(crate) fn process(&self, further: &str) -> String {
        let Self { name, tool, .. } = self;
        let mode = self.mode.to_str().unwrap();
        format!(
            "[servers.{name}]\ncommand = [\"sh\", \"-c\", '''{SCRIPT}''', \"server\", \"{mode}\", \"{tool}\"]\n\
             [profiles.default.servers.{name}]\n{further}\n"
        )
    }

    /// Its containers, running or not.
    pub(crate) async fn containers(&self) -> Vec<String> {
        labelled(
            "containers/json?all=1&",
            &format!("dockmaster.server={}", self.name),
        )
        .await
    }

    pub(crate) async fn networks(&self) -> Vec<String> {
        labelled("networks?", &format!("dockmaster.server={}", self.name)).await
    }

    /// Waits until nothing of it is left on the engine.
    pub(crate) async fn gone(&self) {
        testkit::eventually(&format!("the end of what {} is made of", self.name), async || {
            let left = self.containers().await.len() + self.networks().await.len();
            (left == 0).then_some(())
        })
        .await;
    }

    /// Waits until one of its containers is in the middle of a call that takes a while.
    pub(crate) async fn is_at_work(&self) {
        testkit::eventually(&format!("a call at work in {}", self.name), async || {
            for id in self.containers().await {
                let top = Daemon::here().get(&format!("/containers/{id}/top")).await;
                if top.text().contains("sleep") {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// Calls it, and says what it answered or why it did not.
    pub(crate) async fn call(&self, client: &McpClient, arguments: Value) -> Result<String, String> {
        match client.try_call(&self.tool, arguments).await {
            Ok(answer) if answer.is_error() => Err(answer.text()),
            Ok(answer) => Ok(answer.text()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A test that fails kills its gateway, which then can't take its containers along.
impl Drop for Actor {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let label = format!("dockmaster.server={}", self.name);
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for id in labelled("containers/json?all=1&", &label).await {
                    Daemon::here()
                        .delete(&format!("/containers/{id}?force=1&v=1"))
                        .await;
                }
                for id in labelled("networks?", &label).await {
                    Daemon::here().delete(&format!("/networks/{id}")).await;
                }
            });
        });
        drop(removal.join());
    }
}

/// The ids of what bears a label.
pub(crate) async fn labelled(list: &str, label: &str) -> Vec<String> {
    let filter = json!({ "label": [label] }).to_string();
    let filter = filter.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let found = Daemon::here()
        .get(&format!("/{list}filters={filter}"))
        .await
        .ok()
        .json();
    let ids = found.as_array().into_iter().flatten();
    ids.filter_map(|one| one["Id"].as_str().map(str::to_owned))
        .collect()
}

/// A configuration whose guard opens the folders that actors read their mode from.
pub(crate) fn configuration(dockmaster: &Dockmaster, tables: &[String]) -> String {
    let home = dockmaster.home().to_str().unwrap();
    format!(
        "{}\n[hosts.local.guard]\nroots = [{{ path = \"{home}\" }}]\n",
        tables.concat()
    )
}

/// A client, once it sees these tools.
pub(crate) async fn client(dockmaster: &Dockmaster, tools: &[&str]) -> McpClient {
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    sees(&client, tools).await;
    client
}

/// Waits until a client sees these tools.
pub(crate) async fn sees(client: &McpClient, tools: &[&str]) {
    testkit::eventually(&format!("the tools {tools:?}"), async || {
        let seen = client.tools().await;
        let has = |wanted: &&str| seen.iter().any(|tool| tool["name"] == *wanted);
        tools.iter().all(has).then_some(())
    })
    .await;
}

/// Sends a process a signal.
pub(crate) fn signal(signal: &str, pid: u32) -> bool {
    let kill = Command::new("kill").args([signal, &pid.to_string()]).output();
    kill.unwrap().status.success()
}
