//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as they are written and read. Pure.
//!
//! What is read comes from a stranger: every length is held against what is there, and nothing is made as large as a
//! packet claims before it has come.

use bytes::{Buf as _, Bytes};

/// The largest packet that is taken. OpenSSH sends none above 256 KiB; names may come in any number that fits.
pub(crate) const LARGEST: usize = 260 << 10;
/// The longest handle (section 3).
const HANDLE: usize = 256;

pub(crate) const INIT: u8 = 1;
pub(crate) const VERSION: u8 = 2;
pub(crate) const OPEN: u8 = 3;
pub(crate) const CLOSE: u8 = 4;
pub(crate) const READ: u8 = 5;
pub(crate) const WRITE: u8 = 6;
pub(crate) const LSTAT: u8 = 7;
pub(crate) const FSTAT: u8 = 8;
pub(crate) const FSETSTAT: u8 = 10;
pub(crate) const OPENDIR: u8 = 11;
pub(crate) const READDIR: u8 = 12;
pub(crate) const REMOVE: u8 = 13;
pub(crate) const MKDIR: u8 = 14;
pub(crate) const RMDIR: u8 = 15;
pub(crate) const REALPATH: u8 = 16;
pub(crate) const RENAME: u8 = 18;
pub(crate) const READLINK: u8 = 19;
pub(crate) const SYMLINK: u8 = 20;
pub(crate) const EXTENDED: u8 = 200;
const STATUS: u8 = 101;
const A_HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

const SIZE: u32 = 0x1;
const IDS: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES: u32 = 0x8;
const MORE: u32 = 0x8000_0000;

/// The far side does not speak SFTP as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no packet of SFTP: {0}")]
pub struct Malformed(pub(crate) &'static str);

/// What is known of a file. Everything is optional: servers tell what they know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// In bytes.
    pub size: Option<u64>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// What kind of file it is, and its permissions, as `st_mode` has them.
    pub mode: Option<u32>,
    /// When it was last read and changed, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Bytes, whatever they are; in answers to `readdir` without directories, which is checked by whoever uses it.
    pub name: Bytes,
    /// A line about it for people, as `ls -l` writes it.
    pub line: Bytes,
    /// What is known of it; links are not followed.
    pub attributes: Attributes,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Status { code: u32, message: String },
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<Name>),
    Attributes(Attributes),
    Extended(Bytes),
}

/// A packet that is being written. Its length and its id are filled in when it is sent.
#[derive(Debug)]
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    pub(crate) fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind, 0, 0, 0, 0])
    }

    /// The first packet, which has a version in the place of an id.
    pub(crate) fn hello() -> Bytes {
        Self::new(INIT).sent(3)
    }

    pub(crate) fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// With its length before it. Nothing here is near 4 GiB: paths and parts of files are bounded by whoever asks.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn attributes(self, attributes: &Attributes) -> Self {
        let flag = |present: bool, flag| if present { flag } else { 0 };
        let flags = flag(attributes.size.is_some(), SIZE)
            | flag(attributes.owner.is_some(), IDS)
            | flag(attributes.mode.is_some(), PERMISSIONS)
            | flag(attributes.times.is_some(), TIMES);
        let mut packet = self.u32(flags);
        if let Some(size) = attributes.size {
            packet = packet.u64(size);
        }
        if let Some((user, group)) = attributes.owner {
            packet = packet.u32(user).u32(group);
        }
        if let Some(mode) = attributes.mode {
            packet = packet.u32(mode);
        }
        if let Some((read, changed)) = attributes.times {
            packet = packet.u32(read).u32(changed);
        }
        packet
    }

    pub(crate) fn sent(mut self, id: u32) -> Bytes {
        let length = u32::try_from(self.0.len().saturating_sub(4)).unwrap_or(u32::MAX);
        let head = length
            .to_be_bytes()
            .into_iter()
            .chain([0])
            .chain(id.to_be_bytes());
        for (place, (byte, new)) in self.0.iter_mut().zip(head).enumerate() {
            if place != 4 {
                *byte = new;
            }
        }
        self.0.into()
    }
}

/// What the far side says first: its version, and the extensions that it has with their versions.
pub(crate) fn version(packet: Bytes) -> Result<(u32, Vec<(Bytes, Bytes)>), Malformed> {
    let mut rest = packet;
    if u8(&mut rest)? != VERSION {
        return Err(Malformed("the first packet has to be the version"));
    }
    let version = u32(&mut rest)?;
    let mut extensions = Vec::new();
    while !rest.is_empty() {
        extensions.push((bytes(&mut rest)?, bytes(&mut rest)?));
    }
    Ok((version, extensions))
}

/// An answer, without its length, and what it answers.
pub(crate) fn reply(packet: Bytes) -> Result<(u32, Reply), Malformed> {
    let mut rest = packet;
    let kind = u8(&mut rest)?;
    let id = u32(&mut rest)?;
    let reply = match kind {
        STATUS => {
            let code = u32(&mut rest)?;
            // Older servers say no more.
            let message = bytes(&mut rest).unwrap_or_default();
            let message = String::from_utf8_lossy(&message);
            Reply::Status {
                code,
                message: base::text::cut(&base::text::clean(message.trim()), 200).replace('\n', " "),
            }
        }
        A_HANDLE => {
            let handle = bytes(&mut rest)?;
            if handle.len() > HANDLE {
                return Err(Malformed("a handle is longer than 256 bytes"));
            }
            Reply::Handle(handle)
        }
        DATA => Reply::Data(bytes(&mut rest)?),
        NAME => {
            let count = u32(&mut rest)?;
            let mut names = Vec::new();
            for _ in 0..count {
                names.push(Name {
                    name: bytes(&mut rest)?,
                    line: bytes(&mut rest)?,
                    attributes: attributes(&mut rest)?,
                });
            }
            Reply::Names(names)
        }
        ATTRS => Reply::Attributes(attributes(&mut rest)?),
        EXTENDED_REPLY => Reply::Extended(rest),
        _ => return Err(Malformed("an answer of a kind that nobody knows")),
    };
    Ok((id, reply))
}

fn attributes(rest: &mut Bytes) -> Result<Attributes, Malformed> {
    let flags = u32(rest)?;
    let has = |flag| flags & flag != 0;
    let mut attributes = Attributes::default();
    if has(SIZE) {
        attributes.size = Some(u64(rest)?);
    }
    if has(IDS) {
        attributes.owner = Some((u32(rest)?, u32(rest)?));
    }
    if has(PERMISSIONS) {
        attributes.mode = Some(u32(rest)?);
    }
    if has(TIMES) {
        attributes.times = Some((u32(rest)?, u32(rest)?));
    }
    if has(MORE) {
        for _ in 0..u32(rest)? {
            bytes(rest)?;
            bytes(rest)?;
        }
    }
    Ok(attributes)
}

fn u8(rest: &mut Bytes) -> Result<u8, Malformed> {
    rest.try_get_u8().map_err(|_| SHORT)
}

fn u32(rest: &mut Bytes) -> Result<u32, Malformed> {
    rest.try_get_u32().map_err(|_| SHORT)
}

pub(crate) fn u64(rest: &mut Bytes) -> Result<u64, Malformed> {
    rest.try_get_u64().map_err(|_| SHORT)
}

fn bytes(rest: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = u32(rest)? as usize;
    if length > rest.len() {
        return Err(SHORT);
    }
    Ok(rest.split_to(length))
}

const SHORT: Malformed = Malformed("it ends too early");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(packet: Packet, expected: Result<Reply, Malformed>) {
        let sent = packet.sent(7);
        let (length, rest) = sent.split_at(4);
        assert_eq!(
            u32::from_be_bytes(length.try_into().unwrap()) as usize,
            rest.len(),
            "{expected:?}"
        );
        let read = reply(Bytes::copy_from_slice(rest));
        assert_eq!(read, expected.map(|reply| (7, reply)));
    }

    #[test]
    fn answers() {
        let status = |message: &str| {
            Ok(Reply::Status {
                code: 2,
                message: message.into(),
            })
        };
        check(
            Packet::new(STATUS).u32(2).bytes(b"No such file").bytes(b""),
            status("No such file"),
        );
        check(Packet::new(STATUS).u32(2), status(""));
        check(Packet::new(STATUS).u32(2).bytes(b"a\x1b[2J\nb"), status("a b"));
        check(
            Packet::new(A_HANDLE).bytes(b"h"),
            Ok(Reply::Handle(Bytes::from_static(b"h"))),
        );
        check(
            Packet::new(A_HANDLE).bytes(&[0; 257]),
            Err(Malformed("a handle is longer than 256 bytes")),
        );
        check(Packet::new(DATA).u32(9).u32(1), Err(SHORT));
        check(Packet::new(NAME).u32(u32::MAX), Err(SHORT));
        check(
            Packet::new(99),
            Err(Malformed("an answer of a kind that nobody knows")),
        );
        let attributes = Attributes {
            size: Some(1 << 40),
            owner: Some((1, 2)),
            mode: Some(0o100_644),
            times: Some((3, 4)),
        };
        check(
            Packet::new(ATTRS).attributes(&attributes),
            Ok(Reply::Attributes(attributes)),
        );
        check(
            Packet::new(ATTRS).u32(MORE).u32(1).bytes(b"a").bytes(b"b"),
            Ok(Reply::Attributes(Attributes::default())),
        );
        check(Packet::new(ATTRS).u32(MORE).u32(u32::MAX), Err(SHORT));
    }

    #[test]
    fn the_first_packet() {
        let hello = Packet::hello();
        assert_eq!(&hello[..], &[0, 0, 0, 5, INIT, 0, 0, 0, 3]);
        let answer = Packet::new(VERSION)
            .bytes(b"a@b")
            .bytes(b"1")
            .sent(3)
            .split_off(4);
        let (number, extensions) = version(answer).unwrap();
        assert_eq!((number, extensions.len()), (3, 1));
        assert!(version(Bytes::from_static(b"Welcome!")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 100..202u8) {
            drop(version(bytes.clone().into()));
            let mut packet = vec![kind];
            packet.extend(bytes);
            if let Ok((_, Reply::Names(names))) = reply(packet.clone().into()) {
                // Each takes twelve bytes at least.
                prop_assert!(names.len() * 12 <= packet.len());
            }
        }

        #[test]
        fn names_come_through(names in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10)) {
            let mut packet = Packet::new(NAME).u32(u32::try_from(names.len()).unwrap());
            for name in &names {
                packet = packet.bytes(name).bytes(b"line").attributes(&Attributes { mode: Some(1), ..Attributes::default() });
            }
            let (_, read) = reply(packet.sent(1).split_off(4)).unwrap();
            let Reply::Names(read) = read else { panic!("{read:?}") };
            prop_assert_eq!(read.iter().map(|name| name.name.to_vec()).collect::<Vec<_>>(), names);
        }
    }
}
