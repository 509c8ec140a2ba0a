//! What one test creates on an engine, and its removal: tests run on engines that other people use, so all they
//! make bears a label of its own, and nothing without that label is ever touched.

use crate::{Daemon, IMAGE, image_on, variable};
use serde_json::{Value, json};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Everything a test makes on an engine; removed by [`Scope::finish`], or on drop when the test fails.
#[derive(Debug)]
pub struct Scope {
    daemon: Daemon,
    unique: String,
    finished: bool,
}

impl Scope {
    /// The label that everything made by tests bears.
    pub const KEY: &str = "dockmaster.test";

    /// A scope on the engine under test. `name` says which test it is (lower-case letters, digits, hyphens).
    pub fn new(name: &str) -> Self {
        Self::on(Daemon::here(), name)
    }

    /// A scope on another engine.
    pub fn on(daemon: Daemon, name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let run = variable("DOCKMASTER_TEST_RUN").unwrap_or_else(|| "local".to_owned());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{run}-{name}-{}-{number}", process::id());
        Self {
            daemon,
            unique,
            finished: false,
        }
    }

    /// The engine of this scope.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// The label's value: the run, the test, the process and a number.
    pub fn value(&self) -> &str {
        &self.unique
    }

    /// The label as `key=value`.
    pub fn label(&self) -> String {
        format!("{}={}", Self::KEY, self.unique)
    }

    /// The label as the `Labels` object of the Engine API.
    pub fn labels(&self) -> Value {
        json!({ Self::KEY: self.unique })
    }

    /// A name for a container, network or volume. What bears it is removed with the scope even without the label.
    pub fn name(&self, what: &str) -> String {
        format!("dmt-{}-{what}", self.unique)
    }

    /// A reference for an image to build or tag; removed with the scope.
    pub fn image(&self, what: &str) -> String {
        format!("dockmaster-test/{}-{what}:1", self.unique)
    }

    /// Starts a container of the test image with this command, and gives its id.
    pub async fn run(&self, what: &str, command: &[&str]) -> String {
        let id = self
            .create(what, json!({ "Cmd": command, "StopTimeout": 1 }))
            .await;
        self.daemon
            .post(&format!("/containers/{id}/start"), &Value::Null)
            .await
            .ok();
        id
    }

    /// Creates a container from a body of the Engine API; image, labels and `StopSignal` are filled in where the
    /// body is silent. Gives the id.
    pub async fn create(&self, what: &str, mut body: Value) -> String {
        if body["Image"].is_null() {
            body["Image"] = image_on(&self.daemon).await.into();
        }
        if body["StopSignal"].is_null() {
            // Process 1 ignores SIGTERM unless it installs a handler; nobody should wait 10 s for that.
            body["StopSignal"] = "SIGKILL".into();
        }
        body["Labels"][Self::KEY] = self.unique.clone().into();
        let path = format!("/containers/create?name={}", self.name(what));
        let answer = self.daemon.post(&path, &body).await.ok().json();
        answer["Id"]
            .as_str()
            .expect("a created container has an id")
            .to_owned()
    }

    /// Creates a network and gives its id.
    pub async fn network(&self, what: &str) -> String {
        let body = json!({ "Name": self.name(what), "Labels": self.labels() });
        let answer = self.daemon.post("/networks/create", &body).await.ok().json();
        answer["Id"]
            .as_str()
            .expect("a created network has an id")
            .to_owned()
    }

    /// Creates a volume and gives its name.
    pub async fn volume(&self, what: &str) -> String {
        let name = self.name(what);
        let body = json!({ "Name": name, "Labels": self.labels() });
        self.daemon.post("/volumes/create", &body).await.ok();
        name
    }

    /// Tags the test image, so that the test may push or remove the new name.
    pub async fn tag(&self, what: &str) -> String {
        image_on(&self.daemon).await;
        let image = self.image(what);
        let (name, tag) = image.rsplit_once(':').expect("the name has a tag");
        self.daemon
            .post(
                &format!("/images/{IMAGE}/tag?repo={name}&tag={tag}"),
                &Value::Null,
            )
            .await
            .ok();
        image
    }

    /// Removes all that this scope made.
    pub async fn finish(mut self) {
        self.finished = true;
        remove(&self.daemon, &self.unique).await;
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The test failed or returned early. Its runtime may be gone, so this needs one of its own.
        let (daemon, unique) = (self.daemon.clone(), self.unique.clone());
        let removal = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(remove(&daemon, &unique));
        });
        // A second panic here would abort the run and hide the first.
        drop(removal.join());
    }
}

async fn remove(daemon: &Daemon, unique: &str) {
    let filters = |key: &str, value: String| encode(&json!({ key: [value] }).to_string());
    let label = filters("label", format!("{}={unique}", Scope::KEY));
    let name = filters("name", format!("dmt-{unique}-"));
    for filter in [&label, &name] {
        let found = daemon
            .get(&format!("/containers/json?all=1&filters={filter}"))
            .await;
        for id in texts(&found.json(), "Id") {
            daemon.delete(&format!("/containers/{id}?force=1&v=1")).await;
        }
    }
    for filter in [&label, &name] {
        let found = daemon.get(&format!("/networks?filters={filter}")).await;
        for id in texts(&found.json(), "Id") {
            daemon.delete(&format!("/networks/{id}")).await;
        }
        let found = daemon.get(&format!("/volumes?filters={filter}")).await;
        for name in texts(&found.json()["Volumes"], "Name") {
            daemon.delete(&format!("/volumes/{name}?force=1")).await;
        }
    }
    let reference = filters("reference", format!("*/{unique}-*"));
    let far = filters("reference", format!("*/*/{unique}-*"));
    for filter in [&label, &reference, &far] {
        for image in daemon
            .get(&format!("/images/json?filters={filter}"))
            .await
            .json()
            .as_array()
            .into_iter()
            .flatten()
        {
            let tags: Vec<&str> = image["RepoTags"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                // How engines before 25 write that there is none.
                .filter(|tag| *tag != "<none>:<none>")
                .collect();
            let own: Vec<&str> = tags.iter().copied().filter(|tag| tag.contains(unique)).collect();
            for tag in &own {
                daemon.delete(&format!("/images/{tag}?force=1")).await;
            }
            // Only an image that bears the label is ours beyond its name.
            if filter == &label && own.len() == tags.len() {
                daemon
                    .delete(&format!(
                        "/images/{}?force=1",
                        image["Id"].as_str().unwrap_or_default()
                    ))
                    .await;
            }
        }
    }
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry[key].as_str())
        .map(str::to_owned)
        .collect()
}

/// Percent-encodes everything but letters, digits and `-._~`.
fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
