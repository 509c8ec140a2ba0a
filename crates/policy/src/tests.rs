use proptest::prelude::*;

use crate::{Ask, Decision, Effect, Pattern, Rules};

fn rules(toml: &str) -> Rules {
    toml::from_str(toml).unwrap()
}

fn ask<'a>(server: &'a str, tool: &'a str, effect: Effect) -> Ask<'a> {
    Ask {
        principal: "local",
        server,
        tool,
        effect,
    }
}

/// `allow`, `ask` or `deny` for a call written as `server/tool effect`.
fn check(policy: &str, call: &str, expected: &str) {
    let (name, effect) = call.split_once(' ').unwrap();
    let (server, tool) = name.split_once('/').unwrap();
    let effect = serde_json::from_value(effect.into()).unwrap();
    let decision = match rules(policy).decide(&ask(server, tool, effect)) {
        Decision::Allow => "allow",
        Decision::Ask { .. } => "ask",
        Decision::Deny { .. } => "deny",
    };
    assert_eq!(decision, expected, "{call} under {policy:?}");
}

#[test]
fn decisions() {
    for (policy, call, expected) in [
        // No configuration.
        ("", "docker/list_containers read", "allow"),
        ("", "docker/create_container change", "allow"),
        ("", "docker/remove_container destroy", "ask"),
        // Presets.
        ("preset = 'read-only'", "docker/list_containers read", "allow"),
        ("preset = 'read-only'", "docker/create_container change", "deny"),
        ("preset = 'read-only'", "docker/remove_container destroy", "deny"),
        ("preset = 'no-destroy'", "docker/create_container change", "allow"),
        ("preset = 'no-destroy'", "docker/remove_container destroy", "deny"),
        ("preset = 'full'", "docker/remove_container destroy", "ask"),
        ("preset = 'allow-list'", "docker/list_containers read", "deny"),
        // The lists come before the preset, deny before allow.
        (
            "preset = 'read-only'\nallow = ['docker/create_*']",
            "docker/create_container change",
            "allow",
        ),
        (
            "preset = 'read-only'\nallow = ['docker/create_*']",
            "docker/start_container change",
            "deny",
        ),
        (
            "preset = 'allow-list'\nallow = ['docker/list_*']",
            "docker/list_images read",
            "allow",
        ),
        (
            "preset = 'allow-list'\nallow = ['docker/list_*']",
            "files/list_images read",
            "deny",
        ),
        ("deny = ['*/list_*']", "docker/list_images read", "deny"),
        (
            "allow = ['docker/x']\ndeny = ['docker/x']",
            "docker/x read",
            "deny",
        ),
        ("allow = ['docker/x']\ndeny = ['*/*']", "docker/x read", "deny"),
        ("deny = ['docker/X']", "docker/x read", "allow"),
        // What is allowed is asked about all the same.
        (
            "preset = 'no-destroy'\nallow = ['docker/rm']",
            "docker/rm destroy",
            "ask",
        ),
        ("ask = 'never'", "docker/rm destroy", "allow"),
        ("ask = 'change'", "docker/create change", "ask"),
        ("ask = 'change'", "docker/rm destroy", "ask"),
        ("ask = 'change'", "docker/list read", "allow"),
        ("ask = 'never'\ndeny = ['docker/rm']", "docker/rm destroy", "deny"),
        // Names that nothing can have.
        ("ask = 'never'", "/list read", "deny"),
        ("ask = 'never'", "docker/ read", "deny"),
        ("ask = 'never'", "-docker/list read", "deny"),
        ("deny = ['SQLite/*']", "SQLite/query read", "deny"),
        ("deny = ['SQLite/*']", "sqlite/query read", "allow"),
        ("allow = ['*/*']", "docker/li/st read", "deny"),
        ("allow = ['*/*']", "docker/li\u{202e}st read", "deny"),
    ] {
        check(policy, call, expected);
    }
}

fn reasons(policy: &str, tool: &str, effect: Effect) -> String {
    match rules(policy).decide(&ask("docker", tool, effect)) {
        Decision::Allow => "allowed".to_owned(),
        Decision::Ask { why } => format!("asked: {why}"),
        Decision::Deny { rule, how_to_allow } => format!("denied: {rule}. {how_to_allow}"),
    }
}

#[test]
fn reasons_name_the_rule_and_the_lines() {
    insta::assert_snapshot!(reasons("preset = 'read-only'", "start_container", Effect::Change), @r#"denied: policy.preset is "read-only", and this call changes. To allow it, write under [policy]: allow = ["docker/start_container"]"#);
    insta::assert_snapshot!(reasons("preset = 'no-destroy'\nallow = ['files/*']", "remove_container", Effect::Destroy), @r#"denied: policy.preset is "no-destroy", and this call destroys. To allow it, write under [policy]: allow = ["files/*", "docker/remove_container"]"#);
    insta::assert_snapshot!(reasons("preset = 'allow-list'\ndeny = ['docker/rm*', 'x/*']", "rmi", Effect::Read), @r#"
    denied: policy.deny has "docker/rm*". To allow it, write under [policy]: deny = ["x/*"]
    allow = ["docker/rmi"]
    "#);
    insta::assert_snapshot!(reasons("preset = 'allow-list'", "ps", Effect::Read), @r#"denied: policy.preset is "allow-list", and policy.allow does not name it. To allow it, write under [policy]: allow = ["docker/ps"]"#);
    insta::assert_snapshot!(reasons("", "remove_container", Effect::Destroy), @r#"asked: it destroys, and policy.ask is "destroy""#);
    insta::assert_snapshot!(reasons("", "a b", Effect::Read), @r#"denied: no rule can name it ("a b" is not a valid tool name: use letters, digits, '_', '.' and '-'). No configuration allows it"#);
}

#[test]
fn what_is_not_a_pattern() {
    let fault = |text: &str| Pattern::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(fault("docker"), @r#""docker" names no server and tool; write "server/tool", for all tools of a server "server/*""#);
    insta::assert_snapshot!(fault("docker/"), @r#""docker/" leaves one side of the '/' empty; write * for all"#);
    insta::assert_snapshot!(fault("docker/list?"), @r#""docker/list?" has '?'; names of servers and tools are letters, digits, '_', '.' and '-', and * stands for any text"#);
    insta::assert_snapshot!(fault("a/b/c"), @r#""a/b/c" has '/'; names of servers and tools are letters, digits, '_', '.' and '-', and * stands for any text"#);
}

#[test]
fn a_key_that_is_not_known_is_an_error() {
    assert!(toml::from_str::<Rules>("denny = []").is_err());
    assert!(toml::from_str::<Rules>("preset = 'open'").is_err());
    assert!(toml::from_str::<Rules>("deny = ['docker']").is_err());
}

prop_compose! {
    fn any_pattern()(server in "[a-z*]{1,3}", tool in "[a-c_*]{1,4}") -> String {
        format!("{server}/{tool}")
    }
}

prop_compose! {
    fn any_rules()(
        preset in prop::sample::select(vec!["read-only", "no-destroy", "full", "allow-list"]),
        ask in prop::sample::select(vec!["destroy", "change", "never"]),
        allow in prop::collection::vec(any_pattern(), 0..4),
        deny in prop::collection::vec(any_pattern(), 0..4),
    ) -> Rules {
        rules(&format!("preset = '{preset}'\nask = '{ask}'\nallow = {allow:?}\ndeny = {deny:?}"))
    }
}

fn any_effect() -> impl Strategy<Value = Effect> {
    prop::sample::select(vec![Effect::Read, Effect::Change, Effect::Destroy])
}

proptest! {
    #[test]
    fn the_lines_of_a_denial_lift_it(own in any_rules(), tool in "[a-c_]{1,4}", effect in any_effect()) {
        let call = ask("ab", &tool, effect);
        let lines = own.lines_to_allow(&call);
        let denied = matches!(own.decide(&call), Decision::Deny { .. });
        prop_assert_eq!(denied, !lines.is_empty());
        let mut changed = toml::Table::try_from(&own).unwrap();
        changed.extend(lines.join("\n").parse::<toml::Table>().unwrap());
        let changed: Rules = changed.try_into().unwrap();
        prop_assert!(!matches!(changed.decide(&call), Decision::Deny { .. }), "{:?}", changed);
    }

    #[test]
    fn no_allow_list_lifts_a_denial(mut own in any_rules(), tool in "[a-c_]{1,4}", effect in any_effect()) {
        own.deny.push(Pattern::parse(&format!("ab/{tool}")).unwrap());
        own.allow.push(Pattern::parse("*/*").unwrap());
        let denied = matches!(own.decide(&ask("ab", &tool, effect)), Decision::Deny { .. });
        prop_assert!(denied);
    }

    #[test]
    fn a_worse_effect_is_never_treated_better(own in any_rules(), tool in "[a-c_]{1,4}") {
        let rank = |effect| match own.decide(&ask("ab", &tool, effect)) {
            Decision::Allow => 0,
            Decision::Ask { .. } => 1,
            Decision::Deny { .. } => 2,
        };
        prop_assert!(rank(Effect::Read) <= rank(Effect::Change));
        prop_assert!(rank(Effect::Change) <= rank(Effect::Destroy));
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(text in "\\PC{0,40}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert_eq!(pattern.as_str(), &text);
        }
    }
}
