//! Reading and changing single members of a raw JSON object, everything else left as it is.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{Raw, to_raw};

/// The members of a raw object, in their order.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

#[derive(Debug, Clone)]
struct Member<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, RawValue>,
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
        let Members(members) = serde_json::from_str(raw.get()).map_err(|_| NotAnObject::Other)?;
        match duplicate(&members) {
            Some(name) => Err(NotAnObject::Duplicate(name)),
            None => Ok(Self { members }),
        }
    }

    /// An object without members.
    #[must_use]
    pub fn empty() -> Self {
        Self { members: Vec::new() }
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .map(|member| &*member.value)
    }

    /// The member of that name, if it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).and_then(text)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.members.iter().map(|member| (&*member.name, &*member.value))
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

    /// The same for a name that is not known beforehand.
    pub fn set_named(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.put(Cow::Owned(name.to_owned()), value);
    }

    fn put(&mut self, name: Cow<'a, str>, value: &(impl Serialize + ?Sized)) {
        let value = Cow::Owned(to_raw(&value));
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
            value: Cow::Owned(member.value.into_owned()),
        };
        Object {
            members: self.members.into_iter().map(own).collect(),
        }
    }

    /// The object as JSON text. The values that were not set are byte for byte what they were; the blanks
    /// between members are gone.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        to_raw(self)
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
        serializer.collect_map(self.iter())
    }
}

/// The text of a raw string.
#[must_use]
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get())
        .ok()
        .map(|text| text.0)
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
                        value: Cow::Borrowed(value),
                    });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
