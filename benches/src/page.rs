//! The page that the figures become: a table of targets, then sections with a table each.

use std::fmt::Write;

#[derive(Debug, Default)]
pub(crate) struct Page {
    targets: Vec<String>,
    text: String,
}

impl Page {
    pub(crate) fn target(&mut self, what: &str, target: &str, here: &str, met: bool) {
        let met = if met { "met" } else { "**missed**" };
        self.targets
            .push(format!("| {what} | {target} | {here} | {met} |"));
    }

    pub(crate) fn section(&mut self, title: &str, text: &str, head: &str) {
        let rule = "|---".repeat(head.matches('|').count() - 1);
        // Writing to a String cannot fail.
        write!(self.text, "\n## {title}\n\n{text}\n\n{head}\n{rule}|\n").ok();
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        writeln!(self.text, "| {} |", cells.join(" | ")).ok();
    }

    /// The whole page; `machine` says on what it was measured.
    pub(crate) fn finish(self, machine: &str) -> String {
        format!(
            "# Benchmarks\n\n\
             Written by `benches/run`; every figure is of that one run. Machine: {machine}.\n\n\
             Times are wall times as a client sees them, in milliseconds: best / median / 99th percentile. Tokens are \
             bytes of the text that the model reads, divided by 4. Memory is resident memory of the process and its \
             children. CPU is what the kernel accounts to the measured process alone, user and system. The peers are \
             those that install from PyPI and npm, in the versions that `scripts/tools` names.\n\n\
             ## Targets\n\n| what | target | here | |\n|---|---|---|---|\n{}\n{}",
            self.targets.join("\n"),
            self.text,
        )
    }
}
