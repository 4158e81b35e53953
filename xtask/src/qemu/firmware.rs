// SPDX-License-Identifier: MIT OR Apache-2.0
//! UEFI with Secure Boot: edk2 for the board, whose PK, KEK and db are keys of our own; and the unified kernel image (UKI)
//! that it starts.
//!
//! * The keys are three different ones. Nobody else's are enrolled: what a distribution signed does not start either.
//! * The variables are made anew for each boot: nothing of a boot before is in them.
//! * ACPI is off, so that firmware hands the devicetree on: the layer's kernels need no CONFIG_ACPI.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::call;
use crate::keys::{self, Keys};
use crate::tools::Tools;

/// edk2 as Debian builds it, with Secure Boot; a path inside the tools root.
const CODE: &str = "/usr/share/AAVMF/AAVMF_CODE.secboot.fd";
/// Its variables before anybody has set one.
const EMPTY_VARIABLES: &str = "/usr/share/AAVMF/AAVMF_VARS.fd";
/// systemd's stub, which measures the parts of the UKI and starts the kernel in it.
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxaa64.efi.stub";
/// Who owns the enrolled keys, a GUID that firmware keeps with each and does not look at.
const OWNER: &str = "7a0f9a52-5c55-4e0c-8f4f-1f1bd6d9a3c4";
/// Names of the keys: they sign the enrolment of the next, and the last one signs what is started.
const PLATFORM: &str = "uefi-platform";
const EXCHANGE: &str = "uefi-exchange";
const BOOT: &str = "uefi-boot";
/// A key that no firmware knows.
const STRANGER: &str = "uefi-stranger";
/// os-release of the unified kernel images: what the stub measures, and boot loaders show.
const OS_RELEASE: &str = "ID=initoverlayfs\nPRETTY_NAME=\"initoverlayfs\"\n";
/// Where firmware looks on a disk that no boot entry names, below the root of its ESP.
pub const BOOT_PROGRAM: &str = "EFI/BOOT/BOOTAA64.EFI";
/// The UKI in a boot's folder.
pub const UKI_FILE: &str = "uki.efi";
/// How the first line begins that firmware says.
pub(super) const VERSION: &str = "UEFI firmware (version ";
/// What firmware says of a boot program that Secure Boot does not let it start.
pub const DENIED: &str = "Access Denied";
/// What it says once it has nothing left to start.
pub const NOTHING_LEFT: &str = "BdsDxe: No bootable option or device was found.";

/// A machine's firmware.
#[derive(Clone, Debug)]
pub struct Firmware {
    variables: PathBuf,
    oem_strings: Vec<String>,
}

impl Firmware {
    /// Firmware that starts what [`Signature::Boot`] signed; its variables lie in `folder`. Whoever runs the virtual
    /// machine gives it the OEM strings, which SMBIOS hands on (type 11): systemd's stub reads them.
    ///
    /// # Errors
    /// The keys or the variables cannot be made.
    pub fn make(cache: &Cache, tools: &Tools, folder: &Path, oem_strings: &[&str]) -> Result<Self> {
        let variables = folder.join("variables.fd");
        let mut command = tools.command_in(folder, "virt-fw-vars", &[])?;
        command.args(["--input", EMPTY_VARIABLES]).arg("--output").arg(&variables);
        let mut certificates = Vec::new();
        for (option, name) in [("--set-pk", PLATFORM), ("--add-kek", EXCHANGE), ("--add-db", BOOT)] {
            // The folder holds a private key as well: the program is shown a copy of the certificate.
            let certificate = folder.join(format!("{name}.pem"));
            let keys = keys::named(cache, tools, name)?;
            std::fs::copy(&keys.certificate_pem, &certificate)
                .with_context(|| format!("cannot copy {}", keys.certificate_pem.display()))?;
            command.args([option, OWNER]).arg(&certificate);
            certificates.push(certificate);
        }
        call::run("virt-fw-vars", command.arg("--secure-boot"))?;
        Ok(Self { variables, oem_strings: oem_strings.iter().map(|&text| text.to_owned()).collect() })
    }

    /// The file of the variables.
    pub(super) fn variables(&self) -> &Path {
        &self.variables
    }

    /// QEMU's arguments.
    pub(super) fn arguments(&self) -> Result<Vec<String>> {
        let variables = super::escaped(&self.variables)?;
        let mut arguments = vec![
            "-machine".to_owned(),
            "acpi=off".to_owned(),
            "-drive".to_owned(),
            format!("if=pflash,unit=0,format=raw,readonly=on,file={CODE}"),
            "-drive".to_owned(),
            format!("if=pflash,unit=1,format=raw,file={variables}"),
        ];
        for text in &self.oem_strings {
            arguments.extend(["-smbios".to_owned(), format!("type=11,value={}", text.replace(',', ",,"))]);
        }
        Ok(arguments)
    }
}

/// A boot by firmware to be made.
#[derive(Clone, Copy, Debug)]
pub struct ByFirmware<'a> {
    /// Who signs the UKI.
    pub signature: Signature,
    /// Signed policies in the UKI, which the stub hands to the initramfs: systemd's JSON. They are no part of what it measures.
    pub policies: Option<&'a Path>,
    /// A text in the UKI, which is changed by one bit after it was signed.
    pub altered: Option<&'a str>,
    /// Further files on its ESP: paths below the root, contents.
    pub esp_files: &'a [(&'a str, &'a [u8])],
    /// OEM strings of SMBIOS.
    pub oem_strings: &'a [&'a str],
}

impl Default for ByFirmware<'_> {
    fn default() -> Self {
        Self { signature: Signature::Boot, policies: None, altered: None, esp_files: &[], oem_strings: &[] }
    }
}

impl ByFirmware<'_> {
    /// Makes the firmware, and the files of the ESP: the UKI first, in `folder`. Paths below the root, and where they are.
    ///
    /// # Errors
    /// A part cannot be made, or the UKI lacks the text that is to be altered.
    pub fn prepare(
        &self,
        cache: &Cache,
        tools: &Tools,
        uki: &Uki<'_>,
        folder: &Path,
    ) -> Result<(Firmware, Vec<(String, PathBuf)>)> {
        let program = folder.join(UKI_FILE);
        uki.write(cache, tools, self.policies, self.signature, &program)?;
        if let Some(text) = self.altered {
            alter(&program, text)?;
        }
        let mut files = vec![(BOOT_PROGRAM.to_owned(), program)];
        for (number, (path, contents)) in self.esp_files.iter().enumerate() {
            let file = folder.join(format!("esp-file-{number}"));
            std::fs::write(&file, contents).with_context(|| format!("cannot write {}", file.display()))?;
            files.push(((*path).to_owned(), file));
        }
        Ok((Firmware::make(cache, tools, folder, self.oem_strings)?, files))
    }
}

/// Flips the lowest bit of the text's first byte.
fn alter(program: &Path, text: &str) -> Result<()> {
    let mut bytes = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    let Some(byte) = found.and_then(|start| bytes.get_mut(start)) else {
        bail!("{} does not have {text:?}", program.display());
    };
    *byte ^= 1;
    std::fs::write(program, bytes).with_context(|| format!("cannot write {}", program.display()))
}

/// Who signs a UKI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Nobody.
    None,
    /// The key that firmware knows.
    Boot,
    /// A key that it does not know.
    Stranger,
}

/// A unified kernel image to be made.
#[derive(Clone, Copy, Debug)]
pub struct Uki<'a> {
    /// The kernel's image.
    pub kernel: &'a Path,
    /// The mini-initramfs.
    pub initramfs: &'a Path,
    /// The kernel's command line.
    pub command_line: &'a str,
}

impl Uki<'_> {
    /// Writes it to `output`, in a folder of the cache, with signed policies if there are any.
    ///
    /// # Errors
    /// ukify or sbsign fails.
    pub fn write(
        &self,
        cache: &Cache,
        tools: &Tools,
        policies: Option<&Path>,
        signature: Signature,
        output: &Path,
    ) -> Result<()> {
        let Some(folder) = output.parent() else { bail!("{} is no file", output.display()) };
        let os_release = folder.join("os-release");
        std::fs::write(&os_release, OS_RELEASE).with_context(|| format!("cannot write {}", os_release.display()))?;
        let unsigned = output.with_extension("unsigned");
        let files: Vec<&Path> = [self.kernel, self.initramfs].into_iter().chain(policies).collect();
        let mut ukify = tools.command_in(folder, "ukify", &files)?;
        ukify.args(["build", "--efi-arch=aa64", "--stub", STUB]);
        ukify.arg("--linux").arg(self.kernel).arg("--initrd").arg(self.initramfs);
        ukify.args(["--cmdline", self.command_line]).arg("--os-release").arg(format!("@{}", os_release.display()));
        if let Some(policies) = policies {
            ukify.arg(format!("--section=.pcrsig:@{}", policies.display()));
        }
        call::run("ukify", ukify.arg("--output").arg(&unsigned))?;
        let keys = match signature {
            Signature::None => {
                return std::fs::rename(&unsigned, output)
                    .with_context(|| format!("cannot rename {}", unsigned.display()));
            }
            Signature::Boot => keys::named(cache, tools, BOOT)?,
            Signature::Stranger => keys::named(cache, tools, STRANGER)?,
        };
        sign(tools, &keys, &unsigned, output)?;
        std::fs::remove_file(&unsigned).with_context(|| format!("cannot remove {}", unsigned.display()))
    }
}

fn sign(tools: &Tools, keys: &Keys, from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    let mut sbsign = tools.command_in(folder, "sbsign", &[&keys.key_pem, &keys.certificate_pem, from])?;
    sbsign.arg("--key").arg(&keys.key_pem).arg("--cert").arg(&keys.certificate_pem);
    call::run("sbsign", sbsign.arg("--output").arg(to).arg(from))
}
