//! Commands while they run and after: a task owns each, reads its outputs, feeds its input, ends it in time, and keeps how
//! it ended. What is kept is bounded in number and in bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use server_kit::{Code, ToolError};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::output::Record;
use crate::runner::{Command, Exit, Fault, Process, Runner, Started, Which};

/// Commands that run at once, and that are kept after their end: 2 MiB each at most.
const MOST: usize = 32;
/// What a command is given between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long an output may go on when its command has ended: something else may hold it.
const REST: Duration = Duration::from_secs(1);
/// Pieces of input that wait for a command to read them.
const WAITING: usize = 16;
/// How long whoever sends input waits for a command that does not read.
const UNREAD: Duration = Duration::from_secs(5);

/// All commands of a server.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    jobs: BTreeMap<u64, Arc<Job>>,
}

/// One command.
pub(crate) struct Job {
    number: u64,
    pub(crate) shown: String,
    /// Where it runs, in words.
    pub(crate) place: String,
    /// The other host that it runs on.
    pub(crate) host: Option<String>,
    pub(crate) since: Instant,
    pub(crate) outputs: Mutex<Outputs>,
    news: watch::Sender<News>,
    input: mpsc::Sender<Feed>,
    process: Mutex<Option<Arc<dyn Process>>>,
    /// Told to end.
    ending: CancellationToken,
    why: Mutex<Why>,
}

/// What came so far, and up to where it was read.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) stdout: Record,
    pub(crate) stderr: Record,
    pub(crate) read: Cursor,
}

/// A place in both outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) stdout: u64,
    pub(crate) stderr: u64,
}

#[derive(Debug, Default)]
struct News {
    bytes: u64,
    ended: Option<Ended>,
}

/// How a command ended, and what brought it about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) why: Why,
    pub(crate) after: Duration,
}

/// What brought an end about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Why {
    #[default]
    Itself,
    Told,
    Late(Duration),
}

enum Feed {
    Bytes(Bytes),
    End,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stdout, self.stderr)
    }
}

impl std::str::FromStr for Cursor {
    type Err = ToolError;

    fn from_str(text: &str) -> Result<Self, ToolError> {
        let place = |text: &str| text.parse().ok();
        let both = text.split_once('-').and_then(|(stdout, stderr)| {
            Some(Self {
                stdout: place(stdout)?,
                stderr: place(stderr)?,
            })
        });
        both.ok_or_else(|| {
            ToolError::new(
                Code::Stale,
                format!("{:?} is no cursor", base::text::cut(text, 60)),
            )
            .fix("pass one that an answer has given, or none for what is new")
        })
    }
}

/// The number and the host of an id: `c1`, or `c1@prod` where it runs on another host.
fn parts(id: &str) -> Option<(u64, Option<&str>)> {
    let (own, host) = match id.split_once('@') {
        Some((own, host)) => (own, Some(host)),
        None => (id, None),
    };
    Some((own.strip_prefix('c')?.parse().ok()?, host))
}

/// The host in an id.
pub(crate) fn host_of(id: &str) -> Option<&str> {
    parts(id)?.1
}

/// The command of an id, for a person to read: "command c1 on host prod".
pub(crate) fn called(id: &str) -> String {
    match parts(id) {
        Some((number, Some(host))) => {
            format!("command c{number} on host {}", base::text::cut(host, 64))
        }
        _ => format!("command {}", base::text::cut(id, 64)),
    }
}

/// What a new command is to be.
pub(crate) struct Wanted {
    pub(crate) command: Command,
    pub(crate) shown: String,
    pub(crate) place: String,
    pub(crate) host: Option<String>,
    pub(crate) limit: Option<Duration>,
}

impl Jobs {
    /// Starts a command; its task ends it when `closing` is cancelled.
    pub(crate) async fn start(
        &self,
        runner: &dyn Runner,
        wanted: Wanted,
        tasks: &TaskTracker,
        closing: &CancellationToken,
    ) -> Result<Arc<Job>, ToolError> {
        self.make_room()?;
        let started = runner.start(&wanted.command).await.map_err(tool_error)?;
        let (input, waiting) = mpsc::channel(WAITING);
        let mut state = self.state();
        state.last += 1;
        let job = Arc::new(Job {
            number: state.last,
            shown: wanted.shown,
            place: wanted.place,
            host: wanted.host,
            since: Instant::now(),
            outputs: Mutex::default(),
            news: watch::channel(News::default()).0,
            input,
            process: Mutex::new(Some(Arc::clone(&started.process))),
            ending: closing.child_token(),
            why: Mutex::default(),
        });
        state.jobs.insert(job.number, Arc::clone(&job));
        drop(state);
        let owned = Arc::clone(&job);
        tasks.spawn(async move { owned.own(started, waiting, wanted.limit).await });
        Ok(job)
    }

    /// The command of an id.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Job>, ToolError> {
        let parts = parts(id);
        let found = parts.and_then(|(number, _)| self.state().jobs.get(&number).cloned());
        // A person is asked by the id alone, so one that names no host, or another, is none of this command.
        let found = found.filter(|job| parts.is_some_and(|(_, host)| host == job.host.as_deref()));
        found.ok_or_else(|| {
            let known: Vec<String> = self.all().iter().map(|job| job.id()).collect();
            let known = match known.len() {
                0 => "there is none: start_command makes one".to_owned(),
                _ => format!("there are {}; list_commands shows them", known.join(", ")),
            };
            ToolError::new(
                Code::NotFound,
                format!("there is no command {:?}", base::text::cut(id, 40)),
            )
            .fix(known)
        })
    }

    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        self.state().jobs.values().cloned().collect()
    }

    /// Forgets a command that has ended.
    pub(crate) fn forget(&self, job: &Job) {
        self.state().jobs.remove(&job.number);
    }

    /// The oldest of those that have ended give their place.
    fn make_room(&self) -> Result<(), ToolError> {
        let mut state = self.state();
        let (ended, running): (Vec<u64>, Vec<u64>) = state
            .jobs
            .values()
            .map(|job| (job.number, job.ended().is_some()))
            .fold(
                Default::default(),
                |(mut ended, mut running), (number, is_over)| {
                    if is_over {
                        ended.push(number);
                    } else {
                        running.push(number);
                    }
                    (ended, running)
                },
            );
        if running.len() >= MOST {
            return Err(
                ToolError::new(Code::Conflict, format!("{MOST} commands are running already"))
                    .fix("wait for one, or end one: list_commands shows them"),
            );
        }
        for number in ended.iter().take((ended.len() + 1).saturating_sub(MOST)) {
            state.jobs.remove(number);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// By which it is called; with its host, so that whoever judges a call by its arguments knows where it goes.
    pub(crate) fn id(&self) -> String {
        match &self.host {
            Some(host) => format!("c{}@{host}", self.number),
            None => format!("c{}", self.number),
        }
    }

    pub(crate) fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.news.borrow().ended.clone()
    }

    /// Waits for its end.
    pub(crate) async fn end_of(&self) -> Ended {
        let mut news = self.news.subscribe();
        let ended = news.wait_for(|news| news.ended.is_some()).await;
        // The sender is here, so there is no other way out.
        let ended = ended.ok().and_then(|news| news.ended.clone());
        ended.unwrap_or_else(|| Ended {
            exit: unknown(),
            why: Why::Told,
            after: Duration::ZERO,
        })
    }

    /// Waits until there is output after a place, or the end, at most so long.
    pub(crate) async fn news_after(&self, cursor: Cursor, wait: Duration) {
        let mut news = self.news.subscribe();
        let read = cursor.stdout + cursor.stderr;
        drop(
            timeout(
                wait,
                news.wait_for(|news| news.bytes > read || news.ended.is_some()),
            )
            .await,
        );
    }

    /// Has it end. [`Job::end_of`] waits for that.
    pub(crate) fn end(&self) {
        self.ending.cancel();
    }

    /// Whoever drops it ends the command.
    pub(crate) fn ends_with(&self) -> tokio_util::sync::DropGuard {
        self.ending.clone().drop_guard()
    }

    pub(crate) fn process(&self) -> Option<Arc<dyn Process>> {
        self.process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes to its input, and closes it if that is all.
    pub(crate) async fn send(&self, bytes: Vec<u8>, is_all: bool) -> Result<(), ToolError> {
        let feed = async {
            if !bytes.is_empty() {
                self.input.send(Feed::Bytes(bytes.into())).await?;
            }
            if is_all {
                self.input.send(Feed::End).await?;
            }
            Ok::<_, mpsc::error::SendError<Feed>>(())
        };
        let conflict = |what: &str| ToolError::new(Code::Conflict, format!("command {}: {what}", self.id()));
        match timeout(UNREAD, feed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(conflict("its input is closed").fix("read its output: it may have ended")),
            Err(_) => Err(
                conflict("it does not read its input, and what was sent before still waits")
                    .fix("read its output, or end it"),
            ),
        }
    }

    /// The whole life.
    async fn own(&self, started: Started, fed: mpsc::Receiver<Feed>, limit: Option<Duration>) {
        let Started {
            input,
            outputs,
            process,
        } = started;
        let mut reading = pin!(self.read(outputs));
        let mut has_read = false;
        let exit = {
            let ending = async {
                let why = tokio::select! {
                    () = self.ending.cancelled() => Why::Told,
                    late = late(limit) => Why::Late(late),
                };
                *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
                process.end(GRACE).await;
            };
            let mut besides = pin!(async { tokio::join!(feed(input, fed), ending) });
            let mut has_done = false;
            loop {
                tokio::select! {
                    exit = process.ended() => break exit,
                    () = &mut reading, if !has_read => has_read = true,
                    _ = &mut besides, if !has_done => has_done = true,
                }
            }
        };
        if !has_read {
            drop(timeout(REST, reading).await);
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let why = *self.why.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.since.elapsed();
        self.news
            .send_modify(|news| news.ended = Some(Ended { exit, why, after }));
    }

    async fn read(&self, mut outputs: BoxStream<'static, (Which, Bytes)>) {
        while let Some((which, piece)) = outputs.next().await {
            {
                let mut kept = self.outputs();
                match which {
                    Which::Stdout => kept.stdout.push(&piece),
                    Which::Stderr => kept.stderr.push(&piece),
                }
            }
            self.news.send_modify(|news| news.bytes += piece.len() as u64);
        }
    }
}

async fn late(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// A command need not read its input; what it leaves is dropped.
async fn feed(mut input: Box<dyn AsyncWrite + Send + Unpin>, mut fed: mpsc::Receiver<Feed>) {
    while let Some(Feed::Bytes(bytes)) = fed.recv().await {
        if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
    let _closed = input.shutdown().await;
}

fn unknown() -> Exit {
    Exit {
        how: crate::runner::How::Unknown,
        remark: None,
    }
}

pub(crate) fn tool_error(fault: Fault) -> ToolError {
    let error = ToolError::new(Code::Failed, fault.what);
    match fault.fix {
        Some(fix) => error.fix(fix),
        None => error,
    }
}
