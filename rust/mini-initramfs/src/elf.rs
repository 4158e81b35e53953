// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an ELF file is, as far as the kernel would refuse to run or load it: layout of 64-bit little-endian files alone.
//!
//! See elf(5).

/// `ET_REL`, `ET_EXEC` and `ET_DYN` of `e_type`.
const RELOCATABLE: u16 = 1;
const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;
/// `PT_INTERP` of `p_type`.
const INTERPRETER: u32 = 3;
/// `ELFMAG`, `ELFCLASS64`, `ELFDATA2LSB`.
const MAGIC: &[u8] = b"\x7fELF\x02\x01";

/// Why a file is not what it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No ELF header, or one of another class.
    #[error("expected a 64-bit little-endian ELF file")]
    NotElf,
    /// A program header lies behind the end.
    #[error("the ELF program headers are cut off")]
    CutOff,
    /// Something else than a program.
    #[error("expected a program, found an ELF file of type {found}")]
    NotAProgram {
        /// Its `e_type`.
        found: u16,
    },
    /// A program that needs a loader.
    #[error("expected a static program, found one that asks for a program interpreter")]
    Dynamic,
    /// Something else than an object file.
    #[error("expected a kernel module, found an ELF file of type {found}")]
    NotAModule {
        /// Its `e_type`.
        found: u16,
    },
    /// Code for two machines in one archive.
    #[error("expected code for machine {expected} as in the init program, found {found}")]
    Machine {
        /// `e_machine` of the init program.
        expected: u16,
        /// That of this file.
        found: u16,
    },
}

/// `e_machine`: what the code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(u16);

/// Checks that a file is a static program.
///
/// # Errors
/// See [`Error`].
pub fn static_program(file: &[u8]) -> Result<Machine, Error> {
    let (kind, machine) = header(file)?;
    if !matches!(kind, EXECUTABLE | SHARED) {
        return Err(Error::NotAProgram { found: kind });
    }
    let headers = u64_at(file, 32).ok_or(Error::CutOff)?;
    let size = u16_at(file, 54).ok_or(Error::CutOff)?;
    let count = u16_at(file, 56).ok_or(Error::CutOff)?;
    for number in 0..count {
        let offset = u64::from(size).checked_mul(u64::from(number)).and_then(|skip| skip.checked_add(headers));
        let offset = offset.and_then(|offset| usize::try_from(offset).ok()).ok_or(Error::CutOff)?;
        if u32_at(file, offset).ok_or(Error::CutOff)? == INTERPRETER {
            return Err(Error::Dynamic);
        }
    }
    Ok(machine)
}

/// Checks that a file is a relocatable object, as modules are, for the machine of the init program.
///
/// # Errors
/// See [`Error`].
pub fn module(file: &[u8], expected: Machine) -> Result<(), Error> {
    match header(file)? {
        (RELOCATABLE, machine) if machine == expected => Ok(()),
        (RELOCATABLE, Machine(found)) => Err(Error::Machine { expected: expected.0, found }),
        (found, _) => Err(Error::NotAModule { found }),
    }
}

fn header(file: &[u8]) -> Result<(u16, Machine), Error> {
    if !file.starts_with(MAGIC) {
        return Err(Error::NotElf);
    }
    let kind = u16_at(file, 16).ok_or(Error::NotElf)?;
    let machine = u16_at(file, 18).ok_or(Error::NotElf)?;
    Ok((kind, Machine(machine)))
}

fn u16_at(file: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*file.get(offset..)?.first_chunk()?))
}

fn u32_at(file: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*file.get(offset..)?.first_chunk()?))
}

fn u64_at(file: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*file.get(offset..)?.first_chunk()?))
}
