//! How a container does, in few words.

/// The engine's words for a container's state, shortened: `Up 3 hours (healthy)` is `up 3h (healthy)`,
/// `Exited (0) About a minute ago` is `exited (0) 1m`.
pub(crate) fn short(status: &str) -> String {
    let mut words = status.split_whitespace().peekable();
    let mut short = String::with_capacity(status.len());
    while let Some(word) = words.next() {
        let next = words.peek().copied();
        let shortened = match (word, next) {
            ("ago" | "About" | "than", _) => continue,
            ("Less", _) => {
                // "Less than a second".
                words.by_ref().take(3).for_each(drop);
                "0s".to_owned()
            }
            ("a" | "an", Some(unit)) if letter(unit).is_some() => {
                words.next();
                format!("1{}", letter(unit).unwrap_or_default())
            }
            (number, Some(unit)) if number.bytes().all(|b| b.is_ascii_digit()) && letter(unit).is_some() => {
                words.next();
                format!("{number}{}", letter(unit).unwrap_or_default())
            }
            (word, _) => word.to_lowercase(),
        };
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(&shortened);
    }
    short
}

fn letter(unit: &str) -> Option<&'static str> {
    match unit.trim_end_matches('s') {
        "second" => Some("s"),
        "minute" => Some("m"),
        "hour" => Some("h"),
        "day" => Some("d"),
        "week" => Some("w"),
        "month" => Some("mo"),
        "year" => Some("y"),
        _ => None,
    }
}

/// What an exit code usually means. `None` for codes that only the program itself can explain.
pub(crate) fn exit_meaning(code: i64, out_of_memory: bool) -> Option<&'static str> {
    match code {
        _ if out_of_memory => Some("killed by the kernel: out of memory"),
        0 => Some("ended by itself, without error"),
        1 => Some("the program reported an error"),
        125 => Some("the engine could not run it"),
        126 => Some("the command can't be executed: permission, or not a program for this platform"),
        127 => Some("the command was not found in the image"),
        130 => Some("ended by SIGINT"),
        134 => Some("aborted (SIGABRT)"),
        137 => Some("killed (SIGKILL): docker kill, a stop that took too long, or memory of the host"),
        139 => Some("crashed (SIGSEGV)"),
        143 => Some("ended by SIGTERM: stopped from outside"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn statuses_are_shortened() {
        for (status, expected) in [
            ("Up 3 hours", "up 3h"),
            ("Up 3 hours (healthy)", "up 3h (healthy)"),
            ("Up About a minute (health: starting)", "up 1m (health: starting)"),
            ("Up About an hour (Paused)", "up 1h (paused)"),
            ("Up Less than a second", "up 0s"),
            ("Exited (0) 5 minutes ago", "exited (0) 5m"),
            ("Exited (137) Less than a second ago", "exited (137) 0s"),
            ("Restarting (1) 2 seconds ago", "restarting (1) 2s"),
            ("Exited (0) 3 months ago", "exited (0) 3mo"),
            ("Created", "created"),
            ("Removal In Progress", "removal in progress"),
            ("", ""),
        ] {
            assert_eq!(short(status), expected, "{status}");
        }
    }
}
