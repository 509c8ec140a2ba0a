use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::meta::{Ability, ClientCapabilities};
use crate::mrtr::InputRequired;

fn raw(text: &str) -> Raw {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn check(conversion: impl Fn(Raw) -> Raw, table: &[(&str, &str)]) {
    for (given, wanted) in table {
        assert_eq!(conversion(raw(given)).get(), *wanted, "{given}");
    }
}

#[test]
fn requests_for_modern_servers() {
    let introduced = |meta: Raw| {
        let mut meta = Object::parse(&meta).unwrap();
        let (info, capabilities) = (raw(r#"{"name":"c"}"#), raw(r#"{"roots":{}}"#));
        let log_level = Some("info");
        introduce(
            &mut meta,
            Speaker {
                info: &info,
                capabilities: &capabilities,
                log_level,
            },
        );
        meta.to_raw()
    };
    check(
        introduced,
        &[(
            r#"{"traceparent":"00"}"#,
            r#"{"traceparent":"00","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c"},"io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/logLevel":"info"}"#,
        )],
    );
    check(
        |legacy| capabilities_for_modern(&legacy),
        &[
            (
                r#"{"roots":{"listChanged":true},"tasks":{"list":{}},"x":1}"#,
                r#"{"roots":{"listChanged":true},"x":1}"#,
            ),
            ("7", "{}"),
        ],
    );
}

#[test]
fn requests_for_legacy_servers() {
    let stripped = |meta: Raw| {
        let mut meta = Object::parse(&meta).unwrap();
        strip(&mut meta);
        meta.to_raw()
    };
    check(
        stripped,
        &[
            (
                r#"{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28","x/y":12345678901234567890123}"#,
                r#"{"x/y":12345678901234567890123}"#,
            ),
            (
                r#"{"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"info"}"#,
                "{}",
            ),
        ],
    );
}

#[test]
fn results_for_legacy_clients() {
    check(
        result_for_legacy,
        &[
            (
                r#"{"resultType":"complete","tools":[ ],"ttlMs":5,"cacheScope":"public","vendor":1.50}"#,
                r#"{"tools":[ ],"vendor":1.50}"#,
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"k":1},"content":[]}"#,
                r#"{"_meta":{"k":1},"content":[]}"#,
            ),
            (r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#, "{}"),
            ("[]", "[]"),
        ],
    );
    check(
        untagged,
        &[
            (
                r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":4},"uri":"a:b"}"#,
                r#"{"uri":"a:b"}"#,
            ),
            (
                r#"{"uri":"a:b","_meta":{"k":1}}"#,
                r#"{"uri":"a:b","_meta":{"k":1}}"#,
            ),
        ],
    );
}

#[test]
fn errors_in_both_directions() {
    check(
        |error| error_for_legacy("resources/read", error),
        &[
            (
                r#"{"code":-32602,"message":"m","data":{"uri":"a:b"}}"#,
                r#"{"code":-32002,"message":"m","data":{"uri":"a:b"}}"#,
            ),
            (
                r#"{"code":-32602,"message":"m"}"#,
                r#"{"code":-32602,"message":"m"}"#,
            ),
            (
                r#"{"code":-32000,"data":{"uri":"a:b"}}"#,
                r#"{"code":-32000,"data":{"uri":"a:b"}}"#,
            ),
            ("3", "3"),
        ],
    );
    check(
        |error| error_for_legacy("tools/call", error),
        &[(
            r#"{"code":-32602,"data":{"uri":"a:b"}}"#,
            r#"{"code":-32602,"data":{"uri":"a:b"}}"#,
        )],
    );
    check(
        |error| error_for_modern(Fault::Relayed(error), Some("a:b")).to_raw(),
        &[
            (
                r#"{"code":-32002,"message":"m"}"#,
                r#"{"code":-32602,"message":"m","data":{"uri":"a:b"}}"#,
            ),
            (r#"{"code":-32002,"data":[1]}"#, r#"{"code":-32602,"data":[1]}"#),
            (
                r#"{"code":-32603,"message":"m"}"#,
                r#"{"code":-32603,"message":"m"}"#,
            ),
        ],
    );
}

#[test]
fn visits_that_an_error_wants() {
    let wanted = visits(&raw(
        r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","url":"https://a","x":1},{"mode":"url"}]}}"#,
    ));
    let wanted = InputRequired {
        requests: wanted.unwrap(),
        state: Some("s".to_owned()),
    };
    assert_eq!(
        wanted.to_raw().get(),
        r#"{"resultType":"input_required","inputRequests":{"visit-1":{"method":"elicitation/create","params":{"mode":"url","url":"https://a","x":1}},"visit-2":{"method":"elicitation/create","params":{"mode":"url"}}},"requestState":"s"}"#
    );
    for other in [
        r#"{"code":-32042,"message":"m"}"#,
        r#"{"code":-32042,"data":{"elicitations":[]}}"#,
        r#"{"code":-32602,"data":{"elicitations":[{}]}}"#,
        "null",
    ] {
        assert!(visits(&raw(other)).is_none(), "{other}");
    }
}

#[test]
fn rounds_come_back_as_they_were() {
    for text in [
        r#"{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"},"a":{"method":"x/y","params":{"n":1e400}}},"requestState":"é"}"#,
        r#"{"resultType":"input_required","inputRequests":{}}"#,
    ] {
        assert_eq!(
            InputRequired::read(&raw(text)).unwrap().unwrap().to_raw().get(),
            text
        );
    }
    for (text, wrong) in [
        (
            r#"{"resultType":"input_required","inputRequests":[]}"#,
            "inputRequests: it is not an object",
        ),
        (
            r#"{"resultType":"input_required","inputRequests":{"k":7}}"#,
            "input request \"k\": it is not an object",
        ),
        (
            r#"{"resultType":"input_required","inputRequests":{"k":{}}}"#,
            "input request \"k\" has no method",
        ),
    ] {
        assert_eq!(InputRequired::read(&raw(text)).unwrap().unwrap_err(), wrong);
    }
    for other in [r#"{"resultType":"complete"}"#, "{}", "[]", r#"{"resultType":7}"#] {
        assert!(InputRequired::read(&raw(other)).is_none(), "{other}");
    }
}

#[test]
fn what_clients_declare() {
    use Ability::{Form, Roots, Sampling, SamplingTools, Tasks, Url};
    for (text, wanted) in [
        ("{}", &[][..]),
        ("7", &[]),
        (r#"{"elicitation":{}}"#, &[Form]),
        (r#"{"elicitation":{"url":{}}}"#, &[Url]),
        (
            r#"{"elicitation":{"url":{},"form":{}},"roots":{}}"#,
            &[Form, Url, Roots],
        ),
        (r#"{"sampling":{}}"#, &[Sampling]),
        (
            r#"{"sampling":{"tools":{}},"roots":true}"#,
            &[Sampling, SamplingTools],
        ),
        (r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, &[Tasks]),
    ] {
        let found = ClientCapabilities::read(&raw(text));
        assert_eq!(found, ClientCapabilities::of(wanted.iter().copied()), "{text}");
        assert_eq!(
            found.answers(),
            wanted.iter().any(|ability| *ability != Tasks),
            "{text}"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn questions_for_clients_of_either_era() {
    use Ability::{Form, Roots, Sampling, SamplingTools, Url};
    let check = |method: &str, params: &str, can: &[Ability], version, wanted: &str| {
        let can = ClientCapabilities::of(can.iter().copied());
        let params = raw(params);
        let given = if version == Version::LATEST {
            for_modern(method, Some(&params), can).map(|params| params.unwrap().to_string())
        } else {
            for_legacy(method, Some(&params), can, version, "id-1").map(|params| params.to_string())
        };
        let given = given.unwrap_or_else(|unable| unable.to_string());
        assert_eq!(given, wanted, "{method} {params} for {version}");
    };
    let (old, new, modern) = (Version::V2025_06_18, Version::V2025_11_25, Version::LATEST);
    let form = r#"{"mode":"form","message":"m","task":{"ttl":1}}"#;
    check("elicitation/create", form, &[Form], old, r#"{"message":"m"}"#);
    check(
        "elicitation/create",
        form,
        &[Form],
        new,
        r#"{"mode":"form","message":"m"}"#,
    );
    check(
        "elicitation/create",
        form,
        &[Form],
        modern,
        r#"{"mode":"form","message":"m"}"#,
    );
    check(
        "elicitation/create",
        form,
        &[Url],
        new,
        "the client of this call did not declare elicitation",
    );
    check(
        "elicitation/create",
        form,
        &[Form],
        Version::V2025_03_26,
        "protocol version 2025-03-26, which the client of this call speaks, has no elicitation",
    );
    let url = r#"{"mode":"url","url":"https://a"}"#;
    check(
        "elicitation/create",
        url,
        &[Url],
        new,
        r#"{"mode":"url","url":"https://a","elicitationId":"id-1"}"#,
    );
    check("elicitation/create", url, &[Url], modern, url);
    check(
        "elicitation/create",
        url,
        &[Form],
        modern,
        "the client of this call did not declare elicitation.url",
    );
    check(
        "elicitation/create",
        r#"{"mode":"url","elicitationId":"x"}"#,
        &[Url],
        new,
        r#"{"mode":"url","elicitationId":"x"}"#,
    );
    check(
        "sampling/createMessage",
        r#"{"messages":[]}"#,
        &[Sampling],
        old,
        r#"{"messages":[]}"#,
    );
    check(
        "sampling/createMessage",
        r#"{"tools":[]}"#,
        &[Sampling],
        new,
        "the client of this call did not declare sampling.tools",
    );
    check(
        "sampling/createMessage",
        r#"{"tools":[]}"#,
        &[Sampling, SamplingTools],
        modern,
        r#"{"tools":[]}"#,
    );
    check("roots/list", "{}", &[Roots], Version::V2024_11_05, "{}");
    check(
        "roots/list",
        "{}",
        &[],
        modern,
        "the client of this call did not declare roots",
    );
    check(
        "tools/list",
        "{}",
        &[Roots],
        modern,
        "clients do not offer \"tools/list\"",
    );
    let none = ClientCapabilities::of([Roots]);
    assert!(for_modern("roots/list", None, none).unwrap().is_none());
    assert_eq!(for_legacy("roots/list", None, none, old, "").unwrap().get(), "{}");
}

const LEGACY: &str = r#"{"taskId":"t","status":"working","ttl":60000,"pollInterval":5,"x":1}"#;
const MODERN: &str = r#"{"taskId":"t","status":"working","ttlMs":60000,"pollIntervalMs":5,"x":1}"#;

#[test]
fn tasks_in_both_shapes() {
    check(|task| task::to_modern(&task), &[(LEGACY, MODERN), ("[]", "[]")]);
    check(|task| task::to_legacy(&task), &[(MODERN, LEGACY)]);
    check(
        |task| task::created_for_legacy(&task),
        &[(
            &format!(r#"{{"resultType":"task",{}"#, &MODERN[1..]),
            &format!(r#"{{"task":{LEGACY}}}"#),
        )],
    );
    check(
        |task| task::created_for_modern(&task),
        &[(LEGACY, &format!(r#"{{"resultType":"task",{}"#, &MODERN[1..]))],
    );
    for (result, wanted) in [
        (r#"{"resultType":"task","taskId":"t"}"#, Some("t")),
        (r#"{"task":{"taskId":"t"},"_meta":{}}"#, Some("t")),
        (r#"{"task":{}}"#, None),
        (r#"{"content":[]}"#, None),
        (r#"{"resultType":"complete","task":{"taskId":"t"}}"#, None),
    ] {
        let id = task::created(&raw(result)).and_then(|task| task::id(&task));
        assert_eq!(id.as_deref(), wanted, "{result}");
    }
}

#[test]
fn whose_task_a_message_is_about() {
    check(
        |message| task::with_id(&message, "n"),
        &[
            (r#"{"a":1,"taskId":"t"}"#, r#"{"a":1,"taskId":"n"}"#),
            (r#"{"task":{"taskId":"t"}}"#, r#"{"task":{"taskId":"n"}}"#),
            (
                r#"{"_meta":{"k":1,"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#,
                r#"{"_meta":{"k":1,"io.modelcontextprotocol/related-task":{"taskId":"n"}}}"#,
            ),
            (r#"{"task":"t","content":[]}"#, r#"{"task":"t","content":[]}"#),
            ("7", "7"),
        ],
    );
    check(
        |message| task::relate(&message, Some("t")),
        &[
            (
                r#"{"content":[]}"#,
                r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#,
            ),
            ("[]", "[]"),
        ],
    );
    check(
        |message| task::relate(&message, None),
        &[
            (
                r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}},"x":1}"#,
                r#"{"x":1}"#,
            ),
            (r#"{"_meta":{"k":1}}"#, r#"{"_meta":{"k":1}}"#),
        ],
    );
}

#[test]
fn who_offers_and_who_wants_tasks() {
    for (capabilities, wanted) in [
        (r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#, true),
        (r#"{"tasks":{"list":{},"requests":{"tools":{}}}}"#, false),
        (r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, true),
        (r#"{"extensions":{"x/y":{}}}"#, false),
        ("[]", false),
    ] {
        assert_eq!(task::offered(&raw(capabilities)), wanted, "{capabilities}");
    }
    for (error, wanted) in [
        (
            r#"{"code":-32021,"data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#,
            true,
        ),
        (
            r#"{"code":-32021,"data":{"requiredCapabilities":{"sampling":{}}}}"#,
            false,
        ),
        (
            r#"{"code":-32602,"data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#,
            false,
        ),
        (r#"{"code":-32021}"#, false),
    ] {
        assert_eq!(task::is_required(&raw(error)), wanted, "{error}");
    }
    for (tool, wanted) in [
        (r#"{"execution":{"taskSupport":"required"}}"#, true),
        (r#"{"execution":{"taskSupport":"optional"}}"#, false),
        (r#"{"name":"x"}"#, false),
    ] {
        assert_eq!(task::has_to_be(&raw(tool)), wanted, "{tool}");
    }
    check(
        |tool| task::may_be(&tool),
        &[
            (
                r#"{"name":"x"}"#,
                r#"{"name":"x","execution":{"taskSupport":"optional"}}"#,
            ),
            (
                r#"{"execution":{"taskSupport":"forbidden"}}"#,
                r#"{"execution":{"taskSupport":"forbidden"}}"#,
            ),
        ],
    );
    check(
        |capabilities| task::declared(&capabilities),
        &[(
            r#"{"roots":{},"extensions":{"a/b":{}}}"#,
            r#"{"roots":{},"extensions":{"a/b":{},"io.modelcontextprotocol/tasks":{}}}"#,
        )],
    );
}

#[test]
fn times_of_tasks() {
    use std::time::Duration;
    for (given, life, pause) in [
        (LEGACY, Some(60_000), Some(5)),
        (MODERN, Some(60_000), Some(5)),
        (r#"{"ttlMs":null}"#, None, None),
        (r#"{"ttl":-1,"pollInterval":1.5}"#, None, None),
    ] {
        assert_eq!(
            task::life(&raw(given)),
            life.map(Duration::from_millis),
            "{given}"
        );
        assert_eq!(
            task::pause(&raw(given)),
            pause.map(Duration::from_millis),
            "{given}"
        );
    }
}

#[test]
fn outcomes_of_tasks() {
    let task = raw(r#"{"taskId":"t","status":"completed","ttl":null}"#);
    let detailed = |outcome| task::detailed(&task, Some(&outcome), None).to_string();
    assert_eq!(
        detailed(Ok(raw(r#"{"content":[]}"#))),
        r#"{"resultType":"complete","taskId":"t","status":"completed","ttlMs":null,"result":{"content":[]}}"#
    );
    assert_eq!(
        detailed(Err(raw(r#"{"code":1}"#))),
        r#"{"resultType":"complete","taskId":"t","status":"failed","ttlMs":null,"error":{"code":1}}"#
    );
    let waits = InputRequired {
        requests: vec![(
            "1".to_owned(),
            InputRequest {
                method: "roots/list".to_owned(),
                params: None,
            },
        )],
        state: None,
    };
    assert_eq!(
        task::detailed(&task, None, Some(&waits)).get(),
        r#"{"resultType":"complete","taskId":"t","status":"input_required","ttlMs":null,"inputRequests":{"1":{"method":"roots/list"}}}"#
    );
    for (task, wanted) in [
        (
            r#"{"status":"completed","result":{"a":1}}"#,
            Some(Ok(r#"{"a":1}"#)),
        ),
        (
            r#"{"status":"failed","error":{"code":-1}}"#,
            Some(Err(r#"{"code":-1}"#)),
        ),
        (
            r#"{"status":"cancelled"}"#,
            Some(Err(r#"{"code":-32603,"message":"the task was cancelled"}"#)),
        ),
        (r#"{"status":"working"}"#, None),
        (r#"{"status":"input_required"}"#, None),
        (r#"{"status":"asleep"}"#, None),
        ("7", None),
    ] {
        let outcome = task::outcome(&raw(task));
        let outcome = outcome
            .as_ref()
            .map(|outcome| outcome.as_ref().map(|raw| raw.get()).map_err(|raw| raw.get()));
        assert_eq!(outcome, wanted, "{task}");
    }
}

proptest! {
    /// What strangers send is converted or left alone, and stays JSON.
    #[test]
    fn nothing_that_comes_in_panics(
        member in prop::sample::select(vec!["resultType", "task", "_meta", "data", "code", "inputRequests", "status", "mode", "ttlMs"]),
        value in prop::sample::select(vec!["7", "null", "\"url\"", "\"task\"", "\"input_required\"", "{}", "[]", "{\"taskId\":1}", "{\"k\":{\"method\":\"m\"}}", "-32042", "\"\\ud800\""]),
        other in prop::sample::select(vec!["", ",\"resultType\":\"input_required\"", ",\"code\":-32042", ",\"data\":{\"elicitations\":7}"]),
    ) {
        let text = format!("{{\"{member}\":{value}{other}}}");
        let given = raw(&text);
        for converted in [
            result_for_legacy(given.clone()),
            untagged(given.clone()),
            error_for_legacy("resources/read", given.clone()),
            error_for_modern(Fault::Relayed(given.clone()), None).to_raw(),
            capabilities_for_modern(&given),
            task::to_modern(&given),
            task::to_legacy(&given),
            task::created_for_legacy(&given),
            task::created_for_modern(&given),
            task::with_id(&given, "n"),
            task::relate(&given, Some("n")),
            task::relate(&given, None),
            task::declared(&given),
            task::may_be(&given),
        ] {
            prop_assert!(serde_json::from_str::<Value>(converted.get()).is_ok() || text.contains("ud800"), "{}", converted);
        }
        let _ = (task::life(&given), task::pause(&given), task::is_required(&given), task::has_to_be(&given), task::offered(&given));
        let _ = (visits(&given), InputRequired::read(&given), task::created(&given), task::outcome(&given));
        let _ = needs("elicitation/create", Some(&given));
    }
}

#[test]
fn header_values_go_both_ways() {
    use crate::header::{decode, encode};
    for text in [
        "plain",
        "",
        "a b",
        " a",
        "a ",
        "é",
        "a\nb",
        "=?base64?eA==?=",
        "=?base64?",
    ] {
        let value = encode(text);
        assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{value}");
        assert_eq!(decode(&value).as_deref(), Some(text), "{value}");
    }
}
