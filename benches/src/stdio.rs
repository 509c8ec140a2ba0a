//! An MCP client over a child's pipes with as little of its own as possible: blocking, one thread, one write a
//! request, so that the times are the server's.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: u64,
}

/// An answer and the bytes it came in.
pub(crate) struct Answer {
    pub(crate) message: Value,
    pub(crate) bytes: usize,
}

impl Answer {
    /// All text that a model would read.
    pub(crate) fn text(&self) -> String {
        let blocks = self.message["result"]["content"].as_array().into_iter().flatten();
        blocks.filter_map(|block| block["text"].as_str()).collect()
    }
}

impl Server {
    /// Starts a server and does the handshake of the legacy era, which every peer speaks.
    pub(crate) fn start(command: &[String], environment: &[(String, String)]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let input = child.stdin.take().context("no stdin")?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut server = Self {
            child,
            input,
            output,
            next: 0,
        };
        server.request(
            "initialize",
            &json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "bench", "version": "1" },
            }),
        )?;
        writeln!(
            server.input,
            r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#
        )?;
        Ok(server)
    }

    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Result<Answer> {
        let id = self.send(method, params)?;
        loop {
            let answer = self.receive()?;
            if answer.message["id"] == id {
                return Ok(answer);
            }
        }
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Answer> {
        let answer = self.request("tools/call", &json!({ "name": tool, "arguments": arguments }))?;
        check(&answer.message).with_context(|| tool.to_owned())?;
        Ok(answer)
    }

    /// `count` calls with `wide` of them under way at any time; gives how many failed.
    pub(crate) fn flood(
        &mut self,
        tool: &str,
        arguments: &Value,
        wide: usize,
        count: usize,
    ) -> Result<usize> {
        let params = json!({ "name": tool, "arguments": arguments });
        let mut failed = 0;
        for _ in 0..wide.min(count) {
            self.send("tools/call", &params)?;
        }
        for received in 0..count {
            let answer = loop {
                let answer = self.receive()?;
                if !answer.message["id"].is_null() {
                    break answer;
                }
            };
            failed += usize::from(check(&answer.message).is_err());
            if received + wide < count {
                self.send("tools/call", &params)?;
            }
        }
        Ok(failed)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, method: &str, params: &Value) -> Result<u64> {
        self.next += 1;
        let message = json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        self.input.write_all(format!("{message}\n").as_bytes())?;
        Ok(self.next)
    }

    fn receive(&mut self) -> Result<Answer> {
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "the server ended");
            // Some servers print banners there.
            if let Ok(message) = serde_json::from_str(&line) {
                return Ok(Answer {
                    message,
                    bytes: line.len(),
                });
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child that has ended by itself is all the same to us.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An error of the protocol or of the tool.
pub(crate) fn check(message: &Value) -> Result<()> {
    let failed = !message["error"].is_null() || message["result"]["isError"] == json!(true);
    ensure!(!failed, "the call failed: {message}");
    Ok(())
}
