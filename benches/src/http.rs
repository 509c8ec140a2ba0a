//! HTTP/1.1 over a kept connection, blocking: to the daemon's socket, to know its own time, and to the gateway.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A kept connection.
pub(crate) struct Connection(BufReader<Box<dyn Stream>>);

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) session: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn unix(socket: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {socket}"))?;
        Ok(Self(BufReader::new(Box::new(stream))))
    }

    pub(crate) fn tcp(authority: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(authority).with_context(|| format!("cannot connect to {authority}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(Box::new(stream))))
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    pub(crate) fn post(&mut self, path: &str, host: &str, headers: &str, body: &str) -> Result<Answer> {
        let length = body.len();
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn exchange(&mut self, request: &str) -> Result<Answer> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer {
            status: status.context("no status line")?,
            session: None,
            body: Vec::new(),
        };
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => length = value.parse()?,
                ("transfer-encoding", "chunked") => chunked = true,
                ("mcp-session-id", value) => answer.session = Some(value.to_owned()),
                _ => {}
            }
        }
        if !chunked {
            self.take(length, &mut answer.body)?;
            return Ok(answer);
        }
        loop {
            let size = usize::from_str_radix(self.line()?.trim(), 16)?;
            self.take(size, &mut answer.body)?;
            self.line()?;
            if size == 0 {
                return Ok(answer);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line)? > 0, "the connection was closed");
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, size: usize, into: &mut Vec<u8>) -> Result<()> {
        let start = into.len();
        into.resize(start + size, 0);
        Ok(self.0.read_exact(&mut into[start..])?)
    }
}
