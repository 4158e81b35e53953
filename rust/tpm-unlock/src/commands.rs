// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands that need no secret, one function each; [`session`](crate::session) and [`pcr`](crate::pcr) have the others.

use tpm_policy::name::Name;
use tpm_policy::policy::{PolicyDigest, selection};
use tpm_policy::{Bank, Digest, PcrMask};

use crate::tpm::{Authorization, Command, Error, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, Full, Malformed, OWNER_HANDLE, Reader, Writer};

/// Most bytes of a public area: RSA-4096 has 600.
pub const MAX_PUBLIC_AREA: usize = 768;
/// `TPM_ST_VERIFIED`, the tag of the ticket of a signature.
const VERIFIED: u16 = 0x8022;
/// `TPM_ALG_RSASSA`, `TPM_ALG_SHA256`.
const RSASSA: u16 = 0x0014;
const SHA256: u16 = 0x000b;
/// Registers that one `TPM2_PCR_Read` gives at most (part 2, 10.9.3: `TPML_DIGEST` holds eight).
const AT_ONCE: usize = 8;
/// Most bytes of a ticket's HMAC: SHA-512.
const MAX_HMAC: usize = 64;

/// An object in the TPM's volatile memory, which holds few: [`flush`] it.
#[derive(Clone, Copy)]
pub struct Loaded {
    /// Its handle.
    pub handle: u32,
    /// Its name.
    pub name: Name,
}

/// The TPM's word that it verified a signature, for itself to read.
pub struct Ticket {
    hierarchy: u32,
    hmac: heapless::Vec<u8, MAX_HMAC>,
}

/// Sends a command whose parameters `fill` writes, and gives what `read` makes of its response.
fn run<T: Transport, R>(
    tpm: &mut Tpm<T>,
    command: Command<'_>,
    fill: impl FnOnce(&mut Writer) -> Result<(), Full>,
    read: impl FnOnce(u32, &mut Reader<'_>) -> Result<R, Malformed>,
) -> Result<R, Error> {
    let code = command.code;
    let mut parameters = Writer::new();
    fill(&mut parameters).map_err(|Full| Error::TooLong { command: code })?;
    let response = tpm.run(&Command { parameters: parameters.as_bytes(), ..command })?;
    let mut reader = Reader::new(response.parameters);
    read(response.handle, &mut reader)
        .and_then(|result| reader.end().map(|()| result))
        .map_err(|error| Error::Malformed { command: code, error })
}

const fn plain(code: CommandCode, handles: &[u32]) -> Command<'_> {
    Command { code, handles, authorization: Authorization::None, parameters: &[], gives_handle: false }
}

/// `TPM2_ReadPublic` (part 3, 12.4): the public area of an object.
///
/// # Errors
/// [`Error`].
pub fn read_public<T: Transport>(tpm: &mut Tpm<T>, handle: u32) -> Result<heapless::Vec<u8, MAX_PUBLIC_AREA>, Error> {
    run(
        tpm,
        plain(CommandCode::ReadPublic, &[handle]),
        |_| Ok(()),
        |_, reader| {
            let offset = reader.offset();
            let public_area = reader.sized()?;
            reader.sized()?; // name
            reader.sized()?; // qualified name
            heapless::Vec::from_slice(public_area).map_err(|_| Malformed::TooLong {
                offset,
                found: public_area.len(),
                limit: MAX_PUBLIC_AREA,
            })
        },
    )
}

/// `TPM2_Load` (part 3, 12.2) of an object whose parent anybody may use.
///
/// # Errors
/// [`Error`].
pub fn load<T: Transport>(tpm: &mut Tpm<T>, parent: u32, private: &[u8], public: &[u8]) -> Result<u32, Error> {
    let command = Command {
        code: CommandCode::Load,
        handles: &[parent],
        authorization: Authorization::EmptyPassword,
        parameters: &[],
        gives_handle: true,
    };
    let fill = |parameters: &mut Writer| parameters.sized(private)?.sized(public).map(|_| ());
    run(tpm, command, fill, |handle, reader| {
        // The name is what we computed, or the HMAC over it will be wrong.
        reader.sized()?;
        Ok(handle)
    })
}

/// `TPM2_LoadExternal` (part 3, 12.3) of a public key.
///
/// # Errors
/// [`Error`].
pub fn load_external<T: Transport>(tpm: &mut Tpm<T>, public_area: &[u8]) -> Result<u32, Error> {
    let command = Command { gives_handle: true, ..plain(CommandCode::LoadExternal, &[]) };
    let fill = |parameters: &mut Writer| parameters.sized(&[])?.sized(public_area)?.u32(OWNER_HANDLE).map(|_| ());
    run(tpm, command, fill, |handle, reader| {
        reader.sized()?;
        Ok(handle)
    })
}

/// `TPM2_VerifySignature` (part 3, 20.1) of RSASSA with SHA-256.
///
/// # Errors
/// [`Error`].
pub fn verify_signature<T: Transport>(
    tpm: &mut Tpm<T>,
    key: u32,
    digest: &[u8; 32],
    signature: &[u8],
) -> Result<Ticket, Error> {
    let fill =
        |parameters: &mut Writer| parameters.sized(digest)?.u16(RSASSA)?.u16(SHA256)?.sized(signature).map(|_| ());
    run(tpm, plain(CommandCode::VerifySignature, &[key]), fill, |_, reader| {
        reader.expect_u16(VERIFIED)?;
        let hierarchy = reader.u32()?;
        let hmac = reader.sized_to(MAX_HMAC)?;
        Ok(Ticket { hierarchy, hmac: heapless::Vec::from_slice(hmac).unwrap_or_default() })
    })
}

/// `TPM2_PCR_Read` (part 3, 22.4) of registers of a bank: the values of the first of them, as many as the TPM gives at once; none where it
/// has not that bank.
///
/// # Errors
/// [`Error`].
pub fn pcr_read<T: Transport>(
    tpm: &mut Tpm<T>,
    bank: Bank,
    mask: PcrMask,
) -> Result<heapless::Vec<(u8, Digest), AT_ONCE>, Error> {
    let fill = |parameters: &mut Writer| parameters.raw(&selection(bank, mask)).map(|_| ());
    run(tpm, plain(CommandCode::PcrRead, &[]), fill, |_, reader| {
        reader.u32()?; // counter of updates
        let given = selected(bank, reader)?;
        let offset = reader.offset();
        let found = reader.u32()?;
        let mut values = heapless::Vec::new();
        for register in given.iter() {
            let offset = reader.offset();
            let value = reader.sized_to(bank.digest_len())?;
            let short = Malformed::Truncated { offset, needed: bank.digest_len(), available: value.len() };
            let value = Digest::of_bytes(bank, value).ok_or(short)?;
            // One that was not asked for is nobody's business, and there are no more than eight.
            if mask.contains(register) {
                let limit = AT_ONCE;
                values.push((register, value)).map_err(|_| Malformed::TooLong {
                    offset,
                    found: limit.saturating_add(1),
                    limit,
                })?;
            }
        }
        let expected = u32::try_from(given.iter().count()).unwrap_or(u32::MAX);
        if found == expected { Ok(values) } else { Err(Malformed::Value { offset, found, expected }) }
    })
}

/// `TPML_PCR_SELECTION` of a response: one of this bank, or none.
fn selected(bank: Bank, reader: &mut Reader<'_>) -> Result<PcrMask, Malformed> {
    let offset = reader.offset();
    match reader.u32()? {
        0 => return Ok(PcrMask::EMPTY),
        1 => reader.expect_u16(bank.algorithm())?,
        found => return Err(Malformed::Value { offset, found, expected: 1 }),
    }
    let offset = reader.offset();
    let found = u32::from(reader.u8()?);
    if found != 3 {
        return Err(Malformed::Value { offset, found, expected: 3 });
    }
    let bits = reader.raw(3)?.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
    Ok(PcrMask::of_bits(bits).unwrap_or_default())
}

/// `TPM2_PolicyPCR` (part 3, 23.7): the registers are as they are.
///
/// # Errors
/// [`Error`].
pub fn policy_pcr<T: Transport>(tpm: &mut Tpm<T>, session: u32, bank: Bank, mask: PcrMask) -> Result<(), Error> {
    let fill = |parameters: &mut Writer| parameters.sized(&[])?.raw(&selection(bank, mask)).map(|_| ());
    run(tpm, plain(CommandCode::PolicyPcr, &[session]), fill, |_, _| Ok(()))
}

/// `TPM2_PolicyGetDigest` (part 3, 23.19).
///
/// # Errors
/// [`Error`].
pub fn policy_digest<T: Transport>(tpm: &mut Tpm<T>, session: u32) -> Result<PolicyDigest, Error> {
    run(
        tpm,
        plain(CommandCode::PolicyGetDigest, &[session]),
        |_| Ok(()),
        |_, reader| {
            let offset = reader.offset();
            let digest = reader.sized_to(32)?;
            let short = Malformed::Truncated { offset, needed: 32, available: digest.len() };
            Ok(PolicyDigest::of_bytes(*digest.first_chunk().ok_or(short)?))
        },
    )
}

/// `TPM2_PolicyAuthorize` (part 3, 23.16): the key of this name vouches for the policy.
///
/// # Errors
/// [`Error`].
pub fn policy_authorize<T: Transport>(
    tpm: &mut Tpm<T>,
    session: u32,
    approved: &PolicyDigest,
    key: &Name,
    ticket: &Ticket,
) -> Result<(), Error> {
    let fill = |parameters: &mut Writer| {
        parameters.sized(approved.as_bytes())?.sized(&[])?.sized(key.as_bytes())?;
        parameters.u16(VERIFIED)?.u32(ticket.hierarchy)?.sized(&ticket.hmac).map(|_| ())
    };
    run(tpm, plain(CommandCode::PolicyAuthorize, &[session]), fill, |_, _| Ok(()))
}

/// `TPM2_FlushContext` (part 3, 28.4): forgets an object or a session.
///
/// # Errors
/// [`Error`].
pub fn flush<T: Transport>(tpm: &mut Tpm<T>, handle: u32) -> Result<(), Error> {
    run(tpm, plain(CommandCode::FlushContext, &[]), |parameters| parameters.u32(handle).map(|_| ()), |_, _| Ok(()))
}
