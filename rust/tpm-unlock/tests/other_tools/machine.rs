// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TPM of its own for each test, and a way to it that counts, records and spoils.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tpm_policy::{Bank, digests};
use tpm_unlock::tpm::NoEntropy;
use tpm_unlock::{Tpm, Transport, TransportError, extend};
use tpm2_protocol::frame::TpmCommand;

/// How long swtpm may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// swtpm, started up, with nothing in its memory.
pub struct Machine {
    process: Child,
    // Both outlive the process, see drop.
    folder: TempDir,
    handle: File,
}

impl Machine {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tpm-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", "dir=.", "--server", "type=unixio,path=s", "--log", "file=log"])
            .args(["--ctrl", "type=unixio,path=c", "--flags", "not-need-init,startup-clear"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("swtpm is not in PATH: run these tests by `cargo xtask test`, which brings it");
        let handle = File::open(&folder).unwrap();
        Self { process, folder, handle }
    }

    /// A new way to it, once it listens. There is room for one at a time.
    pub fn connect(&mut self) -> Wire {
        let socket = self.socket("s");
        Wire { socket, sent: Vec::new(), received: Vec::new(), spoil: Box::new(|_, _, _| ()) }
    }

    /// What resets it, and it alone: a wire of its own. There is room for one at a time.
    pub fn reset_wire(&mut self) -> ResetWire {
        ResetWire(self.socket("c"))
    }

    fn socket(&mut self, name: &str) -> UnixStream {
        // Names of sockets are short, names of folders need not be.
        let path = format!("/proc/self/fd/{}/{name}", self.handle.as_raw_fd());
        let begun = Instant::now();
        let socket = loop {
            match UnixStream::connect(&path) {
                Ok(socket) => break socket,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(error) => panic!("{path}: {error}"),
            }
            assert!(begun.elapsed() < PATIENCE, "swtpm does not listen in {}", self.folder.path().display());
            assert_eq!(self.process.try_wait().unwrap(), None, "swtpm ended");
            std::thread::sleep(Duration::from_millis(2));
        };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Resets the TPM.
pub struct ResetWire(UnixStream);

impl ResetWire {
    /// As the loss of its power does. It takes nothing but TPM2_Startup afterwards.
    pub fn pull(&mut self) {
        // CMD_INIT of swtpm without flags (include/swtpm/tpm_ioctl.h); the answer is a ptm_res.
        self.0.write_all(&[0, 0, 0, 2, 0, 0, 0, 0]).unwrap();
        let mut answer = [0; 4];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0; 4]);
    }
}

/// What may be done to a response: its number, the command, the response.
pub type Spoil = Box<dyn FnMut(usize, &[u8], &mut Vec<u8>)>;

/// The way to the TPM.
pub struct Wire {
    socket: UnixStream,
    pub sent: Vec<Vec<u8>>,
    pub received: Vec<Vec<u8>>,
    pub spoil: Spoil,
}

impl Wire {
    pub fn forget(&mut self) {
        self.sent.clear();
        self.received.clear();
    }

    /// Another way to the same TPM, for what has to be said between two commands.
    pub fn beside(&self) -> Self {
        let socket = self.socket.try_clone().unwrap();
        Self { socket, sent: Vec::new(), received: Vec::new(), spoil: Box::new(|_, _, _| ()) }
    }

    /// Command codes, in order.
    pub fn codes(&self) -> Vec<u32> {
        self.sent.iter().map(|command| u32::from_be_bytes(command[6..10].try_into().unwrap())).collect()
    }

    pub fn has_seen(&self, bytes: &[u8]) -> bool {
        self.sent.iter().chain(&self.received).any(|message| message.windows(bytes.len()).any(|part| part == bytes))
    }
}

impl Transport for Wire {
    fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        // Somebody else's reading of each command: sizes, handles, sessions, code.
        TpmCommand::cast(command)
            .and_then(TpmCommand::validate)
            .unwrap_or_else(|error| panic!("{error}: {command:02x?}"));
        self.socket.write_all(command).unwrap();
        let mut received = vec![0; 10];
        self.socket.read_exact(&mut received).unwrap();
        let len = u32::from_be_bytes(received[2..6].try_into().unwrap()) as usize;
        received.resize(len, 0);
        self.socket.read_exact(&mut received[10..]).unwrap();
        (self.spoil)(self.sent.len(), command, &mut received);
        self.sent.push(command.to_vec());
        self.received.push(received.clone());
        response[..received.len()].copy_from_slice(&received);
        Ok(received.len())
    }
}

pub fn random(bytes: &mut [u8]) -> Result<(), NoEntropy> {
    let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty()).map_err(|_| NoEntropy)?;
    if filled == bytes.len() { Ok(()) } else { Err(NoEntropy) }
}

/// The TPM as the boot stage has it.
pub fn tpm(wire: &mut Wire) -> Tpm<&mut Wire> {
    Tpm::new(wire, random, PATIENCE)
}

/// Measures into the SHA-256 bank, as the boot stage does.
pub fn measure(wire: &mut Wire, pcr: u8, event: &str) {
    extend(&mut tpm(wire), pcr, &digests(&[Bank::Sha256], event.as_bytes())).unwrap();
}
