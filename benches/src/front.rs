//! Programs that are put before the trivial server, and that server itself: started with a client, ended politely, so
//! that what they run ends with them.

use crate::client::{Client, Endpoint};
use crate::echo::Era;
use crate::process::with_children;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The gateway's bearer token; of no value.
const TOKEN: &str = "bench-token-of-no-value-0123456789abcdef";
/// A peer in Python needs seconds to start.
const STARTING: Duration = Duration::from_secs(30);
/// Containers take time to end.
const ENDING: Duration = Duration::from_mins(1);

pub(crate) type Environment = [(String, String)];

/// A started program and a client of it. The client goes first: the end of its pipe is the end of the program.
pub(crate) struct Front {
    pub(crate) client: Client,
    pub(crate) process: Process,
    /// Where a server wrote its port.
    _folder: Option<TempDir>,
}

/// A child that is waited for.
pub(crate) struct Process {
    child: Child,
    /// It listens, so the end of its input tells it nothing.
    listens: bool,
}

impl Process {
    fn spawn(command: &[String], environment: &Environment, listens: bool) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command")?;
        let pipe = || if listens { Stdio::null() } else { Stdio::piped() };
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(pipe())
            .stdout(pipe())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, listens })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Some programs are started by a script that ends without them.
        let tree = with_children(self.pid());
        if self.listens {
            // There is no way to send a signal in the standard library; who has ended already takes none.
            Command::new("kill").arg(self.pid().to_string()).status().ok();
        }
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill().ok();
        self.child.wait().ok();
        for left in tree.iter().filter(|pid| **pid != self.pid()) {
            Command::new("kill")
                .arg(left.to_string())
                .stderr(Stdio::null())
                .status()
                .ok();
        }
    }
}

impl Front {
    /// A server over stdio.
    pub(crate) fn stdio(command: &[String], environment: &Environment, era: Era) -> Result<Self> {
        let mut process = Process::spawn(command, environment, false)?;
        let input = process.child.stdin.take().context("no stdin")?;
        let output = process.child.stdout.take().context("no stdout")?;
        Ok(Self {
            client: Client::over_pipe(output, input, era)?,
            process,
            _folder: None,
        })
    }

    /// A server that listens at `endpoint` sooner or later.
    pub(crate) fn http(
        command: &[String],
        environment: &Environment,
        endpoint: &Endpoint,
        era: Era,
    ) -> Result<Self> {
        let process = Process::spawn(command, environment, true)?;
        let deadline = Instant::now() + STARTING;
        let client = loop {
            match Client::over_http(endpoint.clone(), era) {
                Ok(client) => break client,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        Ok(Self {
            client,
            process,
            _folder: None,
        })
    }

    /// The trivial server, over HTTP.
    pub(crate) fn echo_http(this: &str, era: Era) -> Result<Self> {
        Self::listening(this, era, "--http")
    }

    /// The least that a relay can be, before the trivial server over stdio.
    pub(crate) fn bare_relay(this: &str, era: Era) -> Result<Self> {
        Self::listening(this, era, "--bare-relay")
    }

    fn listening(this: &str, era: Era, how: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("port");
        let mut command = echo(this, era);
        command.extend([how.to_owned(), file.display().to_string()]);
        let process = Process::spawn(&command, &[], true)?;
        let deadline = Instant::now() + STARTING;
        while !file.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let endpoint = Endpoint {
            authority: format!("127.0.0.1:{}", fs_err::read_to_string(&file)?),
            path: "/mcp".to_owned(),
            headers: String::new(),
        };
        Ok(Self {
            client: Client::over_http(endpoint, era)?,
            process,
            _folder: Some(folder),
        })
    }

    /// The gateway with what stands in its `home`.
    pub(crate) fn gateway(dockmaster: &str, home: &Home, way: Way, era: Era) -> Result<Self> {
        let mut command = [dockmaster, "gateway", "run"].map(str::to_owned).to_vec();
        let environment = home.environment();
        match way {
            Way::Stdio => Self::stdio(&command, &environment, era),
            Way::Http => {
                let port = free_port()?;
                command.extend(["--transport", "http", "--port", &port].map(str::to_owned));
                let endpoint = Endpoint {
                    authority: format!("127.0.0.1:{port}"),
                    path: "/mcp".to_owned(),
                    headers: format!("Authorization: Bearer {TOKEN}\r\n"),
                };
                Self::http(&command, &environment, &endpoint, era)
            }
        }
    }
}

/// How a client reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Stdio,
    Http,
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "HTTP",
        }
    }
}

/// The command of the trivial server over stdio.
pub(crate) fn echo(this: &str, era: Era) -> Vec<String> {
    [this, "serve-echo", "--era", era.name()]
        .map(str::to_owned)
        .to_vec()
}

pub(crate) fn free_port() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port().to_string())
}

/// A configuration and the state that belongs to it; gone with this value.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new(config: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs_err::write(folder.path().join("config.toml"), config)?;
        Ok(Self(folder))
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let home = self.path().display().to_string();
        [("DOCKMASTER_HOME", home.as_str()), ("DOCKMASTER_TOKEN", TOKEN)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
