//! A server that tries to get out: of a real container, through the executable, against hosts that lie in a network
//! namespace of the gateway's own. Public addresses, private ones and names are all there as the test wants them, and
//! nothing leaves the machine.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use testkit::McpClient;

use crate::actors::{Actor, VERSION, configuration, sees};
use crate::harness::{Dockmaster, EXECUTABLE};

/// Addresses that exist in the namespace alone: one as public ones are, one as private ones are.
const PUBLIC: &str = "93.184.216.34";
const PRIVATE: &str = "10.77.0.9";

/// Functions for scripts: `ask URL` fetches it through the proxy, `tunnel HOST:PORT` asks for a tunnel; both print the
/// status. `direct HOST PORT` goes there by itself.
const TOOLS: &str = r#"
P=${HTTP_PROXY#http://}; H=${P%:*}; N=${P#*:}
say() { printf "$1" | timeout 10 nc $H $N 2>&1 | tr -d '\r' | head -1 | cut -d' ' -f2; }
ask() { echo "$1 $(say "GET $1 HTTP/1.1\r\nHost: lies.example\r\nConnection: close\r\n\r\n")"; }
tunnel() { echo "tunnel $1 $(say "CONNECT $1 HTTP/1.1\r\nHost: $1\r\n\r\n")"; }
direct() { timeout 3 nc -w 2 $1 $2 </dev/null >/dev/null 2>&1 && echo "direct $1:$2 is open"; }
"#;

/// Whether this user may make namespaces, as root may.
fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["-m", "-n", "true"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// A gateway in a network of its own, with a web server at each of the two addresses, port 8000 and 8001, and a file
/// that says where names lead.
struct Island {
    dockmaster: Dockmaster,
    names: PathBuf,
}

impl Island {
    fn new(dockmaster: Dockmaster) -> Self {
        let names = dockmaster.home().join("names");
        fs_err::write(&names, "").unwrap();
        let site = dockmaster.home().join("site");
        fs_err::create_dir(&site).unwrap();
        fs_err::write(site.join("index.html"), "inside the island\n").unwrap();
        Self { dockmaster, names }
    }

    fn name(&self, name: &str, address: &str) {
        // In place: the file is mounted over the machine's own.
        fs_err::write(&self.names, format!("127.0.0.1 localhost\n{address} {name}\n")).unwrap();
    }

    fn client(&self) -> McpClient {
        let script = format!(
            "ip link set lo up && ip addr add {PUBLIC}/32 dev lo && ip addr add {PRIVATE}/32 dev lo || exit 1
            mount --bind names /etc/hosts || exit 1
            for at in {PUBLIC}:8000 {PUBLIC}:8001 {PRIVATE}:8000; do
                busybox httpd -f -p $at -h site & pids=\"$pids $!\"
            done
            {EXECUTABLE} gateway run; ended=$?
            kill $pids; exit $ended"
        );
        let plain = self.dockmaster.command(&[]);
        let mut command = Command::new("unshare");
        command
            .args(["-m", "-n", "sh", "-c", &script])
            .env_clear()
            .current_dir(self.dockmaster.home());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap());
        }
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        McpClient::spawn(command.into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_gets_out_to_what_it_declares_and_nowhere_else() {
    if !may_unshare() {
        say("not checked: only root may make the namespaces that this needs");
        return;
    }
    // A service of this host that listens everywhere, as databases and the like do.
    let service = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = service.local_addr().unwrap().port();

    let dockmaster = Dockmaster::new();
    let actor = Actor::new(&dockmaster, "out");
    // Declared by a catalog: what the user names himself may be private.
    let (catalog, table) = actor.entry(&["site.test:8000", &format!("{PUBLIC}:8000")]).await;
    let toml = configuration(&dockmaster, &[table]);
    let dockmaster = dockmaster.configured(&toml);
    let file = dockmaster.home().join("actors.yaml");
    fs_err::write(&file, catalog.to_string()).unwrap();
    // It is switched on before its catalog came, so what it asks for is agreed to now.
    let imported = dockmaster.run(&["catalog", "import", file.to_str().unwrap(), "--yes"]);
    assert_eq!(imported.code(), 0, "{}", imported.transcript());
    let island = Island::new(dockmaster);
    island.name("site.test", PUBLIC);
    let client = island.client();
    client.initialize(VERSION).await;
    sees(&client, &["out"]).await;

    actor.script(&format!(
        "{TOOLS}
        ask http://site.test:8000/
        ask http://{PUBLIC}:8000/
        tunnel site.test:8000
        tunnel SITE.TEST.:8000
        ask http://site.test:8001/
        tunnel site.test:22
        ask http://{PRIVATE}:8000/
        tunnel {PRIVATE}:8000
        tunnel 127.0.0.1:8000
        tunnel [::1]:8000
        tunnel [::ffff:{PRIVATE}]:8000
        tunnel 169.254.169.254:80
        tunnel 2130706433:8000
        tunnel other.test:443
        ask http://site.test:8000@{PRIVATE}:8000/
        ask https://site.test:8000/"
    ));
    let said = actor.call(&client, json!({})).await.unwrap();
    insta::assert_snapshot!(said.replace('|', "\n"), @"
    http://site.test:8000/ 200
    http://93.184.216.34:8000/ 200
    tunnel site.test:8000 200
    tunnel SITE.TEST.:8000 200
    http://site.test:8001/ 403
    tunnel site.test:22 403
    http://10.77.0.9:8000/ 403
    tunnel 10.77.0.9:8000 403
    tunnel 127.0.0.1:8000 403
    tunnel [::1]:8000 403
    tunnel [::ffff:10.77.0.9]:8000 403
    tunnel 169.254.169.254:80 403
    tunnel 2130706433:8000 403
    tunnel other.test:443 403
    http://site.test:[redacted]@10.77.0.9:8000/ 403
    https://site.test:8000/ 400
    ");

    // The name leads elsewhere from one question to the next.
    for elsewhere in [
        PRIVATE,
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fd00::1",
    ] {
        island.name("site.test", elsewhere);
        actor.script(&format!(
            "{TOOLS}\nask http://site.test:8000/\ntunnel site.test:8000"
        ));
        let said = actor.call(&client, json!({})).await.unwrap();
        assert_eq!(
            said, "http://site.test:8000/ 403|tunnel site.test:8000 403|",
            "{elsewhere}"
        );
    }

    // Without the proxy nothing is reached: not the world, not the host's own services, not a name.
    let addresses = host_addresses();
    let mut script = format!("{TOOLS}\ndirect {PUBLIC} 8000\ndirect {PRIVATE} 8000\n");
    for address in &addresses {
        script.push_str("direct ");
        script.push_str(&address.ip().to_string());
        script.push(' ');
        script.push_str(&port.to_string());
        script.push('\n');
    }
    script.push_str("ip route 2>/dev/null; ls /sys/class/net\n");
    script.push_str("timeout 5 nslookup site.test >/dev/null 2>&1 && echo a name was found\n");
    actor.script(&script);
    let said = actor.call(&client, json!({})).await.unwrap();
    assert_eq!(said, "lo|", "tried {addresses:?} port {port}");
    service.set_nonblocking(true).unwrap();
    assert!(service.accept().is_err(), "nobody came to the host's service");

    assert!(client.close().await.success());
    actor.gone().await;
}

/// Addresses at which a service of this host is reached, those of the engine's bridges among them.
fn host_addresses() -> Vec<SocketAddr> {
    let listed = Command::new("ip").args(["-4", "-o", "addr"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let addresses = listed.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "inet")?;
        let address = words.get(at + 1)?.split('/').next()?;
        let address: std::net::IpAddr = address.parse().ok()?;
        (!address.is_loopback()).then_some(SocketAddr::new(address, 0))
    });
    let addresses: Vec<SocketAddr> = addresses.collect();
    assert!(!addresses.is_empty(), "{listed}");
    addresses
}

#[expect(clippy::print_stderr, reason = "what was not checked has to be said")]
fn say(text: &str) {
    eprintln!("{text}");
}
