//! Commands on another host, over its SSH connection, with nothing installed there but a POSIX shell.
//!
//! A command is run by a shell that leads its process group, and known to a keeper ([`keeper`]) before it begins, so that it
//! ends with the connection. SSH's own signals are not used: OpenSSH obeys them for some users only, and answers nothing. What
//! gets away: a process that makes a session of its own *and* clears its environment (and any that makes a session, on
//! systems without `/proc`), one that belongs to another user, and all of them where the keeper is killed as well.
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
use ssh::{Outputs, Piece};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::rules::Program;
use crate::runner::{Command, Exit, Fault, How, Process, Reach, Runner, Started, Which};
use crate::signal::Signal;
use keeper::Keeper;

/// How long a shell over there may take to say that it is ready.
const BEGIN: Duration = Duration::from_secs(20);
/// What is read past before it does: login shells and their files print things.
const NOISE: usize = 64 << 10;

/// Gives the host, whose connection is made when it is needed.
pub type FindHost = Arc<dyn Fn() -> Result<Arc<ssh::Host>, String> + Send + Sync>;

/// Another host.
pub struct Far {
    /// What it is called.
    pub name: String,
    /// How it is found.
    pub host: FindHost,
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
pub struct Keeping(Mutex<Option<Arc<Keeper>>>);

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
            Fault::new(format!("{given} can't be started {}: {why}", self.place()))
                .fix("if the host stays away, ask a person to look: dockmaster host test")
        };
        let line = self.line(command)?;
        let host = (self.host)().map_err(away)?;
        // Before the command takes one of the sessions that the host has, which would not be there for the keeper.
        self.keeper(&host).await.map_err(away)?;
        let mut running = host
            .start(script::BOOT)
            .await
            .map_err(|error| away(error.to_string()))?;
        let mut lines = Lines::new(&line.token);
        let begin = async {
            let sent = running.input.write_all(line.text.as_bytes()).await;
            sent.map_err(|error| error.to_string())?;
            lines.next(&mut running.outputs).await
        };
        let said = timeout(BEGIN, begin).await;
        let said = said.unwrap_or_else(|_| {
            Err(format!(
                "a shell over there said nothing in {} s",
                BEGIN.as_secs()
            ))
        });
        let said = said.map_err(away)?;
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
        let keeper = self.keeper_of(&host, group, &line.token).await.map_err(away)?;
        let sent = running.input.write_all(b"go\n").await;
        sent.map_err(|error| away(error.to_string()))?;
        let (tell, exit) = watch::channel(None);
        let kept = Kept {
            keeper,
            group,
            token: line.token,
            exit,
        };
        let reading = Read {
            outputs: running.outputs,
            early: lines.rest.freeze(),
            tell,
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
            let fault = refused(format!("a shell has no variable {name:?}"));
            return Err(fault.fix("use letters, digits and '_' in its name"));
        }
        let token = token();
        let wanted = script::Wanted {
            token: &token,
            argv: &command.argv,
            dir: command.dir.as_deref().or(self.dir.as_deref()),
            env: &env,
        };
        let text = script::command(&wanted) + "\n";
        if text.contains('\0') {
            return Err(refused("there is a NUL in it, which ends words".to_owned()));
        }
        Ok(Line { token, text })
    }

    /// There is a keeper from then on; whether its connection still is, shows when it is told something.
    async fn keeper(&self, host: &Arc<ssh::Host>) -> Result<(), String> {
        let mut kept = self.keeping.0.lock().await;
        if kept.as_ref().is_none_or(|keeper| !keeper.is_open()) {
            *kept = Some(Arc::new(Keeper::begin(host).await?));
        }
        Ok(())
    }

    /// The keeper, which knows of the command from then on.
    async fn keeper_of(&self, host: &Arc<ssh::Host>, group: u32, token: &str) -> Result<Arc<Keeper>, String> {
        let mut kept = self.keeping.0.lock().await;
        if let Some(keeper) = kept.as_ref()
            && keeper.add(group, token).await
        {
            return Ok(Arc::clone(keeper));
        }
        // There is none, or it went with an earlier connection.
        let keeper = Arc::new(Keeper::begin(host).await?);
        if !keeper.add(group, token).await {
            return Err("the connection to the host broke".to_owned());
        }
        Ok(Arc::clone(kept.insert(keeper)))
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
            match outputs.next().await.map_err(|error| error.to_string())? {
                Some(Piece::Stdout(bytes)) => {
                    passed += bytes.len();
                    if passed > NOISE {
                        return Err(
                            "its login prints more than 64 KiB; is there a POSIX shell over there?"
                                .to_owned(),
                        );
                    }
                    self.rest.extend_from_slice(&bytes);
                }
                Some(Piece::Stderr(bytes)) => complaint.extend(bytes.iter().take(400).copied()),
                Some(Piece::Exit(_)) => {}
                None => {
                    let said = String::from_utf8_lossy(&complaint);
                    let said = base::text::clean(said.trim()).replace('\n', " ");
                    return Err(format!(
                        "the login over there runs no POSIX shell for it{}{}",
                        if said.is_empty() { "" } else { ": " },
                        base::text::cut(&said, 300)
                    ));
                }
            }
        }
    }
}

/// What a command writes, and whom its end is told.
struct Read {
    outputs: Outputs,
    early: Bytes,
    tell: watch::Sender<Option<Exit>>,
}

impl Read {
    async fn next(mut self) -> Option<((Which, Bytes), Self)> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return Some(((Which::Stdout, early), self));
        }
        loop {
            match self.outputs.next().await {
                Ok(Some(Piece::Stdout(bytes))) => return Some(((Which::Stdout, bytes), self)),
                Ok(Some(Piece::Stderr(bytes))) => return Some(((Which::Stderr, bytes), self)),
                Ok(Some(Piece::Exit(exit))) => {
                    let how = match exit {
                        ssh::Exit::Code(code) => How::of_code(i64::from(code)),
                        ssh::Exit::Signal(name) => name
                            .parse::<Signal>()
                            .map_or(How::Unknown, |signal| How::Signal(i64::from(signal.number()))),
                    };
                    self.ended(how, None);
                }
                Ok(None) => {
                    self.ended(How::Unknown, Some("the host did not say".to_owned()));
                    return None;
                }
                Err(error) => {
                    let remark = format!("{error}; it is ended over there as soon as sshd notices");
                    self.ended(How::Unknown, Some(remark));
                    return None;
                }
            }
        }
    }

    /// What is told first holds.
    fn ended(&self, how: How, remark: Option<String>) {
        self.tell.send_if_modified(|exit| {
            let is_new = exit.is_none();
            exit.get_or_insert(Exit { how, remark });
            is_new
        });
    }
}

/// A command that its keeper knows of. Dropped before its end, it is ended.
struct Kept {
    keeper: Arc<Keeper>,
    group: u32,
    token: String,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process for Kept {
    fn ended(&self) -> BoxFuture<'_, Exit> {
        async move {
            let mut exit = self.exit.clone();
            let told = exit.wait_for(Option::is_some).await;
            let told = told.ok().and_then(|exit| exit.clone());
            told.unwrap_or_else(|| Exit {
                how: How::Unknown,
                remark: Some("nobody listened any more".to_owned()),
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
        // Where nobody hears it, the connection is gone, and the keeper ends everything by itself.
        self.keeper
            .tell(format!("end {} {} {seconds}\n", self.group, self.token));
        async {}.boxed()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (group, token) = (self.group, &self.token);
        let has_ended = self
            .exit
            .borrow()
            .as_ref()
            .is_some_and(|exit| exit.how != How::Unknown);
        let order = if has_ended {
            format!("del {group} {token}\n")
        } else {
            format!("end {group} {token} 1\n")
        };
        self.keeper.tell(order);
    }
}
