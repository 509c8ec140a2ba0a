use proptest::prelude::*;

use super::*;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn decide(rules: &Rules, tool: &str, effect: Effect) -> Decision {
    rules.decide(&Ask {
        principal: "local",
        server: "docker",
        tool,
        effect,
    })
}

/// `allow`, `ask` or `deny`.
fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Ask { .. } => "ask",
        Decision::Deny { .. } => "deny",
    }
}

#[test]
fn presets_and_what_is_asked() {
    use {AskBefore as A, Preset as P};
    // preset, ask, then the decision for a call that reads, changes, destroys
    for (preset, ask, wanted) in [
        (P::Full, A::Destroy, ["allow", "allow", "ask"]),
        (P::Full, A::Change, ["allow", "ask", "ask"]),
        (P::Full, A::Never, ["allow", "allow", "allow"]),
        (P::NoDestroy, A::Destroy, ["allow", "allow", "deny"]),
        (P::NoDestroy, A::Change, ["allow", "ask", "deny"]),
        (P::ReadOnly, A::Destroy, ["allow", "deny", "deny"]),
        (P::ReadOnly, A::Never, ["allow", "deny", "deny"]),
    ] {
        let rules = Rules {
            preset,
            ask,
            ..Rules::default()
        };
        let decided = [Effect::Read, Effect::Change, Effect::Destroy]
            .map(|effect| word(&decide(&rules, "tool", effect)));
        assert_eq!(decided, wanted, "{preset:?} {ask:?}");
    }
}

#[test]
fn lists_of_patterns() {
    // preset, allow, deny, tool, effect, wanted
    for (preset, allow, deny, tool, effect, wanted) in [
        (
            Preset::ReadOnly,
            &["docker/start_container"][..],
            &[][..],
            "start_container",
            Effect::Change,
            "allow",
        ),
        (
            Preset::ReadOnly,
            &["docker/*"],
            &[],
            "remove_container",
            Effect::Destroy,
            "ask",
        ),
        (
            Preset::ReadOnly,
            &["other/*"],
            &[],
            "start_container",
            Effect::Change,
            "deny",
        ),
        (
            Preset::Full,
            &[],
            &["docker/list_*"],
            "list_images",
            Effect::Read,
            "deny",
        ),
        (
            Preset::Full,
            &["docker/list_images"],
            &["*/list_*"],
            "list_images",
            Effect::Read,
            "deny",
        ),
        (Preset::Full, &[], &["docker"], "anything", Effect::Read, "deny"),
        (
            Preset::Full,
            &[],
            &["docker/remove"],
            "remove_container",
            Effect::Read,
            "allow",
        ),
        (
            Preset::Full,
            &[],
            &["docker/Remove_*"],
            "remove_container",
            Effect::Read,
            "allow",
        ),
    ] {
        let rules = Rules {
            preset,
            allow: patterns(allow),
            deny: patterns(deny),
            ..Rules::default()
        };
        assert_eq!(
            word(&decide(&rules, tool, effect)),
            wanted,
            "{preset:?} {allow:?} {deny:?} {tool}"
        );
    }
}

#[test]
fn a_denial_says_what_would_allow_it() {
    let rules = Rules {
        preset: Preset::ReadOnly,
        deny: patterns(&["docker/exec*"]),
        ..Rules::default()
    };
    let Decision::Deny { rule, how_to_allow } = decide(&rules, "start_container", Effect::Change) else {
        panic!("allowed")
    };
    assert_eq!(rule, "it changes something and the preset is \"read-only\"");
    assert_eq!(
        how_to_allow,
        "To permit it, the owner of the configuration sets `preset = \"no-destroy\"`, or adds \"docker/start_container\" to `allow`, under [policy]"
    );
    let Decision::Deny { rule, how_to_allow } = decide(&rules, "execute", Effect::Read) else {
        panic!("allowed")
    };
    assert_eq!(rule, "the configuration denies \"docker/exec*\"");
    assert_eq!(
        how_to_allow,
        "To permit it, the owner of the configuration removes \"docker/exec*\" from `deny` under [policy]"
    );
}

#[test]
fn patterns_as_text() {
    for (text, wanted) in [
        ("docker/list_*", Some("docker/list_*")),
        ("docker", Some("docker/*")),
        ("*/*", Some("*/*")),
        ("", None),
        ("/x", None),
        ("docker/", None),
        ("a/b/c", None),
        ("docker/re?ove", None),
        ("docker/ü", None),
        ("docker / x", None),
    ] {
        assert_eq!(
            text.parse::<Pattern>().ok().map(String::from).as_deref(),
            wanted,
            "{text:?}"
        );
    }
}

#[test]
fn configuration_with_an_unknown_member_is_refused() {
    let parsed: Result<Rules, _> = serde_json::from_str(r#"{"preset": "full", "alow": []}"#);
    assert!(parsed.unwrap_err().to_string().contains("alow"));
}

proptest! {
    #[test]
    fn what_is_denied_is_never_let_through(
        tool in "[a-z_]{1,12}", preset in 0usize..3, effect in 0usize..3, ask in 0usize..3, cut in 0usize..12,
    ) {
        let deny = format!("docker/{}*", base::text::cut(&tool, cut));
        let rules = Rules {
            preset: [Preset::ReadOnly, Preset::NoDestroy, Preset::Full][preset],
            allow: patterns(&["*/*", "docker/*"]),
            deny: patterns(&[&deny]),
            ask: [AskBefore::Destroy, AskBefore::Change, AskBefore::Never][ask],
            when_unable: WhenUnable::Allow,
        };
        let effect = [Effect::Read, Effect::Change, Effect::Destroy][effect];
        prop_assert_eq!(word(&decide(&rules, &tool, effect)), "deny");
    }

    #[test]
    fn more_harm_is_never_judged_milder(preset in 0usize..3, ask in 0usize..3) {
        let rules = Rules {
            preset: [Preset::ReadOnly, Preset::NoDestroy, Preset::Full][preset],
            ask: [AskBefore::Destroy, AskBefore::Change, AskBefore::Never][ask],
            ..Rules::default()
        };
        let rank = |effect| ["allow", "ask", "deny"].iter().position(|w| *w == word(&decide(&rules, "t", effect)));
        prop_assert!(rank(Effect::Read) <= rank(Effect::Change) && rank(Effect::Change) <= rank(Effect::Destroy));
    }
}
