//! Looking at networks: the list, and one of them.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::list::List;
use crate::values::Filters;
use crate::{fields, pick};
use base::names::NetworkRef;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::answer::{Answer, Digest};
use server_kit::{Call, Spec, Toolset};

/// Bytes for the containers of a network in its digest.
const MEMBERS: usize = 600;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNetworks {
    #[serde(default)]
    filters: Filters,
    #[schemars(extend("hidden" = true))]
    limit: Option<u32>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for ListNetworks {
    const SPEC: Spec = Spec::new(Toolset::Standard, "list_networks", "List networks.")
        .reads()
        .aliases(&["docker_list_networks", "network_list"]);

    fn about(&self) -> String {
        "list networks".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let networks = ctx.engine().network_list(&self.filters.to_engine()).await?;
        if networks.is_empty() {
            return Ok(Answer::text("no network matches"));
        }
        let list = List {
            kind: "network",
            header: &["name", "driver", "subnet", ""],
            limit: self.limit,
        };
        Ok(list.of(&networks, row))
    }
}

fn row(network: &Value) -> Vec<String> {
    let mut row = vec![
        pick::text(network, "/Name").to_owned(),
        pick::text(network, "/Driver").to_owned(),
        subnets(network).join(", "),
    ];
    let special = special(network);
    if !special.is_empty() {
        row.push(special);
    }
    row
}

fn subnets(network: &Value) -> Vec<&str> {
    pick::list(network, "/IPAM/Config")
        .iter()
        .map(|config| pick::text(config, "/Subnet"))
        .collect()
}

/// What is not as with other networks.
fn special(network: &Value) -> String {
    let flags = [
        ("/Internal", "internal"),
        ("/Attachable", "attachable"),
        ("/Ingress", "ingress"),
        ("/EnableIPv6", "ipv6"),
        ("/ConfigOnly", "config-only"),
    ];
    let mut words: Vec<&str> = flags
        .into_iter()
        .filter(|(pointer, _)| pick::yes(network, pointer))
        .map(|(_, word)| word)
        .collect();
    let scope = pick::text(network, "/Scope");
    if !matches!(scope, "" | "local") {
        words.push(scope);
    }
    words.join(" ")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectNetwork {
    #[schemars(with = "String")]
    network: NetworkRef,
    #[schemars(description = "Dotted paths: IPAM.Config, Containers.*.IPv4Address")]
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    full: bool,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for InspectNetwork {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "inspect_network",
        "Details of a network, and who is in it.",
    )
    .reads()
    .aliases(&["docker_inspect_network", "network_inspect"]);

    fn about(&self) -> String {
        format!("inspect network {}", self.network)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut details = ctx.engine().network_inspect(&self.network).await?;
        base::redact::json(&mut details);
        let answer = if !self.fields.is_empty() {
            Answer::text(fields::project(&details, &self.fields)?).narrow("fewer fields")
        } else if self.full {
            Answer::json(pick::without_empty(details)).narrow("fields")
        } else {
            digest(&details).into()
        };
        Ok(answer.untrusted(format!("details of network {}", self.network)))
    }
}

fn digest(details: &Value) -> Digest {
    let containers = pick::members(details, "/Containers").map(|(_, member)| {
        let address = [
            pick::text(member, "/IPv4Address"),
            pick::text(member, "/IPv6Address"),
        ];
        let address: Vec<&str> = address
            .into_iter()
            .filter(|address| !address.is_empty())
            .collect();
        format!("{} {}", pick::text(member, "/Name"), address.join(" "))
            .trim_end()
            .to_owned()
    });
    let gateways = pick::list(details, "/IPAM/Config")
        .iter()
        .map(|config| pick::text(config, "/Gateway"));
    Digest::new()
        .line("name", pick::text(details, "/Name"))
        .line("id", pick::short_id(pick::text(details, "/Id")))
        .line("driver", pick::text(details, "/Driver"))
        .list("subnets", subnets(details), 200)
        .list("gateways", gateways.filter(|gateway| !gateway.is_empty()), 200)
        .line("special", special(details))
        .list("containers", containers, MEMBERS)
        .list("options", pick::members(details, "/Options").map(pair), 300)
        .list("labels", pick::members(details, "/Labels").map(pair), 240)
}

fn pair((name, value): (&str, &Value)) -> String {
    format!(
        "{}={}",
        base::text::cut(name, 80),
        base::text::cut(value.as_str().unwrap_or_default(), 80)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_network_in_few_words() {
        let details = json!({
            "Name": "web", "Id": "0123456789abcdef", "Driver": "bridge", "Scope": "local", "Internal": true,
            "IPAM": {"Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]},
            "Containers": {"aa": {"Name": "db", "IPv4Address": "10.1.0.2/24", "IPv6Address": ""}},
            "Options": {}, "Labels": {"team": "x"},
        });
        insta::assert_snapshot!(digest(&details).into_text(), @r"
        name: web
        id: 0123456789ab
        driver: bridge
        subnets: 10.1.0.0/24
        gateways: 10.1.0.1
        special: internal
        containers: db 10.1.0.2/24
        labels: team=x
        ");
    }
}
