//! A server that says all that a server may say: a shell script of the legacy era, and clients of either era that hear it.

use serde_json::{Value, json};
use testkit::{McpClient, Pending, eventually};

use super::VERSION;

pub(crate) const MODERN: &str = "2026-07-28";

/// | tool | what it does |
/// | --- | --- |
/// | `steps` | tells of its progress three times |
/// | `wait` | does not answer |
/// | `waits` | says how many calls wait, and how many of them it was told are cancelled |
/// | `form`, `sample`, `roots` | asks the client, and answers with what that answered |
/// | `log` | logs a line of each of two levels |
/// | `grow` | has one more tool, or one less, and says so |
/// | `touch` | says that its resource has changed |
/// | `later` | half a second after its answer asks, logs an error, and says that its resource has changed |
/// | `late` | says what it was answered then |
/// | `count` | counts its calls, and names the container |
/// | `both` | waits for a second call of `both`, then asks for the first and only then answers |
pub(crate) const SCRIPT: &str = r#"
say() { printf '{"jsonrpc":"2.0",%s}\n' "$1"; }
reply() { say "\"id\":$1,\"result\":$2"; }
text() { reply "$1" "{\"content\":[{\"type\":\"text\",\"text\":\"$2\"}]}"; }
tell() { say "\"method\":\"notifications/$1\",\"params\":$2"; }
ask() { asks=$((asks+1)); eval "call_$asks=$id"; say "\"id\":\"ask-$asks\",\"method\":\"$1\",\"params\":$2"; }
number() { printf '%s' "$line" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
tool() { printf '{"name":"%s","inputSchema":{"type":"object"}}' "$1"; }
n=0 asks=0 late= grown= waiting=0 gone=0 first=
while read -r line; do
  id=$(number id)
  case $line in
    *'"method":"initialize"'*) reply "$id" '{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"talker","version":"1"}}' ;;
    *'"method":"tools/list"'*)
      tools=
      for name in steps wait waits form sample roots log grow touch later late count both $grown; do tools="$tools,$(tool $name)"; done
      reply "$id" "{\"tools\":[${tools#,}]}" ;;
    *'"method":"resources/list"'*) reply "$id" '{"resources":[{"uri":"talk:one","name":"one"}]}' ;;
    *'"method":"logging/setLevel"'*|*'"method":"resources/subscribe"'*|*'"method":"resources/unsubscribe"'*|*'"method":"ping"'*) reply "$id" '{}' ;;
    *'"method":"notifications/cancelled"'*) [ "$(number requestId)" != "$last" ] || gone=$((gone+1)) ;;
    *'"id":"ask-'*)
      asked=$(printf '%s' "$line" | sed -n 's/.*"id":"ask-\([0-9]*\)".*/\1/p')
      eval "id=\$call_$asked"
      text "$id" "$(printf '%s' "$line" | sed 's/.*"result"://; s/.*"error"://; s/"/~/g')" ;;
    *'"name":"steps"'*)
      token=$(number progressToken)
      for step in 1 2 3; do tell progress "{\"progressToken\":$token,\"progress\":$step,\"total\":3,\"message\":\"step $step\"}"; done
      text "$id" done ;;
    *'"name":"waits"'*) text "$id" "$waiting wait, $gone cancelled" ;;
    *'"name":"wait"'*) waiting=$((waiting+1)) last=$id ;;
    *'"name":"form"'*) ask elicitation/create '{"message":"who?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}' ;;
    *'"name":"sample"'*) ask sampling/createMessage '{"messages":[{"role":"user","content":{"type":"text","text":"say"}}],"maxTokens":5}' ;;
    *'"name":"roots"'*) ask roots/list '{}' ;;
    *'"name":"log"'*)
      tell message '{"level":"debug","data":"small"}'
      tell message '{"level":"error","logger":"talker","data":{"said":"gro\u00df"}}'
      text "$id" logged ;;
    *'"name":"grow"'*)
      if [ -z "$grown" ]; then grown=leaf; else grown=; fi
      tell tools/list_changed '{}'
      text "$id" "now $grown" ;;
    *'"name":"touch"'*) tell resources/updated '{"uri":"talk:one"}'; text "$id" touched ;;
    *'"name":"later"'*)
      text "$id" soon
      (sleep 0.5
       say '"id":"late-1","method":"roots/list","params":{}'
       tell message '{"level":"error","data":"later"}'
       tell resources/updated '{"uri":"talk:one"}') & ;;
    *'"id":"late-1"'*) late=$(printf '%s' "$line" | sed 's/.*"message":"//; s/[".].*//') ;;
    *'"name":"late"'*) text "$id" "$late" ;;
    *'"name":"count"'*) n=$((n+1)); text "$id" "call $n at $(hostname)" ;;
    *'"name":"both"'*)
      if [ -z "$first" ]; then first=$id waiting=$((waiting+1)); else
        second=$id id=$first first=
        tell message '{"level":"error","data":"of one of both"}'
        ask elicitation/create '{"message":"whose?","requestedSchema":{"type":"object","properties":{}}}'
        text "$second" second
      fi ;;
    *'"id":'*) [ -z "$id" ] || say "\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"no such method\"}" ;;
  esac
done
"#;

/// What a client can do for servers.
pub(crate) fn all() -> Value {
    json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}})
}

/// A client of either era, with what it was asked.
pub(crate) struct Ear {
    pub(crate) client: McpClient,
    is_modern: bool,
}

impl Ear {
    pub(crate) async fn legacy(client: McpClient) -> Self {
        client.initialize_with(VERSION, all()).await;
        client.respond(|method, params| Some(answer(method, params)));
        Self {
            client,
            is_modern: false,
        }
    }

    pub(crate) fn modern(client: McpClient) -> Self {
        client.modern(MODERN, &all());
        Self {
            client,
            is_modern: true,
        }
    }

    pub(crate) fn is_legacy(&self) -> bool {
        !self.is_modern
    }

    /// Calls a tool, and answers what is asked in the way of the client's era.
    pub(crate) async fn call(&self, tool: &str) -> String {
        self.call_with(tool, json!({})).await
    }

    /// The same with `_meta`.
    pub(crate) async fn call_with(&self, tool: &str, meta: Value) -> String {
        let mut params = json!({"name": tool, "arguments": {}});
        if meta != json!({}) {
            params["_meta"] = meta;
        }
        let mut next = params.clone();
        for _ in 0..5 {
            let result = match self.client.request("tools/call", next).await {
                Ok(result) => result,
                Err(error) => return format!("{error}"),
            };
            if result["resultType"] != "input_required" {
                let text = result["content"][0]["text"].as_str();
                return text.map_or_else(|| result.to_string(), str::to_owned);
            }
            next = params.clone();
            next["requestState"] = result["requestState"].clone();
            for (key, asked) in result["inputRequests"].as_object().unwrap() {
                next["inputResponses"][key] = answer(asked["method"].as_str().unwrap(), &asked["params"]);
            }
        }
        panic!("it asks without end");
    }

    /// Begins a call.
    pub(crate) async fn start(&self, tool: &str) -> Pending {
        let params = json!({"name": tool, "arguments": {}});
        self.client.start("tools/call", params).await
    }

    /// Gives a call up, as a client of its era does.
    pub(crate) async fn give_up(&self, call: Pending) {
        if self.is_modern {
            call.hang_up();
        } else {
            let params = json!({"requestId": call.id, "reason": "enough"});
            self.client.notify("notifications/cancelled", params).await;
        }
    }

    /// From now on it hears of errors.
    pub(crate) async fn log_errors(&self) -> Value {
        if self.is_modern {
            return json!({"io.modelcontextprotocol/logLevel": "error"});
        }
        let params = json!({"level": "error"});
        self.client.request("logging/setLevel", params).await.unwrap();
        json!({})
    }

    /// From now on it hears of changes. What is given back has to be kept.
    pub(crate) async fn watch(&self, is_http: bool) -> Option<Pending> {
        if self.is_modern {
            let filter =
                json!({"notifications": {"resourceSubscriptions": ["talk:one"], "toolsListChanged": true}});
            let listening = self.client.start("subscriptions/listen", filter).await;
            self.client
                .notification("notifications/subscriptions/acknowledged")
                .await;
            return Some(listening);
        }
        if is_http {
            self.client.listen();
        }
        let uri = json!({"uri": "talk:one"});
        self.client.request("resources/subscribe", uri).await.unwrap();
        None
    }

    /// Waits until the server says this.
    pub(crate) async fn until(&self, tool: &str, wanted: &str) {
        eventually(wanted, async || (self.call(tool).await == wanted).then_some(())).await;
    }
}

/// What every client answers.
pub(crate) fn answer(method: &str, params: &Value) -> Value {
    match method {
        "elicitation/create" => json!({"action": "accept", "content": {"said": params["message"]}}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m"})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///a"}]}),
        other => panic!("{other}"),
    }
}
