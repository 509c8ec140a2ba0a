use catalog::plan::{Part, Value};
use catalog::template::{Behind, Filled, Scope, Secrets, Template};
use serde_json::{Map, json};

struct Given;

impl Secrets for Given {
    fn behind(&self, variable: &str) -> Behind {
        match variable {
            "TOKEN" => Behind::Secret("srv.token".to_owned()),
            "LATER" => Behind::Absent,
            _ => Behind::Nothing,
        }
    }
}

fn config() -> Map<String, serde_json::Value> {
    let value = json!({
        "one": "v", "empty": "", "null": null, "many": ["v1", "v2"], "none": [], "port": 8080, "on": true,
        "path": "/data", "win": r"C:\test\folder", "colon": "/a:/etc", "evil": "{{srv.one}} $TOKEN ; rm -rf /",
        "jira": { "url": "U" }, "deep.key": "D", "map": { "a": 1 },
    });
    value.as_object().unwrap().clone()
}

fn scope(config: &Map<String, serde_json::Value>) -> Scope<'_> {
    Scope {
        server: "srv",
        config,
        secret: &Given,
    }
}

#[test]
fn items_of_a_list() {
    let config = config();
    for (template, expected) in [
        ("plain", vec!["plain"]),
        ("", vec![""]),
        ("{{srv.one}}", vec!["v"]),
        ("{{ srv . one }}", vec!["v"]),
        ("{{one}}", vec!["v"]),
        ("{{srv.missing}}", vec![]),
        ("{{srv.null}}", vec![]),
        ("{{srv.empty}}", vec![]),
        ("{{srv.port}}:{{srv.on}}", vec!["8080:true"]),
        ("{{srv.jira.url}}", vec!["U"]),
        ("{{srv.deep.key}}", vec!["D"]),
        ("{{srv.map}}", vec![r#"{"a":1}"#]),
        ("{{srv.many}}", vec!["v1", "v2"]),
        ("{{srv.many|into}}", vec!["v1", "v2"]),
        ("{{srv.one|into}}", vec!["v"]),
        ("--x={{srv.many}}", vec!["--x=v1,v2"]),
        ("--x={{srv.missing}}", vec!["--x="]),
        ("{{srv.many|first}}", vec!["v1"]),
        ("{{srv.many|last}}", vec!["v2"]),
        ("{{srv.many|last|into}}", vec!["v2"]),
        ("{{srv.none|first}}", vec![]),
        ("{{srv.path|volume}}", vec!["/data:/data"]),
        ("{{srv.many|volume|into}}", vec!["v1:v1", "v2:v2"]),
        ("{{srv.win|volume}}", vec![r"C:\test\folder:/C/test/folder"]),
        ("{{srv.win|volume-target}}", vec!["/C/test/folder"]),
        ("{{srv.many|volume-target|into}}", vec!["v1", "v2"]),
        ("{{srv.missing|or:x}}", vec!["x"]),
        ("{{srv.empty|or:x}}", vec!["x"]),
        ("{{srv.none|or:x}}", vec!["x"]),
        ("{{srv.one|or:x}}", vec!["v"]),
        ("{{srv.missing|or:[]|volume|into}}", vec![]),
        ("{{srv.missing|or:[a, b]|into}}", vec!["a", "b"]),
        ("{{srv.missing|or:}}", vec![]),
        ("{{srv.path|mount_as:/p}}", vec!["/data:/p"]),
        ("{{srv.path|mount_as: /p :ro}}", vec!["/data:/p:ro"]),
        ("{{srv.many|mount_as:/p}}", vec!["v1:/p"]),
        ("{{srv.missing|mount_as:/p}}", vec![]),
        ("{{srv.one|unheard_of}}", vec!["v"]),
        ("$TOKEN", vec!["<secret srv.token>"]),
        ("Bearer ${TOKEN}.", vec!["Bearer <secret srv.token>."]),
        ("$TOKENS ${NOPE} $$ $1 a$", vec!["$TOKENS ${NOPE} $$ $1 a$"]),
        ("a${TOKEN", vec!["a${TOKEN"]),
        ("{{srv.one", vec!["{{srv.one"]),
        ("}} {{}} x", vec!["}}  x"]),
        // Data is never looked at again.
        ("{{srv.evil}}", vec!["{{srv.one}} $TOKEN ; rm -rf /"]),
    ] {
        let filled: Vec<String> = Template::parse(template)
            .spread(&scope(&config))
            .iter()
            .map(Filled::shown)
            .collect();
        assert_eq!(filled, expected, "{template}");
    }
}

#[test]
fn secrets_stay_names() {
    let config = config();
    let value = |template: &str| Template::parse(template).fill(&scope(&config)).value();
    let text = |text: &str| Part::Text(text.to_owned());
    assert_eq!(value("x {{srv.one}}"), Value::Plain("x v".to_owned()));
    let parts = vec![
        text(r#"{"a": "Bearer "#),
        Part::Secret("srv.token".to_owned()),
        text(r#"", "b": "v"}"#),
    ];
    assert_eq!(
        value(r#"{"a": "Bearer $TOKEN", "b": "{{srv.one}}"}"#),
        Value::Parts(parts)
    );
    let later = Template::parse("x $LATER").fill(&scope(&config));
    assert!(later.lacks_secret());
}

#[test]
fn a_colon_in_data_separates_nothing() {
    let config = config();
    for (template, expected) in [
        ("{{srv.colon}}:/src:ro", vec!["/a:/etc", "/src", "ro"]),
        ("{{srv.colon|volume}}", vec!["/a:/etc", "/a:/etc"]),
        ("{{srv.win|volume}}", vec![r"C:\test\folder", "/C/test/folder"]),
        ("{{srv.path|mount_as:/p:ro}}", vec!["/data", "/p", "ro"]),
        ("named:/p", vec!["named", "/p"]),
    ] {
        let filled = Template::parse(template).fill(&scope(&config));
        let parts: Vec<String> = filled.split().iter().map(Filled::shown).collect();
        assert_eq!(parts, expected, "{template}");
    }
}
