//! The machine beneath an engine, of which the Engine API says little: load, memory and disk, as Linux and POSIX tools
//! tell them. What comes back is a stranger's text, read line by line, and of no use rather than wrong when it is not as
//! expected.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A way to look at a machine.
pub trait Look: Send + Sync + 'static {
    /// How it does; `folder` is where its engine keeps its data. `None` where it can't be told.
    fn look(&self, folder: String) -> BoxFuture<'_, Option<Machine>>;
}

/// How a machine does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processes that run or want to, over the last minute.
    pub load: f64,
    /// Bytes of memory in all.
    pub memory: u64,
    /// Bytes of memory that programs could have without others losing any.
    pub memory_available: u64,
    /// Bytes of the file system that the engine's data is on.
    pub disk: u64,
    /// Bytes of it that are free.
    pub disk_free: u64,
}

impl Machine {
    /// Most bytes of the answer to [`Machine::script`] that are of interest.
    pub const ANSWER: usize = 16 << 10;

    /// What a POSIX machine is to run so that [`Machine::parse`] understands its answer: one line for whichever shell is
    /// there. A folder that a shell could read otherwise is not named.
    pub fn script(folder: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        let is_plain = folder.starts_with('/') && folder.bytes().all(plain);
        let folder = if is_plain { folder } else { "/" };
        // Both files are there on Linux alone; df is POSIX. The data folder may be its owner's alone, but not its file
        // system, which is that of some folder above.
        format!(
            "sh -c \"LC_ALL=C; export LC_ALL; cat /proc/loadavg; cat /proc/meminfo; df -Pk {folder} 2>/dev/null || df -Pk /\""
        )
    }

    /// Reads the answer to [`Machine::script`].
    pub fn parse(answer: &str) -> Option<Self> {
        let mut lines = answer.lines();
        let load = lines.next()?.split(' ').next()?.parse().ok()?;
        if !f64::is_finite(load) || load < 0.0 {
            return None;
        }
        let kilobytes = |name: &str| {
            let mut lines = answer.lines();
            let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let number = rest.trim().strip_suffix("kB")?.trim();
            number.parse::<u64>().ok()?.checked_mul(1024)
        };
        // Below the heading of df: file system, blocks of 1024 bytes, used, free, share, where it is mounted.
        let disk = answer
            .lines()
            .skip_while(|line| !line.starts_with("Filesystem"))
            .nth(1)?;
        let mut columns = disk.split_whitespace().skip(1);
        let total = columns.next()?.parse::<u64>().ok()?;
        let free = columns.nth(1)?.parse::<u64>().ok()?;
        Some(Self {
            load,
            memory: kilobytes("MemTotal")?,
            memory_available: kilobytes("MemAvailable")?,
            disk: total.checked_mul(1024)?,
            disk_free: free.checked_mul(1024)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "0.52 0.58 0.59 1/467 12345\nMemTotal:       16314544 kB\nMemFree:         1000 kB\nMemAvailable:    8157272 kB\n\
                          Filesystem     1024-blocks      Used Available Capacity Mounted on\n/dev/sda1        102400000  40000000  62400000      40% /\n";

    #[test]
    fn answers_are_understood_or_of_no_use() {
        let machine = Machine::parse(ANSWER).unwrap();
        assert_eq!(
            machine,
            Machine {
                load: 0.52,
                memory: 16_314_544 << 10,
                memory_available: 8_157_272 << 10,
                disk: 102_400_000 << 10,
                disk_free: 62_400_000 << 10,
            }
        );
        for (from, to) in [
            ("0.52", "NaN"),
            ("0.52", "-1"),
            ("0.52", "Welcome to prod!\n0.52"),
            ("MemAvailable", "MemOther"),
            ("16314544", "99999999999999999999"),
            ("16314544", "18446744073709551615"),
            (" kB", " MB"),
            ("Filesystem", "df: /: no such file"),
            ("102400000", "-"),
        ] {
            assert_eq!(
                Machine::parse(&ANSWER.replacen(from, to, 1)),
                None,
                "{from} → {to}"
            );
        }
    }

    #[test]
    fn no_folder_is_read_as_anything_else() {
        for (folder, named) in [
            ("/var/lib/docker", true),
            ("/srv/docker-data_1.2", true),
            ("relative", false),
            ("/a b", false),
            ("/a;reboot", false),
            ("/$(reboot)", false),
            ("/a\"", false),
            ("/a'", false),
            ("/a\nreboot", false),
            ("", false),
        ] {
            let script = Machine::script(folder);
            let expected = format!("df -Pk {} ", if named { folder } else { "/" });
            assert!(script.contains(&expected), "{script}");
        }
    }

    /// The shell of this machine understands it, and this machine answers as expected.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_real_machine_answers() {
        let answer = std::process::Command::new("sh")
            .args(["-c", &Machine::script("/nonexistent/docker")])
            .output()
            .unwrap();
        let machine = Machine::parse(&String::from_utf8_lossy(&answer.stdout)).unwrap();
        assert!(machine.memory > machine.memory_available && machine.memory_available > 0);
        assert!(machine.disk >= machine.disk_free && machine.disk_free > 0);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(text in "\\PC{0,200}|([0-9. \n]|MemTotal:|MemAvailable:|Filesystem| kB|[0-9]{18,22}){0,40}") {
            Machine::parse(&text);
        }
    }
}
