//! `list_containers`: one request, one line for each container.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::list::List;
use crate::read::Or;
use crate::values::Filters;
use crate::{pick, status};
use engine::ops::containers::ContainerQuery;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

/// Ports shown of one container; a range of hundreds says nothing more.
const MAX_PORTS: usize = 6;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListContainers {
    #[serde(default)]
    #[schemars(extend("about" = "Stopped ones too."))]
    all: bool,
    /// {"status":"exited","label":"a=b"}
    #[serde(default)]
    #[schemars(extend("about" = "The engine's own: status, label, name, ancestor, network, volume, health … {\"status\":\"exited\",\"label\":\"a=b\"}"))]
    filters: Filters,
    #[schemars(extend("hidden" = true))]
    limit: Option<u32>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for ListContainers {
    const SPEC: Spec = Spec::new(Toolset::Standard, "list_containers", "List containers.")
        .reads()
        .aliases(&["docker_list_containers", "container_list"]);

    fn about(&self) -> String {
        "list containers".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let query = ContainerQuery {
            all: self.all,
            filters: self.filters.to_engine(),
            ..ContainerQuery::default()
        };
        let listed: Vec<Listed> = ctx.engine().container_list_as(&query).await?;
        if listed.is_empty() {
            let hint = if self.all {
                ""
            } else {
                "; all=true lists stopped ones too"
            };
            return Ok(Answer::text(format!("no container{hint}")));
        }
        let list = List {
            kind: "container",
            header: &["name", "image", "status", "ports"],
            limit: self.limit,
        };
        Ok(list.of(&listed, row))
    }
}

/// What a line shows of a container: a tenth of what the engine tells.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    names: Or<Vec<String>>,
    image: Or<String>,
    status: Or<String>,
    ports: Or<Vec<Value>>,
}

fn row(container: &Listed) -> Vec<String> {
    let image = match container.image.as_str() {
        id if id.starts_with("sha256:") => pick::short_id(id),
        name => name,
    };
    let mut row = vec![
        pick::own_name(container.names.iter().map(String::as_str)).to_owned(),
        image.to_owned(),
        status::short(&container.status),
    ];
    let ports = ports(&container.ports);
    if !ports.is_empty() {
        row.push(ports);
    }
    row
}

/// `127.0.0.1:8080->80, *:53->53/udp, 443`: published ports first; `*` is every address of the host.
pub(crate) fn ports(ports: &[Value]) -> String {
    let mut shown: Vec<String> = Vec::new();
    for port in ports {
        let protocol = match pick::text(port, "/Type") {
            "tcp" | "" => String::new(),
            other => format!("/{other}"),
        };
        let inner = pick::number(port, "/PrivatePort");
        let text = match (pick::text(port, "/IP"), pick::number(port, "/PublicPort")) {
            (_, 0) => format!("{inner}{protocol}"),
            ("0.0.0.0" | "::" | "", outer) => format!("*:{outer}->{inner}{protocol}"),
            (address, outer) if address.contains(':') => format!("[{address}]:{outer}->{inner}{protocol}"),
            (address, outer) => format!("{address}:{outer}->{inner}{protocol}"),
        };
        // Both address families of one port come as two entries.
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    shown.sort_by_key(|text| !text.contains("->"));
    let more = shown.len().saturating_sub(MAX_PORTS);
    shown.truncate(MAX_PORTS);
    if more > 0 {
        shown.push(format!("+{more}"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows() {
        let container = json!({
            "Id": "4f", "Names": ["/other/alias", "/web"], "Image": "nginx:1.27", "Status": "Up 3 hours (healthy)",
            "Ports": [
                { "PrivatePort": 443, "Type": "tcp" },
                { "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
                { "IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
                { "IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 53, "Type": "udp" },
            ],
        });
        let expected = [
            "web",
            "nginx:1.27",
            "up 3h (healthy)",
            "*:8080->80, 127.0.0.1:53->53/udp, 443",
        ];
        let row = |container: Value| row(&serde_json::from_value(container).unwrap());
        assert_eq!(row(container), expected);
        let stopped = json!({
            "Names": ["/old"], "Image": "sha256:0123456789abcdef0123", "Status": "Exited (0) 2 days ago", "Ports": [],
        });
        assert_eq!(row(stopped), ["old", "0123456789ab", "exited (0) 2d"]);
    }
}
