//! One bridge on one host: how it gets there, what is run in it, and its end. How it is replaced is `upgrade`'s, and how it gets
//! out to the world `way_out`'s.

mod upgrade;
mod way_out;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::names::{ContainerRef, ImageRef, NetworkRef, VolumeName};
use bytes::Bytes;
use engine::models::{ExecConfig, RestartPolicyNameEnum};
use engine::ops::containers::{ContainerQuery, NewContainer, RemoveContainer, Stop};
use engine::ops::images::{Import, RemoveImage, TransferEvent};
use engine::ops::volumes::RemoveVolume;
use engine::tarball::{Limits, Source, pack};
use engine::{Engine, Filters, Tty};
use fetch::{Dial, Duplex};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::container::{self, Lying, PROGRAM, Place, VERSION};
use crate::stream::Stream;
use crate::{ARGUMENT, Error, Executable, MADE_BY, guards};
use way_out::NOWHERE;

/// How long one program in the bridge may take, the way there included.
const ANSWER: Duration = Duration::from_secs(30);
/// Most bytes of what one says.
const LONGEST: u64 = 64 << 20;
/// How long a bridge may take to answer after its start.
const START: Duration = Duration::from_secs(30);
/// Between two questions whether it answers.
const PAUSE: Duration = Duration::from_millis(100);

/// A bridge on a host. A handle: clones are the same.
#[derive(Debug, Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
    part: Part,
}

/// Which of its containers is meant. There are several only while it is upgraded, or when that was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The one that it is.
    Own,
    /// Another executable, as it is tried out; it does not come back with its engine.
    Trial,
    /// The one before, while another takes its place.
    Before,
}

#[derive(Debug)]
struct Shared {
    /// Behind the user's own guard; only to be put behind others.
    user: Engine,
    /// Confined to this bridge.
    engine: Engine,
    id: String,
}

/// How a bridge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// The version of Dockmaster in it, as its label says.
    pub version: String,
    /// What its engine says of it: `running`, `exited`, …
    pub status: String,
}

/// What an end left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// What could not be removed, and why: a line each.
    pub stuck: Vec<String>,
    /// Volumes with data of servers, which are their user's.
    pub data: Vec<String>,
}

impl Bridge {
    /// The bridge of this id on an engine; nothing is asked yet. `id` is made of `[a-z0-9]`.
    #[must_use]
    pub fn new(user: &Engine, id: &str) -> Self {
        let guard = &user.options().guard;
        Self {
            shared: Arc::new(Shared {
                engine: user.behind(guards::of_bridge(guard, id, None)),
                user: user.clone(),
                id: id.to_owned(),
            }),
            part: Part::Own,
        }
    }

    /// What its container is called.
    #[must_use]
    pub fn name(&self) -> String {
        let name = container::name(&self.shared.id);
        match self.part {
            Part::Own => name,
            Part::Trial => format!("{name}-trial"),
            Part::Before => format!("{name}-before"),
        }
    }

    fn part(&self, part: Part) -> Self {
        Self { part, ..self.clone() }
    }

    /// Puts it there, gives it its first `parcel`, and waits until it answers; gives what it says of itself. What is left of
    /// one that failed is removed.
    ///
    /// # Errors
    /// The host is of another kind, its engine refuses, or the bridge does not come up; [`Error::Remains`] where some of it
    /// could not be removed again.
    pub async fn install(
        &self,
        executable: &Executable,
        place: &Place,
        parcel: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let installed = async {
            let image = self.import(executable, place).await?;
            self.create(&image, place).await?;
            self.start_in(place).await?;
            self.ask(&["take"], parcel).await?;
            self.wait_until_it_answers().await
        };
        let installed = installed.await;
        match installed {
            Ok(said) => Ok(said),
            Err(error) => match self.uninstall().await.stuck {
                stuck if stuck.is_empty() => Err(error),
                stuck => Err(Error::Remains {
                    error: Box::new(error),
                    stuck: stuck.join("; "),
                }),
            },
        }
    }

    /// Ends it and removes all that is its own: containers and networks of its servers, its container, network, volumes and
    /// images.
    /// What can't be removed is told and does not keep the rest from being removed.
    pub async fn uninstall(&self) -> Left {
        let mut left = Left::default();
        let mut note = |what: String, done: Result<(), Error>| {
            if let Err(error) = done {
                left.stuck.push(format!("{what}: {error}"));
            }
        };
        for part in [Part::Own, Part::Trial, Part::Before] {
            let part = self.part(part);
            note(part.name(), part.end().await);
        }
        let (stuck, data) = self.remove_remains().await;
        left.stuck.extend(stuck);
        left.data = data;
        if let Err(error) = self.remove_network().await {
            left.stuck.push(format!("network {}: {error}", self.name()));
        }
        for name in container::volumes(&self.shared.id) {
            if let Err(error) = self.remove_volume(&name).await {
                left.stuck.push(format!("volume {name}: {error}"));
            }
        }
        left.stuck.extend(self.remove_images(None).await);
        left
    }

    /// How it is; `None` where there is none. Of one whose upgrade was broken off, how the one before is.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn state(&self) -> Result<Option<State>, Error> {
        let found = match self.inspect().await? {
            None if self.part == Part::Own => self.part(Part::Before).inspect().await?,
            found => found,
        };
        Ok(found.map(|found| {
            let word = |text: &Value| {
                let text = text.as_str().unwrap_or_default();
                base::text::clean(base::text::cut(text, 64)).replace('\n', " ")
            };
            State {
                running: found["State"]["Running"] == true,
                version: word(&found["Config"]["Labels"][VERSION]),
                status: word(&found["State"]["Status"]),
            }
        }))
    }

    /// Runs a part of it inside, gives it `input`, and gives what it says.
    ///
    /// # Errors
    /// It is not there, does not answer within 30 s, or says what is wrong.
    pub async fn ask(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
        let asked = async {
            let (mut stream, exec) = self.open(arguments).await?;
            let broken = |error: io::Error| Error::Silent(error.to_string());
            let mut said = Vec::new();
            // One that ends before it has read all says why.
            let wrote = async {
                stream.write_all(input).await?;
                stream.shutdown().await
            };
            let wrote = wrote.await;
            (&mut stream)
                .take(LONGEST)
                .read_to_end(&mut said)
                .await
                .map_err(|error| Error::Said(error.to_string()))?;
            let failed = |cause| Error::engine("ask how it ended", cause);
            match self.shared.engine.exec_exit_code(&exec).await.map_err(failed)? {
                Some(0) => wrote.map_err(broken).map(|()| said),
                code => {
                    let reason = stream.reason();
                    Err(if reason.is_empty() {
                        Error::Silent(format!("it ended with exit code {code:?}"))
                    } else {
                        Error::Said(reason)
                    })
                }
            }
        };
        let late = || Error::Silent(format!("nothing came within {} s", ANSWER.as_secs()));
        timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(late()))
    }

    async fn open(&self, arguments: &[&str]) -> Result<(Stream, base::names::ExecId), Error> {
        let engine = &self.shared.engine;
        let failed = |cause| match cause {
            engine::Error::NotFound { .. } => Error::Gone,
            cause => Error::engine("reach into the bridge", cause),
        };
        let words = [PROGRAM, ARGUMENT].into_iter().chain(arguments.iter().copied());
        let config = ExecConfig {
            cmd: Some(words.map(str::to_owned).collect()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            ..ExecConfig::default()
        };
        let exec = engine
            .exec_create(&self.container()?, config)
            .await
            .map_err(failed)?;
        let attached = engine.exec_start(&exec, Tty::No).await.map_err(failed)?;
        Ok((Stream::new(attached.into_raw()), exec))
    }

    async fn import(&self, executable: &Executable, place: &Place) -> Result<ImageRef, Error> {
        let engine = self
            .shared
            .user
            .behind(guards::of_unlabelled(&self.shared.user.options().guard));
        let info = engine
            .system_info()
            .await
            .map_err(|cause| Error::engine("ask the engine what it is", cause))?;
        let theirs = info["Architecture"].as_str().unwrap_or_default();
        let ours = executable.architecture();
        if !ours.runs_on(theirs) {
            return Err(Error::Architecture {
                ours,
                theirs: base::text::clean(base::text::cut(theirs, 40)).into_owned(),
            });
        }
        let file = |path: &str, content: &Bytes| Source::Memory {
            path: path.to_owned(),
            content: content.clone(),
            mode: 0o755,
        };
        let program = file(PROGRAM.trim_start_matches('/'), &executable.program);
        let libraries = executable
            .libraries
            .iter()
            .map(|(path, content)| file(path, content));
        let tar = pack(libraries.chain([program]).collect(), Limits::default());
        let tag = |text: &str| ImageRef::parse(text).map_err(|error| Error::Silent(error.to_string()));
        let reference = tag(&format!(
            "{}:{}",
            container::name(&self.shared.id),
            place.version.replace('+', "-")
        ))?;
        let import = Import {
            reference: Some(reference.clone()),
            message: Some("a bridge of Dockmaster".to_owned()),
            changes: container::changes(&self.shared.id, !executable.libraries.is_empty()),
            platform: None,
        };
        let failed = |cause| Error::engine("bring its image to the host", cause);
        let events = engine.image_import(&import, tar).await.map_err(failed)?;
        let mut events = std::pin::pin!(events);
        let mut told = None;
        while let Some(event) = events.next().await {
            if let TransferEvent::Status(said) | TransferEvent::Layer { status: said, .. } =
                event.map_err(failed)?
            {
                let id = ImageRef::parse(&said)
                    .ok()
                    .filter(|_| said.starts_with("sha256:"));
                told = id.or(told);
            }
        }
        // Engines differ in how they tell the id; and Podman's looks at no tag, and names each image `latest`.
        let made = match (engine.image_inspect(&reference).await, told) {
            (Err(engine::Error::NotFound { .. }), Some(told)) => engine.image_inspect(&told).await,
            (made, _) => made,
        };
        let made = made.map_err(failed)?;
        let id = made["Id"].as_str().unwrap_or_default();
        tag(if id.starts_with("sha256:") {
            id.to_owned()
        } else {
            format!("sha256:{id}")
        }
        .as_str())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let name = VolumeName::parse(name).map_err(|error| Error::Silent(error.to_string()))?;
        match self
            .shared
            .engine
            .volume_remove(&name, RemoveVolume::Orderly)
            .await
        {
            Ok(()) | Err(engine::Error::NotFound { .. }) => Ok(()),
            // Whatever used it is gone by now. Seen on 20.10, and not on 26.1 and 28.5.
            Err(cause) if cause.to_string().contains("volume has active mounts") => {
                Err(Error::Miscounted(cause))
            }
            Err(cause) => Err(Error::engine("remove its volume", cause)),
        }
    }

    async fn create(&self, image: &ImageRef, place: &Place) -> Result<(), Error> {
        let user = &self.shared.user;
        let guard = guards::of_bridge(&user.options().guard, &self.shared.id, Some(&place.socket));
        let engine = user.behind(guard);
        let id = &self.shared.id;
        let mut made = [Value::Null, Value::Null, Value::Null];
        for (made, name) in made.iter_mut().zip(container::volumes(id)) {
            let volume = engine.volume_create(&container::volume(id, name)).await;
            *made = volume.map_err(|cause| Error::engine("make its volume", cause))?;
        }
        let lying = Lying::read(&made)
            .ok_or_else(|| Error::Silent("its engine does not say where volumes lie".to_owned()))?;
        // Podman connects no container that was made without a network, and Docker starts none without the one it was made
        // with.
        let network = if place.way_out && self.is_on_podman().await? {
            self.make_network().await?.to_string()
        } else {
            NOWHERE.to_owned()
        };
        // It comes back with its engine, but for one that is tried out.
        let restart = match self.part {
            Part::Own | Part::Before => RestartPolicyNameEnum::ALWAYS,
            Part::Trial => RestartPolicyNameEnum::NO,
        };
        let new = NewContainer {
            name: Some(self.container()?),
            platform: None,
            body: container::request(id, image, place, &lying, &network, restart),
        };
        engine
            .container_create(new)
            .await
            .map_err(|cause| Error::engine("make its container", cause))?;
        Ok(())
    }

    async fn is_on_podman(&self) -> Result<bool, Error> {
        let failed = |cause| Error::engine("ask the engine what it is", cause);
        let version = self.shared.engine.system_version().await.map_err(failed)?;
        let mut parts = version["Components"].as_array().into_iter().flatten();
        Ok(parts.any(|part| part["Name"] == "Podman Engine"))
    }

    async fn start(&self) -> Result<(), Error> {
        let started = self.shared.engine.container_start(&self.container()?).await;
        started
            .map_err(|cause| Error::engine("start it", cause))
            .map(drop)
    }

    /// With a way out, where it needs one.
    async fn start_in(&self, place: &Place) -> Result<(), Error> {
        self.start().await?;
        if place.way_out {
            self.set_way_out(true).await?;
        }
        Ok(())
    }

    async fn wait_until_it_answers(&self) -> Result<Vec<u8>, Error> {
        let give_up = Instant::now() + START;
        loop {
            let error = match self.ask(&["hello"], &[]).await {
                Ok(said) => return Ok(said),
                Err(error) => error,
            };
            let state = self.state().await?;
            let has_ended = state
                .as_ref()
                .is_none_or(|state| matches!(state.status.as_str(), "exited" | "dead" | "restarting"));
            if has_ended || Instant::now() >= give_up {
                let log = self.last_words().await;
                return Err(Error::Silent(match (state, log) {
                    (Some(_), Some(log)) if has_ended => format!("it has ended: {log}"),
                    (Some(state), _) if has_ended => format!("it is {}", state.status),
                    _ => error.to_string(),
                }));
            }
            sleep(PAUSE).await;
        }
    }

    async fn last_words(&self) -> Option<String> {
        use engine::ops::containers::{LogQuery, Tail};
        let query = LogQuery {
            tail: Tail::Lines(3),
            ..LogQuery::default()
        };
        let log = self
            .shared
            .engine
            .container_logs(&self.container().ok()?, &query, Tty::No)
            .await
            .ok()?;
        let mut log = std::pin::pin!(log);
        let mut text = Vec::new();
        while let Some(Ok(output)) = log.next().await {
            text.extend_from_slice(output.bytes());
        }
        let text = String::from_utf8_lossy(&text);
        let text = base::text::clean(text.trim()).replace('\n', "; ");
        (!text.is_empty()).then(|| base::text::cut(&text, 600).to_owned())
    }

    /// Ends the container in good order, with its servers, and removes it.
    async fn end(&self) -> Result<(), Error> {
        if self.inspect().await?.is_none() {
            return Ok(());
        }
        let container = self.container()?;
        // One that does not stop is killed by the removal.
        drop(
            self.shared
                .engine
                .container_stop(&container, Stop::default())
                .await,
        );
        self.remove().await
    }

    async fn remove(&self) -> Result<(), Error> {
        let how = RemoveContainer {
            force: true,
            volumes: true,
        };
        match self.shared.engine.container_remove(&self.container()?, how).await {
            Ok(()) | Err(engine::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(Error::engine("remove its container", cause)),
        }
    }

    /// Removes what it made for its servers; gives what could not be removed, and the volumes, which stay.
    async fn remove_remains(&self) -> (Vec<String>, Vec<String>) {
        let guard = guards::of_remains(&self.shared.user.options().guard, &self.shared.id);
        let engine = self.shared.user.behind(guard);
        let filters = Filters::new().with("label", format!("{MADE_BY}={}", self.shared.id));
        let query = ContainerQuery {
            all: true,
            filters: filters.clone(),
            ..ContainerQuery::default()
        };
        let mut stuck = Vec::new();
        let how = RemoveContainer {
            force: true,
            volumes: true,
        };
        match engine.container_list(&query).await {
            Ok(list) => {
                for id in texts(&list, "Id") {
                    let Ok(id) = ContainerRef::parse(&id) else {
                        continue;
                    };
                    match engine.container_remove(&id, how).await {
                        Ok(()) | Err(engine::Error::NotFound { .. }) => {}
                        Err(error) => stuck.push(format!("container {id}: {error}")),
                    }
                }
            }
            Err(error) => stuck.push(format!("containers of its servers: {error}")),
        }
        match engine.network_list(&filters).await {
            Ok(list) => {
                for id in texts(&list, "Id") {
                    let Ok(id) = NetworkRef::parse(&id) else { continue };
                    match engine.network_remove(&id).await {
                        Ok(()) | Err(engine::Error::NotFound { .. }) => {}
                        Err(error) => stuck.push(format!("network {id}: {error}")),
                    }
                }
            }
            Err(error) => stuck.push(format!("networks of its servers: {error}")),
        }
        let data = engine
            .volume_list(&filters)
            .await
            .map(|list| texts(&list, "Name"));
        (stuck, data.unwrap_or_default())
    }

    /// Removes its images, but for the one of this id; gives what could not be removed.
    async fn remove_images(&self, but: Option<&str>) -> Vec<String> {
        let engine = self
            .shared
            .user
            .behind(guards::of_unlabelled(&self.shared.user.options().guard));
        let query = engine::ops::images::ImageQuery {
            filters: Filters::new().with("label", container::of_image(&self.shared.id)),
            ..engine::ops::images::ImageQuery::default()
        };
        let list = match engine.image_list(&query).await {
            Ok(list) => list,
            Err(error) => return vec![format!("its images: {error}")],
        };
        let mut stuck = Vec::new();
        for id in texts(&list, "Id") {
            if but == Some(id.as_str()) {
                continue;
            }
            let Ok(image) = ImageRef::parse(&id) else { continue };
            let how = RemoveImage {
                force: true,
                ..RemoveImage::default()
            };
            match engine.image_remove(&image, how).await {
                Ok(_) | Err(engine::Error::NotFound { .. }) => {}
                Err(error) => stuck.push(format!("image {id}: {error}")),
            }
        }
        stuck
    }

    async fn inspect(&self) -> Result<Option<Value>, Error> {
        match self.shared.engine.container_inspect(&self.container()?).await {
            Ok(found) => Ok(Some(found)),
            Err(engine::Error::NotFound { .. }) => Ok(None),
            Err(cause) => Err(Error::engine("look at the bridge", cause)),
        }
    }

    fn network(&self) -> Result<NetworkRef, Error> {
        NetworkRef::parse(&container::name(&self.shared.id)).map_err(|error| Error::Silent(error.to_string()))
    }

    fn container(&self) -> Result<ContainerRef, Error> {
        ContainerRef::parse(&self.name()).map_err(|error| Error::Silent(error.to_string()))
    }
}

impl Dial for Bridge {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let own = self.clone();
        Box::pin(async move {
            let (stream, _) = own.open(&["dial"]).await?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

fn texts(list: &[Value], key: &str) -> Vec<String> {
    let texts = list.iter().filter_map(|entry| entry[key].as_str());
    texts.map(str::to_owned).collect()
}
