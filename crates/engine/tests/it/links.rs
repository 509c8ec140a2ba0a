//! Connections: kept, replaced, closed when nobody reads any more, and the time limits on them. The other side is a
//! listener of these tests, because it must do with its connections what no daemon does on demand.

use crate::here::options;
use base::names::ContainerRef;
use bytes::Bytes;
use engine::ops::containers::{Attach, ContainerQuery, LogQuery, WaitFor};
use engine::{ApiVersion, Connect, Duplex, Engine, Error, Fate, Request, Tty, path};
use futures_util::StreamExt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::io::ReaderStream;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn engine(socket: &Path) -> Engine {
    let version = ApiVersion::Fixed("1.41".parse().unwrap());
    Engine::open(engine::Options {
        api_version: version,
        ..options(&format!("unix://{}", socket.display()))
    })
    .unwrap()
}

fn quick(socket: &Path, timeout: Duration) -> Engine {
    let options = engine(socket).options().clone();
    Engine::open(engine::Options { timeout, ..options }).unwrap()
}

fn web() -> ContainerRef {
    ContainerRef::parse("web").unwrap()
}

/// One connection as the listener sees it.
struct Line(BufReader<UnixStream>);

impl Line {
    /// The head of the next request, up to the blank line; `None` when the other side has closed.
    async fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.0.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
            if &head[before..] == "\r\n" {
                return Some(head);
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the other side closes.
    async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is a way of closing too.
        drop(self.0.read_to_end(&mut rest).await);
    }
}

/// A listener whose n-th connection (from 0) goes to `serve`.
struct Server {
    folder: tempfile::TempDir,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    fn start<F>(serve: impl Fn(usize, Line) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("d.sock")).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                lines.spawn(serve(number, Line(BufReader::new(stream))));
            }
        });
        Self {
            folder,
            connections,
            _tasks: tasks,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers every request with `{}`, and keeps the connection.
async fn polite(mut line: Line) {
    while line.head().await.is_some() {
        line.say(OK).await;
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(|_, line| polite(line));
    let engine = engine(&server.socket());
    for _ in 0..20 {
        engine.raw(Request::get(path!["info"])).await.unwrap();
        engine
            .raw(Request::post(path!["containers", &web(), "start"]))
            .await
            .unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_is_replaced() {
    // Each connection answers once and closes, without having said so in the answer.
    let server = Server::start(|_, mut line| async move {
        line.head().await;
        line.say(OK).await;
    });
    let engine = engine(&server.socket());
    for _ in 0..10 {
        engine
            .raw(Request::post(path!["containers", &web(), "start"]))
            .await
            .unwrap();
        // Until the close has arrived, nobody could know.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.connections(), 10);
}

#[tokio::test]
async fn a_restarted_daemon_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("d.sock");
    let engine = engine(&socket);
    for _ in 0..3 {
        let error = engine.raw(Request::get(path!["info"])).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");

        let listener = UnixListener::bind(&socket).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                lines.spawn(polite(Line(BufReader::new(stream))));
            }
        });
        engine.raw(Request::get(path!["info"])).await.unwrap();
        tasks.shutdown().await;
        fs_err::remove_file(&socket).unwrap();
    }
}

#[tokio::test]
async fn only_what_reads_is_sent_twice() {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let server = Server::start(move |_, mut line| {
        let seen = Arc::clone(&seen);
        async move {
            if line.head().await.is_some() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let engine = engine(&server.socket());

    let error = engine
        .raw(Request::post(path!["containers", &web(), "start"]))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Broken {
                fate: Fate::Unknown,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(requests.load(Ordering::SeqCst), 1);

    let error = engine.raw(Request::get(path!["info"])).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Broken {
                fate: Fate::Unchanged,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_daemon_that_hangs_costs_a_time_limit() {
    let server = Server::start(|_, mut line| async move {
        line.head().await;
        std::future::pending::<()>().await;
    });
    let engine = quick(&server.socket(), Duration::from_millis(200));
    let start = Instant::now();
    let error = engine.container_start(&web()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                fate: Fate::Unknown,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.may_have_happened());
    let error = engine.container_inspect(&web()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                fate: Fate::Unchanged,
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.may_have_happened());
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(
        error.to_string(),
        "no answer to GET /containers/web/json within 200 ms; nothing has been changed"
    );
}

#[tokio::test]
async fn saving_an_image_may_take_longer_than_the_time_limit() {
    let server = Server::start(|_, mut line| async move {
        line.head().await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntar").await;
        line.closed().await;
    });
    let engine = quick(&server.socket(), Duration::from_millis(200));
    let image = base::names::ImageRef::parse("web:1").unwrap();
    let mut tar = pin!(engine.image_save(&[image]).await.unwrap());
    assert_eq!(tar.next().await.unwrap().unwrap(), "tar");
}

#[tokio::test]
async fn a_body_that_stands_still_costs_a_time_limit_too() {
    let server = Server::start(|_, mut line| async move {
        line.head().await;
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await;
        line.closed().await;
    });
    let engine = quick(&server.socket(), Duration::from_millis(200));
    let error = engine.raw(Request::get(path!["info"])).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");

    // A stream may be silent as long as it likes, unless its reader says otherwise.
    let bytes = engine
        .bytes(Request::get(path!["info"]).idle(Duration::from_millis(300)))
        .await
        .unwrap();
    let mut bytes = pin!(bytes);
    assert_eq!(bytes.next().await.unwrap().unwrap(), "{");
    let error = bytes.next().await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::Timeout { after, .. } if after == Duration::from_millis(300)),
        "{error}"
    );
    assert!(bytes.next().await.is_none());
}

#[tokio::test]
async fn a_slow_upload_is_not_a_hanging_daemon() {
    let server = Server::start(|_, mut line| async move {
        line.head().await;
        let mut body = String::new();
        while !body.ends_with("0\r\n\r\n") {
            line.0.read_line(&mut body).await.unwrap();
        }
        line.say(OK).await;
    });
    let engine = quick(&server.socket(), Duration::from_millis(300));
    let pieces = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        (sent < 12).then(|| (io::Result::Ok(Bytes::from_static(b"x")), sent + 1))
    });
    let start = Instant::now();
    engine
        .files_put(&web(), "/", pieces, engine::ops::files::Unpack::default())
        .await
        .unwrap();
    assert!(start.elapsed() > Duration::from_millis(600));

    let stuck = futures_util::stream::pending::<io::Result<Bytes>>();
    let error = engine
        .files_put(&web(), "/", stuck, engine::ops::files::Unpack::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                fate: Fate::Unknown,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_upload_that_fails_says_why() {
    let server = Server::start(|_, mut line| async move {
        line.head().await;
        line.closed().await;
    });
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"some")),
        Err(io::Error::other("the disk is on fire")),
    ]);
    let error = engine(&server.socket())
        .files_put(&web(), "/", pieces, engine::ops::files::Unpack::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the disk is on fire"), "{error}");
}

/// Runs `call` until the server has its request, drops it, and waits for the server to see the connection close.
async fn dropping_closes<F>(answer: &'static str, call: impl FnOnce(Engine) -> F)
where
    F: Future<Output = ()>,
{
    let (tell, mut told) = mpsc::channel(4);
    let server = Server::start(move |_, mut line| {
        let tell = tell.clone();
        async move {
            line.head().await;
            line.say(answer).await;
            tell.send("asked").await.unwrap();
            line.closed().await;
            tell.send("closed").await.unwrap();
        }
    });
    let engine = engine(&server.socket());
    {
        let mut call = pin!(call(engine));
        tokio::select! {
            () = &mut call => {}
            word = told.recv() => assert_eq!(word, Some("asked")),
        }
    }
    let closed = async { while told.recv().await.unwrap() != "closed" {} };
    tokio::time::timeout(Duration::from_secs(10), closed)
        .await
        .expect("the connection stays open");
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    dropping_closes("", async |engine: Engine| {
        engine.container_start(&web()).await.unwrap();
    })
    .await;
    dropping_closes(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        async |engine: Engine| {
            engine.container_wait(&web(), WaitFor::NotRunning).await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    dropping_closes(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n\x01\0\0\0\0\0\0\x01x\r\n",
        async |engine: Engine| {
            let query = LogQuery {
                follow: true,
                ..LogQuery::default()
            };
            let mut logs = pin!(engine.container_logs(&web(), &query, Tty::No).await.unwrap());
            logs.next().await.unwrap().unwrap();
        },
    )
    .await;
    dropping_closes(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        async |engine: Engine| {
            let mut stats = pin!(engine.container_stats(&web()).await.unwrap());
            stats.next().await.unwrap().unwrap();
        },
    )
    .await;
    dropping_closes(
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        async |engine: Engine| {
            engine
                .container_attach(&web(), Attach::default(), Tty::No)
                .await
                .unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn the_last_handle_takes_its_connections_with_it() {
    let (tell, mut told) = mpsc::channel(1);
    let server = Server::start(move |_, line| {
        let tell = tell.clone();
        async move {
            polite(line).await;
            tell.send(()).await.unwrap();
        }
    });
    let engine = engine(&server.socket());
    let clone = engine.clone();
    engine.raw(Request::get(path!["info"])).await.unwrap();
    drop(engine);
    clone.raw(Request::get(path!["info"])).await.unwrap();
    assert!(told.try_recv().is_err(), "another handle is left");
    drop(clone);
    let closed = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
    assert_eq!(closed.expect("the connection stays open"), Some(()));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn calls_run_side_by_side() {
    // Every second connection hangs; what comes over the others must not wait for them.
    let server = Server::start(|number, mut line| async move {
        if number % 2 == 1 {
            line.closed().await;
        } else {
            polite(line).await;
        }
    });
    let engine = quick(&server.socket(), Duration::from_secs(2));
    let mut calls = JoinSet::new();
    let start = Instant::now();
    for _ in 0..64 {
        let engine = engine.clone();
        calls.spawn(async move {
            let answer = engine
                .raw(Request::post(path!["containers", &web(), "start"]))
                .await;
            answer.map(|_| start.elapsed())
        });
    }
    let answers = calls.join_all().await;
    let quick = answers
        .iter()
        .flatten()
        .filter(|after| **after < Duration::from_secs(1))
        .count();
    assert!(quick >= 32, "{quick} of 64 were answered at once: {answers:?}");
}

/// A connection as another room would bring it, for example over SSH.
struct Brought(PathBuf);

impl Connect for Brought {
    fn connect(&self) -> futures_util::future::BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let path = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let socket = UnixStream::connect(path).await?;
            let (mut from_socket, mut to_socket) = socket.into_split();
            let (from_us, mut to_us) = tokio::io::split(theirs);
            let mut relay = JoinSet::new();
            relay.spawn(async move { tokio::io::copy(&mut from_socket, &mut to_us).await });
            relay.spawn(async move {
                let mut from_us = tokio_util::io::StreamReader::new(ReaderStream::new(from_us));
                tokio::io::copy(&mut from_us, &mut to_socket).await
            });
            relay.detach_all();
            Ok(Box::new(ours) as Box<dyn Duplex>)
        })
    }
}

#[tokio::test]
async fn any_stream_can_carry_an_engine() {
    let server = Server::start(|_, line| polite(line));
    let connect = Arc::new(Brought(server.socket()));
    let options = engine::Options {
        endpoint: "ssh://ops@box".parse().unwrap(),
        ..engine(&server.socket()).options().clone()
    };
    let error = Engine::open(options.clone()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("ssh://ops@box can't be reached: its streams have to be brought"),
        "{error}"
    );
    let engine = Engine::open_over(options, connect);
    engine.raw(Request::get(path!["info"])).await.unwrap();
}

#[tokio::test]
async fn where_nothing_listens() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.sock");
    let error = engine(&missing)
        .container_list(&ContainerQuery::default())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "can't reach the Docker Engine at unix://{}",
            missing.display()
        )),
        "{text}"
    );
    assert!(text.contains("is it installed and running?"), "{text}");
    assert!(!error.may_have_happened());

    // Bound and dropped: the file stays and refuses.
    drop(std::os::unix::net::UnixListener::bind(&missing).unwrap());
    let error = engine(&missing).container_start(&web()).await.unwrap_err();
    assert!(error.to_string().contains("start the engine"), "{error}");
    assert!(!error.may_have_happened());
}
