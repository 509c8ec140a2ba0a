//! Results of calls: text, or data that has the shape that was promised.

use std::fmt::Write as _;

use catalog::schema;
use catalog::tools::Tool;
use serde_json::{Value, json};
use wire::{Raw, to_raw};

/// A result that is text.
pub fn text(text: &str, failed: bool) -> Raw {
    let mut result = json!({"content": [{"type": "text", "text": text}]});
    if failed {
        result["isError"] = Value::Bool(true);
    }
    to_raw(&result)
}

/// What a program printed.
pub(crate) struct Printed<'a> {
    pub(crate) stdout: &'a [u8],
    /// Bytes of it that were not kept.
    pub(crate) more: u64,
    pub(crate) stderr: &'a [u8],
    /// Bytes before the kept ones of standard error.
    pub(crate) before: u64,
    /// Why it failed, if it did.
    pub(crate) failed: Option<String>,
}

/// The result of a program: its standard output as it came, or as data where the tool promises that; of one that failed
/// the end of standard error, and how it ended.
pub(crate) fn printed(tool: &Tool, printed: &Printed<'_>) -> Raw {
    let mut told = String::from_utf8_lossy(printed.stdout).into_owned();
    if printed.more > 0 {
        _ = write!(told, "\n[{} further bytes were left out]", printed.more);
    }
    let Some(why) = &printed.failed else {
        if tool.output_schema().is_some() {
            return data(tool, printed.stdout, printed.more, "its output");
        }
        return text(&told, false);
    };
    let stderr = String::from_utf8_lossy(printed.stderr);
    if !stderr.trim().is_empty() {
        if !told.is_empty() && !told.ends_with('\n') {
            told.push('\n');
        }
        told.push_str("[standard error]\n");
        if printed.before > 0 {
            _ = writeln!(told, "[{} bytes before this were left out]", printed.before);
        }
        told.push_str(stderr.trim_end());
    }
    if !told.is_empty() && !told.ends_with('\n') {
        told.push('\n');
    }
    _ = write!(told, "[{why}]");
    text(&told, true)
}

/// The result of a tool that promises data; `what` names where it comes from.
pub(crate) fn data(tool: &Tool, bytes: &[u8], more: u64, what: &str) -> Raw {
    let Some(schema) = tool.output_schema() else {
        return text(&String::from_utf8_lossy(bytes), false);
    };
    if more > 0 {
        return text(
            &format!("{what} has {more} bytes more than max_output, so it is no whole JSON"),
            true,
        );
    }
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => {
            let seen = String::from_utf8_lossy(bytes);
            let seen = base::text::cut(&seen, 300);
            return text(
                &format!("{what} is not the JSON that it promises: {error}. It begins: {seen}"),
                true,
            );
        }
    };
    let faults = schema::check(schema, &value);
    if !faults.is_empty() {
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| fault.to_string().replacen("the configuration", what, 1))
            .collect();
        return text(
            &format!("{what} is not what its schema promises: {}", faults.join("; ")),
            true,
        );
    }
    // MCP 2025-11-25, server/tools: the same as text, for clients that know no structured content.
    to_raw(&json!({
        "content": [{"type": "text", "text": value.to_string()}],
        "structuredContent": value,
    }))
}
