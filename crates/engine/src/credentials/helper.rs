//! Credential helpers: programs `docker-credential-NAME` that are asked on stdin and answer in JSON.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base::Secret;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::auth::{Auth, Login, Origin};
use super::config::ConfigFile;
use super::{CredentialsError, RegistryHost};

/// Most bytes of an answer. Tokens of some clouds have a few thousand.
const ANSWER: u64 = 64 * 1024;
/// Most bytes of a complaint.
const COMPLAINT: u64 = 4 * 1024;
/// What helpers answer for a registry that they don't know.
const NOT_FOUND: &str = "credentials not found";
/// The user name that marks an identity token.
const TOKEN_USER: &str = "<token>";
/// Secrets of this program that are none of a helper's business.
const OWN_SECRETS: [&str; 4] = [
    "DOCKMASTER_TOKEN",
    "REGISTRY_USERNAME",
    "REGISTRY_PASSWORD",
    "REGISTRY_AUTH_CONFIG",
];

/// A helper that the configuration names.
pub(super) struct Helper {
    program: String,
    config: PathBuf,
}

impl Helper {
    /// A name that is a part of a program's name and nothing else.
    pub(super) fn parse(name: &str, config: &ConfigFile) -> Result<Self, CredentialsError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !first || name.len() > 100 || !name.bytes().all(plain) {
            return Err(CredentialsError::HelperName {
                path: config.path().to_path_buf(),
                name: base::text::clean(name).chars().take(80).collect(),
            });
        }
        Ok(Self {
            program: format!("docker-credential-{name}"),
            config: config.path().to_path_buf(),
        })
    }

    /// Asks for the credentials of a registry; `None` if the helper has none.
    pub(super) async fn get(
        &self,
        registry: &RegistryHost,
        path: Option<&OsStr>,
        limit: Duration,
    ) -> Result<Option<Auth>, CredentialsError> {
        let program = path.and_then(|path| find(&self.program, path)).ok_or_else(|| {
            CredentialsError::HelperMissing {
                program: self.program.clone(),
                path: self.config.clone(),
                registry: registry.clone(),
            }
        })?;
        let failed = |reason: String| CredentialsError::HelperFailed {
            program: self.program.clone(),
            registry: registry.clone(),
            reason,
        };
        let mut running = Running::start(&program, path).map_err(|cause| failed(cause.to_string()))?;
        let answer = tokio::time::timeout(limit, running.ask(registry.config_key())).await;
        running.stop().await;
        let answer = answer.map_err(|_| CredentialsError::HelperTime {
            program: self.program.clone(),
            registry: registry.clone(),
            after: limit,
        })?;
        let answer = answer.map_err(|cause| failed(cause.to_string()))?;
        let login = answer.login().map_err(failed)?;
        Ok(login.map(|login| Auth {
            registry: registry.clone(),
            login,
            origin: Origin::Helper(self.program.clone()),
        }))
    }
}

/// The program of this name in the folders of a `PATH`. Relative folders are passed over: what they mean depends
/// on where this program happens to be.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    let Ok(meta) = fs_err::metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    let has_bit = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let has_bit = true;
    meta.is_file() && has_bit
}

/// A helper that runs. Ends with this value, its children with it.
struct Running {
    child: Child,
    /// Whether the child has ended and been waited for, so that its id may mean another process.
    is_over: bool,
}

struct Answer {
    is_success: bool,
    output: Vec<u8>,
    complaint: Vec<u8>,
}

impl Running {
    fn start(program: &Path, path: Option<&OsStr>) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in OWN_SECRETS {
            command.env_remove(name);
        }
        if let Some(path) = path {
            command.env("PATH", path);
        }
        // A group of its own, so that a helper that is a script ends with what it has started.
        #[cfg(unix)]
        command.process_group(0);
        Ok(Self {
            child: command.spawn()?,
            is_over: false,
        })
    }

    async fn ask(&mut self, server: &str) -> io::Result<Answer> {
        let stdin = self.child.stdin.take();
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let question = async {
            if let Some(mut stdin) = stdin {
                // A helper that does not read its question may still answer.
                let _unread = stdin.write_all(format!("{server}\n").as_bytes()).await;
            }
            Ok(())
        };
        let (output, complaint, ()) = tokio::try_join!(answer(stdout), complaint(stderr), question)?;
        let status = self.child.wait().await?;
        self.is_over = true;
        Ok(Answer {
            is_success: status.success(),
            output,
            complaint,
        })
    }

    /// Ends the program, if it has not ended by itself, and waits until it is gone.
    async fn stop(&mut self) {
        if !self.is_over {
            self.kill();
            self.is_over = self.child.wait().await.is_ok();
        }
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(group) = rustix::process::Pid::from_raw(group)
        {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _gone = self.child.start_kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

async fn answer(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(source) = source {
        source.take(ANSWER + 1).read_to_end(&mut content).await?;
    }
    if content.len() as u64 > ANSWER {
        return Err(io::Error::other(format!(
            "its answer has more than {ANSWER} bytes"
        )));
    }
    Ok(content)
}

/// The beginning; the rest is read and forgotten, so that the program can end.
async fn complaint(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(mut source) = source {
        (&mut source).take(COMPLAINT).read_to_end(&mut content).await?;
        tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    }
    Ok(content)
}

impl Answer {
    fn login(&self) -> Result<Option<Login>, String> {
        let output = String::from_utf8_lossy(&self.output);
        if !self.is_success {
            // Helpers complain on stdout, the shell that could not run them on stderr.
            if output.to_ascii_lowercase().contains(NOT_FOUND) {
                return Ok(None);
            }
            return Err(self.complaint(&output));
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(&output) else {
            return Err("its answer is not a JSON object".to_owned());
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let secret = Some(Secret::new(text("Secret"))).filter(|secret| !secret.expose().is_empty());
        if secret.is_none() {
            return Ok(None);
        }
        Ok(Some(match text("Username") {
            TOKEN_USER => Login {
                identity_token: secret,
                ..Login::default()
            },
            username => Login {
                username: username.to_owned(),
                password: secret,
                ..Login::default()
            },
        }))
    }

    fn complaint(&self, output: &str) -> String {
        let stderr = String::from_utf8_lossy(&self.complaint);
        let words = [output, &stderr]
            .into_iter()
            .map(str::trim)
            .find(|words| !words.is_empty())
            .unwrap_or("it ended with an error and without a word");
        let words = base::text::clean(words);
        base::text::cut(&base::redact::text(&words), 300).replace('\n', " ")
    }
}
