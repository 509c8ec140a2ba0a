//! Commands on another host, over SSH, with nothing installed there but a POSIX shell.
//!
//! A command is run by a shell that leads its process group, and known to a keeper ([`keeper`]) before it begins, so that it
//! ends with the connection, also where each has one of its own (the system's `ssh`). SSH's own signals are not used: OpenSSH
//! obeys them for some users only, and answers nothing. What gets away: a process that makes a session of its own *and* clears
//! its environment (and any that makes a session, on systems without `/proc`), one that belongs to another user, and all of
//! them where the keeper is killed as well.
//!
//! Deliberately absent: a sandbox, as on this host; connecting, which is whose who brings the host.

mod keeper;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use ssh::{Client, Outputs, Piece, Running};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::rules::Program;
use crate::runner::{Command, Exit, Fault, How, Process, Reach, Runner, Started, Which};
use crate::signal::Signal;
use keeper::{Added, Keeper};

/// How long a shell over there may take to say that it is ready, and a keeper to hear of a command. The system's `ssh`
/// connects and logs in meanwhile.
const BEGIN: Duration = Duration::from_secs(30);
/// How long a command may go on when it was told to end, beyond its grace: a connection of ours has found out by then that
/// it is broken, the system's `ssh` need not.
const SILENCE: Duration = Duration::from_mins(1);
/// What is read past before it does: login shells and their files print things.
const NOISE: usize = 64 << 10;

/// Bytes of what is said on stderr that are kept.
const COMPLAINT: usize = 2 << 10;
/// How long a command may go on beyond its grace before another keeper is told: the first one's connection may be gone, and
/// nobody have noticed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives the way to the host, which is connected when it is needed.
pub type FindClient = Arc<dyn Fn() -> Result<Client, String> + Send + Sync>;

/// Another host.
pub struct Far {
    /// What it is called.
    pub name: String,
    /// How it is reached.
    pub client: FindClient,
    /// Where programs are looked for.
    pub path: String,
    /// What every command has in its environment, beside `PATH`, and `HOME`, `USER`, `LOGNAME` and `SHELL` of the login.
    pub env: BTreeMap<String, String>,
    /// Where a command runs that names no folder; the home over there if there is none.
    pub dir: Option<String>,
    /// Keeps what runs there.
    pub keeping: Keeping,
}

/// The keeper of a host, once there is one.
#[derive(Default)]
pub struct Keeping(Mutex<Last>);

/// What became of the last one that was wanted.
#[derive(Default)]
struct Last {
    keeper: Option<Arc<Keeper>>,
    /// When there was none, and why.
    failed: Option<(Instant, String)>,
}

impl Runner for Far {
    fn place(&self) -> String {
        format!("on host {}", self.name)
    }

    fn program(&self, command: &Command) -> Program {
        Program::unseen(command.argv.first().map(String::as_str).unwrap_or_default())
    }

    fn start<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Started, Fault>> {
        Box::pin(self.begin(command))
    }
}

impl Far {
    async fn begin(&self, command: &Command) -> Result<Started, Fault> {
        let given = command.argv.first().map(String::as_str).unwrap_or_default();
        let away = |why: String| {
            Fault::new(format!("{given} can't be started {}: {why}", self.place())).fix(format!(
                "if the host stays away, ask a person to look: dockmaster host test {}",
                self.name
            ))
        };
        let line = self.line(command)?;
        let client = (self.client)().map_err(away)?;
        // Before the command takes one of the sessions that the host has, which would not be there for the keeper.
        self.keeper(&client).await.map_err(away)?;
        let mut running = client.start(script::BOOT).await.map_err(away)?;
        let mut lines = Lines::new(&line.token);
        let said = lines.begin(&mut running, &line.text).await.map_err(away)?;
        let group = match said.split_once(' ').unwrap_or((&said, "")) {
            ("run", group) => group.parse::<u32>().ok().filter(|group| *group > 1),
            ("dir", _) => {
                let dir = command.dir.as_deref().or(self.dir.as_deref()).unwrap_or_default();
                let what = format!("the working directory {dir} is no folder {}", self.place());
                return Err(Fault::new(what).fix("give one that exists, or none"));
            }
            ("program", _) => {
                let what = format!("there is no program {given:?} {}", self.place());
                return Err(Fault::new(what).fix(format!(
                    "programs are looked for in {}; or give a path",
                    self.path
                )));
            }
            _ => None,
        };
        let group = group
            .ok_or_else(|| away("the shell over there says something else than it should".to_owned()))?;
        // It begins when its keeper knows of it, so that nothing is left when the connection breaks at whichever moment.
        let kept = self.kept(&client, group, line.token).await.map_err(away)?;
        let sent = running.input.write_all(b"go\n").await;
        sent.map_err(|error| away(error.to_string()))?;
        let reading = Read {
            outputs: running.outputs,
            early: lines.rest.freeze(),
            code: Code255::of(&kept.token),
            exit: kept.exit.clone(),
        };
        Ok(Started {
            input: Box::new(running.input),
            outputs: stream::unfold(reading, Read::next).boxed(),
            process: Arc::new(kept),
        })
    }

    fn line(&self, command: &Command) -> Result<Line, Fault> {
        let refused = |what: String| Fault::new(format!("not run {}: {what}", self.place()));
        if command
            .argv
            .first()
            .is_some_and(|program| program.starts_with('-'))
        {
            return Err(refused(
                "a program that begins with a dash can't be named to a shell".to_owned(),
            ));
        }
        let mut env = vec![("PATH".to_owned(), self.path.clone())];
        env.extend(self.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        env.extend(command.env.iter().cloned());
        if let Some((name, _)) = env.iter().find(|(name, _)| !script::is_variable(name)) {
            let fault = refused(format!("a shell can't be given a variable {name:?}"));
            return Err(
                fault.fix("use letters, digits and '_' in its name, and none that a shell has itself")
            );
        }
        let token = token();
        let wanted = script::Wanted {
            token: &token,
            argv: &command.argv,
            dir: command.dir.as_deref().or(self.dir.as_deref()),
            env: &env,
        };
        let text = script::command(&wanted);
        if text.contains('\0') {
            return Err(refused("there is a NUL in it, which ends words".to_owned()));
        }
        Ok(Line { token, text })
    }

    /// There is a keeper from then on; whether it still hears, shows when it is told something.
    async fn keeper(&self, client: &Client) -> Result<Arc<Keeper>, String> {
        let asked = Instant::now();
        let mut last = self.keeping.0.lock().await;
        if let Some(keeper) = last.keeper.as_ref().filter(|keeper| keeper.is_open()) {
            return Ok(Arc::clone(keeper));
        }
        // Whoever waited for an attempt in vain makes none of their own, one after the other.
        if let Some((_, why)) = last.failed.as_ref().filter(|(when, _)| *when >= asked) {
            return Err(why.clone());
        }
        match Keeper::begin(client).await {
            Ok(keeper) => Ok(Arc::clone(last.keeper.insert(Arc::new(keeper)))),
            Err(why) => {
                last.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// The command, of which a keeper knows from then on.
    async fn kept(&self, client: &Client, group: u32, token: String) -> Result<Kept, String> {
        // Made first: given up meanwhile, it takes back what the keeper may have heard.
        let mut kept = Kept {
            keeper: self.keeper(client).await?,
            client: Arc::clone(&self.client),
            group,
            token,
            exit: Told::default(),
        };
        for _ in 0..2 {
            match kept.keeper.add(group, &kept.token).await {
                Added::Known => return Ok(kept),
                Added::Perhaps => break,
                // It went with an earlier connection.
                Added::Never => {
                    let is_it = |held: &mut Arc<Keeper>| Arc::ptr_eq(held, &kept.keeper);
                    drop(self.keeping.0.lock().await.keeper.take_if(is_it));
                    kept.keeper = self.keeper(client).await?;
                }
            }
        }
        Err("the connection to the host broke".to_owned())
    }
}

struct Line {
    token: String,
    text: String,
}

/// A name that nobody else has.
fn token() -> String {
    format!(
        "dm{:016x}{:016x}",
        server_kit::random::number(),
        server_kit::random::number()
    )
}

/// What a shell says on lines that begin with its token, whatever was printed before.
struct Lines {
    token: String,
    rest: BytesMut,
}

impl Lines {
    fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            rest: BytesMut::new(),
        }
    }

    /// Has the shell that was started read a line, and gives the first that it says.
    async fn begin(&mut self, running: &mut Running, line: &str) -> Result<String, String> {
        let begin = async {
            // One that has ended already says why.
            let _ = running.input.write_all(format!("{line}\n").as_bytes()).await;
            let _ = running.input.flush().await;
            self.next(&mut running.outputs).await
        };
        let said = timeout(BEGIN, begin).await;
        said.unwrap_or_else(|_| {
            Err(format!(
                "a shell over there said nothing in {} s",
                BEGIN.as_secs()
            ))
        })
    }

    /// The next such line, without the token.
    async fn next(&mut self, outputs: &mut Outputs) -> Result<String, String> {
        let mut passed = 0;
        let mut complaint = Vec::new();
        loop {
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end);
                self.rest.advance(1);
                let line = String::from_utf8_lossy(&line);
                if let Some(said) = line.strip_prefix(&self.token) {
                    return Ok(said.trim().to_owned());
                }
            }
            match outputs.next().await {
                Ok(Some(Piece::Stdout(bytes))) => {
                    passed += bytes.len();
                    if passed > NOISE {
                        return Err(
                            "its login prints more than 64 KiB; is there a POSIX shell over there?"
                                .to_owned(),
                        );
                    }
                    self.rest.extend_from_slice(&bytes);
                }
                Ok(Some(Piece::Stderr(bytes))) => {
                    // The end says why, behind banners.
                    complaint.extend_from_slice(&bytes);
                    complaint.drain(..complaint.len().saturating_sub(COMPLAINT));
                }
                Ok(Some(Piece::Exit(_))) => {}
                Ok(None) => {
                    return Err(with(
                        "the login over there runs no POSIX shell for it",
                        &complaint,
                    ));
                }
                Err(error) => return Err(with(&error.to_string(), &complaint)),
            }
        }
    }
}

/// What went wrong, and what was said on stderr.
fn with(what: &str, complaint: &[u8]) -> String {
    let said = String::from_utf8_lossy(complaint);
    let said = base::text::clean(said.trim()).replace('\n', " ");
    let colon = if said.is_empty() { "" } else { ": " };
    let from = said.char_indices().rev().nth(299).map_or(0, |(at, _)| at);
    format!("{what}{colon}{}", said.get(from..).unwrap_or_default())
}

/// How a command ended, once somebody knows. What is told first holds.
#[derive(Clone)]
struct Told(watch::Sender<Option<Exit>>);

impl Default for Told {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Told {
    fn tell(&self, how: How, remark: Option<String>) {
        self.0.send_if_modified(|exit| {
            let is_new = exit.is_none();
            exit.get_or_insert(Exit { how, remark });
            is_new
        });
    }
}

/// What a command writes, and whom its end is told.
struct Read {
    outputs: Outputs,
    early: Bytes,
    code: Code255,
    exit: Told,
}

impl Read {
    async fn next(mut self) -> Option<((Which, Bytes), Self)> {
        loop {
            let piece = if self.early.is_empty() {
                self.outputs.next().await
            } else {
                Ok(Some(Piece::Stdout(std::mem::take(&mut self.early))))
            };
            match piece {
                Ok(Some(Piece::Stdout(bytes))) => {
                    let bytes = self.code.pass(bytes);
                    if !bytes.is_empty() {
                        return Some(((Which::Stdout, bytes), self));
                    }
                }
                Ok(Some(Piece::Stderr(bytes))) => return Some(((Which::Stderr, bytes), self)),
                Ok(Some(Piece::Exit(exit))) => {
                    let how = match exit {
                        ssh::Exit::Code(code) => How::of_code(i64::from(code)),
                        ssh::Exit::Signal(name) => name
                            .parse::<Signal>()
                            .map_or(How::Unknown, |signal| How::Signal(i64::from(signal.number()))),
                    };
                    self.exit.tell(how, None);
                }
                Ok(None) => {
                    self.exit
                        .tell(How::Unknown, Some("the host did not say".to_owned()));
                    return self.last();
                }
                Err(_) if self.code.was_said => {
                    self.exit.tell(How::Code(255), None);
                    return self.last();
                }
                Err(error) => {
                    let remark = format!("{error}; it is ended over there as soon as sshd notices");
                    self.exit.tell(How::Unknown, Some(remark));
                    return self.last();
                }
            }
        }
    }

    /// What was held back. The next to be asked for is none.
    fn last(mut self) -> Option<((Which, Bytes), Self)> {
        let held = std::mem::take(&mut self.code.held).freeze();
        (!held.is_empty()).then_some(((Which::Stdout, held), self))
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        self.exit
            .tell(How::Unknown, Some("nobody listened any more".to_owned()));
    }
}

/// Takes [`script::is_255`] out of an output.
struct Code255 {
    mark: String,
    /// What may be the beginning of it.
    held: BytesMut,
    was_said: bool,
}

impl Code255 {
    fn of(token: &str) -> Self {
        Self {
            mark: script::is_255(token),
            held: BytesMut::new(),
            was_said: false,
        }
    }

    /// What is surely something else.
    fn pass(&mut self, piece: Bytes) -> Bytes {
        let mark = self.mark.as_bytes();
        if self.held.is_empty() && !piece.contains(&0) {
            return piece;
        }
        self.held.extend_from_slice(&piece);
        if let Some(at) = self.held.windows(mark.len()).position(|part| part == mark) {
            self.was_said = true;
            let mut before = self.held.split_to(at);
            self.held.advance(mark.len());
            before.unsplit(std::mem::take(&mut self.held));
            return before.freeze();
        }
        let is_begun = |count: &usize| mark.get(..*count).is_some_and(|part| self.held.ends_with(part));
        let begun = (1..mark.len()).rev().find(is_begun).unwrap_or_default();
        self.held.split_to(self.held.len() - begun).freeze()
    }
}

/// A command that its keeper knows of. Dropped before its end, it is ended.
struct Kept {
    keeper: Arc<Keeper>,
    client: FindClient,
    group: u32,
    token: String,
    exit: Told,
}

impl Process for Kept {
    fn ended(&self) -> BoxFuture<'_, Exit> {
        async move {
            let mut exit = self.exit.0.subscribe();
            let told = exit.wait_for(Option::is_some).await;
            let told = told.ok().and_then(|exit| exit.clone());
            told.unwrap_or(Exit {
                how: How::Unknown,
                remark: None,
            })
        }
        .boxed()
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<Reach, Fault>> {
        let (group, token) = (self.group, &self.token);
        let is_told = self
            .keeper
            .tell(format!("sig {group} {token} {}\n", signal.name()));
        async move {
            if is_told {
                return Ok(Reach::Tree);
            }
            Err(Fault::new(format!(
                "{signal} was not sent: the connection to the host broke"
            )))
        }
        .boxed()
    }

    fn end(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let seconds = grace.as_secs().max(1);
        let order = format!("end {} {} {seconds}\n", self.group, self.token);
        self.keeper.tell(order.clone());
        async move {
            sleep(grace + PATIENCE).await;
            let another = async { Keeper::begin(&(self.client)().ok()?).await.ok() }.await;
            if let Some(keeper) = &another {
                keeper.tell(order);
            }
            sleep(SILENCE).await;
            let remark = "the host does not answer; it is ended over there as soon as sshd notices";
            self.exit.tell(How::Unknown, Some(remark.to_owned()));
        }
        .boxed()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (group, token) = (self.group, &self.token);
        let exit = self.exit.0.borrow();
        // With 255 a connection may have broken behind the word that it has ended, in the middle of what is left to do.
        let is_sure = |how: &How| !matches!(how, How::Unknown | How::Code(255));
        let has_ended = exit.as_ref().is_some_and(|exit| is_sure(&exit.how));
        let order = if has_ended {
            format!("del {group} {token}\n")
        } else {
            format!("end {group} {token} 1\n")
        };
        self.keeper.tell(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mark is found wherever the pieces part, and what only looks like it passes.
    #[test]
    fn a_mark_is_taken_out() {
        let mark = script::is_255("t0");
        for (output, expected, was_said) in [
            (format!("a{mark}b"), "ab", true),
            (mark.clone(), "", true),
            (format!("\0t\0{mark}"), "\0t\0", true),
            ("\0\0t0 25".to_owned(), "\0\0t0 25", false),
            ("\0t0 254".to_owned(), "\0t0 254", false),
        ] {
            for size in 1..=output.len() {
                let mut code = Code255::of("t0");
                let mut passed = Vec::new();
                for piece in output.as_bytes().chunks(size) {
                    passed.extend(code.pass(Bytes::copy_from_slice(piece)));
                }
                passed.extend(&code.held);
                assert_eq!(
                    (passed.as_slice(), code.was_said),
                    (expected.as_bytes(), was_said),
                    "{size}"
                );
            }
        }
    }
}
