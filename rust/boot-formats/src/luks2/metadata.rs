// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON area (specification, 3): what is encrypted how, and which tokens say where the key is.

use heapless::Vec;

use super::header::BINARY_HEADER;
use super::keyslot::{Digest, Keyslot};
use super::member::{expect, number_text, required, unknown};
use super::{Error, Header, Name};
use crate::json::{self, Value};
use crate::range::ByteRange;

/// Most keyslots, tokens, or digests of a volume (LUKS2_KEYSLOTS_MAX, LUKS2_TOKENS_MAX).
pub const MAX_OBJECTS: usize = 32;

/// What a header says, as far as the boot stage goes by it. Areas lie inside the volume.
#[derive(Clone, Debug)]
pub struct Metadata<'a> {
    /// The encrypted part.
    pub segment: Segment,
    keyslots: Value<'a>,
    digests: Value<'a>,
    tokens: Value<'a>,
    keyslots_area: ByteRange,
}

/// The encrypted part of a volume. `aes-xts-plain64`, in one piece, without integrity tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies on the volume: whole sectors.
    pub range: ByteRange,
    /// Added to the number of each 512-byte sector for its tweak.
    pub iv_tweak: u64,
    /// Bytes of a sector: 512, 1024, 2048 or 4096.
    pub sector_size: u32,
}

/// A token. Its members are those of whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its number.
    pub id: u8,
    /// Its type.
    pub kind: &'a str,
    /// All of it.
    pub value: Value<'a>,
}

impl Token<'_> {
    /// Numbers of the keyslots that it is for.
    ///
    /// # Errors
    /// It does not say, or a number cannot be.
    pub fn keyslots(&self) -> Result<Vec<u8, MAX_OBJECTS>, Error> {
        let mut numbers = Vec::new();
        for element in required(&self.value, "keyslots")?.elements()? {
            add_number(&mut numbers, element.string()?, &element, "keyslots of a token")?;
        }
        Ok(numbers)
    }
}

impl<'a> Header<'a> {
    /// Reads what the header says of a volume of `volume_bytes`.
    ///
    /// # Errors
    /// [`Error`]: a requirement or a second segment, as of a volume that is being encrypted anew; another cipher; a size or a place
    /// that cannot be.
    pub fn metadata(&self, volume_bytes: u64) -> Result<Metadata<'a>, Error> {
        let config = required(&self.json, "config")?;
        let keyslots_area = keyslots_area(&config, self.size, volume_bytes)?;
        Ok(Metadata {
            segment: segment(&required(&self.json, "segments")?, keyslots_area, volume_bytes)?,
            keyslots: required(&self.json, "keyslots")?,
            digests: required(&self.json, "digests")?,
            tokens: required(&self.json, "tokens")?,
            keyslots_area,
        })
    }
}

impl<'a> Metadata<'a> {
    /// The tokens, in the order of the text.
    ///
    /// # Errors
    /// A number that cannot be or is there twice, a token without type, more than [`MAX_OBJECTS`].
    pub fn tokens(&self) -> Result<Vec<Token<'a>, MAX_OBJECTS>, Error> {
        let mut tokens: Vec<Token<'a>, MAX_OBJECTS> = Vec::new();
        for (name, value) in self.tokens.members()? {
            let id = object_number(name, &value)?;
            let kind = required(&value, "type")?.string()?;
            if tokens.iter().any(|token| token.id == id) {
                return Err(json::Error::Duplicate { offset: value.offset() }.into());
            }
            let found = MAX_OBJECTS.saturating_add(1);
            let too_many = Error::Count { what: "tokens", found, expected: MAX_OBJECTS };
            tokens.push(Token { id, kind, value }).map_err(|_| too_many)?;
        }
        Ok(tokens)
    }

    /// Numbers of the keyslots, whatever they are, in the order of the text.
    ///
    /// # Errors
    /// A number that cannot be or is there twice.
    pub fn keyslot_numbers(&self) -> Result<Vec<u8, MAX_OBJECTS>, Error> {
        let mut numbers = Vec::new();
        for (name, value) in self.keyslots.members()? {
            add_number(&mut numbers, name, &value, "keyslots")?;
        }
        Ok(numbers)
    }

    /// A keyslot by its number.
    ///
    /// # Errors
    /// It is not there, or none that the boot stage opens: see [`Keyslot`].
    pub fn keyslot(&self, id: u8) -> Result<Keyslot, Error> {
        let value = numbered(&self.keyslots, id)?.ok_or(Error::Count {
            what: "keyslots of this number",
            found: 0,
            expected: 1,
        })?;
        Keyslot::read(&value, self.keyslots_area)
    }

    /// What the key out of a keyslot has to come to.
    ///
    /// # Errors
    /// There is not exactly one for this keyslot and the segment, or none that the boot stage computes: see [`Digest`].
    pub fn digest(&self, keyslot: u8) -> Result<(u8, Digest), Error> {
        let mut digests = Vec::<(u8, Value<'a>), 1>::new();
        let mut found = 0_usize;
        for (name, value) in self.digests.members()? {
            let id = object_number(name, &value)?;
            let of_keyslot = lists(&required(&value, "keyslots")?, keyslot)?;
            if of_keyslot && lists(&required(&value, "segments")?, SEGMENT)? {
                found = found.saturating_add(1);
                let _ = digests.push((id, value));
            }
        }
        match digests.first() {
            Some((id, value)) if found == 1 => Ok((*id, Digest::read(value)?)),
            _ => Err(Error::Count { what: "digests of keyslot and segment", found, expected: 1 }),
        }
    }
}

/// The number of the only segment.
const SEGMENT: u8 = 0;

fn keyslots_area(config: &Value<'_>, header_size: u64, volume_bytes: u64) -> Result<ByteRange, Error> {
    let json_size = required(config, "json_size")?;
    let found = number_text(&json_size)?;
    let limit = header_size.saturating_sub(BINARY_HEADER as u64);
    if found != limit {
        return Err(Error::Number { offset: json_size.offset(), what: "json_size", found, limit });
    }
    if let Some(requirements) = config.member("requirements")?
        && let Some(mandatory) = requirements.member("mandatory")?
        && let Some(first) = mandatory.elements()?.next()
    {
        return Err(unknown(&first, "requirement"));
    }
    let range = ByteRange {
        // Behind both copies: twice 4 MiB at most.
        offset: header_size.saturating_mul(2),
        len: number_text(&required(config, "keyslots_size")?)?,
    };
    let within = ByteRange { offset: 0, len: volume_bytes };
    if within.contains(&range) { Ok(range) } else { Err(Error::Outside { what: "keyslots", range, within }) }
}

fn segment(segments: &Value<'_>, keyslots: ByteRange, volume_bytes: u64) -> Result<Segment, Error> {
    let found = segments.members()?.count();
    if found != 1 {
        return Err(Error::Count { what: "segments", found, expected: 1 });
    }
    let value = numbered(segments, SEGMENT)?.ok_or(Error::Missing { offset: segments.offset(), member: "0" })?;
    expect(&value, "type", "segment type", "crypt")?;
    expect(&value, "encryption", "cipher", "aes-xts-plain64")?;
    for (member, what) in [("integrity", "segment with"), ("flags", "segment with")] {
        if let Some(other) = value.member(member)? {
            return Err(Error::Unknown { offset: other.offset(), what, found: Name::of(member.as_bytes()) });
        }
    }
    let sector = required(&value, "sector_size")?;
    let sector_size = match sector.unsigned()? {
        512 => 512,
        1024 => 1024,
        2048 => 2048,
        4096 => 4096,
        found => return Err(Error::Number { offset: sector.offset(), what: "sector_size", found, limit: 4096 }),
    };
    let offset = number_text(&required(&value, "offset")?)?;
    let size = required(&value, "size")?;
    let len = match size.string()? {
        "dynamic" => volume_bytes.saturating_sub(offset),
        _ => number_text(&size)?,
    };
    let range = ByteRange { offset, len };
    let start = keyslots.end().unwrap_or(volume_bytes);
    let within = ByteRange { offset: start, len: volume_bytes.saturating_sub(start) };
    if !within.contains(&range) || len == 0 {
        return Err(Error::Outside { what: "segment", range, within });
    }
    // libcryptsetup wants the start in whole sectors of 512 bytes, the length in those of the cipher.
    if !offset.is_multiple_of(512) || !len.is_multiple_of(u64::from(sector_size)) {
        return Err(Error::Unaligned { what: "segment", range, sector: sector_size });
    }
    Ok(Segment { range, iv_tweak: number_text(&required(&value, "iv_tweak")?)?, sector_size })
}

/// Adds a number that is not among `numbers` yet.
fn add_number(
    numbers: &mut Vec<u8, MAX_OBJECTS>,
    name: &str,
    value: &Value<'_>,
    what: &'static str,
) -> Result<(), Error> {
    let number = object_number(name, value)?;
    if numbers.contains(&number) {
        return Err(json::Error::Duplicate { offset: value.offset() }.into());
    }
    // There is room for each number that can be.
    let too_many = Error::Count { what, found: MAX_OBJECTS.saturating_add(1), expected: MAX_OBJECTS };
    numbers.push(number).map_err(|_| too_many)
}

/// The number of a keyslot, token or digest, which is the name of a member.
fn object_number(name: &str, value: &Value<'_>) -> Result<u8, Error> {
    let number = json::decimal(name.as_bytes()).and_then(|number| u8::try_from(number).ok());
    number.filter(|number| usize::from(*number) < MAX_OBJECTS).ok_or(Error::Unknown {
        offset: value.offset(),
        what: "object",
        found: Name::of(name.as_bytes()),
    })
}

fn numbered<'a>(objects: &Value<'a>, id: u8) -> Result<Option<Value<'a>>, Error> {
    let mut found = None;
    for (name, value) in objects.members()? {
        if object_number(name, &value)? == id && found.replace(value).is_some() {
            return Err(json::Error::Duplicate { offset: value.offset() }.into());
        }
    }
    Ok(found)
}

/// Whether an array of numbers as texts has this one.
fn lists(array: &Value<'_>, id: u8) -> Result<bool, Error> {
    for element in array.elements()? {
        if object_number(element.string()?, &element)? == id {
            return Ok(true);
        }
    }
    Ok(false)
}
