// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unix sockets in a boot's folder, by names short enough for them.

use std::fs::File;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of the sockets, open: through it they have short names, however long its own is.
pub struct Sockets(File);

impl Sockets {
    /// Opens the folder.
    pub fn open(folder: &Path) -> Result<Self> {
        File::open(folder).map(Self).with_context(|| format!("cannot open {}", folder.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    /// Makes a socket that programs connect to.
    pub fn listen(&self, name: &str) -> Result<UnixListener> {
        let path = self.path(name);
        let _ = std::fs::remove_file(&path);
        UnixListener::bind(&path).with_context(|| format!("cannot make the socket {name}"))
    }

    /// Connects to a program's socket.
    pub fn connect(&self, name: &str) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.path(name))
    }

    /// Removes a socket that a program left.
    pub fn remove(&self, name: &str) {
        let _ = std::fs::remove_file(self.path(name));
    }

    /// Wakes a thread that still waits for somebody to connect, by a connection that says nothing.
    pub fn wake(&self, name: &str) {
        if let Ok(stream) = self.connect(name) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
