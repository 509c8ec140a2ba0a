//! Standard input and output of a container, over the engine's attach stream and nothing else.

use anyhow::{Result, ensure};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

/// What the container writes to its standard output, without the headers of the frames that it comes in.
pub(crate) struct Output {
    stream: BufReader<UnixStream>,
    left: usize,
}

/// Attaches to a container that has not been started yet, or runs.
pub(crate) fn attach(socket: &str, container: &str) -> Result<(Output, UnixStream)> {
    let mut input = UnixStream::connect(socket)?;
    write!(
        input,
        "POST /containers/{container}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: localhost\r\n\
         Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut stream = BufReader::with_capacity(64 << 10, input.try_clone()?);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.contains(" 101 ") || line.contains(" 200 "), "attach: {line}");
    while line.trim() != "" {
        line.clear();
        stream.read_line(&mut line)?;
    }
    Ok((Output { stream, left: 0 }, input))
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut header = [0; 8];
            if self.stream.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.stream.read_exact(&mut header)?;
            let [_, _, _, _, length @ ..] = header;
            self.left = u32::from_be_bytes(length) as usize;
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}
