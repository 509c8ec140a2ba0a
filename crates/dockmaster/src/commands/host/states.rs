//! How hosts do, as a table for people: of `host list` and `gateway status`.

use hosts::{Facts, Health, State};

use crate::output;

/// A clock that differs by more makes logs and `since` misleading, in milliseconds.
const SKEW: i64 = 5_000;

/// A line for each host, and below what is wrong with some.
pub(crate) fn table(states: &[State]) -> String {
    let rows: Vec<_> = states.iter().map(row).collect();
    let mut text = output::columns(
        [
            "HOST",
            "STATE",
            "ENGINE",
            "TRIP",
            "LOAD",
            "FREE MEMORY",
            "FREE DISK",
            "RUNS",
            "MODE",
            "LABELS",
            "ENDPOINT",
        ],
        &rows,
    );
    for line in states
        .iter()
        .flat_map(|state| [runs(state), remark(state)])
        .flatten()
    {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

/// The servers that run there.
fn runs(state: &State) -> Option<String> {
    match &state.health {
        Health::Up(facts) if !facts.servers.is_empty() => {
            Some(format!("{} runs {}", state.name, facts.servers.join(", ")))
        }
        _ => None,
    }
}

fn row(state: &State) -> [String; 11] {
    let about = |word: &str| {
        let nothing = String::new;
        [
            state.name.to_string(),
            word.to_owned(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            state.mode.to_string(),
            state.labels.join(" "),
            state.place.clone(),
        ]
    };
    match &state.health {
        Health::Unused => about("not used"),
        Health::Down { .. } => about("down"),
        Health::Up(facts) => {
            let mut row = about("up");
            let facts = cells(facts);
            for (cell, fact) in row.iter_mut().skip(2).zip(facts) {
                *cell = fact;
            }
            row
        }
    }
}

fn cells(facts: &Facts) -> [String; 6] {
    let machine = facts.machine.as_ref();
    let of = |part: u64, whole: u64| format!("{} of {}", base::text::bytes(part), base::text::bytes(whole));
    let plural = if facts.cpus == 1 { "CPU" } else { "CPUs" };
    let cpus = format!("{} {plural}", facts.cpus);
    [
        facts.engine.clone(),
        format!("{:.1} ms", facts.round_trip_ms),
        machine.map_or_else(
            || cpus.clone(),
            |machine| format!("{:.1} on {cpus}", machine.load),
        ),
        match machine {
            Some(machine) => of(machine.memory_available, machine.memory),
            None => format!("? of {}", base::text::bytes(facts.memory)),
        },
        machine.map_or_else(|| "?".to_owned(), |machine| of(machine.disk_free, machine.disk)),
        match facts.ours {
            0 => facts.running.to_string(),
            ours => format!("{}, {ours} ours", facts.running),
        },
    ]
}

/// What somebody should know of it.
fn remark(state: &State) -> Option<String> {
    let remark = match &state.health {
        Health::Down { why } => base::text::clean(why).replace('\n', " "),
        Health::Up(facts) if facts.clock_ahead_ms.abs() > SKEW => {
            let way = if facts.clock_ahead_ms > 0 {
                "ahead of"
            } else {
                "behind"
            };
            let seconds = facts.clock_ahead_ms.abs() / 1000;
            format!("its clock is {seconds} s {way} ours; let both be set by NTP, or times in logs mislead")
        }
        Health::Unused | Health::Up(_) => return None,
    };
    Some(format!("{}: {remark}", state.name))
}

#[cfg(test)]
mod tests {
    use base::names::HostName;
    use engine::guard::Mode;
    use hosts::Machine;

    use super::*;

    fn state(name: &str, labels: &[&str], health: Health) -> State {
        State {
            name: HostName::parse(name).unwrap(),
            place: format!("ssh://{name}"),
            mode: Mode::ReadOnly,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            health,
        }
    }

    #[test]
    fn hosts_in_a_table() {
        let facts = Facts {
            round_trip_ms: 40.25,
            engine: "28.5.2".to_owned(),
            cpus: 8,
            memory: 16 << 30,
            running: 7,
            ..Facts::default()
        };
        let machine = Machine {
            load: 0.52,
            memory: 16 << 30,
            memory_available: 9 << 30,
            disk: 100 << 30,
            disk_free: 60 << 30,
        };
        let rich = Facts {
            machine: Some(machine),
            ours: 2,
            servers: vec!["memory".to_owned(), "render".to_owned()],
            clock_ahead_ms: -61_500,
            ..facts.clone()
        };
        let why = "can't connect to lab at 10.0.0.9:22: no answer\nat all".to_owned();
        let states = [
            state("prod", &["gpu", "zone=eu"], Health::Up(Box::new(rich))),
            state("tcp", &[], Health::Up(Box::new(facts))),
            state("lab", &[], Health::Down { why }),
            state("idle", &[], Health::Unused),
        ];
        insta::assert_snapshot!(table(&states), @"
        HOST  STATE     ENGINE  TRIP     LOAD           FREE MEMORY      FREE DISK          RUNS       MODE       LABELS       ENDPOINT
        prod  up        28.5.2  40.2 ms  0.5 on 8 CPUs  9 GiB of 16 GiB  60 GiB of 100 GiB  7, 2 ours  read-only  gpu zone=eu  ssh://prod
        tcp   up        28.5.2  40.2 ms  8 CPUs         ? of 16 GiB      ?                  7          read-only               ssh://tcp
        lab   down                                                                                     read-only               ssh://lab
        idle  not used                                                                                 read-only               ssh://idle
        prod runs memory, render
        prod: its clock is 61 s behind ours; let both be set by NTP, or times in logs mislead
        lab: can't connect to lab at 10.0.0.9:22: no answer at all
        ");
    }
}
