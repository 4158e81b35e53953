// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's monitor protocol: JSON lines over a socket that QEMU connects to.
//!
//! Only what a boot needs: the handshake, the events SHUTDOWN (with its reason) and WATCHDOG, plugging in a disk, and what
//! the disks were asked for. See docs/interop/qmp-spec.rst, qapi/run-state.json and qapi/block-core.json in QEMU's source.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Exit, Reads};

/// What happens to the machine, as the monitor says (and, for one event, the report's reader).
pub enum Event {
    /// QEMU is there; commands go into this stream.
    Connected(UnixStream),
    /// The machine is about to end; the first one says why.
    Shutdown(Exit),
    /// The guest's report is complete; its reader answers once this sender is dropped.
    Reported(Sender<()>),
    /// The answer to [`ask_reads`]: the sum over all disks.
    Reads(Reads),
    /// A command failed.
    Refused(String),
}

/// Accepts QEMU's connection and passes events on until it closes.
pub fn follow(listener: &UnixListener, events: Sender<Event>) {
    let Ok((stream, _)) = listener.accept() else { return };
    let Ok(mut commands) = stream.try_clone() else { return };
    if send(&mut commands, &json!({ "execute": "qmp_capabilities" })).is_err()
        || events.send(Event::Connected(commands)).is_err()
    {
        return;
    }
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let Some(event) = parse(&line) else { continue };
        if events.send(event).is_err() {
            return;
        }
    }
}

/// Plugs the drive `drive` into the root port `slot`.
pub fn plug_in(commands: &mut UnixStream, drive: &str, slot: &str) -> Result<()> {
    let arguments = json!({ "driver": "virtio-blk-pci", "drive": drive, "bus": slot, "id": "late-disk" });
    send(commands, &json!({ "execute": "device_add", "arguments": arguments }))
}

/// Asks what the disks were asked for.
pub fn ask_reads(commands: &mut UnixStream) -> Result<()> {
    send(commands, &json!({ "execute": "query-blockstats" }))
}

/// Ends QEMU.
pub fn quit(commands: &mut UnixStream) -> Result<()> {
    send(commands, &json!({ "execute": "quit" }))
}

fn send(commands: &mut UnixStream, command: &Value) -> Result<()> {
    writeln!(commands, "{command}").with_context(|| format!("QEMU's monitor has closed before {command}"))
}

fn parse(line: &str) -> Option<Event> {
    let message: Value = serde_json::from_str(line).ok()?;
    if let Some(error) = message.get("error") {
        return Some(Event::Refused(error.to_string()));
    }
    if let Some(disks) = message.get("return").and_then(Value::as_array) {
        let sum = |field| disks.iter().filter_map(|disk| disk.pointer(field)?.as_u64()).sum();
        return Some(Event::Reads(Reads { bytes: sum("/stats/rd_bytes"), requests: sum("/stats/rd_operations") }));
    }
    match message.get("event")?.as_str()? {
        "SHUTDOWN" => {}
        // A SHUTDOWN follows, which calls it a reset by the guest.
        "WATCHDOG" => return Some(Event::Shutdown(Exit::Watchdog)),
        _ => return None,
    }
    let reason = message.pointer("/data/reason").and_then(Value::as_str).unwrap_or("none given");
    Some(Event::Shutdown(match reason {
        "guest-shutdown" => Exit::PowerOff,
        "guest-reset" => Exit::Reset,
        other => Exit::Other(other.to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_reason_of_a_shutdown_is_read() {
        let line = |reason: &str| {
            format!(r#"{{"timestamp":{{"seconds":1}},"event":"SHUTDOWN","data":{{"guest":true,"reason":"{reason}"}}}}"#)
        };
        let exit = |reason| match parse(&line(reason)) {
            Some(Event::Shutdown(exit)) => exit,
            _ => Exit::Deadline,
        };
        assert_eq!(exit("guest-shutdown"), Exit::PowerOff);
        assert_eq!(exit("guest-reset"), Exit::Reset);
        assert_eq!(exit("host-signal"), Exit::Other("host-signal".into()));
        let watchdog = r#"{"timestamp":{"seconds":1},"event":"WATCHDOG","data":{"action":"reset"}}"#;
        assert!(matches!(parse(watchdog), Some(Event::Shutdown(Exit::Watchdog))));
    }

    #[test]
    fn reads_are_summed_over_all_disks() {
        let line = r#"{"return":[{"device":"disk0","stats":{"rd_bytes":4096,"rd_operations":2,"wr_bytes":1}},
            {"device":"disk1","stats":{"rd_bytes":512,"rd_operations":1}}]}"#;
        let reads = Reads { bytes: 4608, requests: 3 };
        assert!(matches!(parse(line), Some(Event::Reads(found)) if found == reads));
    }

    #[test]
    fn greetings_and_answers_are_no_events_and_errors_are() {
        assert!(parse(r#"{"QMP":{"version":{}}}"#).is_none());
        assert!(parse(r#"{"return":{}}"#).is_none());
        assert!(matches!(parse(r#"{"error":{"class":"GenericError"}}"#), Some(Event::Refused(_))));
    }
}
