//! Bodies, headers and queries that are not in their form.

use super::*;

#[test]
fn bodies_have_to_be_what_the_endpoint_takes() {
    let create = || post("/containers/create");
    for (ask, wanted) in [
        (create().text("{\"Image\":\"a\"}"), None),
        (create().text(" {\"image\":\"a\"}\n"), None),
        (create(), Some(Rule::Body)),
        (create().text(""), Some(Rule::Body)),
        (create().text("null"), Some(Rule::Body)),
        (create().text("[]"), Some(Rule::Body)),
        (create().text("\"x\""), Some(Rule::Body)),
        (create().text("{"), Some(Rule::Body)),
        (create().text("{}{}"), Some(Rule::Body)),
        (
            create().text("{\"Image\":\"a\"} {\"HostConfig\":{\"Privileged\":true}}"),
            Some(Rule::Body),
        ),
        (create().text(vec![b'{', 0xff, b'}']), Some(Rule::Body)),
        (create().stream(), Some(Rule::Body)),
        (create().text("{\"Image\":1}"), Some(Rule::Body)),
        (
            create().text("{\"HostConfig\":{\"Privileged\":\"true\"}}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":{\"Privileged\":1}}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":{\"Binds\":\"/:/t\"}}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":{\"Binds\":{\"0\":\"/:/t\"}}}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":[{\"Privileged\":true}]}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":{\"Mounts\":{}}}"),
            Some(Rule::Body),
        ),
        (create().text("{\"Frobnicate\":1}"), Some(Rule::UnknownField)),
        (
            create().text("{\"HostConfig\":{\"Capabilities\":[\"ALL\"]}}"),
            Some(Rule::UnknownField),
        ),
        (
            create().text("{\"HostConfig\":{\"Privileged \":true}}"),
            Some(Rule::UnknownField),
        ),
        (
            create().text("{\"HostConfig\":{},\"hostconfig\":{\"Privileged\":true}}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":{\"Privileged\":false,\"privileged\":true}}"),
            Some(Rule::Body),
        ),
        (
            create().text("{\"HostConfig\":{\"Privileged\":false,\"Privileged\":true}}"),
            Some(Rule::Body),
        ),
        (
            post("/containers/web/start").text("{\"Privileged\":true}"),
            Some(Rule::Body),
        ),
        (post("/containers/web/start").text(""), None),
        (post("/containers/web/start").stream(), Some(Rule::Body)),
        (post("/commit?container=web"), None),
        (post("/commit?container=web").text("{\"Cmd\":[\"a\"]}"), None),
        (
            post("/commit?container=web").text("{\"HostConfig\":{}}"),
            Some(Rule::UnknownField),
        ),
    ] {
        check("", &ask, wanted);
    }
    let long = format!("{{\"Image\":\"{}\"}}", "a".repeat(5 << 20));
    check("", &create().text(long), Some(Rule::Body));
}

#[test]
fn what_is_sent_is_what_was_judged() {
    for (text, wanted) in [
        (
            "{\"image\":\"a\",\"HOSTCONFIG\":{\"memory\":1}}",
            json!({"Image": "a", "HostConfig": {"Memory": 1}}),
        ),
        ("{\"Image\":\"a\",\"Cmd\":null}", json!({"Image": "a"})),
        (
            "{\"Image\":\"\\u0061\",\"Labels\":{\"A\":\"1\",\"a\":\"2\"}}",
            json!({"Image": "a", "Labels": {"A": "1", "a": "2"}}),
        ),
        (
            "{\"Image\":\"a\",\"HostConfig\":{\"Memory\":9223372036854775807}}",
            json!({"Image": "a", "HostConfig": {"Memory": i64::MAX}}),
        ),
    ] {
        let verdict = post("/containers/create")
            .text(text)
            .judged(&policy(""), &local(), &Known::default())
            .unwrap();
        let sent: Value = serde_json::from_slice(&verdict.body.unwrap()).unwrap();
        assert_eq!(sent, wanted, "{text}");
    }
    // What is not judged is left alone.
    let verdict = post("/images/load")
        .stream()
        .judged(&policy(""), &local(), &Known::default())
        .unwrap();
    assert_eq!(verdict, Verdict::default());
}

#[test]
fn headers_that_would_change_the_meaning() {
    let pull = || post("/images/create?fromImage=busybox");
    let list = || get("/containers/json");
    for (ask, wanted) in [
        (pull(), None),
        (
            pull().header("content-type", "application/json; charset=utf-8"),
            None,
        ),
        (pull().header("content-type", "Application/JSON"), None),
        (pull().header("x-registry-auth", "e30="), None),
        // The daemon would take parameters from these, before those of the query.
        (
            pull().header("content-type", "application/x-www-form-urlencoded"),
            Some(Rule::Header),
        ),
        (
            pull().header("content-type", "APPLICATION/x-www-form-urlencoded ; a=b"),
            Some(Rule::Header),
        ),
        (
            pull().header("content-type", "multipart/form-data; boundary=x"),
            Some(Rule::Header),
        ),
        (pull().header("content-type", ""), Some(Rule::Header)),
        (
            pull()
                .header("content-type", "application/json")
                .header("content-type", "application/x-www-form-urlencoded"),
            Some(Rule::Header),
        ),
        (list().header("upgrade", "h2c"), Some(Rule::Header)),
        (list().header("upgrade", "tcp"), Some(Rule::Header)),
    ] {
        check("", &ask, wanted);
    }
}

#[test]
fn queries() {
    for (target, wanted) in [
        ("/containers/create?name=web", None),
        ("/images/c0ffee/tag?repo=a&tag=b", None),
        ("/containers/web/kill?signal=KILL", None),
        ("/containers/web/kill?signal=KILL&signal=TERM", Some(Rule::Query)),
        ("/containers/web/kill?signal=KILL;x=1", Some(Rule::Query)),
        ("/containers/web/kill?signal=%zz", Some(Rule::Query)),
        ("/containers/web/kill?frobnicate=1", Some(Rule::Query)),
        ("/containers/web/kill?Signal=KILL", Some(Rule::Query)),
        (
            "/images/create?fromImage=busybox&fromImage=evil",
            Some(Rule::Query),
        ),
        (
            "/images/create?fromImage=busybox&%66romImage=evil",
            Some(Rule::Query),
        ),
        ("/build?t=a&t=b&dockerfile=Dockerfile", None),
        ("/build?labels=%7B%22a%22%3A%22b%22%7D", None),
        ("/build?labels=%7B", Some(Rule::Query)),
    ] {
        let ask = match target.split('?').next() {
            Some("/containers/create") => post(target).json(&json!({"Image": "a"})),
            Some("/build") => post(target).stream(),
            _ => post(target),
        };
        check("", &ask, wanted);
    }
    // A read with a parameter that the guard does not know harms nobody.
    check("", &get("/containers/json?frobnicate=1"), None);
    check("", &get("/containers/json?all=1&all=0"), Some(Rule::Query));
}
