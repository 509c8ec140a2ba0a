//! A load generator: a client whose requests are bytes made beforehand, of which only the id changes, and who looks
//! for no more in an answer than where it ends and that it is the right one. So the times are those of the other side
//! even where that needs microseconds.

use crate::echo::Era;
use crate::figures::Series;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Nothing that is measured takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ten digits, so that all requests of a kind are equally long.
const FIRST_ID: u64 = 1_000_000_000;

/// Where a server listens, and what each request to it carries.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) authority: String,
    pub(crate) path: String,
    /// Lines with their ends.
    pub(crate) headers: String,
}

impl Endpoint {
    fn without_session(&self) -> String {
        let lines = self.headers.split_inclusive('\n');
        lines
            .filter(|line| !line.starts_with("Mcp-Session-Id") && !line.starts_with("MCP-Protocol-Version"))
            .collect()
    }
}

/// A request without its id, as it goes over the wire.
pub(crate) struct Request {
    before: Vec<u8>,
    after: Vec<u8>,
    /// What the answer to it contains, within its first bytes.
    expected: Vec<u8>,
}

/// One connection.
enum Line {
    Pipe(BufReader<Box<dyn Read>>, Box<dyn Write>),
    Http(BufReader<TcpStream>, String),
}

pub(crate) struct Client {
    era: Era,
    line: Line,
    next: u64,
    endpoint: Option<Endpoint>,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Client {
    /// A client over two ends of pipes; the handshake is done.
    pub(crate) fn over_pipe(
        output: impl Read + 'static,
        input: impl Write + 'static,
        era: Era,
    ) -> Result<Self> {
        let reader = BufReader::with_capacity(64 << 10, Box::new(output) as Box<dyn Read>);
        let mut client = Self::new(Line::Pipe(reader, Box::new(input)), era, None);
        client.shake_hands()?;
        Ok(client)
    }

    /// A client with one kept connection; the handshake is done.
    pub(crate) fn over_http(endpoint: Endpoint, era: Era) -> Result<Self> {
        let mut client = Self::new(connect(&endpoint)?, era, Some(endpoint));
        client.shake_hands()?;
        Ok(client)
    }

    /// Another connection within the same session.
    pub(crate) fn another(&self, number: u64) -> Result<Self> {
        let endpoint = self.endpoint.clone().context("only over HTTP")?;
        let mut other = Self::new(connect(&endpoint)?, self.era, Some(endpoint));
        // Ids of one session must differ.
        other.next = FIRST_ID + (number + 1) * 100_000_000;
        Ok(other)
    }

    fn new(line: Line, era: Era, endpoint: Option<Endpoint>) -> Self {
        Self {
            era,
            line,
            next: FIRST_ID,
            endpoint,
            sent: Vec::new(),
            received: Vec::new(),
        }
    }

    /// The whole answer to a request whose time is of no interest.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        let request = self.request(method, params, "\"result\"");
        self.once(&request)?;
        let text = String::from_utf8_lossy(&self.received);
        // Over HTTP an answer may come as an event.
        let text = text
            .lines()
            .find_map(|line| line.strip_prefix("data:"))
            .unwrap_or(&text);
        let mut answer: Value = serde_json::from_str(text)?;
        Ok(answer["result"].take())
    }

    /// A call of a tool, to be made with [`Self::once`]; `expected` stands near the beginning of its answer.
    pub(crate) fn call(&self, tool: &str, arguments: &Value, expected: &str) -> Request {
        self.request(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
            expected,
        )
    }

    fn request(&self, method: &str, mut params: Value, expected: &str) -> Request {
        if self.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": { "name": "bench", "version": "1" },
            });
        }
        let name = params["name"].as_str().map(str::to_owned);
        let after = format!(r#","method":"{method}","params":{params}}}"#);
        self.dress(
            br#"{"jsonrpc":"2.0","id":"#,
            10,
            after.into_bytes(),
            (method, name),
            expected,
        )
    }

    fn dress(
        &self,
        before: &[u8],
        id: usize,
        mut after: Vec<u8>,
        (method, name): (&str, Option<String>),
        expected: &str,
    ) -> Request {
        let Some(endpoint) = &self.endpoint else {
            after.push(b'\n');
            return Request {
                before: before.to_vec(),
                after,
                expected: expected.into(),
            };
        };
        let length = before.len() + id + after.len();
        let Endpoint {
            authority,
            path,
            headers,
        } = endpoint;
        let name = name
            .map(|name| format!("Mcp-Name: {name}\r\n"))
            .unwrap_or_default();
        let modern = match self.era {
            Era::Legacy => String::new(),
            Era::Modern => format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}"),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n{headers}{modern}\r\n"
        );
        let mut whole = head.into_bytes();
        whole.extend_from_slice(before);
        Request {
            before: whole,
            after,
            expected: expected.into(),
        }
    }

    fn shake_hands(&mut self) -> Result<()> {
        if self.era == Era::Modern {
            self.ask("server/discover", json!({}))?;
            return Ok(());
        }
        self.ask(
            "initialize",
            json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": { "name": "bench", "version": "1" },
            }),
        )?;
        let initialized = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let request = self.dress(initialized, 0, Vec::new(), ("", None), "");
        self.sent.clear();
        self.sent.extend_from_slice(&request.before);
        self.sent.extend_from_slice(&request.after);
        self.line.write(&self.sent)?;
        if self.endpoint.is_some() {
            self.line.read(&mut self.received, &mut None)?;
        }
        Ok(())
    }

    /// One exchange.
    pub(crate) fn once(&mut self, request: &Request) -> Result<()> {
        self.send(request)?;
        self.receive(request)
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        self.next += 1;
        self.sent.clear();
        self.sent.extend_from_slice(&request.before);
        write!(self.sent, "{}", self.next)?;
        self.sent.extend_from_slice(&request.after);
        self.line.write(&self.sent)
    }

    /// The next answer; what a server tells beside it is passed over.
    fn receive(&mut self, request: &Request) -> Result<()> {
        loop {
            let mut session = None;
            self.line.read(&mut self.received, &mut session)?;
            if let (Some(session), Some(endpoint)) = (session, &mut self.endpoint)
                && !endpoint.headers.contains("Mcp-Session-Id")
            {
                let headers = [
                    "Mcp-Session-Id: ",
                    &session,
                    "\r\nMCP-Protocol-Version: 2025-11-25\r\n",
                ];
                endpoint.headers.push_str(&headers.concat());
            }
            let near = &self.received[..self.received.len().min(2_000)];
            if contains(near, &request.expected) && !contains(near, b"\"isError\":true") {
                return Ok(());
            }
            if !contains(near, b"\"method\"") {
                bail!("not the answer: {}", String::from_utf8_lossy(near));
            }
        }
    }

    /// How many bytes the last answer had.
    pub(crate) fn received(&self) -> usize {
        self.received.len()
    }

    /// The id of the session, where there is one.
    pub(crate) fn session(&self) -> Option<&str> {
        let headers = &self.endpoint.as_ref()?.headers;
        headers
            .lines()
            .find_map(|line| line.strip_prefix("Mcp-Session-Id: "))
    }

    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// A session of its own at the same place, over a connection of its own.
    pub(crate) fn fresh(&self) -> Result<Self> {
        let mut endpoint = self.endpoint.clone().context("only over HTTP")?;
        endpoint.headers = endpoint.without_session();
        Self::over_http(endpoint, self.era)
    }

    /// The same as [`Self::other`] for another session than this client's.
    pub(crate) fn other_session(&mut self, method: &str, session: &str) -> Result<u16> {
        let own = self.endpoint.clone().context("only over HTTP")?;
        let mut other = own.clone();
        other.headers = format!("{}Mcp-Session-Id: {session}\r\n", own.without_session());
        self.endpoint = Some(other);
        let status = self.other(method, "");
        self.endpoint = Some(own);
        status
    }

    /// Sends what is no POST, and reads the head of the answer and, if it has a known length, its body; gives the status.
    pub(crate) fn other(&mut self, method: &str, headers: &str) -> Result<u16> {
        let endpoint = self.endpoint.as_ref().context("only over HTTP")?;
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{}{headers}\r\n",
            endpoint.path, endpoint.authority, endpoint.headers
        );
        self.line.write(request.as_bytes())?;
        let Line::Http(reader, line) = &mut self.line else {
            bail!("only over HTTP")
        };
        let head = read_head(reader, line, &mut None)?;
        if let Length::Known(length) = head.length {
            self.received.resize(length, 0);
            reader.read_exact(&mut self.received)?;
        }
        Ok(head.status)
    }
}

fn connect(endpoint: &Endpoint) -> Result<Line> {
    let stream = TcpStream::connect(&endpoint.authority)
        .with_context(|| format!("cannot connect to {}", endpoint.authority))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(Line::Http(
        BufReader::with_capacity(16 << 10, stream),
        String::new(),
    ))
}

impl Line {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Pipe(_, writer) => writer.write_all(bytes)?,
            Self::Http(reader, _) => reader.get_mut().write_all(bytes)?,
        }
        Ok(())
    }

    /// The next message or body.
    fn read(&mut self, into: &mut Vec<u8>, session: &mut Option<String>) -> Result<()> {
        into.clear();
        match self {
            Self::Pipe(reader, _) => {
                ensure!(reader.read_until(b'\n', into)? > 0, "the server ended");
            }
            Self::Http(reader, line) => {
                let head = read_head(reader, line, session)?;
                match head.length {
                    Length::Known(length) => {
                        into.resize(length, 0);
                        reader.read_exact(into)?;
                    }
                    Length::Chunked => read_chunks(reader, line, into)?,
                }
                ensure!(
                    head.status < 300,
                    "HTTP {}: {}",
                    head.status,
                    String::from_utf8_lossy(into)
                );
            }
        }
        Ok(())
    }
}

enum Length {
    Known(usize),
    Chunked,
}

struct Head {
    status: u16,
    length: Length,
}

fn read_head(
    reader: &mut BufReader<TcpStream>,
    line: &mut String,
    session: &mut Option<String>,
) -> Result<Head> {
    next_line(reader, line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status line: {line}"))?;
    let mut length = Length::Known(0);
    loop {
        next_line(reader, line)?;
        let Some((name, value)) = line.split_once(':') else {
            return Ok(Head { status, length });
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Known(value.parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunked;
        } else if name.eq_ignore_ascii_case("mcp-session-id") {
            *session = Some(value.to_owned());
        }
    }
}

fn read_chunks(reader: &mut BufReader<TcpStream>, line: &mut String, into: &mut Vec<u8>) -> Result<()> {
    loop {
        next_line(reader, line)?;
        let size = usize::from_str_radix(line.trim(), 16)?;
        let start = into.len();
        into.resize(start + size, 0);
        reader.read_exact(&mut into[start..])?;
        next_line(reader, line)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn next_line(reader: &mut BufReader<TcpStream>, line: &mut String) -> Result<()> {
    line.clear();
    ensure!(reader.read_line(line)? > 0, "the connection was closed");
    Ok(())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let mut rest = text;
    while let Some(place) = rest.iter().position(|byte| byte == first) {
        if rest[place..].starts_with(part) {
            return true;
        }
        rest = &rest[place + 1..];
    }
    false
}

/// `count` exchanges one after the other.
pub(crate) fn calls(client: &mut Client, request: &Request, count: usize, times: &mut Series) -> Result<()> {
    for _ in 0..count {
        times.time(|| client.once(request))?;
    }
    Ok(())
}

/// `count` exchanges with `wide` of them under way at any time, by one thread; gives how many a second. Over HTTP each
/// has a connection of its own. Answers are waited for in turn: what came in meanwhile waits in its socket.
pub(crate) fn flood(client: &mut Client, request: &Request, wide: usize, count: usize) -> Result<f64> {
    let mut others = Vec::new();
    if client.endpoint.is_some() {
        for number in 1..wide as u64 {
            others.push(client.another(number)?);
        }
    }
    let mut lines: Vec<&mut Client> = std::iter::once(client).chain(&mut others).collect();
    let lines_wide = lines.len();
    let start = Instant::now();
    for number in 0..wide {
        lines[number % lines_wide].send(request)?;
    }
    for received in 0..count {
        let line = &mut *lines[received % lines_wide];
        line.receive(request)?;
        if received + wide < count {
            line.send(request)?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
    let per_second = count as f64 / start.elapsed().as_secs_f64();
    Ok(per_second)
}
