//! The processes below this one, as `/proc` shows them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};

/// How long a round of looking and killing waits for the next.
const BETWEEN: Duration = Duration::from_millis(5);
/// How long killed processes may take to go. Only what the kernel holds, or what belongs to another user, takes it.
const GIVE_UP: Duration = Duration::from_secs(5);
/// After so many rounds it is killed even if it still multiplies.
const FREEZING: usize = 20;

/// All that live below this process, however they were started: who loses his parent gets this one, which is the
/// subreaper of them all. The dead whom nobody has waited for do not count.
pub(super) fn below() -> Vec<Pid> {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in pids {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = Vec::new();
    let mut next = vec![getpid().as_raw_nonzero().get()];
    while let Some(of) = next.pop() {
        for child in children.remove(&of).unwrap_or_default() {
            next.push(child);
            all.extend(Pid::from_raw(child));
        }
    }
    all
}

/// The parent of a process that lives. The name, in brackets, may hold anything, brackets as well (proc(5)).
fn parent(pid: i32) -> Option<i32> {
    let stat = fs_err::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok()?;
    (!is_dead).then_some(parent)
}

/// Sends a signal to all of them.
pub(super) fn signal(signal: Signal) {
    for pid in below() {
        // It may have ended, or belong to somebody else.
        let _gone = kill_process(pid, signal);
    }
}

/// The signal with a number that [`crate::Signal`] has.
pub(super) fn named(number: u8) -> Option<Signal> {
    let named = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::KILL,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::TERM,
        Signal::CONT,
        Signal::STOP,
        Signal::TSTP,
        Signal::WINCH,
    ];
    named
        .into_iter()
        .find(|signal| signal.as_raw() == i32::from(number))
}

/// Ends all of them. Says how many are still there.
pub(super) fn end(grace: Duration) -> usize {
    signal(Signal::TERM);
    // What is stopped takes no notice until it goes on.
    signal(Signal::CONT);
    if is_empty_within(grace) {
        return 0;
    }
    kill()
}

/// Stops what multiplies, so that none is born between the look and the kill; then kills.
fn kill() -> usize {
    let mut stopped = Vec::new();
    for _ in 0..FREEZING {
        let new: Vec<Pid> = below().into_iter().filter(|pid| !stopped.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            let _gone = kill_process(pid, Signal::STOP);
            stopped.push(pid);
        }
    }
    let until = Instant::now() + GIVE_UP;
    loop {
        let left = below();
        if left.is_empty() || Instant::now() >= until {
            return left.len();
        }
        for pid in left {
            let _gone = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(BETWEEN);
    }
}

fn is_empty_within(grace: Duration) -> bool {
    let until = Instant::now() + grace;
    loop {
        if below().is_empty() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(BETWEEN);
    }
}
