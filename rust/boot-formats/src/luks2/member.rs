// SPDX-License-Identifier: MIT OR Apache-2.0
//! Members of the JSON area's objects, each of the kind that it has to be.

use super::{Error, KeySize, Name};
use crate::json::{self, Value};

/// The member of an object.
pub(super) fn required<'a>(object: &Value<'a>, member: &'static str) -> Result<Value<'a>, Error> {
    object.member(member)?.ok_or(Error::Missing { offset: object.offset(), member })
}

/// The member of an object has to be this text.
pub(super) fn expect(
    object: &Value<'_>,
    member: &'static str,
    what: &'static str,
    expected: &'static str,
) -> Result<(), Error> {
    let value = required(object, member)?;
    if value.string()? == expected { Ok(()) } else { Err(unknown(&value, what)) }
}

/// A text or number that is not known, by name.
pub(super) fn unknown(value: &Value<'_>, what: &'static str) -> Error {
    let found = value.string().map_or(Name::of(value.text()), |text| Name::of(text.as_bytes()));
    Error::Unknown { offset: value.offset(), what, found }
}

/// A 64-bit number, which LUKS2 writes as text.
pub(super) fn number_text(value: &Value<'_>) -> Result<u64, Error> {
    let expected = "a string of digits";
    let number = json::decimal(value.string()?.as_bytes());
    number.ok_or(Error::Json(json::Error::Kind { offset: value.offset(), expected }))
}

/// The size of a key in bytes.
pub(super) fn key_size(object: &Value<'_>) -> Result<KeySize, Error> {
    let value = required(object, "key_size")?;
    match value.unsigned()? {
        32 => Ok(KeySize::Aes128),
        64 => Ok(KeySize::Aes256),
        found => Err(Error::Number { offset: value.offset(), what: "key_size", found, limit: 64 }),
    }
}
