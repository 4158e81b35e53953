// SPDX-License-Identifier: MIT OR Apache-2.0
//! From files to the archive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boot_formats::x509;
use boot_record::config::{self, CmdlineOther, Config, MAX_CERTIFICATE};
use boot_record::modules::{self as list, Module, ModuleName};

use crate::cpio::{self, Archive};
use crate::elf::{self, Machine};
use crate::file_error::{self, FileError};
use crate::modules::index::{self, Index};
use crate::modules::{contents, order};
use crate::output;
use crate::report::{ModulesReport, Report};

/// What the archive is made of.
#[derive(Debug, Clone)]
pub struct Request {
    /// The static binary that becomes `/init`.
    pub init: PathBuf,
    /// The file that becomes `/etc/initoverlayfs.conf`.
    pub config: PathBuf,
    /// Files of certificates, under the names that the configuration has for them.
    pub certificates: Vec<PathBuf>,
    /// The `lib/modules/RELEASE` of the kernel.
    pub modules: Option<PathBuf>,
    /// The archive.
    pub output: PathBuf,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// An input cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The boot stage would refuse the configuration.
    #[error("{}: {source}", path.display())]
    Config { path: PathBuf, source: config::Error },
    /// The init program or a module is no such thing.
    #[error("{}: {source}", path.display())]
    Elf { path: PathBuf, source: elf::Error },
    /// The configuration names a certificate that was not given.
    #[error("the configuration names the certificate {name}: no --certificate has a file of that name")]
    CertificateMissing { name: String },
    /// A certificate was given that the configuration does not name.
    #[error("{}: the configuration names no certificate of this name, or it is given twice", path.display())]
    CertificateSpare { path: PathBuf },
    /// A certificate that the boot stage would refuse.
    #[error("{}: {source} (expected a certificate as DER)", path.display())]
    Certificate { path: PathBuf, source: x509::Error },
    /// A certificate whose key may not sign.
    #[error("{}: {source}", path.display())]
    Key { path: PathBuf, source: x509::KeyError },
    /// Two certificates of one issuer and serial number, one file twice among them.
    #[error("{}: same issuer and serial number as {other}: no signature could say whose it is", path.display())]
    CertificateTwice { path: PathBuf, other: String },
    /// A setting for development, in an image for products.
    #[error(
        "cmdline-other = ignore, with the certificate {name}: expected only certificates whose common name contains DEVELOPMENT"
    )]
    DevelopmentOnly { name: String },
    /// A certificate that the boot stage would not read.
    #[error("{}: {found} bytes, the boot stage reads at most {MAX_CERTIFICATE}", path.display())]
    CertificateTooLarge { path: PathBuf, found: usize },
    /// Modules are named, and there is no kernel to take them from.
    #[error("the configuration names modules ({name} first): --modules has to say where the kernel's are")]
    NoModulesFolder { name: String },
    /// The kernel's description of its modules cannot be used.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// The modules cannot be resolved.
    #[error(transparent)]
    Order(#[from] order::Error),
    /// The boot stage would refuse the list.
    #[error("{0}, with all that the configuration's modules need")]
    List(#[from] list::Error),
    /// The archive's format cannot hold it.
    #[error(transparent)]
    Archive(#[from] cpio::TooLarge),
    /// The archive cannot be written.
    #[error(transparent)]
    Output(#[from] output::Error),
}

/// Makes the archive.
///
/// # Errors
/// See [`Error`]; the output is untouched then.
pub fn build(request: &Request) -> Result<Report, Error> {
    let elf_error = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Elf { path, source }
    };
    let init = file_error::read(&request.init)?;
    let machine = elf::static_program(&init).map_err(elf_error(&request.init))?;
    let config_text = file_error::read(&request.config)?;
    let config =
        config::parse(&config_text).map_err(|source| Error::Config { path: request.config.clone(), source })?;
    let certificates = certificates(&config, &request.certificates)?;
    let modules = modules(&config, request.modules.as_deref(), machine)?;

    let mut archive = Archive::default();
    archive.program("init", &init)?;
    archive.folder("etc")?;
    archive.file("etc/initoverlayfs.conf", &config_text)?;
    archive.folder("etc/initoverlayfs")?;
    for (name, certificate) in &certificates {
        archive.file(&format!("etc/initoverlayfs/{name}"), certificate)?;
    }
    if let Some(Modules { list, files, .. }) = &modules {
        archive.file("etc/initoverlayfs/modules.list", list.as_bytes())?;
        archive.folder("lib")?;
        archive.folder("lib/modules")?;
        for (name, module) in files {
            archive.file(&format!("lib/modules/{name}.ko"), module)?;
        }
    }
    let archive = archive.finish()?;
    output::write(&request.output, &archive)?;
    Ok(Report {
        output: request.output.clone(),
        size: archive.len(),
        init: init.len(),
        image_id: config.image_id.to_string(),
        certificates: certificates.into_iter().map(|(name, _)| name).collect(),
        modules: modules.map(|modules| modules.report),
    })
}

/// The configuration's certificates, in its order.
fn certificates(config: &Config, given: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let name_of = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names = BTreeSet::new();
    for path in given {
        let name = name_of(path);
        if !config.certificates.iter().any(|wanted| wanted.as_str() == name) || !names.insert(name) {
            return Err(Error::CertificateSpare { path: path.clone() });
        }
    }
    let mut certificates: Vec<(String, Vec<u8>)> = Vec::new();
    for name in &config.certificates {
        let path = given.iter().find(|path| name_of(path) == name.as_str());
        let path = path.ok_or_else(|| Error::CertificateMissing { name: name.to_string() })?;
        let der = file_error::read(path)?;
        if der.len() > MAX_CERTIFICATE {
            return Err(Error::CertificateTooLarge { path: path.clone(), found: der.len() });
        }
        let certificate = x509::parse(&der).map_err(|source| Error::Certificate { path: path.clone(), source })?;
        certificate.public_key().map_err(|source| Error::Key { path: path.clone(), source })?;
        if config.cmdline_other == CmdlineOther::Ignore && !certificate.is_development() {
            return Err(Error::DevelopmentOnly { name: name.to_string() });
        }
        let same =
            |(_, other): &&(String, Vec<u8>)| x509::parse(other).is_ok_and(|other| other.is_named_as(&certificate));
        if let Some((other, _)) = certificates.iter().find(same) {
            return Err(Error::CertificateTwice { path: path.clone(), other: other.clone() });
        }
        certificates.push((name.to_string(), der));
    }
    Ok(certificates)
}

/// The part of the archive that the modules stage reads.
struct Modules {
    list: String,
    /// Name and contents, in the order of the list.
    files: Vec<(ModuleName, Vec<u8>)>,
    report: ModulesReport,
}

/// Nothing, where the configuration names no modules.
fn modules(config: &Config, folder: Option<&Path>, machine: Machine) -> Result<Option<Modules>, Error> {
    let Some(first) = config.modules.first() else { return Ok(None) };
    let folder = folder.ok_or_else(|| Error::NoModulesFolder { name: first.to_string() })?;
    let index = Index::read(folder)?;
    let resolved = order::resolve(&index, config.modules.iter().map(ModuleName::as_str))?;
    let lines = resolved.modules.iter().map(|chosen| match chosen.optional {
        true => format!("{} optional\n", chosen.name),
        false => format!("{}\n", chosen.name),
    });
    let list: String = lines.collect();
    let parsed = list::parse(list.as_bytes())?;

    let mut files = Vec::new();
    for (Module { name, .. }, chosen) in parsed.into_iter().zip(&resolved.modules) {
        let path = folder.join(&chosen.path);
        let contents = contents::read(&path)?;
        elf::module(&contents, machine).map_err(|source| Error::Elf { path, source })?;
        files.push((name, contents));
    }
    let report = ModulesReport { bytes: files.iter().map(|(_, file)| file.len()).sum(), resolved };
    Ok(Some(Modules { list, files, report }))
}
