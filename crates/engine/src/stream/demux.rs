//! The outputs of a container's process, taken apart.
//!
//! Without a terminal the daemon puts standard output and standard error into frames of 8 bytes of head (which
//! output, three zeros, length in big endian) and the payload. With a terminal there is one output, and no frames.
//! Which of the two it is, `inspect` says; guessing it from the first byte, as is common, breaks on a program whose
//! output begins with 0, 1 or 2.

use crate::Error;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde_json::Value;

/// Whether a container or exec instance has a terminal (`Config.Tty`, `ProcessConfig.tty`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tty {
    /// One output, as a terminal shows it.
    Yes,
    /// Standard output and standard error apart.
    No,
}

impl Tty {
    /// Reads it from the inspect answer of a container or an exec instance.
    pub fn of(inspect: &Value) -> Self {
        let tty = [&inspect["Config"]["Tty"], &inspect["ProcessConfig"]["tty"]];
        if tty.into_iter().any(|tty| tty == true) {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// A piece of output, as it came: neither whole lines nor whole characters are promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// From standard output.
    Stdout(Bytes),
    /// From standard error.
    Stderr(Bytes),
    /// From the terminal.
    Console(Bytes),
}

impl Output {
    /// What was written.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Stdout(bytes) | Self::Stderr(bytes) | Self::Console(bytes) => bytes,
        }
    }
}

/// Takes apart a stream of bytes; `what` names the request in errors.
pub fn demux<S>(what: String, tty: Tty, bytes: S) -> impl Stream<Item = Result<Output, Error>> + Send + use<S>
where
    S: Stream<Item = Result<Bytes, Error>> + Send,
{
    let state = (Box::pin(bytes), Some(Demux::new(tty)), what);
    futures_util::stream::unfold(state, |(mut bytes, demux, what)| async move {
        let mut demux = demux?;
        loop {
            match demux.take() {
                Ok(Some(output)) => return Some((Ok(output), (bytes, Some(demux), what))),
                Ok(None) => {}
                Err(cause) => return Some((Err(Error::protocol(what.clone(), cause)), (bytes, None, what))),
            }
            match bytes.next().await {
                Some(Ok(data)) => demux.feed(&data),
                Some(Err(error)) => return Some((Err(error), (bytes, None, what))),
                None if demux.is_between_frames() => return None,
                None => {
                    let error = Error::protocol(what.clone(), "it ends within a frame of output");
                    return Some((Err(error), (bytes, None, what)));
                }
            }
        }
    })
}

/// The decoder behind [`demux`], for those who read from something else than a stream.
#[derive(Debug)]
pub struct Demux {
    tty: Tty,
    buffer: BytesMut,
    frame: Option<Frame>,
}

/// What is left of the frame that is being read. Frames are passed on in the pieces in which they arrive, because
/// a head may announce 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Frame {
    source: Source,
    left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Stdout,
    Stderr,
}

const HEAD: usize = 8;

impl Demux {
    /// A decoder at the beginning of an output.
    #[must_use]
    pub fn new(tty: Tty) -> Self {
        Self {
            tty,
            buffer: BytesMut::new(),
            frame: None,
        }
    }

    /// Adds what arrived.
    pub fn feed(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Whether the output may rightly end here.
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty() && self.frame.is_none()
    }

    /// The next piece of output, `None` when more must be fed first; the error says which byte made no sense.
    pub fn take(&mut self) -> Result<Option<Output>, String> {
        if self.tty == Tty::Yes {
            let all = self.buffer.split().freeze();
            return Ok((!all.is_empty()).then_some(Output::Console(all)));
        }
        loop {
            let Some(frame) = self.frame else {
                if self.buffer.len() < HEAD {
                    return Ok(None);
                }
                self.frame = read_head(&self.buffer[..HEAD])?;
                self.buffer.advance(HEAD);
                continue;
            };
            let length = frame.left.min(self.buffer.len());
            if length == 0 {
                return Ok(None);
            }
            let payload = self.buffer.split_to(length).freeze();
            let left = frame.left - length;
            self.frame = (left > 0).then_some(Frame { left, ..frame });
            return Ok(Some(match frame.source {
                Source::Stdout => Output::Stdout(payload),
                Source::Stderr => Output::Stderr(payload),
            }));
        }
    }
}

/// `None` for a frame without payload.
fn read_head(head: &[u8]) -> Result<Option<Frame>, String> {
    let source = match head {
        // 0 is standard input: the daemon echoes it to those who attach with it.
        [0 | 1, 0, 0, 0, ..] => Source::Stdout,
        // 3 is the daemon's own trouble with the log, written in place of output.
        [2 | 3, 0, 0, 0, ..] => Source::Stderr,
        _ => {
            return Err(format!(
                "output frames begin with 0 to 3 and three zeros, not {:?}",
                &head[..4]
            ));
        }
    };
    let mut length = &head[4..HEAD];
    let left = length.get_u32() as usize;
    Ok((left > 0).then_some(Frame { source, left }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(source: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![source, 0, 0, 0];
        frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// Feeds in pieces of `cut` bytes and joins neighbours of one source.
    fn check(tty: Tty, bytes: &[u8], cut: usize) -> Result<Vec<Output>, String> {
        let mut demux = Demux::new(tty);
        let mut outputs: Vec<Output> = Vec::new();
        for piece in bytes.chunks(cut) {
            demux.feed(piece);
            while let Some(output) = demux.take()? {
                match (outputs.last_mut(), &output) {
                    (Some(Output::Stdout(last)), Output::Stdout(more))
                    | (Some(Output::Stderr(last)), Output::Stderr(more))
                    | (Some(Output::Console(last)), Output::Console(more)) => {
                        *last = [&last[..], &more[..]].concat().into();
                    }
                    _ => outputs.push(output),
                }
            }
        }
        if demux.is_between_frames() {
            Ok(outputs)
        } else {
            Err("cut".to_owned())
        }
    }

    #[test]
    fn two_outputs() {
        let bytes = [
            frame(1, b"one\n"),
            frame(2, b"two"),
            frame(1, b""),
            frame(1, b"\x01three"),
        ]
        .concat();
        let expected = vec![
            Output::Stdout("one\n".into()),
            Output::Stderr("two".into()),
            Output::Stdout("\x01three".into()),
        ];
        for cut in 1..=bytes.len() {
            assert_eq!(
                check(Tty::No, &bytes, cut).as_ref(),
                Ok(&expected),
                "pieces of {cut}"
            );
        }
    }

    #[test]
    fn a_terminal_has_no_frames_whatever_its_bytes() {
        let bytes = frame(1, b"this is what the program wrote");
        assert_eq!(
            check(Tty::Yes, &bytes, 5),
            Ok(vec![Output::Console(bytes.into())])
        );
    }

    #[test]
    fn what_is_no_frame() {
        for bytes in [
            &b"hello, world"[..],
            b"\x04\0\0\0\0\0\0\x01x",
            b"\x01\0\x01\0\0\0\0\x01x",
        ] {
            assert!(
                check(Tty::No, bytes, 3).unwrap_err().contains("frames begin"),
                "{bytes:?}"
            );
        }
        for bytes in [&b"\x01\0\0"[..], b"\x01\0\0\0\0\0\0\x02x"] {
            assert_eq!(check(Tty::No, bytes, 3), Err("cut".to_owned()), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(garbage: Vec<u8>, cut in 1..9usize) {
            let _ = check(Tty::No, &garbage, cut);
        }
    }
}
