//! Reading and changing single members of a raw JSON object, everything else left as it is.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::scan::{Walk, decode, front, inner, known};
use crate::{Raw, to_raw};

/// The members of a raw object, in their order.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

#[derive(Debug, Clone)]
struct Member<'a> {
    name: Cow<'a, str>,
    value: Value<'a>,
}

/// Read as raw values only where they are asked for: that walks them once more.
#[derive(Debug, Clone)]
enum Value<'a> {
    /// As it is written where it came from.
    Written(&'a str),
    /// One that was set.
    Set(Raw),
}

impl Value<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Written(text) => text,
            Self::Set(raw) => raw.get(),
        }
    }

    fn raw(&self) -> &RawValue {
        match self {
            // It is a part of a raw value.
            Self::Written(text) => serde_json::from_str(text).unwrap_or(RawValue::NULL),
            Self::Set(raw) => raw,
        }
    }
}

/// A value within a raw one, as it is written there. Looking into it walks only along what is passed over.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a>(&'a str);

impl<'a> Written<'a> {
    /// The text of a string.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        decode(self.0)
    }

    /// Bytes of a string as it is written, without its quotes; of what is no string 0.
    #[must_use]
    pub fn length(self) -> usize {
        inner(self.0).unwrap_or_default().len()
    }

    /// The front of a string, of at most so many bytes, and the rest as it is written, for [`unescaped`]. Of what is no
    /// string both are empty.
    #[must_use]
    pub fn front(self, most: usize) -> (Cow<'a, str>, &'a str) {
        front(inner(self.0).unwrap_or_default(), most)
    }
}

/// The text that is written so between quotes; half of a surrogate pair is U+FFFD.
#[must_use]
pub fn unescaped(written: &str) -> Cow<'_, str> {
    front(written, usize::MAX).0
}

/// Why a raw value can't be taken as an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnObject {
    /// It is something else.
    #[error("it is not an object")]
    Other,
    /// Two members have the same name, or names that differ only in case. Peers disagree about which of them
    /// counts (Go's decoder even mixes cases), so what was judged might not be what is done.
    #[error("its member {0:?} stands twice, or in two spellings")]
    Duplicate(String),
}

impl<'a> Object<'a> {
    /// Reads the members of `raw`, without looking into them.
    ///
    /// # Errors
    /// [`NotAnObject`].
    pub fn parse(raw: &'a RawValue) -> Result<Self, NotAnObject> {
        Self::of_text(raw.get())
    }

    fn of_text(text: &'a str) -> Result<Self, NotAnObject> {
        if !text.starts_with('{') {
            return Err(NotAnObject::Other);
        }
        let mut members = Vec::with_capacity(8);
        let mut is_named = true;
        let walked = Walk::along(text).members(|name, value| match decode(name) {
            Some(name) => members.push(Member {
                name,
                value: Value::Written(value),
            }),
            None => is_named = false,
        });
        if walked.is_none() || !is_named {
            // Deeper than what is walked, or a name with half of a surrogate pair.
            Members(members) = serde_json::from_str(text).map_err(|_| NotAnObject::Other)?;
        }
        match duplicate(&members) {
            Some(name) => Err(NotAnObject::Duplicate(name)),
            None => Ok(Self { members }),
        }
    }

    /// Reads the members of `raw`, and those of the objects that its member `list` is a list of: in one walk, as such a
    /// list may be long. `None`: `raw` is no object, `list` is not there or no list of objects, or a name stands twice.
    #[must_use]
    pub fn parse_with(raw: &'a RawValue, list: &str) -> Option<(Self, Vec<Self>)> {
        let mut walk = Walk::along(raw.get());
        let mut members = Vec::with_capacity(8);
        let mut objects = None;
        walk.object(|walk, name| {
            let name = decode(name)?;
            let value = if name == list && walk.is_at_array() {
                let inner = objects.insert(Vec::new());
                walk.over(|walk| {
                    walk.array(|walk| {
                        inner.push(Self::below(walk)?);
                        Some(())
                    })
                })?
            } else {
                walk.value(1)?
            };
            members.push(Member {
                name,
                value: Value::Written(value),
            });
            Some(())
        })?;
        walk.end()?;
        match duplicate(&members) {
            Some(_) => None,
            None => Some((Self { members }, objects?)),
        }
    }

    /// The object that begins here, in a list of an object.
    fn below(walk: &mut Walk<'a>) -> Option<Self> {
        let mut members = Vec::with_capacity(4);
        walk.object(|walk, name| {
            members.push(Member {
                name: decode(name)?,
                value: Value::Written(walk.value(3)?),
            });
            Some(())
        })?;
        duplicate(&members).is_none().then_some(Self { members })
    }

    /// An object without members.
    #[must_use]
    pub fn empty() -> Self {
        Self { members: Vec::new() }
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.find(name).map(Value::raw)
    }

    /// The same to look into.
    #[must_use]
    pub fn written(&self, name: &str) -> Option<Written<'_>> {
        self.find(name).map(|value| Written(value.text()))
    }

    /// The member of that name, if it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.written(name)?.text()
    }

    fn find(&self, name: &str) -> Option<&Value<'a>> {
        let member = self.members.iter().find(|member| member.name == name)?;
        Some(&member.value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.members
            .iter()
            .map(|member| (&*member.name, member.value.raw()))
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Gives the member `name` a value: in its place if it is there, else at the end.
    pub fn set(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.put(Cow::Borrowed(name), value);
    }

    /// The same with a text that is JSON already.
    pub fn set_raw(&mut self, name: &'static str, value: Raw) {
        self.put_value(Cow::Borrowed(name), Value::Set(value));
    }

    /// The same for a name that is not known beforehand.
    pub fn set_named(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.put(Cow::Owned(name.to_owned()), value);
    }

    fn put(&mut self, name: Cow<'a, str>, value: &(impl Serialize + ?Sized)) {
        self.put_value(name, Value::Set(to_raw(&value)));
    }

    fn put_value(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        match self.members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.value = value,
            None => self.members.push(Member { name, value }),
        }
    }

    /// Takes the member `name` away, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.members.retain(|member| member.name != name);
    }

    /// The same, with nothing borrowed.
    #[must_use]
    pub fn into_owned(self) -> Object<'static> {
        let own = |member: Member<'_>| Member {
            name: Cow::Owned(member.name.into_owned()),
            value: Value::Set(match member.value {
                Value::Written(text) => known(text),
                Value::Set(raw) => raw,
            }),
        };
        Object {
            members: self.members.into_iter().map(own).collect(),
        }
    }

    /// The object as JSON text. The values that were not set are byte for byte what they were; the blanks
    /// between members are gone.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        let length = |member: &Member<'_>| member.name.len() + member.value.text().len() + 4;
        let mut text = String::with_capacity(2 + self.members.iter().map(length).sum::<usize>());
        text.push('{');
        for (at, Member { name, value }) in self.members.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            push_name(&mut text, name);
            text.push(':');
            text.push_str(value.text());
        }
        text.push('}');
        known(&text)
    }
}

/// A name as a JSON string; nearly all are written as they are.
fn push_name(text: &mut String, name: &str) {
    if name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        text.push_str(to_raw(&name).get());
    } else {
        text.push('"');
        text.push_str(name);
        text.push('"');
    }
}

/// The first name that was there before, case aside.
fn duplicate(members: &[Member<'_>]) -> Option<String> {
    // Objects of the protocol have few members, which compare faster than they hash.
    if members.len() <= 16 {
        let mut pairs = members.iter().enumerate();
        return pairs
            .find(|(at, member)| {
                members[..*at]
                    .iter()
                    .any(|before| before.name.eq_ignore_ascii_case(&member.name))
            })
            .map(|(_, member)| member.name.clone().into_owned());
    }
    let mut seen = HashSet::with_capacity(members.len());
    members
        .iter()
        .find(|member| !seen.insert(member.name.to_ascii_lowercase()))
        .map(|member| member.name.clone().into_owned())
}

impl Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_raw().serialize(serializer)
    }
}

/// The text of a raw string.
#[must_use]
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    decode(raw.get())
}

/// Whether a member or a text of that name can be in a raw value, by one quick look: it stands there, or something is
/// written in escapes. Most that is asked for is in few results, and results may be long.
#[must_use]
pub fn may_name(raw: &RawValue, name: &str) -> bool {
    raw.get().contains(name) || raw.get().contains("\\u")
}

/// The items of a raw array, each raw.
#[must_use]
pub fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut members = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push(Member {
                        name,
                        value: Value::Written(value.get()),
                    });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
