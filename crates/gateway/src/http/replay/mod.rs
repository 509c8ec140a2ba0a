//! What a legacy session's streams have carried, kept so that a client whose connection broke can go on where it was:
//! `Last-Event-ID` on a GET names the last event that it received (2025-11-25, Transports, "Resumability and
//! Redelivery"). Each stream is filled by a task of the gateway, whether somebody reads it or not, so a call whose
//! response was cut goes on and its answer waits here.
//!
//! Bounded in events and bytes for each session: the oldest give way, except those that a connected reader has not
//! had yet; for that reader the stream waits. Requests of the modern era never come here.

mod place;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::{Fault, Id, Message, code};

pub(super) use self::place::Place;
use super::body;
use crate::Limits;
use crate::outlet::Outgoing;

/// What a stream is for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// What belongs to no request.
    General,
    /// The answer to this request, and what comes before it; to a batch if `None`.
    Answer(Option<Id>),
}

/// The streams of one session.
pub(super) struct Replay {
    most_events: usize,
    most_bytes: usize,
    kept_for: Duration,
    closed: CancellationToken,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    next_stream: u64,
    next_event: u64,
    events: usize,
    bytes: usize,
    open: BTreeMap<u64, Stream>,
}

struct Stream {
    purpose: Purpose,
    events: VecDeque<Event>,
    /// Since when nothing comes any more.
    over: Option<Instant>,
    reader: Option<Seat>,
    /// Tells the task that fills the stream that there is room.
    read: Arc<Notify>,
}

struct Event {
    number: u64,
    line: Bytes,
    /// It is the answer that the stream is for.
    is_answer: bool,
}

/// Who reads a stream at present.
struct Seat {
    /// The next event to give has at least this number.
    from: u64,
    grown: Arc<Notify>,
    /// It is sent away once it has had what there is.
    is_leaving: bool,
}

impl Seat {
    fn has_had(&self, event: &Event) -> bool {
        event.number < self.from
    }
}

/// One who reads a stream. Who attaches later takes the stream away from it.
pub(super) struct Reader {
    replay: Arc<Replay>,
    stream: u64,
    grown: Arc<Notify>,
    /// Where it began: the id that lets a client come back before the first event.
    pub(super) start: Place,
}

/// What there is for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Events as they go out.
    Events(Vec<u8>),
    /// Nothing at present.
    Nothing,
    /// And there never will be.
    Over,
}

impl Replay {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most_events: limits.replay_events.max(1),
            most_bytes: limits.replay_bytes,
            kept_for: limits.replay_for,
            closed: CancellationToken::new(),
            streams: Mutex::default(),
        })
    }

    /// Opens a stream of what is in `ready` and then what comes out of `queue`, with a reader.
    pub(super) fn open(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        purpose: Purpose,
        ready: Option<Outgoing>,
        queue: mpsc::Receiver<Outgoing>,
    ) -> Reader {
        let (stream, read) = {
            let mut streams = self.lock();
            let stream = streams.next_stream;
            streams.next_stream += 1;
            let read = Arc::new(Notify::new());
            let opened = Stream {
                purpose,
                events: VecDeque::new(),
                over: None,
                reader: None,
                read: Arc::clone(&read),
            };
            streams.open.insert(stream, opened);
            (stream, read)
        };
        let reader = self.attach(stream, None);
        tasks.spawn(Arc::clone(self).fill(stream, read, ready, queue));
        reader
    }

    /// Goes on after `place`; `None` if its stream is not kept any more.
    pub(super) fn resume(self: &Arc<Self>, place: Place) -> Option<Reader> {
        let is_kept = self
            .lock()
            .open
            .get(&place.stream)
            .is_some_and(|stream| place.is_general == matches!(stream.purpose, Purpose::General));
        is_kept.then(|| self.attach(place.stream, Some(place.event)))
    }

    /// Whether somebody reads one of the streams.
    pub(super) fn is_read(&self) -> bool {
        self.lock().open.values().any(|stream| stream.reader.is_some())
    }

    /// The session is over: nobody is waited for.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Forgets streams that ended a while ago.
    pub(super) fn sweep(&self) {
        let mut streams = self.lock();
        let old: Vec<u64> = streams
            .open
            .iter()
            .filter(|(_, stream)| {
                stream.reader.is_none() && stream.over.is_some_and(|over| over.elapsed() >= self.kept_for)
            })
            .map(|(number, _)| *number)
            .collect();
        for number in old {
            streams.forget(number);
        }
    }

    fn attach(self: &Arc<Self>, stream: u64, after: Option<u64>) -> Reader {
        let grown = Arc::new(Notify::new());
        let mut streams = self.lock();
        let start = Place {
            is_general: false,
            stream,
            event: after.unwrap_or(streams.next_event),
        };
        if after.is_none() {
            streams.next_event += 1;
        }
        let mut reader = Reader {
            replay: Arc::clone(self),
            stream,
            grown: Arc::clone(&grown),
            start,
        };
        if let Some(stream) = streams.open.get_mut(&stream) {
            reader.start.is_general = matches!(stream.purpose, Purpose::General);
            let seat = Seat {
                from: start.event.saturating_add(1),
                grown,
                is_leaving: false,
            };
            if let Some(before) = stream.reader.replace(seat) {
                before.grown.notify_one();
            }
        }
        reader
    }

    /// Fills a stream until its queue ends.
    async fn fill(
        self: Arc<Self>,
        stream: u64,
        read: Arc<Notify>,
        mut ready: Option<Outgoing>,
        mut queue: mpsc::Receiver<Outgoing>,
    ) {
        loop {
            let message = match ready.take() {
                Some(message) => message,
                None => match queue.recv().await {
                    Some(message) => message,
                    None => break,
                },
            };
            if message.line.is_empty() {
                self.send_away(stream);
                continue;
            }
            while !self.has_room(stream) {
                tokio::select! {
                    () = self.closed.cancelled() => break,
                    () = read.notified() => {}
                }
            }
            let is_last = message.last.is_some();
            self.push(stream, message);
            if is_last {
                break;
            }
        }
        self.end(stream);
    }

    /// Whether a connected reader has read enough that more may come.
    fn has_room(&self, stream: u64) -> bool {
        let streams = self.lock();
        let Some(stream) = streams.open.get(&stream) else {
            return true;
        };
        let Some(reader) = &stream.reader else { return true };
        let (mut events, mut bytes) = (0, 0);
        for event in stream
            .events
            .iter()
            .rev()
            .take_while(|event| !reader.has_had(event))
        {
            events += 1;
            bytes += event.line.len();
        }
        events < self.most_events && (bytes < self.most_bytes || events == 0)
    }

    /// Whoever reads the stream is to come back for the rest.
    fn send_away(&self, stream: u64) {
        let mut streams = self.lock();
        if let Some(reader) = streams.open.get_mut(&stream).and_then(|it| it.reader.as_mut()) {
            reader.is_leaving = true;
            reader.grown.notify_one();
        }
    }

    fn push(&self, stream: u64, message: Outgoing) {
        let mut streams = self.lock();
        let number = streams.next_event;
        streams.next_event += 1;
        let Some(found) = streams.open.get_mut(&stream) else {
            return;
        };
        let event = Event {
            number,
            line: message.line.into(),
            is_answer: message.last.is_some_and(|status| status == StatusCode::OK),
        };
        let bytes = event.line.len();
        found.events.push_back(event);
        let grown = found.reader.as_ref().map(|reader| Arc::clone(&reader.grown));
        streams.events += 1;
        streams.bytes += bytes;
        streams.trim(self.most_events, self.most_bytes);
        drop(streams);
        if let Some(grown) = grown {
            grown.notify_one();
        }
    }

    fn end(&self, stream: u64) {
        let mut streams = self.lock();
        if let Some(stream) = streams.open.get_mut(&stream) {
            stream.over = Some(Instant::now());
            if let Some(reader) = &stream.reader {
                reader.grown.notify_one();
            }
        }
        streams.trim(self.most_events, self.most_bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// Lets the oldest events go that no connected reader waits for, until the rest is within the bounds.
    fn trim(&mut self, most_events: usize, most_bytes: usize) {
        while self.events > most_events || self.bytes > most_bytes {
            let oldest = self
                .open
                .values_mut()
                .filter(|stream| {
                    let spare = |event| stream.reader.as_ref().is_none_or(|reader| reader.has_had(event));
                    stream.events.front().is_some_and(spare)
                })
                .min_by_key(|stream| stream.events.front().map(|event| event.number));
            let Some(stream) = oldest else { break };
            let Some(event) = stream.events.front_mut() else {
                break;
            };
            let length = event.line.len();
            // Who comes for an answer that is not kept must not wait for it for ever.
            let instead = match &stream.purpose {
                Purpose::Answer(Some(id)) if event.is_answer => Some(too_long(id, length)),
                _ => None,
            };
            match instead {
                Some(line) if line.len() < length => {
                    self.bytes = self.bytes - length + line.len();
                    event.line = line;
                }
                _ => {
                    stream.events.pop_front();
                    self.bytes -= length;
                    self.events -= 1;
                }
            }
        }
        self.open.retain(|_, stream| {
            stream.over.is_none() || stream.reader.is_some() || !stream.events.is_empty()
        });
    }

    fn forget(&mut self, number: u64) {
        if let Some(stream) = self.open.remove(&number) {
            self.events -= stream.events.len();
            self.bytes -= stream.events.iter().map(|event| event.line.len()).sum::<usize>();
        }
    }
}

fn too_long(id: &Id, length: usize) -> Bytes {
    let reason = format!(
        "the call was made, but its answer ({length} bytes) came while the connection was broken and is not kept that \
         long; look at what the call did before it is made again"
    );
    let fault = Fault::new(code::INTERNAL_ERROR, reason);
    Message::response(Some(id.clone()), Err(fault)).to_line().into()
}

impl Reader {
    /// What has not been read yet, up to about `most` bytes.
    pub(super) fn take(&self, most: usize) -> Taken {
        let mut streams = self.replay.lock();
        let Some(stream) = streams.open.get_mut(&self.stream) else {
            return Taken::Over;
        };
        let is_general = matches!(stream.purpose, Purpose::General);
        let Some(seat) = stream
            .reader
            .as_mut()
            .filter(|seat| Arc::ptr_eq(&seat.grown, &self.grown))
        else {
            return Taken::Over;
        };
        let is_leaving = seat.is_leaving;
        let mut chunk = Vec::new();
        let first = stream.events.partition_point(|event| event.number < seat.from);
        for event in stream.events.range(first..) {
            let place = Place {
                is_general,
                stream: self.stream,
                event: event.number,
            };
            body::push(&mut chunk, Some(place), &event.line);
            seat.from = event.number + 1;
            if chunk.len() >= most {
                break;
            }
        }
        if !chunk.is_empty() {
            stream.read.notify_one();
            streams.trim(self.replay.most_events, self.replay.most_bytes);
            return Taken::Events(chunk);
        }
        if stream.over.is_some() || is_leaving {
            Taken::Over
        } else {
            Taken::Nothing
        }
    }

    /// Returns when there may be more to take.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }
}

impl Drop for Reader {
    /// The client is gone, or has all: from here on nobody is waited for.
    fn drop(&mut self) {
        let mut streams = self.replay.lock();
        let Some(stream) = streams.open.get_mut(&self.stream) else {
            return;
        };
        if stream
            .reader
            .as_ref()
            .is_some_and(|seat| Arc::ptr_eq(&seat.grown, &self.grown))
        {
            stream.reader = None;
            stream.read.notify_one();
            streams.trim(self.replay.most_events, self.replay.most_bytes);
        }
    }
}
