//! The files server as a host in the same process calls it, on real files.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

/// The same test here and over SFTP.
macro_rules! both {
    ($name:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn here() {
                super::$name(crate::Over::Nothing).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_sftp() {
                super::$name(crate::Over::Sftp).await;
            }
        }
    };
}

mod confined;
mod escapes;
mod far;
mod large;
mod pages;
mod tools;

use files_server::{Elsewhere, Files, FilesServer, Named, Options, Root, Way};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use server_kit::Service as _;
use ssh::Sftp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testkit::Sshd;

const SECRET: &str = "the secret outside";

/// A folder with `root`, the root, and `outside` beside it.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(dir.path().join("root/sub")).unwrap();
    fs_err::create_dir(dir.path().join("outside")).unwrap();
    fs_err::write(dir.path().join("outside/secret"), SECRET).unwrap();
    fs_err::write(dir.path().join("root/sub/inside"), "inside").unwrap();
    dir
}

/// How files are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Nothing,
    Sftp,
}

/// A server, and the host that calls of it are for.
struct Served {
    server: FilesServer,
    host: Option<&'static str>,
    _sshd: Option<Sshd>,
}

impl Over {
    /// A server with one root that may be written.
    async fn server(self, root: &Path) -> Served {
        self.with(root, true, false).await
    }

    async fn with(self, root: &Path, write: bool, hard_links: bool) -> Served {
        let roots = vec![Root {
            path: root.to_owned(),
            write,
        }];
        if self == Self::Nothing {
            return Served {
                server: Files::server(Options {
                    roots,
                    named: named(),
                    hard_links,
                    answer_tokens: 8_000,
                    client_roots: true,
                    search_time: SEARCH,
                    elsewhere: Vec::new(),
                }),
                host: None,
                _sshd: None,
            };
        }
        let sshd = Sshd::start("Subsystem sftp internal-sftp").await;
        let way = Arc::new(Direct::to(&sshd));
        Served {
            server: far(roots, hard_links, way),
            host: Some("far"),
            _sshd: Some(sshd),
        }
    }
}

/// How long searches may take, on a slow machine too.
const SEARCH: Duration = Duration::from_mins(10);

/// As the configuration names them.
fn named() -> Named {
    Named {
        table: "files".to_owned(),
        read_only_by: None,
    }
}

/// A server with files of the host `far` alone.
fn far(roots: Vec<Root>, hard_links: bool, way: Arc<dyn Way>) -> FilesServer {
    Files::server(Options {
        roots: Vec::new(),
        named: named(),
        hard_links: false,
        answer_tokens: 8_000,
        client_roots: true,
        search_time: SEARCH,
        elsewhere: vec![Elsewhere {
            host: "far".to_owned(),
            roots,
            named: named(),
            hard_links,
            way,
        }],
    })
}

/// A way over our own client.
#[derive(Debug)]
struct Direct(ssh::Host);

/// MiB that one search reads over it.
const MOST_READ: u64 = 3;

impl Direct {
    fn to(sshd: &Sshd) -> Self {
        let target = ssh::Target {
            user: None,
            host: "127.0.0.1".into(),
            port: Some(sshd.port()),
        };
        let options = ssh::Options {
            files: ssh::Files {
                user: None,
                system: None,
                home: sshd.home(),
                user_name: Sshd::user(),
                variables: ssh::Variables::default(),
            },
            agent: None,
            ask: Arc::new(ssh::Nobody),
            limits: ssh::Limits {
                rest: Duration::from_millis(1),
                ..ssh::Limits::default()
            },
        };
        Self(ssh::Host::new(target, options))
    }
}

impl Way for Direct {
    fn sftp(&self) -> BoxFuture<'_, Result<Sftp, String>> {
        async { self.0.sftp().await.map_err(|error| error.to_string()) }.boxed()
    }

    fn most_read(&self) -> u64 {
        MOST_READ
    }
}

/// Calls a tool; gives what it answers, and whether it failed.
async fn call(served: &Served, tool: &str, mut arguments: Value) -> (String, bool) {
    if let Some(host) = served.host {
        arguments["host"] = json!(host);
    }
    let params = json!({ "name": tool, "arguments": arguments }).to_string();
    let params = serde_json::value::RawValue::from_string(params).unwrap();
    let answer = served.server.answer(&params).await.unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    let text = answer["content"][0]["text"].as_str().unwrap();
    let failed = answer["isError"] == true;
    if served.host.is_none() {
        return (text.to_owned(), failed);
    }
    // Beside that, it is the same text.
    let (marked, text) = if failed {
        (
            text.contains("on host far: "),
            text.replacen("on host far: ", "", 1),
        )
    } else {
        (text.contains("[host far]"), text.replacen("\n[host far]", "", 1))
    };
    assert!(marked, "{tool}: {text}");
    (text, failed)
}

/// What a tool answers that works, without the frame around the words of others.
async fn text(server: &Served, tool: &str, arguments: Value) -> String {
    let (text, failed) = call(server, tool, arguments).await;
    assert!(!failed, "{tool}: {text}");
    unframed(&text)
}

/// What a tool answers that fails.
async fn error(server: &Served, tool: &str, arguments: Value) -> String {
    let (text, failed) = call(server, tool, arguments).await;
    assert!(failed, "{tool}: {text}");
    text
}

fn unframed(text: &str) -> String {
    let Some((first, rest)) = text.split_once('\n') else {
        return text.to_owned();
    };
    let mark = first
        .strip_prefix("[untrusted ")
        .and_then(|frame| frame.rsplit(' ').next()?.strip_suffix(']'));
    match mark {
        Some(mark) => rest.replacen(&format!("\n[{mark}]"), "", 1),
        None => text.to_owned(),
    }
}
