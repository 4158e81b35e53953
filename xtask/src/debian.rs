// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of newer Debian suites, without adding a suite to the host.
//!
//! The mirror, its keyring and the way to reach it are the host's: read from its apt configuration, in both formats
//! (sources.list(5)). apt verifies every package against that keyring. Nothing is configured or run of what is
//! unpacked (`mmdebstrap --variant=extract`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::{self, Step};

/// The release whose packages are used, and its backports: QEMU 11 and rustc 1.96 come from there.
pub const SUITES: [&str; 2] = ["trixie", "trixie-backports"];
/// The release after it, still in testing: what the real root of a boot test comes from, for its systemd.
pub const NEXT: [&str; 1] = ["forky"];
/// Debian's own keyring, for a source that names none. The one of bookworm and later verifies trixie.
const ARCHIVE_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Settings of the host's apt that say how a mirror is reached, by their beginning.
const FORWARDED: [&str; 7] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Check-",
    "Acquire::Retries",
    "Acquire::ForceIPv",
    "Acquire::Max-ValidTime",
    "Acquire::Languages",
];
/// Where mmdebstrap works: on a disk (/tmp may be memory) and open to the subordinate user ids of an ordinary user.
const SCRATCH: &str = "/var/tmp";
/// What nobody needs at run time, as tar patterns.
const LEFT_OUT: [&str; 5] =
    ["./dev/*", "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/share/info/*"];

/// A source of Debian packages, as the host's apt knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    uri: String,
    keyring: PathBuf,
    apt_options: Vec<String>,
}

impl Mirror {
    /// The mirror that the host gets its own release from.
    ///
    /// # Errors
    /// The host is not Debian, or its apt has no usable source for its release.
    pub fn of_host() -> Result<Self> {
        let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let codename = codename(&release)?;
        let mut sources = Vec::new();
        for path in source_files()? {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let deb822 = path.extension().is_some_and(|extension| extension == "sources");
            sources.extend(if deb822 { parse_deb822(&text) } else { parse_one_line(&text) });
        }
        let Some(source) = sources.into_iter().find(|source| source.serves(&codename)) else {
            bail!(
                "no http or https source of {codename}'s component main in /etc/apt/sources.list or \
                 /etc/apt/sources.list.d: one is needed to find the mirror that has {}",
                SUITES.join(" and ")
            );
        };
        let keyring = source.keyring.unwrap_or_else(|| PathBuf::from(ARCHIVE_KEYRING));
        if !keyring.exists() {
            bail!("the keyring {} is missing: install debian-archive-keyring", keyring.display());
        }
        Ok(Self { uri: source.uri, keyring, apt_options: forwarded_options()? })
    }

    /// Unpacks packages and their dependencies of `suites`, the newest last, into one tar stream on standard output.
    pub fn tar_command(&self, suites: &[&str], architectures: &[&str], packages: &[&str]) -> Command {
        let mut command = Command::new("mmdebstrap");
        let mode = if is_root() { "--mode=root" } else { "--mode=unshare" };
        command.env("TMPDIR", SCRATCH).args([mode, "--variant=extract", "--format=tar"]);
        command.arg(format!("--architectures={}", architectures.join(",")));
        command.arg(format!("--include={}", packages.join(",")));
        // apt prefers backports only when told to.
        command.args(suites.last().map(|suite| format!("--aptopt=APT::Default-Release \"{suite}\"")));
        for option in &self.apt_options {
            command.arg(format!("--aptopt={option}"));
        }
        command.args(suites.first()).arg("-");
        for suite in suites {
            command.arg(format!("deb [signed-by={}] {} {suite} main", self.keyring.display(), self.uri));
        }
        command
    }

    /// Unpacks packages into the folder `root`, all files owned by the caller; `log` gets what the tools print.
    ///
    /// # Errors
    /// A package cannot be had, verified or unpacked; the error ends with the log's last lines.
    pub fn unpack(
        &self,
        title: &str,
        architectures: &[&str],
        packages: &[&str],
        root: &Path,
        log: &Path,
    ) -> Result<()> {
        let step = Step::start(title, 0);
        let mut download = self
            .tar_command(&SUITES, architectures, packages)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(progress::append(log)?)
            .spawn()
            .context("cannot run mmdebstrap")?;
        let Some(stream) = download.stdout.take() else { bail!("mmdebstrap has no standard output") };
        let unpacked = Command::new("tar")
            .args(["--extract", "--no-same-owner", "--no-same-permissions", "--directory"])
            .arg(root)
            .args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")))
            .stdin(stream)
            .stdout(progress::append(log)?)
            .stderr(progress::append(log)?)
            .spawn()
            .context("cannot run tar")?;
        let unpacked = progress::wait(step, log, unpacked);
        let status = download.wait()?;
        if !status.success() {
            bail!(explain_failure(status, log));
        }
        unpacked
    }
}

/// The one failure that has a plain remedy is named; the rest is in the log.
fn explain_failure(status: std::process::ExitStatus, log: &Path) -> String {
    let end = progress::tail(log);
    let remedy = if end.contains("NO_PUBKEY") {
        "the host's debian-archive-keyring is too old to verify the suite: upgrade that package.\n"
    } else {
        ""
    };
    format!("mmdebstrap: {status}; {remedy}the end of {}:\n{end}", log.display())
}

/// True when the caller is user 0.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// One line of one-line style, or one stanza of deb822.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    keyring: Option<PathBuf>,
}

impl Source {
    fn serves(&self, codename: &str) -> bool {
        let reachable = ["http://", "https://", "mirror+http"].iter().any(|scheme| self.uri.starts_with(scheme));
        let aliases = [codename, "stable", "oldstable"];
        reachable
            && self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(|suite| aliases.contains(&suite.as_str()))
    }
}

fn codename(os_release: &str) -> Result<String> {
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    match (field("ID").as_deref(), field("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) => Ok(codename),
        (id, _) => bail!("this set-up knows Debian 12 and 13; /etc/os-release says {}", id.unwrap_or("nothing")),
    }
}

fn source_files() -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in folder {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "list" || extension == "sources") {
                files.push(path);
            }
        }
    }
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// `deb [ option=value ... ] URI SUITE COMPONENT...`
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracket) => bracket.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        keyring: signed_by.and_then(keyring_path),
    })
}

/// Stanzas of `Field: value`, continued by lines that begin with white space.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            sources.extend(deb822_source(&fields));
            fields.clear();
        } else if line.starts_with('#') {
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn deb822_source(fields: &[(String, String)]) -> Vec<Source> {
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let words = |name: &str| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if field("enabled").eq_ignore_ascii_case("no") || !words("types").contains(&"deb".to_owned()) {
        return Vec::new();
    }
    words("uris")
        .into_iter()
        .map(|uri| Source {
            uri,
            suites: words("suites"),
            components: words("components"),
            keyring: keyring_path(field("signed-by")),
        })
        .collect()
}

/// `Signed-By` may also be a fingerprint or a key block: those are of no use to another suite.
fn keyring_path(signed_by: &str) -> Option<PathBuf> {
    signed_by.starts_with('/').then(|| PathBuf::from(signed_by.split([',', ' ']).next().unwrap_or(signed_by)))
}

fn forwarded_options() -> Result<Vec<String>> {
    let dump = Command::new("apt-config").arg("dump").output().context("cannot run apt-config")?;
    Ok(forwarded(&String::from_utf8_lossy(&dump.stdout)))
}

/// The lines of `apt-config dump` (`Name "value";`) that are forwarded; empty values say nothing.
fn forwarded(dump: &str) -> Vec<String> {
    dump.lines()
        .filter(|line| FORWARDED.iter().any(|name| line.starts_with(name)) && !line.ends_with(" \"\";"))
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_line_source_with_options_is_read() {
        let sources = parse_one_line(
            "# comment\ndeb-src http://mirror.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # why\n",
        );
        let expected = Source {
            uri: "http://mirror.example/debian".into(),
            suites: vec!["bookworm".into()],
            components: vec!["main".into(), "contrib".into()],
            keyring: Some("/k.gpg".into()),
        };
        assert_eq!(sources, [expected]);
    }

    #[test]
    fn a_deb822_stanza_is_read_and_a_disabled_one_is_not() {
        let sources = parse_deb822(
            "Types: deb deb-src\n# a comment\nURIs: https://mirror.example/debian\nSuites: trixie\n trixie-updates\n\
             Components: main\nSigned-By: /k.pgp\n\nTypes: deb\nEnabled: no\nURIs: http://b/\nSuites: x\n",
        );
        let expected = Source {
            uri: "https://mirror.example/debian".into(),
            suites: vec!["trixie".into(), "trixie-updates".into()],
            components: vec!["main".into()],
            keyring: Some("/k.pgp".into()),
        };
        assert_eq!(sources, [expected]);
    }

    #[test]
    fn security_updates_and_discs_do_not_serve_the_release() {
        let [security, disc, main] =
            ["http://m/debian-security x-security main", "cdrom:[d]/ x main", "http://m/debian x main"]
                .map(|rest| parse_line(&format!("deb {rest}")).unwrap_or_default());
        assert_eq!([security.serves("x"), disc.serves("x"), main.serves("x")], [false, false, true]);
    }

    #[test]
    fn an_embedded_key_is_not_taken_for_a_path() {
        assert_eq!(keyring_path("-----BEGIN PGP PUBLIC KEY BLOCK-----"), None);
    }

    #[test]
    fn another_distribution_is_refused_by_name() {
        let refusal = codename("ID=fedora\nVERSION_CODENAME=\"\"\n").map_err(|error| error.to_string());
        assert_eq!(refusal, Err("this set-up knows Debian 12 and 13; /etc/os-release says fedora".into()));
    }

    #[test]
    fn only_settings_that_reach_a_mirror_are_forwarded() {
        let dump =
            "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://p:1\";\nAcquire::http::User-Agent \"\";\n";
        assert_eq!(forwarded(dump), ["Acquire::http::Proxy \"http://p:1\""]);
    }
}
