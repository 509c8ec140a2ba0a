//! What the kernel says about a process and its children.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashMap;

/// Resident memory in MiB of a process and all below it: now, and the sum of what each had at its highest.
pub(crate) fn memory(pid: u32) -> (f64, f64) {
    let tree = with_children(pid);
    let sum = |field| tree.iter().map(|pid| status(*pid, field)).sum::<f64>() / 1024.0;
    (sum("VmRSS:"), sum("VmHWM:"))
}

/// Resident memory in MiB of a process and of those below it, but not of the trivial servers.
pub(crate) fn own_memory(pid: u32) -> f64 {
    own_tree(pid)
        .iter()
        .map(|pid| status(*pid, "VmRSS:"))
        .sum::<f64>()
        / 1024.0
}

/// CPU in milliseconds that those have used that [`own_memory`] counts.
pub(crate) fn own_cpu(pid: u32) -> f64 {
    own_tree(pid).iter().map(|pid| cpu(*pid)).sum()
}

/// Some programs run as several processes; what they stand before is no part of them.
fn own_tree(pid: u32) -> Vec<u32> {
    let program = |pid: u32| fs_err::read_link(format!("/proc/{pid}/exe")).ok();
    let server = program(std::process::id());
    let mut tree = with_children(pid);
    tree.retain(|process| *process == pid || program(*process) != server);
    tree
}

/// While it lives, this process and all below it share one CPU. A relay's client, its server and it itself wait for each
/// other in turn, so nothing is lost; and on a virtual machine, where waking another CPU costs more than the relaying
/// and each time something else, nothing else can be compared.
pub(crate) struct OneCpu(Option<CpuSet>);

impl OneCpu {
    pub(crate) fn new() -> Self {
        let all = sched_getaffinity(None).ok();
        // The last: interrupts and the rest of the machine tend to be on the first.
        let last = all.and_then(|all| (0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu)));
        if let Some(last) = last {
            let mut one = CpuSet::new();
            one.set(last);
            keep_on(&one);
        }
        Self(all)
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        if let Some(all) = &self.0 {
            keep_on(all);
        }
    }
}

/// Who ends meanwhile needs no CPU.
fn keep_on(cpus: &CpuSet) {
    for process in with_children(std::process::id()) {
        for thread in fs_err::read_dir(format!("/proc/{process}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let thread = thread.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(thread) = thread.and_then(Pid::from_raw) {
                sched_setaffinity(Some(thread), cpus).ok();
            }
        }
    }
}

/// CPU that a process has used by itself, user and system, in milliseconds. The kernel counts in hundredths of a second.
pub(crate) fn cpu(pid: u32) -> f64 {
    let text = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = text.rsplit_once(')').map(|(_, rest)| {
        let fields = rest.split_whitespace().skip(11).take(2);
        fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>()
    });
    ticks.unwrap_or_default() * 10.0
}

/// Open file handles of a process.
pub(crate) fn handles(pid: u32) -> usize {
    fs_err::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A field of `/proc/PID/status` in KiB.
fn status(pid: u32, field: &str) -> f64 {
    let text = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

pub(crate) fn with_children(pid: u32) -> Vec<u32> {
    let mut parents: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs_err::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let text = fs_err::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // The name in parentheses may contain spaces; the parent is the second word behind it.
        let parent = text
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parents.entry(parent.unwrap_or_default()).or_default().push(child);
    }
    let mut tree = vec![pid];
    let mut place = 0;
    while place < tree.len() {
        tree.extend(parents.get(&tree[place]).into_iter().flatten());
        place += 1;
    }
    tree
}
