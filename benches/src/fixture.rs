//! The containers that every subject is asked about: 100 that are stopped, as a compose project would label them,
//! and one that has written 60,000 lines.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::{Daemon, Scope};

pub(crate) const CONTAINERS: usize = 100;
pub(crate) const LINES: usize = 60_000;

pub(crate) struct Fixture {
    scope: Scope,
    /// The id of one of the 100.
    pub(crate) one: String,
    /// The name of the one that wrote the lines; it is one of the 100.
    pub(crate) talker: String,
    /// How many containers the engine had besides; a list shows them too.
    pub(crate) others: usize,
}

impl Fixture {
    pub(crate) async fn new() -> Result<Self> {
        let scope = Scope::new("bench");
        let others = count(scope.daemon()).await?;
        let mut one = String::new();
        for number in 0..CONTAINERS - 1 {
            one = scope.create(&format!("web-{number}"), body(&scope, number)).await;
        }
        let script = format!(
            "i=0; while [ $i -lt {LINES} ]; do echo \"line $i of the log, with some words\"; i=$((i+1)); done"
        );
        let id = scope.run("talker", &["sh", "-c", &script]).await;
        scope
            .daemon()
            .post(&format!("/containers/{id}/wait"), &Value::Null)
            .await
            .ok();
        let talker = scope.name("talker");
        Ok(Self {
            scope,
            one,
            talker,
            others,
        })
    }

    pub(crate) async fn finish(self) {
        self.scope.finish().await;
    }
}

async fn count(daemon: &Daemon) -> Result<usize> {
    let list = daemon.get("/containers/json?all=1").await.ok().json();
    Ok(list.as_array().context("a list of containers")?.len())
}

fn body(scope: &Scope, number: usize) -> Value {
    json!({
        "Cmd": ["sleep", "1000"],
        "Env": ["MODE=production", "DB_PASSWORD=hunter2hunter2", "API_TOKEN=0123456789abcdef"],
        "Labels": {
            Scope::KEY: scope.value(),
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": format!("web{number}"),
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "0f343b0931126a20f133d67c2b018a3b5c1f3b2a9a3f3f5d7a5f6a7e8d9c0b1a",
        },
    })
}
