// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line. Every option's help is the manual; what the options mean in code is in [`build`](crate::build).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::build::{Request, Signing, Source};
use crate::identity::Identity;
use crate::join::{self, Destination};
use crate::mkfs::{self, Compression, Files};
use crate::policy;
use crate::salt::Salt;
use tpm_policy::Bank;

/// Makes and checks signed images for initoverlayfs.
///
/// An image is a UAPI Discoverable Disk Image for arm64: a GPT with an erofs root file system, its dm-verity hash tree
/// and a signature of the tree's root hash.
#[derive(Debug, Parser)]
#[command(name = "ddi", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a signed image from a directory, a tar archive or a finished erofs image
    #[command(long_about = BUILD_LONG, after_long_help = BUILD_EXAMPLES)]
    Build(Box<BuildArgs>),

    /// Complete an image that was built without a signature by one that was made elsewhere
    #[command(long_about = JOIN_LONG, after_long_help = JOIN_EXAMPLES)]
    JoinSignature(JoinArgs),

    /// Say what an image says of itself: partitions, root hash, signer, hash tree
    #[command(long_about = INSPECT_LONG)]
    Inspect(InspectArgs),

    /// Check signature, root hash and every block of an image as the boot does
    #[command(long_about = VERIFY_LONG, after_long_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),

    /// Sign what a TPM will have measured when a kernel has booted an image, so that it unseals the disk's key
    #[command(long_about = SIGN_POLICY_LONG, after_long_help = SIGN_POLICY_EXAMPLES)]
    SignPolicy(SignPolicyArgs),
}

const INSPECT_LONG: &str = "\
Say what an image says of itself: partitions, root hash, signer, hash tree, size of the file system.

Nothing of it is checked, `ddi verify` does that. Reads a few kilobytes; does not look at files in the image, so not at \
its os-release. What the boot stage could not read is refused in its words.

Exit status: 0 it is said, 1 there is no such image, or a part of it cannot be read, 2 the command line is wrong.";

const VERIFY_LONG: &str = "\
Check signature, root hash and every block of an image as the boot does.

Says for each check whether the boot would accept it, or its reason to refuse and the first bad block, and goes on with \
what can still be checked. The reason that counts is the first. Does not look at files in the image, so not at its \
os-release, nor at certificates' dates: a certificate is a pin.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  An image, as a device that has both certificates would see it:
    ddi verify example_1.2.raw --cert release.pem --cert ~/keys/dev.pem

  A partition that holds an image, for a script:
    ddi verify /dev/disk/by-partlabel/example_1.2 --cert release.pem --json | jq -r .reason

Exit status: 0 the image is valid, 1 it would be refused or there is no verdict (then stderr says why), 2 the command \
line is wrong, 130 interrupted.";

const JOIN_LONG: &str = "\
Complete an image that was built without a signature by one that was made elsewhere.

The signature is taken if the boot stage would take it for this image by this certificate: a detached PKCS#7 of the 64 \
hexadecimal digits of the root hash, by one signer, without signed attributes. It is written anew, without what else came \
along, so that an image has the same bytes whichever tool carried the signature, and those of `ddi build --key` where an RSA \
key made it.";

const JOIN_EXAMPLES: &str = "\
Examples:
  A key that never leaves its hardware module, by openssl's PKCS#11 provider:
    ddi build --tree rootfs --unsigned-out example_1.2.unsigned --to-sign example_1.2.hash
    openssl smime -sign -nocerts -noattr -binary -outform der -in example_1.2.hash \\
      -signer release.pem -inkey 'pkcs11:token=release;object=boot' -out example_1.2.p7
    ddi join-signature example_1.2.unsigned --signature example_1.2.p7 --cert release.pem --output example_1.2.raw

Exit status: 0 the image is signed, 1 it is not, 2 the command line is wrong, 130 interrupted.";

/// Options of `ddi join-signature`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The image, as `ddi build --unsigned-out` made it
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// The signature: PKCS#7 in DER or PEM
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,

    /// Certificate of the signer: PEM, for RSA of 2048, 3072 or 4096 bits, P-256 or P-384
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,

    /// The signed image; an existing file is replaced. The unsigned one stays as it is
    #[arg(long, short, value_name = "FILE", required_unless_present = "in_place")]
    output: Option<PathBuf>,

    /// Make the unsigned image the signed one, without a copy
    ///
    /// Writes a few kilobytes, however large the image is. Interrupted, the image is unsigned or signed, and the same command
    /// completes it.
    #[arg(long, conflicts_with = "output")]
    in_place: bool,

    /// Facts about the image as JSON on stdout, instead of lines for people
    #[arg(long)]
    json: bool,
}

impl JoinArgs {
    /// Whether facts are wanted as JSON.
    #[must_use]
    pub const fn wants_json(&self) -> bool {
        self.json
    }

    /// What was asked for.
    #[must_use]
    pub fn into_request(self) -> join::Request {
        join::Request {
            image: self.image,
            signature: self.signature,
            certificate: self.cert,
            destination: self.output.map_or(Destination::InPlace, Destination::File),
        }
    }
}

/// Options of `ddi inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The image: a file, or a block device
    #[arg(value_name = "FILE")]
    pub image: PathBuf,

    /// Facts as JSON on stdout, instead of lines for people
    #[arg(long)]
    pub json: bool,
}

/// Options of `ddi verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The image: a file, or a block device
    #[arg(value_name = "FILE")]
    pub image: PathBuf,

    /// A certificate that is trusted: PEM. May be given several times
    #[arg(long = "cert", value_name = "FILE", required = true)]
    pub certificates: Vec<PathBuf>,

    /// The verdict as JSON on stdout, instead of lines for people
    #[arg(long)]
    pub json: bool,
}

const SIGN_POLICY_LONG: &str = "\
Sign what a TPM will have measured when a kernel has booted an image, so that it unseals the disk's key.

Predicts register 11 of each unified kernel image, as systemd-stub measures it, and the register that the boot stage measures the \
image into; no TPM is needed. The policy over both is signed in systemd's tpm2-pcr-signature JSON. A volume that was enrolled with the \
public key of the signer opens for every pair that has a signature beside it, the first and every update.";

const SIGN_POLICY_EXAMPLES: &str = "\
Examples:
  Beside the image, for the kernel that boots it and the one before:
    ddi sign-policy example_1.2.raw --cert release.pem --uki linux-6.12.efi --uki linux-6.6.efi --key policy.key

  A key that never leaves its hardware module:
    mkdir policies
    ddi sign-policy example_1.2.raw --cert release.pem --uki linux.efi --public-key policy.pub --to-sign policies
    for file in policies/*.policy; do
      openssl dgst -sha256 -sign 'pkcs11:token=release;object=policy' -out \"${file%.policy}.sig\" \"$file\"
    done
    ddi sign-policy example_1.2.raw --cert release.pem --uki linux.efi --public-key policy.pub --signatures policies

Exit status: 0 it is written, 1 it is not, 2 the command line is wrong, 130 interrupted.";

/// Options of `ddi sign-policy`.
#[derive(Debug, Args)]
pub struct SignPolicyArgs {
    /// The image; it has to be one that the boot accepts
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// Certificate of the image's signer: PEM
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,

    /// A unified kernel image that may boot it. May be given several times
    #[arg(long = "uki", value_name = "FILE", required = true)]
    kernels: Vec<PathBuf>,

    /// Private key that signs the policies: PEM, not encrypted, RSA
    #[arg(long, value_name = "FILE", required_unless_present = "public_key", conflicts_with = "public_key")]
    key: Option<PathBuf>,

    /// Public half of a key that signs elsewhere: PEM
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,

    /// A folder for the policies to sign: 32 bytes each, in files POLICY.policy
    #[arg(
        long,
        value_name = "DIR",
        requires = "public_key",
        required_unless_present_any = ["key", "signatures"],
        conflicts_with_all = ["signatures", "output"]
    )]
    to_sign: Option<PathBuf>,

    /// The folder with their signatures, in files POLICY.sig: RSASSA-PKCS1-v1_5 with SHA-256
    #[arg(long, value_name = "DIR", requires = "public_key")]
    signatures: Option<PathBuf>,

    /// The file to write [default: that of the image, with .pcrsig for its extension]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Where in the boot the key is to be had: words of systemd-pcrphase with colons between them. May be given several times
    ///
    /// The empty one is that of storage-init, which runs before any; systemd in the image is in \"enter-initrd\".
    #[arg(long = "phase", value_name = "PATH", default_values = ["", "enter-initrd"])]
    phases: Vec<String>,

    /// Bank of the registers
    #[arg(long, value_name = "NAME", default_value = "sha256", value_parser = parse_bank)]
    bank: Bank,

    /// The register that the image is measured into: `measure-pcr` of the configuration
    #[arg(long, value_name = "NUMBER", default_value_t = boot_record::config::DEFAULT_PCR)]
    measure_pcr: u8,

    /// Sign for the kernel's register alone: any image that it boots gets the key
    #[arg(long, conflicts_with = "measure_pcr")]
    kernel_only: bool,

    /// What was predicted as JSON on stdout, instead of lines for people
    #[arg(long)]
    json: bool,
}

fn parse_bank(name: &str) -> Result<Bank, &'static str> {
    Bank::of(name).ok_or("expected sha256, sha384 or sha512")
}

impl SignPolicyArgs {
    /// Whether facts are wanted as JSON.
    #[must_use]
    pub const fn wants_json(&self) -> bool {
        self.json
    }

    /// What was asked for.
    #[must_use]
    pub fn into_request(self) -> policy::Request {
        let output = self.output.unwrap_or_else(|| self.image.with_extension("pcrsig"));
        // clap has seen to it that there is a key, or its public half with one of the folders.
        let public_key = self.public_key.unwrap_or_default();
        let signing = match (self.key, self.to_sign, self.signatures) {
            (Some(key), ..) => policy::Signing::Key { key, output },
            (None, Some(to_sign), _) => policy::Signing::Elsewhere { public_key, to_sign },
            (None, None, signatures) => {
                policy::Signing::Signed { public_key, signatures: signatures.unwrap_or_default(), output }
            }
        };
        policy::Request {
            image: self.image,
            certificate: self.cert,
            kernels: self.kernels,
            phases: self.phases,
            bank: self.bank,
            image_register: (!self.kernel_only).then_some(self.measure_pcr),
            signing,
        }
    }
}

const BUILD_LONG: &str = "\
Build a signed image from a directory, a tar archive or a finished erofs image; or one to be signed elsewhere.

The same input gives the same bytes: times, salt and UUIDs are fixed or derived from the content. The output appears \
under its name only when it is whole and on the disk; after an error or a signal nothing is left behind. While it works, \
a directory .ddi-XXXXXX beside the output holds the file system and the unfinished image.";

const BUILD_EXAMPLES: &str = "\
Examples:
  A key and a certificate for development, outside of the source tree:
    openssl req -x509 -newkey rsa:2048 -noenc -sha256 -days 3650 \\
      -subj '/CN=Example DEVELOPMENT' -keyout ~/keys/dev.key -out ~/keys/dev.pem

  An image of a directory, named as the boot stage expects it on the ESP:
    ddi build --tree rootfs --key ~/keys/dev.key --cert ~/keys/dev.pem \\
      --image-id example --image-version 1.2 --output example_1.2.raw

  An image of what a container tool exported, facts as JSON:
    podman export NAME > rootfs.tar
    ddi build --tar rootfs.tar --key ... --cert ... --output example_1.2.raw --json

Checks with other tools (offsets are in the JSON):
  sfdisk --verify example_1.2.raw
  systemd-dissect --validate example_1.2.raw

Exit status: 0 the image is there, 1 it is not, 2 the command line is wrong, 130 interrupted.";

/// Options of `ddi build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    input: Input,

    /// Private key that signs: PEM, not encrypted; RSA of 2048, 3072 or 4096 bits, P-256 or P-384
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Signature",
        required_unless_present = "unsigned_out",
        conflicts_with = "unsigned_out"
    )]
    key: Option<PathBuf>,

    /// Certificate of that key: PEM. The kernel or the mini-initramfs must hold it; its dates are not looked at
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Signature",
        required_unless_present = "unsigned_out",
        conflicts_with = "unsigned_out"
    )]
    cert: Option<PathBuf>,

    /// Instead of key, certificate and --output: the image to write, to be signed elsewhere
    ///
    /// The boot stage refuses it until `ddi join-signature` has put a signature into the place that is kept for it.
    #[arg(long, value_name = "FILE", help_heading = "Signature")]
    unsigned_out: Option<PathBuf>,

    /// A file for the bytes to sign: the root hash, 64 hexadecimal digits and nothing else
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Signature",
        requires = "unsigned_out",
        conflicts_with_all = ["key", "cert", "output"]
    )]
    to_sign: Option<PathBuf>,

    /// The image to write; an existing file is replaced. The boot stage expects NAME_VERSION.raw
    #[arg(
        long,
        short,
        value_name = "FILE",
        help_heading = "Output",
        required_unless_present = "unsigned_out",
        conflicts_with = "unsigned_out"
    )]
    output: Option<PathBuf>,

    /// Facts about the image as JSON on stdout, instead of lines for people
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    file_system: FileSystem,

    /// Salt of the hash tree in hexadecimal digits, at most 256 bytes, - for none
    ///
    /// Without it the salt is derived from the size and the first block of the file system.
    #[arg(long, value_name = "HEX", help_heading = "Hash tree", allow_hyphen_values = true)]
    salt: Option<Salt>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Input (one of)")]
struct Input {
    /// Directory that becomes / of the image
    ///
    /// Owners, modes, extended attributes and device nodes are taken over, time stamps are not.
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,

    /// Uncompressed tar archive with the contents of /
    #[arg(long, value_name = "FILE")]
    tar: Option<PathBuf>,

    /// Finished erofs image with 4096-byte blocks, taken over as it is
    #[arg(long, value_name = "FILE")]
    erofs: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "File system (not with --erofs)")]
struct FileSystem {
    /// How file data is compressed
    #[arg(long, value_name = "HOW", value_enum, default_value = "lz4hc", conflicts_with = "erofs")]
    compress: Compression,

    /// Let root:root own everything, for a directory made without being root (only with --tree)
    #[arg(long, conflicts_with_all = ["tar", "erofs"])]
    all_root: bool,

    /// Refuse a directory whose os-release has another IMAGE_ID (only with --tree)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tar", "erofs"])]
    image_id: Option<String>,

    /// Refuse a directory whose os-release has another IMAGE_VERSION (only with --tree)
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["tar", "erofs"])]
    image_version: Option<String>,

    /// Time stamp of every file, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    source_date_epoch: u64,

    /// mkfs.erofs of erofs-utils 1.8 or newer: a path, or a name to look up in PATH
    #[arg(long, value_name = "PROGRAM", default_value = "mkfs.erofs", conflicts_with = "erofs")]
    mkfs_erofs: PathBuf,
}

impl BuildArgs {
    /// Whether facts are wanted as JSON.
    #[must_use]
    pub const fn wants_json(&self) -> bool {
        self.json
    }

    /// What was asked for.
    #[must_use]
    pub fn into_request(self) -> Request {
        let FileSystem { compress, all_root, image_id, image_version, source_date_epoch, mkfs_erofs } =
            self.file_system;
        let files = match self.input {
            Input { tree: Some(path), .. } => Ok(Files::Tree { path, all_root }),
            Input { tar: Some(path), .. } => Ok(Files::Tar { path }),
            // clap has seen to it that one of the three is there.
            Input { erofs, .. } => Err(erofs.unwrap_or_default()),
        };
        let source = match files {
            Ok(files) => Source::Files {
                files,
                options: mkfs::Options { program: mkfs_erofs, compression: compress, epoch: source_date_epoch },
                identity: Identity { image_id, image_version },
            },
            Err(erofs) => Source::Erofs(erofs),
        };
        // clap has seen to it that the three are there, or the one.
        let (signing, output) = match self.unsigned_out {
            Some(output) => (Signing::Elsewhere { to_sign: self.to_sign }, output),
            None => {
                let (key, certificate) = (self.key.unwrap_or_default(), self.cert.unwrap_or_default());
                (Signing::Key { key, certificate }, self.output.unwrap_or_default())
            }
        };
        Request { source, signing, output, salt: self.salt }
    }
}
