// SPDX-License-Identifier: MIT OR Apache-2.0
//! cpio "newc", as the kernel unpacks it.
//!
//! * The same members give the same bytes: inode numbers count, there are no times, everything is root's.
//! * No /dev/console: the kernel's built-in initramfs has one.
//!
//! See Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source.

/// `S_IFDIR`, and what everybody may do.
const FOLDER: u32 = 0o040_755;
/// `S_IFREG`, to be read.
const FILE: u32 = 0o100_644;
/// `S_IFREG`, to be executed.
const PROGRAM: u32 = 0o100_755;
/// The name of the member that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// A member whose name or contents the format's 32-bit fields cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {size} bytes do not fit into a cpio archive")]
pub struct TooLarge {
    /// The member.
    pub name: String,
    /// Bytes of its contents.
    pub size: usize,
}

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// Adds a folder.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn folder(&mut self, name: &str) -> Result<(), TooLarge> {
        self.member(name, FOLDER, b"")
    }

    /// Adds a file that is read.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn file(&mut self, name: &str, contents: &[u8]) -> Result<(), TooLarge> {
        self.member(name, FILE, contents)
    }

    /// Adds a file that is executed.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn program(&mut self, name: &str, contents: &[u8]) -> Result<(), TooLarge> {
        self.member(name, PROGRAM, contents)
    }

    /// The whole archive.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn finish(mut self) -> Result<Vec<u8>, TooLarge> {
        self.member(TRAILER, 0, b"")?;
        Ok(self.bytes)
    }

    fn member(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<(), TooLarge> {
        let too_large = || TooLarge { name: name.to_owned(), size: contents.len() };
        // With its NUL.
        let name_size = u32::try_from(name.len()).ok().and_then(|size| size.checked_add(1)).ok_or_else(too_large)?;
        let size = u32::try_from(contents.len()).map_err(|_| too_large())?;
        // A nonzero inode for each: two links with equal numbers would be one file.
        self.inode = self.inode.checked_add(1).ok_or_else(too_large)?;
        let links = if mode == FOLDER { 2 } else { 1 };
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        self.bytes.extend_from_slice(b"070701");
        for field in [self.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
