//! The files server as a host in the same process calls it, on real files.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod escapes;
mod large;
mod tools;

use files_server::{Files, FilesServer, Options, Root};
use serde_json::{Value, json};
use server_kit::Service as _;
use std::path::Path;

/// A server with one root that may be written.
fn server(root: &Path) -> FilesServer {
    with(root, true, false)
}

fn with(root: &Path, write: bool, hard_links: bool) -> FilesServer {
    Files::server(Options {
        roots: vec![Root {
            path: root.to_owned(),
            write,
        }],
        hard_links,
        answer_tokens: 8_000,
    })
}

/// Calls a tool; gives what it answers, and whether it failed.
async fn call(server: &FilesServer, tool: &str, arguments: Value) -> (String, bool) {
    let params = json!({ "name": tool, "arguments": arguments }).to_string();
    let params = serde_json::value::RawValue::from_string(params).unwrap();
    let answer = server.answer(&params).await.unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    let text = answer["content"][0]["text"].as_str().unwrap().to_owned();
    (text, answer["isError"] == true)
}

/// What a tool answers that works, without the frame around the words of others.
async fn text(server: &FilesServer, tool: &str, arguments: Value) -> String {
    let (text, failed) = call(server, tool, arguments).await;
    assert!(!failed, "{tool}: {text}");
    unframed(&text)
}

/// What a tool answers that fails.
async fn error(server: &FilesServer, tool: &str, arguments: Value) -> String {
    let (text, failed) = call(server, tool, arguments).await;
    assert!(failed, "{tool}: {text}");
    text
}

fn unframed(text: &str) -> String {
    let Some((first, rest)) = text.split_once('\n') else {
        return text.to_owned();
    };
    let mark = first
        .strip_prefix("[untrusted ")
        .and_then(|frame| frame.rsplit(' ').next()?.strip_suffix(']'));
    match mark {
        Some(mark) => rest.replacen(&format!("\n[{mark}]"), "", 1),
        None => text.to_owned(),
    }
}
