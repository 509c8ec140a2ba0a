//! Tools that the user declares: what a file may say, and that an argument is never more than data.

use std::collections::BTreeMap;

use base::Secret;
use catalog::plan::{Plan, Target};
use catalog::read::Own;
use catalog::tools::{self, Call, File, Tool};
use catalog::{Around, Beside, Lack, Processes, Setup, There};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The tools of a file, planned where everything is permitted.
fn planned(toml: &str) -> Vec<Tool> {
    match plan(toml, &Setup::default()).unwrap().target {
        Target::Tools(tools) => tools,
        other => panic!("{other:?}"),
    }
}

fn plan(toml: &str, setup: &Setup) -> Result<Plan, Vec<Lack>> {
    let file: File = toml::from_str(toml).unwrap();
    let read = tools::read(&file, &BTreeMap::new(), &|_| Err("there is none".to_owned())).unwrap();
    let own = Own {
        tools: Some("tools.toml".to_owned()),
        ..Own::default()
    };
    let name = base::names::ServerName::parse("mine").unwrap();
    let entry = catalog::read::own(&name, &own, Some(&read)).unwrap();
    let around = Around {
        processes: Processes::Permitted,
        others: [("prod", false), ("open", true)]
            .map(|(name, runs_commands)| {
                let there = There {
                    labels: vec!["eu".to_owned()],
                    beside: Beside::Nobody,
                    runs_commands,
                    ..There::default()
                };
                (name.to_owned(), there)
            })
            .into(),
        ..Around::default()
    };
    catalog::plan(&entry, setup, &around)
}

#[test]
fn what_can_be_placed_on_a_host() {
    let kinds = [
        ("run", "command = [\"date\"]"),
        ("ask", "http.url = \"https://example.com/\""),
        ("make", "container.image = \"docker.io/library/busybox:1\""),
        (
            "reach",
            "container.image = \"docker.io/library/busybox:1\"\ncontainer.hosts = [\"example.com:443\"]",
        ),
    ];
    let check = |tools: &[&str], host: &str, expected: &[&str]| {
        let table = |name: &&str| {
            let (_, does) = kinds.iter().find(|(kind, _)| kind == name).unwrap();
            format!("[tools.{name}]\ndescription = \"d\"\n{does}\n")
        };
        let toml: String = tools.iter().map(table).collect();
        let setup: Setup = toml::from_str(&format!("host = {host}")).unwrap();
        let said = match plan(&toml, &setup) {
            Ok(plan) => plan.notes.join("; "),
            Err(lacks) => lacks
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        };
        for part in expected {
            assert!(said.contains(part), "{tools:?} on {host}: {said}");
        }
        assert!(
            !expected.is_empty() || !said.contains("host"),
            "{tools:?} on {host}: {said}"
        );
    };
    let (prod, label, local) = ("\"prod\"", "{ label = \"eu\" }", "\"local\"");
    for host in [prod, label] {
        check(&["make"], host, &[]);
        check(
            &["make", "ask"],
            host,
            &["the requests of ask are sent from this machine; only containers and commands run on the host"],
        );
        check(
            &["ask"],
            host,
            &[
                "no tool of mine runs in a container, or is a command",
                "take `host` out of its table",
            ],
        );
        check(
            &["reach"],
            host,
            &["it may reach only the hosts that it declares"],
        );
    }
    check(
        &["make", "run"],
        prod,
        &[
            "run of mine can't run on prod: commands on the machine itself are not permitted there: write [shell] enabled = true",
            "[hosts.prod.shell] runner = \"host\"",
        ],
    );
    check(
        &["run"],
        label,
        &[
            "run of mine can't be placed by a label or by memory: commands run on a host that is named: write host = \"NAME\"",
        ],
    );
    check(&["make", "run"], "\"open\"", &[]);
    check(
        &["run", "ask"],
        "\"open\"",
        &["the requests of ask are sent from this machine; only containers and commands run on the host"],
    );
    check(&["make", "run", "ask", "reach"], local, &[]);
    check(&["make"], "\"nowhere\"", &["there is no host nowhere"]);
}

/// What is asked for names the machine, and whose home folder `~` would be is not known of another.
#[test]
fn commands_on_a_host() {
    let planned = |dir: &str, host: &str| {
        let toml =
            format!("[tools.run]\ndescription = \"d\"\ncommand = [\"date\"]\nworking_dir = \"{dir}\"\n");
        let setup: Setup = toml::from_str(&format!("host = \"{host}\"")).unwrap();
        plan(&toml, &setup)
            .map(|plan| plan.asks_for.join("; "))
            .map_err(|lacks| lacks.iter().map(ToString::to_string).collect::<String>())
    };
    assert_eq!(
        planned("/srv/app", "open").unwrap(),
        "run runs date on open with the rights of who logs in there, outside any container"
    );
    let refused = planned("~/app", "open").unwrap_err();
    assert!(
        refused.contains("there is no home folder here") && refused.contains("write the whole path"),
        "{refused}"
    );
}

/// A tool `t` whose arguments are these texts, or of these schemas.
fn tool(properties: &str, does: &str) -> Tool {
    let toml = format!(
        "[secrets]\nKEY = \"the.key\"\n[tools.t]\ndescription = \"d\"\n{does}\n[tools.t.input.properties]\n{properties}\n"
    );
    planned(&toml).remove(0)
}

fn fill(tool: &Tool, arguments: &Value) -> Result<Call, String> {
    let secret = |name: &str| (name == "the.key").then(|| Secret::new("s3cret"));
    let arguments: Map<String, Value> = arguments.as_object().unwrap().clone();
    tools::fill(tool, &arguments, &secret).map_err(|faults| faults.join("; "))
}

fn argv(tool: &Tool, arguments: &Value) -> Result<Vec<String>, String> {
    match fill(tool, arguments)? {
        Call::Command { argv, .. } => Ok(argv),
        Call::Container { container, .. } => Ok(container.command),
        Call::Http(call) => panic!("{call:?}"),
    }
}

fn url(tool: &Tool, arguments: &Value) -> Result<String, String> {
    match fill(tool, arguments)? {
        Call::Http(call) => Ok(call.url),
        other => panic!("{other:?}"),
    }
}

const TEXT: &str = "{ type = \"string\" }";

#[test]
fn what_fills_an_argv_is_one_item_whatever_it_is() {
    let tool = tool(
        &format!("a = {TEXT}\nb = {TEXT}"),
        "command = [\"run\", \"{{a}}\", \"--b={{b}}\", \"--\", \"{{b}}\"]",
    );
    for value in [
        "; rm -rf /",
        "$(id)",
        "`id`",
        "a b",
        "a\nb",
        "'\"",
        "{{b}}",
        "{{'{{'}}",
        "$KEY",
        "*",
        "| cat /etc/passwd",
        "a --b=c",
        "",
        "\u{202e}txt",
    ] {
        let filled = argv(&tool, &json!({"a": value, "b": "x"})).unwrap();
        assert_eq!(filled, ["run", value, "--b=x", "--", "x"], "{value:?}");
        // Behind a fixed beginning, and behind --, a dash is one more letter.
        let dashed = format!("-{value}");
        let filled = argv(&tool, &json!({"a": "x", "b": dashed})).unwrap();
        assert_eq!(filled, ["run", "x", &format!("--b={dashed}"), "--", &dashed]);
        let refused = argv(&tool, &json!({"a": dashed, "b": "x"})).unwrap_err();
        assert_eq!(
            refused,
            "a begins with -, and its program could take it for an option"
        );
    }
    let refused = argv(&tool, &json!({"a": "a\0b", "b": "x"})).unwrap_err();
    assert!(refused.contains("a holds a zero byte"), "{refused}");
    let refused = argv(&tool, &json!({"a": "x".repeat(200_000), "b": "x"})).unwrap_err();
    assert!(refused.contains("a has 200000 bytes"), "{refused}");
}

#[test]
fn lists_options_and_what_is_absent() {
    let check = |arguments: Value, wanted: &[&str]| {
        let tool = tool(
            "files = { type = \"array\", items = { type = \"string\" } }\nmode = { enum = [\"-l\", \"-c\"] }\nlimit = { type = \"integer\" }\nsort = { type = \"string\", default = \"name\" }",
            "command = [\"wc\", \"{{mode}}\", \"--limit={{limit}}\", \"--sort={{sort}}\", \"--\", \"{{files}}\"]",
        );
        assert_eq!(argv(&tool, &arguments).unwrap(), wanted, "{arguments}");
    };
    check(json!({}), &["wc", "--sort=name", "--"]);
    check(
        json!({"files": ["a", "-b", "c d"], "mode": "-l", "limit": 3, "sort": null}),
        &["wc", "-l", "--limit=3", "--sort=name", "--", "a", "-b", "c d"],
    );
    check(
        json!({"files": [], "limit": "7"}),
        &["wc", "--limit=7", "--sort=name", "--"],
    );
}

#[test]
fn arguments_that_do_not_fit_their_schema_are_named() {
    let tool = tool(
        "n = { type = \"integer\", minimum = 1 }\nwhen = { type = \"string\", pattern = \"^[0-9-]+$\" }",
        "command = [\"run\", \"--n={{n}}\", \"--when={{when}}\"]",
    );
    for (arguments, words) in [
        (json!({"n": 0}), "n is 0; expected is a number, at least 1"),
        (json!({"n": "many"}), "n is"),
        (json!({"when": "now"}), "when is"),
        (json!({"other": 1}), "other is"),
    ] {
        let refused = argv(&tool, &arguments).unwrap_err();
        assert!(refused.starts_with(words), "{refused}");
    }
}

#[test]
fn what_fills_a_url_stays_where_it_is_put() {
    let tool = tool(
        &format!("id = {TEXT}\nq = {TEXT}\ntags = {{ type = \"array\" }}"),
        "http = { url = \"https://api.example.com/v1/{{id}}/x?k={{q}}\", query = { tag = \"{{tags}}\", all = \"no\" } }\ninput.required = [\"id\", \"q\"]",
    );
    for (id, q, wanted) in [
        ("7", "a", "https://api.example.com/v1/7/x?k=a&all=no"),
        (
            "a b/c",
            "x&y=z#f",
            "https://api.example.com/v1/a%20b%2Fc/x?k=x%26y%3Dz%23f&all=no",
        ),
        (
            "é@evil.com",
            "../..",
            "https://api.example.com/v1/%C3%A9%40evil.com/x?k=..%2F..&all=no",
        ),
        ("a?b#c", "", "https://api.example.com/v1/a%3Fb%23c/x?k=&all=no"),
        (
            "\r\nHost: x",
            "{{id}}",
            "https://api.example.com/v1/%0D%0AHost%3A%20x/x?k=%7B%7Bid%7D%7D&all=no",
        ),
        ("...", "$KEY", "https://api.example.com/v1/.../x?k=%24KEY&all=no"),
    ] {
        assert_eq!(url(&tool, &json!({"id": id, "q": q})).unwrap(), wanted);
    }
    for id in [
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        "a/../b",
        "..\\x",
        "%252e%252e",
        "..%2fadmin",
        "",
    ] {
        let refused = url(&tool, &json!({"id": id, "q": "a"})).unwrap_err();
        assert!(refused.starts_with("id "), "{id:?}: {refused}");
    }
    let listed = url(&tool, &json!({"id": "1", "q": "a", "tags": ["a&b", 2]})).unwrap();
    assert!(listed.ends_with("?k=a&all=no&tag=a%26b&tag=2"), "{listed}");
}

#[test]
fn headers_and_bodies() {
    let json_tool = tool(
        &format!("a = {TEXT}\nn = {{ type = \"integer\" }}\nlist = {{ type = \"array\" }}"),
        "[tools.t.http]\nurl = \"https://example.com/\"\nheaders = { Authorization = \"Bearer $KEY\", X-A = \"{{a}}\" }\njson = { text = \"{{a}}\", said = \"it is {{a}}\", n = \"{{n}}\", list = [\"{{list}}\", true] }",
    );
    let sent = |arguments: Value| match fill(&json_tool, &arguments) {
        Ok(Call::Http(call)) => Ok((
            call.method,
            call.headers,
            String::from_utf8(call.body.unwrap().1).unwrap(),
        )),
        Ok(other) => panic!("{other:?}"),
        Err(fault) => Err(fault),
    };
    let quotes = "\", \"admin\": true, \"x\": \"";
    let (method, headers, body) = sent(json!({"a": quotes, "n": 3, "list": [1, {"b": null}]})).unwrap();
    assert_eq!(method, "POST");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({"text": quotes, "said": format!("it is {quotes}"), "n": 3, "list": [[1, {"b": null}], true]})
    );
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value, secret)| (name.as_str(), value.expose(), *secret))
        .collect();
    assert_eq!(
        headers,
        [("Authorization", "Bearer s3cret", true), ("X-A", quotes, false)]
    );
    let (_, headers, body) = sent(json!({})).unwrap();
    assert_eq!((headers.len(), body.as_str()), (1, r#"{"list":[true]}"#));
    for value in ["a\r\nX-Admin: yes", "a\nb", "a\0", "naïve"] {
        let refused = sent(json!({"a": value})).unwrap_err();
        assert!(
            refused.starts_with("a has a character that the header X-A can't carry"),
            "{refused}"
        );
    }
    let form = tool(
        &format!("a = {TEXT}"),
        "http = { url = \"https://example.com/\", form = { a = \"{{a}}\", b = \"1\" } }",
    );
    match fill(&form, &json!({"a": "x&b=2\n"})).unwrap() {
        Call::Http(call) => assert_eq!(call.body.unwrap().1, b"a=x%26b%3D2%0A&b=1"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_reach_environments_by_name_and_arguments_are_no_secrets() {
    let tool = tool(
        &format!("a = {TEXT}"),
        "command = [\"run\"]\nenv = { TOKEN = \"$KEY\", A = \"{{a}}\", B = \"$OTHER\" }\nstdin = \"<{{a}}>\"",
    );
    match fill(&tool, &json!({"a": "$KEY {{a}}"})).unwrap() {
        Call::Command { env, stdin, .. } => {
            let env: Vec<_> = env
                .iter()
                .map(|(name, value)| (name.as_str(), value.expose()))
                .collect();
            assert_eq!(env, [("A", "$KEY {{a}}"), ("B", "$OTHER"), ("TOKEN", "s3cret")]);
            assert_eq!(stdin, b"<$KEY {{a}}>");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_file_may_not_say() {
    let check = |toml: &str, words: &str| {
        let toml = format!(
            "[secrets]\nKEY = \"the.key\"\n[tools.t]\ndescription = \"d\"\ninput.properties.a.type = \"string\"\n{toml}\n"
        );
        let file: File = toml::from_str(&toml).unwrap();
        let faults = tools::read(&file, &BTreeMap::new(), &|_| Err("there is none".to_owned()))
            .expect_err(&toml)
            .join("\n");
        assert!(faults.contains(words), "{toml}\n{faults}");
    };
    check("", "exactly one of command, http and container");
    check("command = []", "its command is empty");
    check("command = [\"a\"]\ncontainer.image = \"b\"", "exactly one of");
    check("command = [\"{{a}}\"]", "which program runs can't be filled in");
    check(
        "command = [\"x\", \"{{b}}\"]",
        "names {{b}}, which input does not declare; it declares: a",
    );
    check(
        "command = [\"x\", \"{{json .}}\"]",
        "names no argument; braces that stay are written {{'{{'}}",
    );
    check("command = [\"x\", \"{{a\"]", "has no }} behind it");
    check(
        "command = [\"x\", \"--{{a}}\"]",
        "would let an argument choose the option",
    );
    check(
        "command = [\"sh\", \"-c\", \"ls {{a}}\"]",
        "sh takes what stands behind -c for code",
    );
    check(
        "command = [\"/usr/bin/env\", \"bash\", \"-ec\", \"{{a}}\"]",
        "bash takes what stands behind -c for code",
    );
    check(
        "command = [\"python3.13\", \"-c\", \"{{a}}\"]",
        "takes what stands behind -c for code",
    );
    check(
        "container = { image = \"i\", command = [\"perl\", \"-e\", \"{{a}}\"] }",
        "perl takes what stands behind -e",
    );
    check(
        "command = [\"x\", \"$KEY\"]",
        "holds the secret $KEY, which may only stand in headers and variables",
    );
    check(
        "command = [\"x\"]\nenv = { LD_PRELOAD = \"{{a}}\" }",
        "decides which code runs",
    );
    check(
        "command = [\"x\"]\nenv = { \"A B\" = \"c\" }",
        "is not a variable's name",
    );
    check("command = [\"x\"]\ntimeout = \"2d\"", "timeout is from 1s to 1h");
    check("command = [\"x\"]\nmax_output = 0", "max_output is from 1");
    check(
        "command = [\"x\"]\ninput_file = \"i.json\"",
        "input and input_file exclude each other",
    );
    check(
        "command = [\"x\"]\ninput.required = [\"b\"]",
        "required names b, which properties does not have",
    );
    check(
        "command = [\"x\"]\ninput.properties.b.type = \"text\"",
        "input: b: type is one of",
    );
    check(
        "command = [\"x\"]\ninput.properties.b.pattern = \"(\"",
        "pattern is no pattern",
    );
    check(
        "command = [\"x\"]\ninput.dependentRequired = {}",
        "is not checked here, so it can't be used",
    );
    check(
        "command = [\"x\"]\noutput.type = \"array\"",
        "output is the schema of an object",
    );
    check(
        "command = [\"x\"]\nread_only = true\ndestructive = true",
        "not destructive",
    );
    check("container = { image = \"\" }", "its container has no image");
    check(
        "stdin = \"a\"\ncontainer = { image = \"i\" }",
        "belong to a command",
    );
    check(
        "container = { image = \"i\", env = { A = \"$KEY {{a}}\" } }",
        "a secret and an argument",
    );
    check("http = { url = \"https://{{a}}/x\" }", "http.url");
    check(
        "http = { url = \"https://api.{{a}}.com/x\" }",
        "which host is asked can't be filled in",
    );
    check(
        "http = { url = \"https://example.com{{a}}\" }",
        "which host is asked can't be filled in",
    );
    check(
        "http = { url = \"https://me@example.com/\" }",
        "user name or password",
    );
    check(
        "http = { url = \"http://example.com/\" }",
        "private = true permits it",
    );
    check("http = { url = \"file:///etc/passwd\" }", "can't be used");
    check(
        "http = { url = \"https://example.com/{{a}}\" }",
        "needs {{a}}, so it has to be in required",
    );
    check("http = { url = \"https://example.com/#{{a}}\" }", "is not sent");
    check(
        "http = { url = \"https://example.com/\", query = { k = \"$KEY\" } }",
        "may only stand in headers",
    );
    check(
        "http = { url = \"https://example.com/\", headers = { Host = \"x\" } }",
        "the connection's own",
    );
    check(
        "http = { url = \"https://example.com/\", headers = { \"A B\" = \"x\" } }",
        "no header that HTTP has",
    );
    check(
        "http = { url = \"https://example.com/\", method = \"CONNECT\" }",
        "none of GET",
    );
    check(
        "http = { url = \"https://example.com/\", method = \"get\", json = {} }",
        "GET has no body",
    );
    check(
        "http = { url = \"https://example.com/\", json = {}, text = \"a\" }",
        "three ways to write one body",
    );
    check(
        "http = { url = \"https://example.com/\", text = \"{{a}}\", headers = { Content-Type = \"application/json\" } }",
        "only filled into text/plain",
    );
    check(
        "http = { url = \"https://example.com/\", json = { \"{{a}}\" = 1 } }",
        "only values can be filled in",
    );
}

#[test]
fn hints_are_cautious_and_braces_can_stay() {
    let tool = tool(
        "",
        "command = [\"docker\", \"ps\", \"--format\", \"{{'{{'}}json .}}\", \"$HOME\"]",
    );
    assert_eq!(
        argv(&tool, &json!({})).unwrap(),
        ["docker", "ps", "--format", "{{json .}}", "$HOME"]
    );
    assert_eq!(
        tool.definition["annotations"],
        json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": false, "openWorldHint": true})
    );
    assert_eq!(
        tool.definition["inputSchema"]["additionalProperties"],
        json!(false)
    );
}

proptest! {
    /// Whatever a model gives, the argv has as many items as were written, and those without places are as written.
    #[test]
    fn an_argv_keeps_its_shape(a in any::<String>(), b in any::<String>()) {
        let tool = tool(
            &format!("a = {TEXT}\nb = {TEXT}"),
            "command = [\"run\", \"{{a}}\", \"fixed; $HOME\", \"pre{{a}}mid{{b}}\", \"--\", \"{{b}}\"]",
        );
        match argv(&tool, &json!({"a": a, "b": b})) {
            Ok(filled) => {
                prop_assert_eq!(filled, vec!["run".to_owned(), a.clone(), "fixed; $HOME".to_owned(), format!("pre{a}mid{b}"), "--".to_owned(), b]);
                prop_assert!(!a.starts_with('-'));
            }
            Err(_) => prop_assert!(a.starts_with('-') || a.contains('\0') || b.contains('\0')),
        }
    }

    /// Whatever a model gives, host, path's depth and the query's other keys stay the author's.
    #[test]
    fn a_url_keeps_its_shape(a in any::<String>(), b in any::<String>()) {
        let tool = tool(
            &format!("a = {TEXT}\nb = {TEXT}"),
            "http = { url = \"https://example.com/v1/{{a}}/end\", query = { b = \"{{b}}\", z = \"1\" } }\ninput.required = [\"a\", \"b\"]",
        );
        if let Ok(url) = url(&tool, &json!({"a": a, "b": b})) {
            let rest = url.strip_prefix("https://example.com/v1/").unwrap();
            let (segment, rest) = rest.split_once('/').unwrap();
            prop_assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{}", url);
            let query = rest.strip_prefix("end?b=").unwrap();
            prop_assert!(query.ends_with("&z=1") && query.matches('&').count() == 1, "{}", url);
        }
    }
}
