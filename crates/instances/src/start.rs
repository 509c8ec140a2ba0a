//! Starting: everything up to the moment when the server runs and its pipes are in hand.
//!
//! The pipes are attached before the start, so that nothing a server says at once is lost. From the first object that
//! is made on the work belongs to a task of its own: whoever gives up waiting leaves nothing behind.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use base::names::{ContainerRef, ImageRef, ServerName, VolumeName};
use catalog::plan::{Container, Network, Part, Source, Value};
#[cfg(unix)]
use engine::guard::Label;
use engine::guard::{DaemonPlace, Guard};
use engine::models::VolumeCreateRequest;
use engine::ops::containers::{Attach, Attached, NewContainer, Outputs, WaitFor, Waiting};
use engine::{Engine, Tty};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use crate::claim;
use crate::egress::{Egress, Rules, Way};
use crate::files::Folder;
use crate::guards::{self, Ours};
use crate::images::{self, Image, Progress, Signed};
use crate::instances::{EngineKind, Grace, Host, Inner, Instances};
use crate::labels::{self, Kind, Labels};
use crate::lockdown::{self, Facts};
use crate::running::{Owner, Running, Stage, remove};
#[cfg(unix)]
use crate::socket::{DockerSocket, Scope};
use crate::stderr::Stderr;
use crate::stdio::{Pipes, Stdio};
use crate::{Error, build};

/// What is to be started, and for whom.
pub struct Start<'a> {
    /// Whose copy it is.
    pub server: &'a ServerName,
    /// What runs.
    pub container: &'a Container,
    /// Who shares it: any text. Only a hash of it is written down.
    pub share: &'a str,
    /// The values of secrets by name.
    pub secrets: &'a (dyn Fn(&str) -> Option<Secret> + Sync),
    /// Gets the lines of its standard error, cleaned but not redacted. Lines for which it has no room are dropped and
    /// counted.
    pub stderr: Option<mpsc::Sender<String>>,
    /// Hears how far the fetching of its image is. What it has no room for is dropped.
    pub progress: Option<mpsc::Sender<Progress>>,
}

/// What differs between a server, a call and a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    /// It reads from its standard input.
    pub(crate) stdin: bool,
    /// How it comes to its end.
    pub(crate) manner: Manner,
    /// How many bytes of its standard error are kept as they come.
    pub(crate) keep_stderr: usize,
}

/// How a container ends that is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// By the end of its input first: it is a server, which ends by that.
    Server(Grace),
    /// By the stop signal first, with so many whole seconds until the kill. What it says last is left to whoever reads.
    Command(Duration),
}

/// What has to go when the container has gone.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    egress: Option<Egress>,
    #[cfg(unix)]
    socket: Option<DockerSocket>,
    /// For sockets. Goes when it is dropped.
    folder: Option<Folder>,
    /// For files of secrets. Goes when it is dropped.
    secrets: Option<Folder>,
}

impl Leftovers {
    /// The instance's folder for sockets, made when the first thing is put into it.
    fn folder(&mut self, inner: &Inner) -> Result<&Folder, Error> {
        made(&mut self.folder, &inner.options.run, inner)
    }

    /// The one for files of secrets.
    fn secrets(&mut self, inner: &Inner) -> Result<&Folder, Error> {
        made(&mut self.secrets, &inner.options.memory, inner)
    }

    /// Says whether nothing is left.
    pub(crate) async fn remove(self, engine: &Engine) -> bool {
        #[cfg(unix)]
        drop(self.socket);
        drop((self.folder, self.secrets));
        match self.egress {
            Some(egress) => egress.close(engine).await,
            None => true,
        }
    }
}

fn made<'f>(place: &'f mut Option<Folder>, above: &Path, inner: &Inner) -> Result<&'f Folder, Error> {
    let folder = match place.take() {
        Some(folder) => folder,
        None => Folder::make(above, inner.claim.id())?,
    };
    Ok(place.insert(folder))
}

impl Instances {
    /// Starts a copy of a server.
    ///
    /// # Errors
    /// Why it can't be started; nothing is left behind then. That the server itself ends at once is no error here:
    /// [`Running::exited`] tells.
    pub async fn start(&self, start: Start<'_>) -> Result<Running, Error> {
        let wants = Wants {
            stdin: true,
            manner: Manner::Server(self.inner.options.grace),
            keep_stderr: 0,
        };
        Box::pin(self.start_as(start, wants)).await
    }

    pub(crate) async fn start_as(&self, start: Start<'_>, wants: Wants) -> Result<Running, Error> {
        let server = start.server.as_str();
        let inner = &self.inner;
        if inner.closing.is_cancelled() {
            return Err(Error::Closing {
                server: server.to_owned(),
            });
        }
        let image = self
            .image(start.server, start.container, start.progress.as_ref())
            .await?;
        // From here on a task owns what is made. Its first word is the running server or why there is none.
        let (tell, told) = oneshot::channel();
        let stderr = Stderr::new(start.stderr.clone(), wants.keep_stderr);
        let plan = Box::pin(Planned::of(inner, &start, image, wants)).await?;
        let task = Arc::clone(inner);
        inner.tasks.spawn(async move {
            match Box::pin(plan.make(&task, stderr)).await {
                Ok((running, owner)) => {
                    // If nobody waits any more, the handle is dropped here and the owner ends what it owns.
                    drop(tell.send(Ok(running)));
                    Box::pin(owner.own()).await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        told.await.unwrap_or_else(|_| {
            Err(Error::Closing {
                server: server.to_owned(),
            })
        })
    }

    /// The image of a container, fetched if it is not there.
    ///
    /// # Errors
    /// That it can't be had, or that its signature does not hold.
    pub fn image<'a>(
        &'a self,
        server: &'a ServerName,
        container: &'a Container,
        progress: Option<&'a mpsc::Sender<Progress>>,
    ) -> BoxFuture<'a, Result<Image, Error>> {
        // An `async fn` would stand in each crate that awaits it.
        Box::pin(self.image_at_hand(server, container, progress))
    }

    async fn image_at_hand(
        &self,
        server: &ServerName,
        container: &Container,
        progress: Option<&mpsc::Sender<Progress>>,
    ) -> Result<Image, Error> {
        let inner = &self.inner;
        let image = ImageRef::parse(&container.image)
            .map_err(|error| Error::plan(server.as_str(), error.to_string()))?;
        let check = async |digests: Option<Vec<String>>| {
            let Some(check) = &inner.options.signature else {
                return Ok(());
            };
            let signed = Signed {
                server: server.clone(),
                catalog: container.catalog.clone(),
                reference: container.image.clone(),
                is_built: container.build.is_some(),
                digests,
            };
            check(signed).await.map_err(|cause| Error::Signature {
                server: server.to_string(),
                image: container.image.clone(),
                cause,
            })
        };
        if let Some(build) = &container.build {
            check(None).await?;
            build::ensure(inner, server, &image, build, progress).await?;
        }
        let server = server.as_str();
        let mut found = images::look(&inner.images, server, &image).await?;
        if found.is_none() {
            check(None).await?;
            images::pull(&inner.images, server, &image, progress).await?;
            found = images::look(&inner.images, server, &image).await?;
        }
        let found = found.ok_or_else(|| Error::Pull {
            server: server.to_owned(),
            image: image.to_string(),
            cause: "it was pulled and is not there".to_owned(),
            advice: "look at the engine's log",
        })?;
        check(Some(found.digests.clone())).await?;
        Ok(found)
    }
}

/// All that is needed to make a container, with the values of its secrets.
struct Planned {
    server: ServerName,
    container: Container,
    image: Image,
    host: Host,
    share: String,
    secrets: HashMap<String, Secret>,
    wants: Wants,
}

impl Planned {
    async fn of(inner: &Inner, start: &Start<'_>, image: Image, wants: Wants) -> Result<Self, Error> {
        let names = secrets_of(start.container);
        let value = |name: String| (start.secrets)(&name).map(|value| (name, value));
        Ok(Self {
            server: start.server.clone(),
            container: start.container.clone(),
            image,
            host: inner.host(start.server.as_str()).await?,
            share: labels::short_hash(start.share),
            secrets: names.into_iter().filter_map(value).collect(),
            wants,
        })
    }

    /// Makes the container with all that goes with it. If anything fails, nothing is left.
    async fn make(self, inner: &Arc<Inner>, stderr: Stderr) -> Result<(Running, Owner), Error> {
        let mut leftovers = Leftovers::default();
        match Box::pin(self.make_with(inner, stderr, &mut leftovers)).await {
            Ok((running, mut owner)) => {
                owner.leftovers = leftovers;
                Ok((running, owner))
            }
            Err(error) => {
                inner.removed(leftovers.remove(&inner.engine).await);
                Err(error)
            }
        }
    }

    async fn make_with(
        &self,
        inner: &Arc<Inner>,
        stderr: Stderr,
        leftovers: &mut Leftovers,
    ) -> Result<(Running, Owner), Error> {
        let (server, container) = (self.server.as_str(), &self.container);
        if let Network::Hosts(hosts) = &container.network
            && !hosts.is_empty()
        {
            let rules = Rules {
                hosts: hosts.clone(),
                private: container.private_hosts.clone(),
            };
            let egress = self.egress(inner, &rules, leftovers).await?;
            leftovers.egress = Some(egress);
        }
        let secret_files = self.secret_files(inner, leftovers)?;
        let docker_socket = self.docker_socket(inner, leftovers)?;
        let way = leftovers.egress.as_ref().map(|egress| egress.way.clone());
        let mut ours = Ours {
            files: secret_files.values().cloned().collect(),
            sockets: docker_socket.iter().cloned().collect(),
        };
        #[cfg(unix)]
        if let Some(Way::Socket { socket, relay }) = &way {
            ours.files.extend(relay.files().cloned());
            ours.sockets.push(socket.clone());
        }
        let random = labels::random(3).map_err(|cause| Error::files("name", "a container", cause))?;
        let name = format!("dockmaster-{server}-{random}");
        let fingerprint = self.image.fingerprint(container);
        let further = &inner.options.labels;
        let labels = Labels::new(Kind::Instance, &self.server, further)
            .with(labels::GATEWAY, inner.claim.id())
            .with(labels::SHARE, self.share.clone())
            .with(labels::FINGERPRINT, fingerprint.clone())
            .with(labels::IMAGE, self.image.reference.clone())
            .with(labels::CREATED, base::clock::now().to_string());
        let facts = Facts {
            server,
            image: &self.image,
            host: self.host,
            owner: owner_of(container, &inner.user.options().guard),
            egress: way,
            secret_files,
            socket: docker_socket,
            labels,
            volume_labels: Labels::new(Kind::Data, &self.server, further),
            stdin: self.wants.stdin,
            is_whole: matches!(self.wants.manner, Manner::Command(_)),
        };
        let body = lockdown::body(container, facts, &|name| self.secrets.get(name).cloned())?;
        let other_user = body.user.is_some() && container.user.is_none();
        let new = NewContainer {
            name: ContainerRef::parse(&name).ok(),
            platform: None,
            body,
        };
        let engine = inner
            .user
            .behind(guards::of_plan(&inner.user.options().guard, container, &ours));
        let (id, attached, waiting) = self
            .begin(inner, &engine, new, leftovers.secrets.as_ref().map(Folder::path))
            .await?;
        let pipes = Arc::new(Pipes::new(attached.into_raw(), stderr));
        let (stage, seen) = watch::channel(Stage::Running);
        let running = Running {
            id: id.clone(),
            name,
            fingerprint,
            // The end of this stream would be that of the container.
            stdio: matches!(self.wants.manner, Manner::Server(_)).then(|| Stdio::new(Arc::clone(&pipes))),
            pipes: Arc::clone(&pipes),
            stage: seen,
            engine,
            traffic: leftovers
                .egress
                .as_ref()
                .map(|egress| Arc::clone(&egress.traffic)),
        };
        let owner = Owner {
            inner: Arc::clone(inner),
            id,
            waiting,
            pipes,
            stage,
            leftovers: Leftovers::default(),
            other_user,
            manner: self.wants.manner,
        };
        Ok((running, owner))
    }

    /// The way out, by a socket wherever that can be.
    async fn egress(&self, inner: &Inner, rules: &Rules, leftovers: &mut Leftovers) -> Result<Egress, Error> {
        #[cfg(unix)]
        if let Some(relay) = inner.relay().await? {
            let folder = leftovers.folder(inner)?.path();
            return Egress::by_socket(inner, &self.server, rules, folder, relay);
        }
        Egress::by_network(inner, &self.server, rules, self.host.kind).await
    }

    /// Puts the values of secrets that are wanted as files where the container can be given them.
    fn secret_files(
        &self,
        inner: &Inner,
        leftovers: &mut Leftovers,
    ) -> Result<HashMap<String, PathBuf>, Error> {
        let server = self.server.as_str();
        let mut files = HashMap::new();
        let wanted = self
            .container
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                Source::Secret(name) => Some(name),
                _ => None,
            });
        for (number, name) in wanted.enumerate() {
            let Some(value) = self.secrets.get(name) else {
                return Err(Error::MissingSecret {
                    server: server.to_owned(),
                    name: name.clone(),
                });
            };
            if !inner.gives(&inner.options.memory) {
                let fault = format!(
                    "it wants the secret {name} as a file, and one in memory is given to containers on the same \
                     machine only; give it as a variable of the environment, if the server takes that"
                );
                return Err(Error::plan(server, fault));
            }
            let file = leftovers.secrets(inner)?.secret(number, value)?;
            files.insert(name.clone(), file);
        }
        Ok(files)
    }

    /// Opens the Docker socket that the plan asks for, filtered for this server and whoever shares it.
    #[cfg(unix)]
    fn docker_socket(&self, inner: &Inner, leftovers: &mut Leftovers) -> Result<Option<PathBuf>, Error> {
        let server = self.server.as_str();
        if !self.container.docker_socket {
            return Ok(None);
        }
        let user = &inner.user.options().guard;
        if !inner.gives(&inner.options.run) {
            let fault = "it needs a Docker socket, and a filtered one is given to containers on the same machine only";
            return Err(Error::plan(server, fault));
        }
        // Another user of the engine may have a server of the same name.
        let house = claim::house(&inner.locks)?;
        let owner = format!("{server}.{}.{house}", self.share);
        let failed = |cause| Error::files("make a Docker socket in", &inner.options.run, cause);
        let label = Label::parse(&format!("{}={owner}", labels::MADE_BY))
            .map_err(|fault| failed(std::io::Error::other(fault)))?;
        let engine = inner.user.behind(guards::of_socket(user, label));
        let scope = Scope {
            label: (labels::MADE_BY.to_owned(), owner),
            labels: inner.options.labels.clone(),
            confined: self.container.network != Network::Open,
            memory: self.container.limits.memory,
            pids: self.container.limits.pids,
        };
        let folder = leftovers.folder(inner)?.path().to_owned();
        let socket = DockerSocket::open(&folder, engine, scope, &inner.tasks).map_err(failed)?;
        let path = socket.path().to_owned();
        leftovers.socket = Some(socket);
        Ok(Some(path))
    }

    #[cfg(not(unix))]
    fn docker_socket(&self, _: &Inner, _: &mut Leftovers) -> Result<Option<PathBuf>, Error> {
        if !self.container.docker_socket {
            return Ok(None);
        }
        let fault = "it needs a Docker socket, and this system has none to give";
        Err(Error::plan(self.server.as_str(), fault))
    }

    /// Makes the named volumes that are missing. Podman makes those of a new container without the labels that are asked
    /// for, and the next start would find a stranger's.
    async fn make_volumes(&self, inner: &Inner, engine: &Engine) -> Result<(), Error> {
        let server = self.server.as_str();
        for mount in &self.container.mounts {
            let Source::Volume(name) = &mount.source else {
                continue;
            };
            let volume = VolumeName::parse(name).map_err(|error| Error::plan(server, error.to_string()))?;
            match inner.engine.volume_inspect(&volume).await {
                // Another's is refused to be looked at; whether it may be had is judged with the container.
                Ok(_) | Err(engine::Error::Refused(_)) => continue,
                Err(engine::Error::NotFound { .. }) => {}
                Err(error) => return Err(Error::engine("look at its volume", server, error)),
            }
            let labels = Labels::new(Kind::Data, &self.server, &inner.options.labels);
            let wanted = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(labels.into_map()),
                ..VolumeCreateRequest::default()
            };
            let made = engine.volume_create(&wanted).await;
            made.map_err(|error| Error::engine("make its volume", server, error))?;
        }
        Ok(())
    }

    /// Creates, attaches, watches and starts, in this order: nothing that the server says or does is missed.
    async fn begin(
        &self,
        inner: &Inner,
        engine: &Engine,
        new: NewContainer,
        secrets: Option<&Path>,
    ) -> Result<(ContainerRef, Attached, Waiting), Error> {
        let server = self.server.as_str();
        if self.host.kind == EngineKind::Podman {
            self.make_volumes(inner, engine).await?;
        }
        let created = engine.container_create(new).await;
        let created = created.map_err(|error| {
            Error::foreign_volume(server, &self.container, &error)
                .or_else(|| Error::unseen_files(server, secrets, &error))
                .unwrap_or_else(|| Error::engine("create a container", server, error))
        })?;
        for warning in &created.warnings {
            tracing::debug!(server, "the engine says of the new container: {warning}");
        }
        let id = created.id;
        let begun = async {
            let attach = Attach {
                stdin: self.wants.stdin,
                outputs: Outputs::Both,
                ..Attach::default()
            };
            let failed = |error| Error::engine("attach to the container", server, error);
            let attached = engine
                .container_attach(&id, attach, Tty::No)
                .await
                .map_err(failed)?;
            let failed = |error| Error::engine("watch the container", server, error);
            let waiting = engine
                .container_wait_begin(&id, WaitFor::NextExit)
                .await
                .map_err(failed)?;
            let failed = |error| Error::engine("start the container", server, error);
            engine.container_start(&id).await.map_err(failed)?;
            Ok((attached, waiting))
        };
        match begun.await {
            Ok((attached, waiting)) => Ok((id, attached, waiting)),
            Err(error) => {
                inner.removed(remove(&inner.engine, &id).await);
                Err(error)
            }
        }
    }
}

/// Names of all secrets that a container is given.
fn secrets_of(container: &Container) -> BTreeSet<String> {
    let values = container.env.iter().map(|(_, value)| value);
    let values = values.chain(container.secret_arguments.values());
    let parts = values.flat_map(|value| match value {
        Value::Plain(_) => [].iter(),
        Value::Parts(parts) => parts.iter(),
    });
    let named = parts.filter_map(|part| match part {
        Part::Secret(name) => Some(name.clone()),
        Part::Text(_) => None,
    });
    let files = container.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Secret(name) => Some(name.clone()),
        _ => None,
    });
    named.chain(files).collect()
}

/// Who owns the first folder of this machine that a container may write to.
#[cfg(unix)]
fn owner_of(container: &Container, guard: &Guard) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    if guard.surroundings().daemon != DaemonPlace::Local {
        return None;
    }
    let written = container.mounts.iter().find_map(|mount| match &mount.source {
        Source::Path(path) if !mount.read_only => Some(path),
        _ => None,
    })?;
    let owner = fs_err::metadata(written).ok()?;
    Some(format!("{}:{}", owner.uid(), owner.gid()))
}

#[cfg(not(unix))]
fn owner_of(_: &Container, _: &Guard) -> Option<String> {
    None
}
