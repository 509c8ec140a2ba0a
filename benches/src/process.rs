//! What the kernel says about a process and its children.

use std::collections::HashMap;

/// Resident memory in MiB of a process and all below it: now, and the sum of what each had at its highest.
pub(crate) fn memory(pid: u32) -> (f64, f64) {
    let tree = with_children(pid);
    let sum = |field| tree.iter().map(|pid| status(*pid, field)).sum::<f64>() / 1024.0;
    (sum("VmRSS:"), sum("VmHWM:"))
}

/// A field of `/proc/PID/status` in KiB.
fn status(pid: u32, field: &str) -> f64 {
    let text = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

fn with_children(pid: u32) -> Vec<u32> {
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
