//! Whatever a caller writes: a value or an error, never a panic, and bounded.

use super::{Command, Filters, Pairs, Ports, Size, Span, Volume, When};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON a caller could send.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
        "[0-9a-z.:/\\[\\]=-]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z0-9/=]{0,8}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn anything_is_a_value_or_an_error(value in anything()) {
        drop(serde_json::from_value::<Command>(value.clone()).map(|command| (command.for_container(), command.for_exec())));
        drop(serde_json::from_value::<Filters>(value.clone()).map(|filters| filters.to_engine()));
        drop(serde_json::from_value::<Pairs>(value.clone()));
        drop(serde_json::from_value::<Size>(value.clone()));
        drop(serde_json::from_value::<Span>(value.clone()));
        drop(serde_json::from_value::<Volume>(value.clone()));
        drop(serde_json::from_value::<When>(value.clone()));
        if let Ok(ports) = serde_json::from_value::<Ports>(value) {
            prop_assert!(ports.0.iter().all(|port| port.container != 0));
        }
    }

    #[test]
    fn ports_without_an_address_stay_on_this_machine(host in 1..u16::MAX, container in 1..u16::MAX) {
        let ports: Ports = serde_json::from_value(json!([format!("{host}:{container}")])).unwrap();
        prop_assert!(ports.0.iter().all(|port| port.address.is_loopback() && port.host == Some(host)));
    }

    #[test]
    fn words_in_quotes_stay_together(words in prop::collection::vec("[^'\\x00]{1,12}", 1..5)) {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let command: Command = serde_json::from_value(json!(quoted.join(" "))).unwrap();
        prop_assert_eq!(command.for_container(), Ok(words));
    }
}
