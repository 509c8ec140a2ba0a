//! What the engine is: a digest, its versions, a sign of life.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::{fields, pick};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::answer::{Answer, Digest};
use server_kit::{Call, Spec, Toolset};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetDockerInfo {
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    fields: Vec<String>,
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    full: bool,
    #[schemars(extend("hidden" = true))]
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for GetDockerInfo {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "get_docker_info",
        "Engine version, host, limits, counts.",
    )
    .reads()
    .aliases(&["docker_info", "docker_system_info"]);

    fn about(&self) -> String {
        "look at the engine's settings".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut info = ctx.engine().system_info().await?;
        // Proxies hold passwords, and a manager's answer holds more than it should.
        base::redact::json(&mut info);
        let answer = if !self.fields.is_empty() {
            Answer::text(fields::project(&info, &self.fields)?).narrow("fewer fields")
        } else if self.full {
            Answer::json(pick::without_empty(info)).narrow("fields")
        } else {
            let api = ctx.engine().api_version().await?;
            digest(&info, &api.to_string()).into()
        };
        Ok(answer)
    }
}

fn digest(info: &Value, api: &str) -> Digest {
    let text = |pointer| pick::text(info, pointer);
    let number = |pointer| pick::number(info, pointer);
    let swarm = match text("/Swarm/LocalNodeState") {
        "inactive" | "" => String::new(),
        state if pick::yes(info, "/Swarm/ControlAvailable") => format!("{state}, manager"),
        state => state.to_owned(),
    };
    let security = pick::texts(info, "/SecurityOptions").map(|option| option.trim_start_matches("name="));
    let insecure = pick::texts(info, "/RegistryConfig/InsecureRegistryCIDRs")
        .map(str::to_owned)
        .chain(
            pick::members(info, "/RegistryConfig/IndexConfigs")
                .filter(|(_, index)| index["Secure"] == false)
                .map(|(name, _)| name.to_owned()),
        );
    Digest::new()
        .line("engine", format!("{}, API {api}", text("/ServerVersion")))
        .line("host", format!("{}, {}", text("/Name"), text("/OperatingSystem")))
        .line(
            "kernel",
            format!("{} {}", text("/KernelVersion"), text("/Architecture")),
        )
        .line(
            "resources",
            format!(
                "{} processors, {} memory",
                number("/NCPU"),
                base::text::bytes(pick::count(info, "/MemTotal"))
            ),
        )
        .line(
            "containers",
            format!(
                "{} running, {} paused, {} stopped",
                number("/ContainersRunning"),
                number("/ContainersPaused"),
                number("/ContainersStopped")
            ),
        )
        .line("images", number("/Images").to_string())
        .line(
            "storage",
            format!("{} in {}", text("/Driver"), text("/DockerRootDir")),
        )
        .line("logging", text("/LoggingDriver"))
        .line(
            "cgroups",
            format!("v{} ({})", text("/CgroupVersion"), text("/CgroupDriver")),
        )
        .list(
            "runtimes",
            pick::members(info, "/Runtimes").map(|(name, _)| name),
            120,
        )
        .list("network drivers", pick::texts(info, "/Plugins/Network"), 120)
        .list("volume drivers", pick::texts(info, "/Plugins/Volume"), 120)
        .list("security", security, 160)
        .list("registries without TLS", insecure, 160)
        .list("mirrors", pick::texts(info, "/RegistryConfig/Mirrors"), 160)
        .line("swarm", swarm)
        .list("labels", pick::texts(info, "/Labels"), 160)
        .list("warnings", pick::texts(info, "/Warnings"), 400)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetDockerVersion {}

impl Call<Ctx> for GetDockerVersion {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "get_docker_version",
        "Versions of the engine and its parts.",
    )
    .reads()
    .aliases(&["docker_version"]);

    fn about(&self) -> String {
        "ask the engine for its versions".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let version = ctx.engine().system_version().await?;
        let spoken = ctx.engine().api_version().await?;
        let parts = pick::list(&version, "/Components")
            .iter()
            .map(|part| format!("{} {}", pick::text(part, "/Name"), pick::text(part, "/Version")));
        Ok(Digest::new()
            .line("engine", pick::text(&version, "/Version"))
            .line(
                "api",
                format!(
                    "{} (spoken: {spoken}, oldest: {})",
                    pick::text(&version, "/ApiVersion"),
                    pick::text(&version, "/MinAPIVersion")
                ),
            )
            .line(
                "platform",
                format!(
                    "{}/{}",
                    pick::text(&version, "/Os"),
                    pick::text(&version, "/Arch")
                ),
            )
            .line("kernel", pick::text(&version, "/KernelVersion"))
            .line("built", pick::text(&version, "/BuildTime"))
            .list("parts", parts, 400)
            .into())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingEngine {}

impl Call<Ctx> for PingEngine {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "ping_engine",
        "Whether the engine answers, and how quickly.",
    )
    .reads()
    .aliases(&["docker_ping"]);

    fn about(&self) -> String {
        "ping the engine".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let ping = ctx.engine().system_ping().await?;
        let server = ping.server.unwrap_or_else(|| "an engine".to_owned());
        let took = ping.took.as_secs_f64() * 1_000.0;
        let endpoint = ctx.engine().endpoint();
        Ok(Answer::text(format!(
            "{server} at {endpoint} answered in {took:.1} ms"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_engine_in_few_words() {
        let info = json!({
            "ServerVersion": "20.10.24", "Name": "vm", "OperatingSystem": "Debian GNU/Linux 12", "KernelVersion": "6.1",
            "Architecture": "x86_64", "NCPU": 2, "MemTotal": 2_147_483_648_u64, "ContainersRunning": 1, "ContainersPaused": 0,
            "ContainersStopped": 2, "Images": 5, "Driver": "overlay2", "DockerRootDir": "/var/lib/docker",
            "LoggingDriver": "json-file", "CgroupVersion": "2", "CgroupDriver": "systemd",
            "Runtimes": {"runc": {}}, "Plugins": {"Network": ["bridge"], "Volume": ["local"]},
            "SecurityOptions": ["name=seccomp,profile=default"],
            "RegistryConfig": {
                "InsecureRegistryCIDRs": ["127.0.0.0/8"],
                "IndexConfigs": {"docker.io": {"Secure": true}, "r.example:5000": {"Secure": false}},
            },
            "Swarm": {"LocalNodeState": "inactive"}, "Warnings": null, "Labels": [],
        });
        insta::assert_snapshot!(digest(&info, "1.41").into_text(), @r"
        engine: 20.10.24, API 1.41
        host: vm, Debian GNU/Linux 12
        kernel: 6.1 x86_64
        resources: 2 processors, 2 GiB memory
        containers: 1 running, 0 paused, 2 stopped
        images: 5
        storage: overlay2 in /var/lib/docker
        logging: json-file
        cgroups: v2 (systemd)
        runtimes: runc
        network drivers: bridge
        volume drivers: local
        security: seccomp,profile=default
        registries without TLS: 127.0.0.0/8, r.example:5000
        ");
    }
}
