//! What a server is kept from and given: hosts, volumes of others, configuration by its schema, secrets in other clothes.

use serde_json::json;
use testkit::Scope;

use crate::harness::Dockmaster;
use crate::servers::{gone, store_secret};

const VERSION: &str = "2025-11-25";

/// A server with one tool, `act`, that answers with what a shell command prints, on one line.
pub(crate) fn acting(name: &str, image: &str, act: &str, further: &str) -> String {
    let script = format!(
        r#"
reply() {{ printf '{{"jsonrpc":"2.0","id":%s,%s}}\n' "$1" "$2"; }}
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"method":"initialize"'*) reply "$id" '"result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"script","version":"1"}}}}' ;;
    *'"method":"tools/list"'*) reply "$id" '"result":{{"tools":[{{"name":"act","inputSchema":{{"type":"object"}}}}]}}' ;;
    *'"name":"act"'*) text=$({act}); reply "$id" "\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"$text\"}}]}}" ;;
    *'"id":'*) [ -n "$id" ] && reply "$id" '"error":{{"code":-32601,"message":"no such method"}}' ;;
  esac
done
"#
    );
    format!("[servers.{name}]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{script}''']\n{further}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_may_not_reach_is_in_the_audit() {
    let image = testkit::image().await;
    let act = r"P=${HTTP_PROXY#http://}; H=${P%:*}; N=${P#*:}; printf 'GET http://refused.example:81/x HTTP/1.1\r\nHost: x\r\n\r\n' | timeout 10 nc $H $N | head -1 | tr -d '\r'";
    let further = "hosts = [\"allowed.example:443\"]\n[profiles.default.servers.curious]\n";
    let dockmaster = Dockmaster::new().configured(&acting("curious", image, act, further));
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let told = client.call("act", json!({})).await.ok().text();
    assert!(told.contains("403"), "{told}");
    client.close().await;
    gone("curious").await;
    let rows = dockmaster.audit();
    let row = rows.iter().find(|row| row["tool"] == "egress").unwrap();
    assert_eq!(row["principal"], "server:curious", "{row}");
    assert_eq!(row["arguments"], json!({"to": "refused.example:81"}), "{row}");
    assert_eq!(row["decision"], "deny", "{row}");
    let list = dockmaster.run(&["audit", "list", "--tool", "egress"]);
    assert!(
        list.stdout().contains("curious/egress") && list.stdout().contains("refused: refused.example:81: "),
        "{}",
        list.transcript()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_somebody_else_is_had_by_permission() {
    let image = testkit::image().await;
    let scope = Scope::new("foreign-volume");
    let volume = scope.volume("theirs").await;
    let act = "echo kept > /data/note; cat /data/note";
    let further = format!("volumes = [\"{volume}:/data\"]\n[profiles.default.servers.keeper]\n");
    let text = acting("keeper", image, act, &further);
    let dockmaster = Dockmaster::new().configured(&text);
    let refused = dockmaster.run(&["server", "test", "keeper"]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    let line = format!("volumes = [\"{volume}\"] in its table of the profile");
    assert!(refused.stderr().contains(&line), "{}", refused.transcript());

    let dockmaster = Dockmaster::new().configured(&format!("{text}volumes = [\"{volume}\"]\n"));
    let plan = dockmaster.run(&["server", "inspect", "keeper"]);
    assert!(
        plan.stdout().contains(&format!("the volume {volume} of yours")),
        "{}",
        plan.transcript()
    );
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(client.call("act", json!({})).await.ok().text(), "kept");
    client.close().await;
    gone("keeper").await;
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_its_schema_refuses_starts_nothing() {
    let image = testkit::image().await;
    let further = "config = { type = \"object\", properties = { depth = { type = \"integer\", maximum = 9 } }, required = [\"depth\"] }\nenv = { DEPTH = \"{{picky.depth}}\" }\n";
    let text = acting("picky", image, "echo depth $DEPTH", further);
    for (table, said) in [
        ("", "depth"),
        ("config = { depth = 12 }\n", "depth"),
        ("config = { depth = \"deep\" }\n", "depth"),
    ] {
        let dockmaster =
            Dockmaster::new().configured(&format!("{text}[profiles.default.servers.picky]\n{table}"));
        let list = dockmaster.run(&["server", "list"]);
        let line = list
            .stdout()
            .lines()
            .find(|line| line.starts_with("picky"))
            .unwrap()
            .to_owned();
        assert!(line.contains("lacks") && line.contains(said), "{line}");
        let tested = dockmaster.run(&["server", "test", "picky"]);
        assert_eq!(tested.code(), 1, "{}", tested.transcript());
    }
    let dockmaster = Dockmaster::new().configured(&format!(
        "{text}[profiles.default.servers.picky]\nconfig = {{ depth = 3 }}\n"
    ));
    let wrong = dockmaster.run(&["server", "config", "picky", "depth=12"]);
    assert_eq!(wrong.code(), 1, "{}", wrong.transcript());
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(client.call("act", json!({})).await.ok().text(), "depth 3");
    client.close().await;
    gone("picky").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_redacted_in_whatever_it_is_wrapped() {
    let image = testkit::image().await;
    let secret = "p/ss \"wörd\"+7&x";
    let url = "p%2Fss%20%22w%C3%B6rd%22%2B7%26x";
    let form = "p%2Fss+%22w%C3%B6rd%22%2B7%26x";
    // Variables in arguments are filled in before the shell sees them, and this is about the variable.
    let token = r#"$(set | sed -n "s/^TOKEN='\(.*\)'$/\1/p" | tr -d '\n'"#;
    let act = format!(
        r#"printf 'b64 %s url {} form {} hex %s json %s' "{token} | base64)" "{token} | od -An -tx1 | tr -d ' \n')" "{token} | sed 's/"/\\"/g')""#,
        url.replace('%', "%%"),
        form.replace('%', "%%"),
    );
    let further = "secrets = { TOKEN = \"wrapped.token\" }\n[profiles.default.servers.wrapper]\n";
    let dockmaster = Dockmaster::new().configured(&acting("wrapper", image, &act, further));
    store_secret(&dockmaster, "wrapped.token", secret);
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let told = client.call("act", json!({})).await.ok().text();
    let words: Vec<_> = told.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "b64",
            // The padding says nothing.
            "[redacted]==",
            "url",
            "[redacted]",
            "form",
            "[redacted]",
            "hex",
            "[redacted]",
            "json",
            "[redacted]"
        ],
        "{told}"
    );
    client.close().await;
    gone("wrapper").await;
}
