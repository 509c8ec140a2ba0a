//! On what the figures were taken.

use crate::http::Connection;
use anyhow::Result;
use serde_json::Value;

/// The socket of the engine under test.
pub(crate) fn socket() -> String {
    let endpoint = testkit::endpoint();
    let path = endpoint.strip_prefix("unix://");
    path.unwrap_or("/var/run/docker.sock").to_owned()
}

/// One sentence: processor, memory, kernel, engine, load.
pub(crate) fn describe(daemon: &mut Connection) -> Result<String> {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> String {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let processors = std::thread::available_parallelism()?;
    let model = field(&read("/proc/cpuinfo"), "model name");
    let kibibytes: u64 = field(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let version: Value = serde_json::from_slice(&daemon.get("/version")?.body)?;
    Ok(format!(
        "{processors} × {model}, {} GiB, Linux {}, Docker Engine {} (API {}), load average at the start {}",
        kibibytes / 1024 / 1024,
        kernel.trim(),
        version["Version"].as_str().unwrap_or("?"),
        version["ApiVersion"].as_str().unwrap_or("?"),
        load.split(' ').next().unwrap_or("?"),
    ))
}
