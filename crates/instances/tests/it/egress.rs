//! Attempts to get out of a network that lets only declared destinations pass.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use catalog::plan::{Container, HostPort, Network};
use engine::guard::Policy;
use instances::{Reached, Verdict};
use serde_json::Value;
use testkit::{Daemon, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::here::{Lines, Rig, options, relay, shell};

/// Functions for scripts: `say` sends a request to the proxy, `ask` fetches a URL through it.
const TOOLS: &str = r#"
P=${HTTP_PROXY#http://}; H=${P%:*}; N=${P#*:}
say() { printf "$1" | timeout 10 nc $H $N 2>&1 | tr -d '\r'; }
ask() { say "GET $1 HTTP/1.1\r\nHost: lies.example\r\nConnection: close\r\n\r\n"; }
"#;

/// Answers what a test wants to see, on this machine.
struct Outside {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Outside {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 4096];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let answer = if request.starts_with("GET /moved") {
                    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/secret\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
                } else if request.starts_with("GET ") {
                    let host = request.lines().find(|line| line.to_ascii_lowercase().starts_with("host:"));
                    let body = format!("{} {}\n", request.lines().next().unwrap(), host.unwrap());
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                } else {
                    format!("echo {request}")
                };
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }

    fn host(&self) -> HostPort {
        HostPort {
            host: "127.0.0.1".to_owned(),
            port: self.address.port(),
        }
    }
}

/// How containers get to their proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Network,
    Relay,
}

/// Every engine with each way that there is on it. A network leads to the proxy only where the engine is in this very
/// network namespace, which the further ones are not, and never on Podman.
async fn ways() -> Vec<(Daemon, By)> {
    let mut ways = Vec::new();
    for (number, daemon) in testkit::all_engines().into_iter().enumerate() {
        if number == 0 && !is_podman(&daemon).await {
            ways.push((daemon.clone(), By::Network));
        }
        ways.push((daemon, By::Relay));
    }
    ways
}

/// Checks them all at once: each mostly waits for its engine.
async fn on_all(check: impl AsyncFn(Daemon, By)) {
    let checks = ways().await.into_iter().map(|(daemon, by)| check(daemon, by));
    futures_util::future::join_all(checks).await;
}

async fn is_podman(daemon: &Daemon) -> bool {
    daemon.get("/version").await.ok().text().contains("Podman Engine")
}

async fn rig(daemon: Daemon, by: By, name: &str) -> (Rig, mpsc::Receiver<Reached>) {
    let (sink, told) = mpsc::channel(64);
    let rig = Rig::on(Scope::on(daemon, name), Policy::default(), |options| {
        options.relay = (by == By::Relay).then(relay);
        options.reached = Some(sink);
    });
    (rig.await, told)
}

fn confined(hosts: Vec<HostPort>, script: &str) -> Container {
    Container {
        private_hosts: hosts.clone(),
        network: Network::Hosts(hosts),
        ..shell(&format!("{TOOLS}\n{script}"))
    }
}

async fn output(rig: &Rig, container: &Container) -> String {
    let mut running = rig.try_start(container).await.unwrap();
    let text = Lines::of(&mut running).rest().await;
    running.stop().await;
    text
}

async fn networks(rig: &Rig) -> Vec<Value> {
    networks_with(rig.scope.daemon(), &rig.scope.label()).await
}

async fn networks_with(daemon: &Daemon, label: &str) -> Vec<Value> {
    let filter = format!("%7B%22label%22%3A%5B%22{}%22%5D%7D", label.replace('=', "%3D"));
    let answer = daemon.get(&format!("/networks?filters={filter}")).await.ok();
    answer.json().as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn declared_hosts_pass_and_all_else_is_refused_and_told() {
    on_all(declared_hosts_pass).await;
}

async fn declared_hosts_pass(daemon: Daemon, by: By) {
    let outside = Outside::new().await;
    let at = format!("{by:?} at {}", daemon.endpoint());
    let (rig, mut told) = rig(daemon, by, "proxy").await;
    let to = outside.address;
    let script = format!(
        "ask http://{to}/hello | tail -1
        say 'CONNECT {to} HTTP/1.1\\r\\nHost: {to}\\r\\n\\r\\nraw bytes' | tail -1; echo
        ask http://{to}/moved | grep -i location
        ask http://127.0.0.1:1/secret | head -1
        ask http://example.com/ | head -1
        say 'CONNECT example.com:443 HTTP/1.1\\r\\n\\r\\n' | head -1
        say 'GET /just-a-path HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | head -1"
    );
    let text = output(&rig, &confined(vec![outside.host()], &script)).await;
    let text = text.replace(&to.to_string(), "OUTSIDE");
    assert_eq!(
        text,
        "GET /hello HTTP/1.1 host: OUTSIDE\n\
         echo raw bytes\n\
         location: http://127.0.0.1:1/secret\n\
         HTTP/1.1 403 Forbidden\n\
         HTTP/1.1 403 Forbidden\n\
         HTTP/1.1 403 Forbidden\n\
         HTTP/1.1 400 Bad Request\n",
        "{at}"
    );
    let mut seen = Vec::new();
    while let Ok(reached) = told.try_recv() {
        let verdict = match reached.verdict {
            Verdict::Permitted => "permitted".to_owned(),
            Verdict::Refused(why) => format!("refused: {why}"),
        };
        seen.push(format!(
            "{} {verdict}",
            reached.to.replace(&to.to_string(), "OUTSIDE")
        ));
    }
    let undeclared = "refused: it is not among the hosts that the server declares";
    let wanted = [
        "OUTSIDE permitted".to_owned(),
        format!("127.0.0.1:1 {undeclared}"),
        format!("example.com:80 {undeclared}"),
        format!("example.com:443 {undeclared}"),
    ];
    assert_eq!(seen, wanted, "{at}");
    assert!(networks(&rig).await.is_empty(), "its network went with it");
    rig.finish().await;
}

#[tokio::test]
async fn a_declared_name_that_leads_inside_is_refused() {
    let outside = Outside::new().await;
    // Declared by the entry, but the user has said nothing of private addresses.
    on_all(async |daemon, by| leads_inside(daemon, by, &outside).await).await;
}

async fn leads_inside(daemon: Daemon, by: By, outside: &Outside) {
    let (rig, mut told) = rig(daemon, by, "rebound").await;
    let port = outside.address.port();
    let hosts = ["localhost", "127.0.0.1", "169.254.169.254"].map(|host| HostPort {
        host: host.to_owned(),
        port,
    });
    let script =
        format!("for h in localhost 127.0.0.1 169.254.169.254; do ask http://$h:{port}/ | tail -1; done");
    let container = Container {
        private_hosts: Vec::new(),
        ..confined(hosts.to_vec(), &script)
    };
    let text = output(&rig, &container).await;
    assert_eq!(text.matches("Dockmaster refuses").count(), 3, "{text}");
    let refused = told.recv().await.unwrap();
    assert!(matches!(refused.verdict, Verdict::Refused(_)), "{refused:?}");
    rig.finish().await;
}

/// What a container on the engine's default network serves to whoever reaches it. Nothing listens on UDP there, which
/// its kernel says to whoever's packet arrives.
const SERVES: [&str; 7] = ["nc", "-ll", "-p", "8080", "-e", "echo", "reached"];

#[tokio::test]
async fn there_is_no_way_round_the_proxy() {
    on_all(no_way_round).await;
}

async fn no_way_round(daemon: Daemon, by: By) {
    let outside = Outside::new().await;
    let at = format!("{by:?} at {}", daemon.endpoint());
    let (rig, _told) = rig(daemon, by, "round").await;
    let neighbour = rig.scope.run("neighbour", &SERVES).await;
    let inspect = rig
        .scope
        .daemon()
        .get(&format!("/containers/{neighbour}/json"))
        .await
        .ok()
        .json();
    // Its one network is called "bridge" on Docker and "podman" on Podman.
    let networks = inspect["NetworkSettings"]["Networks"].as_object().unwrap();
    let address = networks.values().next().unwrap()["IPAddress"].as_str().unwrap();
    let script = format!(
        "tries=0; while [ $tries -lt 3 ]; do tries=$((tries+1))
            timeout 5 nc -w 2 {address} 8080 </dev/null 2>/dev/null && break; sleep 1; done
        timeout 5 nslookup www.test {address} 2>&1 | grep -q refused && echo by udp
        timeout 5 nslookup www.test 2>/dev/null | grep -q 'Address.*10.0' && echo by name
        ip -6 addr show 2>/dev/null | grep inet6 | grep -qv ' ::1/' && echo by ipv6
        echo done"
    );
    let open = Container {
        network: Network::Open,
        ..shell(&script)
    };
    let reached = output(&rig, &open).await;
    assert!(
        reached.starts_with("reached\nby udp\n"),
        "an open network leads there, {at}: {reached}"
    );
    let text = output(&rig, &confined(vec![outside.host()], &script)).await;
    assert_eq!(text, "done\n", "{at}");
    let none = output(&rig, &shell(&script)).await;
    assert_eq!(none, "done\n", "{at}");
    let remove = format!("/containers/{neighbour}?force=1");
    rig.scope.daemon().delete(&remove).await.ok();
    rig.finish().await;
}

#[tokio::test]
async fn the_proxy_serves_its_instance_alone() {
    on_all(async |daemon, by| match by {
        By::Network => alone_by_network(daemon).await,
        By::Relay => alone_by_relay(daemon).await,
    })
    .await;
}

async fn alone_by_network(daemon: Daemon) {
    let outside = Outside::new().await;
    let (rig, _told) = rig(daemon, By::Network, "alone").await;
    let script = "echo $HTTP_PROXY; read -r line";
    let mut running = rig
        .try_start(&confined(vec![outside.host()], script))
        .await
        .unwrap();
    let mut proxy = Lines::of(&mut running);
    let address = proxy.hear().await.trim_start_matches("http://").to_owned();
    // From this machine itself.
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!("GET http://{}/ HTTP/1.1\r\n\r\n", outside.address);
    drop(stream.write_all(request.as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert_eq!(answer, b"", "nobody else is answered");
    // From a container in another network.
    let (host, port) = address.split_once(':').unwrap();
    let other = format!(
        "printf 'GET http://{}/ HTTP/1.1\\r\\n\\r\\n' | timeout 5 nc -w 3 {host} {port}; echo done",
        outside.address
    );
    let open = Container {
        network: Network::Open,
        ..shell(&other)
    };
    assert_eq!(output(&rig, &open).await, "done\n");
    assert!(running.traffic().unwrap().refused() >= 1);
    running.stop().await;
    rig.finish().await;
}

async fn alone_by_relay(daemon: Daemon) {
    let outside = Outside::new().await;
    let at = daemon.endpoint();
    let (rig, _told) = rig(daemon, By::Relay, "alone").await;
    let ask = format!("ask http://{}/hello | tail -1; read -r line", outside.address);
    let first = confined(vec![outside.host()], &ask);
    let mut running = rig.try_start(&first).await.unwrap();
    let mut lines = Lines::of(&mut running);
    assert!(lines.hear().await.starts_with("GET /hello"), "{at}");
    // Another server's proxy lets it reach nothing of the first one's hosts, and one with a network of its own finds
    // neither relay nor socket.
    let other = HostPort {
        host: "example.com".to_owned(),
        port: 443,
    };
    let ask = format!("ask http://{}/hello | head -1", outside.address);
    let text = output(&rig, &confined(vec![other], &ask)).await;
    assert_eq!(text, "HTTP/1.1 403 Forbidden\n", "{at}");
    let open = Container {
        network: Network::Open,
        ..shell("timeout 5 nc -w 3 127.0.0.1 61080 </dev/null; ls -a / | grep dockmaster; echo done")
    };
    assert_eq!(output(&rig, &open).await, "done\n", "{at}");
    // On this machine nobody but this user gets to a socket.
    let mut modes = Vec::new();
    for entry in fs_err::read_dir(rig.run.path()).unwrap() {
        modes.push(
            fs_err::metadata(entry.unwrap().path())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
        );
    }
    assert_eq!(modes, [0o700], "{at}");
    running.stop().await;
    rig.finish().await;
}

#[tokio::test]
async fn where_the_proxy_can_not_listen_the_server_is_refused() {
    // The further engines live in network namespaces of their own, as an engine in a virtual machine does. Here nobody
    // has a relay.
    for (number, daemon) in testkit::all_engines().into_iter().enumerate() {
        testkit::image_on(&daemon).await;
        let (state, run) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir_in("/dev/shm").unwrap(),
        );
        let instances =
            instances::Instances::open(options(&daemon, Policy::default(), &state, &run)).unwrap();
        let host = HostPort {
            host: "example.com".to_owned(),
            port: 443,
        };
        let server = crate::here::server();
        let start = instances::Start {
            server: &server,
            container: &confined(vec![host], "true"),
            share: "everyone",
            secrets: &crate::here::secrets,
            stderr: None,
            progress: None,
        };
        match instances.start(start).await {
            Ok(running) => {
                assert_eq!(number, 0, "the engine of this machine itself");
                assert!(!is_podman(&daemon).await, "Podman has no network for it");
                running.stop().await;
            }
            Err(refused) if is_podman(&daemon).await => {
                insta::allow_duplicates! {
                    insta::assert_snapshot!(refused, @r#"server fake can't be started: it may reach only example.com:443, through a proxy of Dockmaster's; an internal network of Podman's does not lead to this host, so the proxy has to be given to it as a socket, which can't be done here. Install Dockmaster as a file that everybody may read and run (`chmod 755`; `dockmaster doctor` says why this one is none), or, if the server is to be trusted with every host, give it `network = "open"`"#);
                }
                let of_its_own = format!("dockmaster.gateway={}", instances.gateway());
                assert_eq!(networks_with(&daemon, &of_its_own).await, Vec::<Value>::new());
            }
            Err(refused) => {
                let refused = refused.to_string();
                assert!(
                    refused.contains("un Dockmaster where the engine runs"),
                    "{refused}"
                );
                assert_ne!(number, 0);
            }
        }
        assert!(
            instances.close(Duration::from_secs(30)).await,
            "its network is gone"
        );
    }
}

#[tokio::test]
async fn through_a_relay_there_is_nothing_else() {
    futures_util::future::join_all(testkit::all_engines().into_iter().map(nothing_else)).await;
}

async fn nothing_else(daemon: Daemon) {
    let outside = Outside::new().await;
    let at = daemon.endpoint();
    let (rig, _told) = rig(daemon, By::Relay, "relay").await;
    // Listens on all addresses of this host, those of the engine's bridges among them.
    let service = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = service.local_addr().unwrap().port();
    let addresses = std::process::Command::new("ip")
        .args(["-4", "-o", "addr"])
        .output()
        .unwrap();
    let addresses = String::from_utf8(addresses.stdout).unwrap();
    let addresses: Vec<&str> = addresses
        .lines()
        .filter_map(|line| line.split("inet ").nth(1)?.split('/').next())
        .filter(|address| !address.starts_with("127."))
        .collect();
    assert!(!addresses.is_empty());
    let script = format!(
        "for a in {}; do timeout 3 nc -w 2 $a {port} </dev/null 2>/dev/null && echo reached $a; done
        cat /proc/net/route | tail -n +2; ls /sys/class/net; ask http://{}/hello | tail -1",
        addresses.join(" "),
        outside.address
    );
    let text = output(&rig, &confined(vec![outside.host()], &script)).await;
    let text = text.replace(&outside.address.to_string(), "OUTSIDE");
    assert_eq!(text, "lo\nGET /hello HTTP/1.1 host: OUTSIDE\n", "{at}");
    assert!(networks(&rig).await.is_empty(), "no network was made");
    rig.finish().await;
}

#[tokio::test]
async fn a_relay_is_there_before_the_server_and_is_nobody_of_it() {
    let outside = Outside::new().await;
    let (rig, _told) = rig(Daemon::here(), By::Relay, "relay-first").await;
    // The first thing it does is to ask; its exit code and its arguments are its own, and it has no children.
    let script = format!(
        "ask http://{}/first | tail -1; echo \"$0 $#\"; pgrep -P $$ -l | grep -v pgrep; id -u; exit 7",
        outside.address
    );
    let mut running = rig
        .try_start(&confined(vec![outside.host()], &script))
        .await
        .unwrap();
    let text = Lines::of(&mut running).rest().await;
    let text = text.replace(&outside.address.to_string(), "OUTSIDE");
    assert_eq!(text, "GET /first HTTP/1.1 host: OUTSIDE\nsh 0\n65532\n");
    assert_eq!(running.exited().await.code, Some(7));
    drop(running);

    let nothing = Container {
        command: vec!["/no/such/program".to_owned()],
        ..confined(vec![outside.host()], "")
    };
    let mut running = rig.try_start(&nothing).await.unwrap();
    assert_eq!(Lines::of(&mut running).rest().await, "");
    let exited = running.exited().await;
    assert_eq!(exited.code, Some(127), "{exited}");
    assert!(
        exited.to_string().contains("/no/such/program can't be run"),
        "{exited}"
    );
    drop(running);
    rig.finish().await;
}

#[tokio::test]
async fn a_start_that_fails_takes_its_way_out_along() {
    on_all(fails_to_start).await;
}

async fn fails_to_start(daemon: Daemon, by: By) {
    let outside = Outside::new().await;
    let at = format!("{by:?} at {}", daemon.endpoint());
    let (rig, _told) = rig(daemon, by, "fails").await;
    // It is made, and then no engine starts it.
    let container = Container {
        user: Some("no-such-user".to_owned()),
        ..confined(vec![outside.host()], "true")
    };
    let failed = rig.try_start(&container).await.map(drop).unwrap_err();
    assert!(
        matches!(failed, instances::Error::Engine { .. }),
        "{at}: {failed}"
    );
    assert!(failed.to_string().contains("no-such-user"), "{at}: {failed}");
    assert!(rig.containers().await.is_empty(), "{at}");
    assert!(networks(&rig).await.is_empty(), "{at}");
    rig.finish().await;
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_nothing() {
    on_all(given_up).await;
}

async fn given_up(daemon: Daemon, by: By) {
    let outside = Outside::new().await;
    let (rig, _told) = rig(daemon, by, "given-up").await;
    let container = confined(vec![outside.host()], "exec cat");
    // At every point of a start: before anything is there, with a network, a container, a server that runs.
    for patience in [0, 5, 20, 50, 100, 200, 400] {
        let started = rig.try_start(&container);
        drop(tokio::time::timeout(Duration::from_millis(patience), started).await);
    }
    let nothing =
        async || (rig.containers().await.is_empty() && networks(&rig).await.is_empty()).then_some(());
    testkit::eventually("all are gone", nothing).await;
    rig.finish().await;
}
